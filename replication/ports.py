"""The four ports of a driver: disk, link, clock and witness. Real ones do I/O, simulated ones obey one seed."""

from collections.abc import Sequence
from typing import Protocol

from replication.core.messages import Ack, Append
from replication.core.types import Configuration, Entry, EntryId


class Disk(Protocol):
    """One log and its configuration on durable storage. Calls to `append` and `truncate` never overlap."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def first_lsn(self) -> int:
        """The oldest entry held, or the next one of a log without any."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Durable on return; without entries, fsyncs what is there. Raises LogFullError (nothing was written, may
        be tried again) or LogFailedError (nothing can be trusted any more)."""

    async def read(self, after_lsn: int, bytes_max: int, through_lsn: int) -> list[Entry]:
        """Entries after `after_lsn` through `through_lsn`: at least one if there is one, about `bytes_max` at most."""

    async def id_at(self, lsn: int) -> EntryId: ...

    async def truncate(self, after_lsn: int) -> None:
        """Saves the entries after `after_lsn` aside, then cuts them; durable on return."""

    def save_configuration(self, configuration: Configuration, pending: frozenset[str] | None) -> None:
        """Durable on return. Blocks: changes of configuration are rare, and nothing may overtake them."""


class Link(Protocol):
    """Messages to the peer about one log; any may be lost."""

    async def send(self, message: Append) -> None:
        """Returns when there is room for more; drops the message when there is no connection."""

    def reply(self, message: Ack) -> None:
        """Never waits; drops the message when there is no connection."""


class Clock(Protocol):
    def now_s(self) -> float:
        """Monotonic seconds. Serves suspicion and statistics, never safety."""

    async def sleep(self, seconds: float) -> None: ...


class Witness(Protocol):
    """Holds the configuration of each log and changes it by compare-and-swap on the version."""

    async def configuration(self, log: str) -> Configuration:
        """The configuration that stands at some time after the call. Raises WitnessLostError."""

    async def compare_and_swap(self, log: str, configuration: Configuration, reason: str) -> Configuration:
        """Puts `configuration` in force if the version before it stands; the one that stands then. `reason` is kept
        in the witness's history. Raises WitnessLostError: the request may be granted all the same."""
