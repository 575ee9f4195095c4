"""What the caller must do, in the order given."""

from dataclasses import dataclass

from replication.core.messages import Ack
from replication.core.types import Configuration, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveConfiguration:
    """Make durable before any later effect."""

    configuration: Configuration
    pending: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate:
    """Save the entries after `after_lsn` aside, then cut them, before any later `Persist`."""

    after_lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Append to the log and fsync, then report `Persisted(generation, last lsn of the log)`.

    Without entries: fsync what the log holds. Several may be answered by the last one's report.
    """

    generation: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAck:
    message: Ack


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship:
    """Send an append with the entries after `after_lsn` through `through_lsn`, in one message or several.

    An empty range is a heartbeat. The configuration and commit lsn sent are those of the state at sending.
    """

    after_lsn: int
    through_lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Entries through `lsn` are on every in-sync centre: acknowledge them, then apply them."""

    lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskWitness:
    """Ask the witness to put `configuration` in force if the one of the version before it still stands, and report
    whichever stands then as `ConfigurationLearned`. May be lost, delayed or answered late: it is asked again."""

    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """This centre led, and nobody else did, at some time after `probe` was asked for."""

    probe: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """The log must not be written here any more: somebody's disk lost what it had confirmed. Tell the operator."""

    reason: str


Effect = SaveConfiguration | Truncate | Persist | SendAck | Ship | Commit | AskWitness | Proved | Halt
