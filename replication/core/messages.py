"""What the two centres say to each other about one log."""

from dataclasses import dataclass

from replication.core.types import Configuration, Entry, EntryId, EpochStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Leader to standby. Without entries it is a heartbeat: it carries the commit lsn and finds gaps.

    `previous` is the entry before the first one carried; every entry in an append is durable at the leader. A
    `probe` other than 0 is echoed in every later ack of the epoch: such an ack was sent after this append arrived.
    `relied_on`: the leader's in_sync or pending names the standby, or might.
    """

    log: str
    configuration: Configuration
    previous: EntryId
    commit_lsn: int
    entries: tuple[Entry, ...] = ()
    probe: int = 0
    relied_on: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Standby to leader.

    `durable_lsn`: the standby's log is on its disk through here and is known to equal the log of the leader of
    `configuration.epoch`. `accepted` is False when `previous` was not found: `end` and `epochs` then let the
    leader find the longest common prefix. `probe` is the newest one heard in this epoch.
    `blank`: its disk was lost, so that it must leave in_sync before it may be counted on again.
    """

    log: str
    configuration: Configuration
    accepted: bool
    durable_lsn: int
    end: EntryId
    epochs: tuple[EpochStart, ...]
    probe: int = 0
    blank: bool = False


Message = Append | Ack
