"""What the city's mode of operation makes of the room for queries."""

from typing import Final

from hub.mode import Mode, ModeName
from hub.query.scheduler import QueryClass

_EMERGENCY_CENTRE: Final = "ecc"


def running_max(mode: Mode, centre: str, query_class: QueryClass, configured: int, share: int) -> int:
    """How many queries of a class may run at a centre. In an emergency the command centre has `share` times its room
    for people, and analysis gives way everywhere."""
    if mode.name is ModeName.DAILY:
        return configured
    if query_class is QueryClass.INTERACTIVE and centre == _EMERGENCY_CENTRE:
        return configured * share
    return max(1, configured // share) if query_class is QueryClass.ANALYSIS else configured
