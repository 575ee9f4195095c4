"""What the two centres say to each other about one log."""

from dataclasses import dataclass

from replication.core.types import Configuration, Entry, EntryId, EpochStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Leader to standby. Without entries it is a heartbeat: it carries the commit lsn and finds gaps.

    `previous` is the entry before the first one carried; every entry in an append is durable at the leader.
    """

    log: str
    configuration: Configuration
    previous: EntryId
    commit_lsn: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Standby to leader.

    `durable_lsn`: the standby's log is on its disk through here and is known to equal the log of the leader of
    `configuration.epoch`. `accepted` is False when `previous` was not found: `end` and `epochs` then let the
    leader find the longest common prefix.
    """

    log: str
    configuration: Configuration
    accepted: bool
    durable_lsn: int
    end: EntryId
    epochs: tuple[EpochStart, ...]


Message = Append | Ack
