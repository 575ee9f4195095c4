"""What a centre says of itself; units are the last word of each name."""

from dataclasses import dataclass

from pydantic import BaseModel


class LogStatus(BaseModel):
    """One log as this centre sees it.

    `apply_lag_entries`: known to be committed and not applied here. `suspected`: why the peer would be taken for
    missing. `lag_*` at a leader: what the standby is not known to hold; at a standby: what is committed and not applied
    here, and the seconds since it heard the leader. `waiting`: exchanges taken in and not answered. `pending_ms`: since
    `pending` was asked of the witness. `first_lsn`: where the log begins here.
    `standby_lost_in_s`: until a standby that is away can only come back by a snapshot; negative when none is away.
    """

    log: str
    role: str
    leader: str
    configuration_version: int
    epoch: int
    in_sync: list[str]
    pending: list[str]
    end_lsn: int
    durable_lsn: int
    commit_lsn: int
    applied_lsn: int
    peer_connected: bool
    lag_entries: int
    lag_bytes: int
    lag_s: float
    waiting: int
    log_bytes: int
    blocked: str
    suspected: str
    apply_lag_entries: int
    pending_ms: float
    first_lsn: int = 1
    standby_lost_in_s: float = -1.0


class StoreStatus(BaseModel):
    """`segments_to_compact`: small ones that wait to be merged; `segments_missing`: named and not held here now;
    `segments_damaged` and `segments_repaired` count since the start; `snapshots` says who fetches one from here."""

    store_bytes: int
    disk_free_bytes: int
    data_sets: int
    streams: int
    queries: int
    queries_waiting: int = 0
    resident_bytes: int
    segments: int = 0
    segment_rows: int = 0
    segment_bytes: int = 0
    segments_to_compact: int = 0
    segments_missing: int = 0
    segments_damaged: int = 0
    segments_repaired: int = 0
    snapshots: str = ""


class WitnessStatus(BaseModel):
    """The witness as this centre sees it. `identity` is empty, `generation` 0 at a centre that has met none;
    `last_view_ms_ago` is negative when it never said anything; `problem` says why it is not seen or not trusted.
    `peer_*` is what it says of the other centre."""

    address: str
    seen: bool
    identity: str
    generation: int
    maintenance: bool
    last_view_ms_ago: float
    problem: str
    peer_silent_ms: float
    peer_gone: bool


class CentreStatus(BaseModel):
    """`mode` is the city's, as far as this centre has applied the log: "daily" or "emergency"; `mode_reason` says why
    it is."""

    centre: str
    version: str
    uptime_s: float
    mode: str = "daily"
    mode_reason: str = ""
    logs: list[LogStatus]
    store: StoreStatus
    witness: WitnessStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Of one data set at one lsn; `digest` has 32 hexadecimal digits (see `hub.store.digest`)."""

    data_set: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    log: str
    epoch: int
    leader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a role change; `at_ms` since the command arrived. The last one is `done`."""

    at_ms: float
    what: str
    done: bool = False
    succeeded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPreview:
    """What a failover would do; `lossless` when every acknowledged entry is held where the log would be led."""

    leads_already: bool
    lossless: bool
    what: str


class RoleChange(BaseModel):
    """One configuration as it came into force. `centre` asked for it, for `reason`; `at_unix_ms` by the witness's
    clock."""

    log: str
    version: int
    epoch: int
    leader: str
    in_sync: list[str]
    centre: str = ""
    reason: str = ""
    at_unix_ms: int = 0
