"""What every detector offers, and what it tells of an alert. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, Protocol

from hub.warning.hub_port import Answer, Hub
from hub.warning.rules import Lasting
from hub.warning.spells import Raised, Stretch

_PLACE_MAX: Final = 40
_STRETCH: Final = frozenset({"place", "grade", "begins", "ends", "moments"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an alert says. `evidence` goes into it as JSON; `lon` and `lat` are degrees in WGS 84."""

    category: str
    district: str | None
    lon: float | None
    lat: float | None
    summary: str
    evidence: Mapping[str, Any]


class Detector(Protocol):
    """`causes` are the first parts of its alerts' keys."""

    @property
    def causes(self) -> tuple[str, ...]: ...

    @property
    def lasting(self) -> Sequence[Lasting]: ...

    def parts(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        """The time of a pass cut into parts that a centre is asked for at once."""
        ...

    def stretches(self, hub: Hub, begins: datetime, until: datetime, *, first: bool) -> Iterator[Stretch]:
        """Of a part, those of one place in order. The first part has some from before it begins, too."""
        ...

    def found(self, hub: Hub, raised: Raised) -> Found: ...


def stretches_of(answer: Answer, cause: str) -> Iterator[Stretch]:
    """From rows of `place`, what else a stretch has, and facts. An empty `cause` stands for the rows' own one."""
    for batch in answer.batches:
        for row in batch.to_pylist():
            yield Stretch(
                cause=cause or row["cause"],
                place=place_key(row["place"]),
                grade=row["grade"],
                begins=row["begins"],
                ends=row["ends"],
                moments=row["moments"],
                facts={name: value for name, value in row.items() if name not in _STRETCH},
            )


def place_key(place: str) -> str:
    """A place as it stands in keys: a long one is cut, and told from others by a hash."""
    if len(place) <= _PLACE_MAX:
        return place
    return f"{place[: _PLACE_MAX - 9]}-{blake2b(place.encode(), digest_size=4).hexdigest()}"


def cut(since: datetime, until: datetime, hours: int) -> list[tuple[datetime, datetime]]:
    """Parts that begin and end with full hours, but for the first and the last."""
    parts = []
    while since < until:
        hour = since.replace(minute=0, second=0, microsecond=0)
        end = min(until, hour + timedelta(hours=hours))
        parts.append((since, end))
        since = end
    return parts
