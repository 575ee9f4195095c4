"""Positions: the lsn of each log, as text and beside each other."""

from collections.abc import Mapping

from hub.errors import BadRequestError


def position_to_text(position: Mapping[str, int]) -> str:
    """As headers and metadata have it: `ecc=5,ops=12`."""
    return ",".join(f"{log}={lsn}" for log, lsn in sorted(position.items()))


def position_of_text(text: str) -> dict[str, int]:
    """Raises BadRequestError."""
    position = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        log, equals, lsn = part.partition("=")
        if not equals or not lsn.isdigit():
            raise BadRequestError(f"{part!r} is no position", hint="write LOG=LSN, such as ops=120")
        position[log] = int(lsn)
    return position


def raise_to(position: dict[str, int], other: Mapping[str, int]) -> None:
    """Makes a position, in place, one that holds the other, too."""
    for log, lsn in other.items():
        position[log] = max(lsn, position.get(log, 0))
