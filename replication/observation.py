"""What centres and witness tell each other about how they are: values only."""

from dataclasses import dataclass

from replication.core.types import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessIdentity:
    """Which witness this is: `id` is made with its files, `generation` rises with every rebuild."""

    id: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """One log at one centre. `fit` is False when it cannot be written there whatever the peer does."""

    log: str
    configuration: Configuration
    end_lsn: int
    commit_lsn: int
    fit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A centre's own report. `identity` is the witness that it knows; None at a centre that has met none."""

    centre: str
    address: str
    identity: WitnessIdentity | None
    logs: tuple[LogReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReport:
    """A centre as the witness hears it. `gone`: its stream ended and new connections are refused."""

    silent_ms: int
    gone: bool
    logs: tuple[LogReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the witness tells a centre: `identity` is None until it has met both, `peer` until it has heard it."""

    identity: WitnessIdentity | None
    maintenance: bool
    standings: tuple[tuple[str, Configuration], ...]
    peer: PeerReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a configuration as the witness remembers it; `at_unix_ms` by its own clock."""

    log: str
    configuration: Configuration
    centre: str
    reason: str
    at_unix_ms: int
