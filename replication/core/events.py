"""What can happen to a replica of a log."""

from dataclasses import dataclass

from replication.core.messages import Ack, Append
from replication.core.types import Configuration, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """New entries, linked to the end of the log and of the current epoch. Only a leader may be given them."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Persisted:
    """The log is on disk through `lsn`, answering a `Persist` of that `generation`."""

    generation: int
    lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendReceived:
    message: Append


@dataclass(frozen=True, slots=True, kw_only=True)
class AckReceived:
    message: Ack


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Messages to the peer can be sent again; any sent before may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """Messages to the peer are lost from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A heartbeat is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationLearned:
    """Somebody knows this configuration; it is adopted if it is newer."""

    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofAsked:
    """Find out whether this leader still leads: `probe` is a number that no earlier question bore."""

    probe: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverAsked:
    """The operator wants the peer to lead. Nothing is proposed from here on, until the leader changes or the
    hand-over is called off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverCalledOff:
    """The hand-over took too long. It may still be granted: that changes no set, so that nothing depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerMissing:
    """This centre and the witness have not heard the peer for as long as the configuration allows. It proves
    nothing: the witness's compare-and-swap decides what follows. Given again while it lasts."""


Event = (
    Proposed
    | Persisted
    | AppendReceived
    | AckReceived
    | Connected
    | Disconnected
    | Tick
    | ConfigurationLearned
    | PeerMissing
    | ProofAsked
    | HandOverAsked
    | HandOverCalledOff
)
