"""What is asked of a centre, by whatever way it came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hub.query.scheduler import QueryClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query. Zero stands for the limit of its class."""

    sql: str
    parameters: Sequence[object] | Mapping[str, object] = ()
    query_class: QueryClass = QueryClass.INTERACTIVE
    at_least: Mapping[str, int] = field(default_factory=dict)
    strong: bool = False
    rows_max: int = 0
    time_s_max: float = 0.0
    asked_by: str = ""
