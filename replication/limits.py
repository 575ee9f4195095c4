"""Limits of replication, each with its unit in its name. The configuration file may change any of them."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationLimits:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # A misspelt limit is an error.

    heartbeat_ms: int = 100
    # A peer that is silent this long here and at the witness, or whose process is gone at both, is taken for missing.
    suspect_after_ms: int = 1200
    # Its process is gone when a connection ended and this many new ones were refused within this time.
    refused_times: int = 3
    refused_for_ms: int = 120
    # A call to the witness that takes longer has failed; so has a stream that brings no view for `suspect_after_ms`.
    witness_call_ms_max: int = 1000
    # After a change of leader, silence alone makes no other one for this long. A process that is gone still does.
    hold_down_ms: int = 5000
    # A hand-over that the witness has not granted by then is called off, and writes go on here.
    hand_over_ms_max: int = 2000
    # A ship window of entries, and messages of at most these bytes plus one entry.
    ship_window_entries_max: int = 64
    ship_bytes_max: int = 4 << 20
    # Proposed and not committed: more waits at the door.
    flight_bytes_max: int = 64 << 20
    # Received and not yet on disk at a standby: more waits in the stream's flow control.
    persist_backlog_bytes_max: int = 64 << 20
    # Recent entries kept in memory for shipping and applying; older ones are read from the log.
    tail_bytes_max: int = 64 << 20
    # One apply transaction, and the least time between two.
    apply_bytes_max: int = 16 << 20
    apply_interval_ms: int = 100
    # A full disk is tried again after this.
    disk_retry_ms: int = 500
    log_file_bytes_max: int = 64 << 20
    # Segments under way between the centres at a time, each way, and the largest message that carries a part of one:
    # one of 4 MiB is no faster and takes twice the memory.
    segment_transfers_max: int = 4
    segment_chunk_bytes_max: int = 1 << 20
    # A step of a transfer that takes longer has failed; a transfer that has not moved on for longer is given up.
    segment_step_ms_max: int = 10_000
    segment_stuck_ms_max: int = 30_000
