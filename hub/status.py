"""What a centre says of itself; units are the last word of each name."""

from dataclasses import dataclass

from pydantic import BaseModel


class LogStatus(BaseModel):
    """One log as this centre sees it.

    `lag_*` at a leader: what the standby has not confirmed; at a standby: what is committed and not applied here,
    and the seconds since it heard the leader. `waiting`: exchanges taken in and not answered.
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


class StoreStatus(BaseModel):
    store_bytes: int
    disk_free_bytes: int
    data_sets: int
    streams: int
    queries: int
    resident_bytes: int


class CentreStatus(BaseModel):
    centre: str
    version: str
    uptime_s: float
    logs: list[LogStatus]
    store: StoreStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Of one data set at one lsn; `digest` has 32 hexadecimal digits (see `hub.store.digest`)."""

    data_set: str
    rows: int
    digest: str
