"""What happened in a world, in order: what the checkers judge, and what a transcript tells.

`held` in a record names, of each centre whose copy counts, the entry at the highest acknowledged lsn: its hash covers
all before it.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from replication.core.types import Configuration, EntryId

Held = tuple[tuple[str, EntryId | None], ...]
"""(centre, its durable entry at the highest acknowledged lsn, or None when its log ends before)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Anything worth a line of the transcript."""

    who: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A fault begins, or an operator acts."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A leader acknowledges `entries`; `standing` is what stands at the witness."""

    centre: str
    epoch: int
    entries: tuple[EntryId, ...]
    standing: Configuration
    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The witness puts a configuration in force."""

    configuration: Configuration
    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    centre: str
    configuration: Configuration
    pending: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    centre: str
    entries: tuple[EntryId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A standby's tail, saved aside. `applied_lsn`: what its store holds."""

    centre: str
    entries: tuple[EntryId, ...]
    applied_lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """A client's write is over. `outcome`: "acknowledged", "refused" (certainly not written) or "unknown"."""

    payload: bytes
    outcome: str
    lsn: int
    began_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A strong read was answered: all through `floor_lsn` had been acknowledged before it began, and it saw
    `seen_lsn`."""

    centre: str
    began_s: float
    floor_lsn: int
    seen_lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    centre: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An assertion failed in the code under test."""

    who: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """All faults are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """Both centres are in sync, writes and strong reads that began after healing are answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One centre's at the end. `applied`: entry and payload; `backlog_bytes_peak`: most that waited for its disk."""

    centre: str
    log: tuple[EntryId, ...]
    applied: tuple[tuple[EntryId, bytes], ...]
    log_bytes: int
    backlog_bytes_peak: int
    configuration: Configuration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The last record. `unhealed`: faults that are still there."""

    standing: Configuration
    copies: tuple[Copy, ...]
    held: Held
    unhealed: tuple[str, ...]


Record = (
    Noted
    | Injected
    | Committed
    | Granted
    | Saved
    | Applied
    | Cut
    | Wrote
    | Read
    | Halted
    | Broken
    | Healed
    | Converged
    | Ended
)
Kind = TypeVar("Kind", bound=Record)


class History:
    """Records with the virtual time of each."""

    def __init__(self, seed: int, now_s: Callable[[], float]) -> None:
        self.seed = seed
        self.records: list[tuple[float, Record]] = []
        self._now_s = now_s
        self._over = False

    def add(self, record: Record) -> None:
        """Nothing is added after the end."""
        if not self._over:
            self.records.append((self._now_s(), record))
            self._over = isinstance(record, Ended)

    def note(self, who: str, text: str) -> None:
        self.add(Noted(who=who, text=text))

    def of(self, kind: type[Kind]) -> Iterator[tuple[float, Kind]]:
        """(time, record) of all of one kind."""
        return ((at_s, record) for at_s, record in self.records if isinstance(record, kind))

    def transcript(self, until_s: float = float("inf")) -> str:
        """One line a record, with its time in seconds."""
        return "\n".join(f"{at_s:9.4f} {_line(record)}" for at_s, record in self.records if at_s <= until_s)

    def digest(self) -> str:
        """Equal for equal histories."""
        return hashlib.sha256(self.transcript().encode()).hexdigest()


def name_of(configuration: Configuration) -> str:
    one = configuration
    return f"version {one.version}: {one.leader} leads epoch {one.epoch}, in sync {'+'.join(sorted(one.in_sync))}"


def _span(entries: tuple[EntryId, ...]) -> str:
    if not entries:
        return "no entry"
    first, last = entries[0], entries[-1]
    return f"{first.lsn} to {last.lsn} (epoch {last.epoch}, {last.hash.hex()[:8]})"


def _line(record: Record) -> str:
    who, text = _LINES[type(record)](record)
    return f"{who:8}{text}"


def _pending(pending: frozenset[str] | None) -> str:
    return "" if pending is None else f", pending {'+'.join(sorted(pending))}"


_LINES: Final[dict[type, Callable[[Any], tuple[str, str]]]] = {
    Noted: lambda one: (one.who, one.text),
    Injected: lambda one: ("fault", one.text),
    Committed: lambda one: (one.centre, f"acknowledges {_span(one.entries)} as leader of epoch {one.epoch}"),
    Granted: lambda one: ("witness", f"grants {name_of(one.configuration)}"),
    Saved: lambda one: (one.centre, f"saves {name_of(one.configuration)}{_pending(one.pending)}"),
    Applied: lambda one: (one.centre, f"applies {_span(one.entries)}"),
    Cut: lambda one: (one.centre, f"cuts {_span(one.entries)}, applied {one.applied_lsn}"),
    Wrote: lambda one: ("client", f"{one.payload.decode().rstrip('. ')} is {one.outcome} ({one.lsn})"),
    Read: lambda one: (one.centre, f"answers a strong read: {one.seen_lsn}, needed {one.floor_lsn}"),
    Halted: lambda one: (one.centre, f"halts: {one.reason}"),
    Broken: lambda one: (one.who, f"breaks: {one.text}"),
    Healed: lambda one: ("world", "is healed"),
    Converged: lambda one: ("world", "converges: both are in sync, writes and strong reads are answered"),
    Ended: lambda one: ("world", f"ends: {name_of(one.standing)}; unhealed: {', '.join(one.unhealed) or 'nothing'}"),
}
