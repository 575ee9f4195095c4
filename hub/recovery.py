"""What follows if the leader of a log is lost now: after how long writes go on by themselves, and what is lost.

    after a crash    refused_for_ms     + WITNESS_CALL_MS + MARGIN_MS
    after silence    suspect_after_ms   + WITNESS_CALL_MS + MARGIN_MS

Nothing here asks anybody or reads a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.config import CENTRES, City
from hub.errors import HubError
from hub.status import CentreStatus, LogStatus

# Milliseconds, measured by the benchmark `failover`: `decide` is the first, with the witness's fsync; the second holds
# what `detect` takes beyond its limit (up to a heartbeat), `promote` and `route`, on a machine that is busy, too.
WITNESS_CALL_MS: Final = 20
MARGIN_MS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Of one log. `after_crash_ms` and `after_silence_ms` are None when nobody takes over by itself, for `reason`.
    `loss_entries`: what a forced failover would lose at most; None when only the leader could say."""

    log: str
    leader: str
    after_crash_ms: int | None
    after_silence_ms: int | None
    reason: str
    loss_entries: int | None
    loss: str


def estimate(found: Mapping[str, CentreStatus | HubError], city: City) -> list[Recovery]:
    """One a log, from both centres' status or why one does not answer; none when neither answers."""
    alive = {name: one for name, one in found.items() if isinstance(one, CentreStatus)}
    return [_of_log(log, alive, city) for log in CENTRES if alive]


def _of_log(log: str, alive: Mapping[str, CentreStatus], city: City) -> Recovery:
    at = {name: next(one for one in status.logs if one.log == log) for name, status in alive.items()}
    newest = max(at.values(), key=lambda one: one.configuration_version)
    standby = city.peer(newest.leader)
    reason = _why_not(standby, newest, alive, at)
    lost_after_ms = WITNESS_CALL_MS + MARGIN_MS
    entries, loss = _loss(standby, newest, at)
    return Recovery(
        log=log,
        leader=newest.leader,
        after_crash_ms=None if reason else city.replication.refused_for_ms + lost_after_ms,
        after_silence_ms=None if reason else city.replication.suspect_after_ms + lost_after_ms,
        reason=reason,
        loss_entries=entries,
        loss=loss,
    )


def _why_not(standby: str, newest: LogStatus, alive: Mapping[str, CentreStatus], at: Mapping[str, LogStatus]) -> str:
    """What keeps the standby from taking over by itself; empty when nothing does."""
    if standby not in newest.in_sync:
        return f"{standby} is not in sync"
    if standby not in alive:
        return f"{standby} does not answer"
    witness = alive[standby].witness
    if not witness.seen:
        return f"{standby} does not see the witness: {witness.problem}"
    if witness.maintenance:
        return "maintenance is on"
    return at[standby].blocked


def _loss(standby: str, newest: LogStatus, at: Mapping[str, LogStatus]) -> tuple[int | None, str]:
    if standby in newest.in_sync:
        cause = at[standby].blocked if standby in at else ""
        return (None, f"unknown: {cause}") if cause else (0, "0 records")
    alone = f"all since {newest.leader} went alone"
    if newest.leader not in at:
        return None, f"{alone}: only {newest.leader} knows how many"
    entries = at[newest.leader].lag_entries
    if not entries:
        return 0, f"0 records since {newest.leader} went alone"
    return entries, f"{alone}: up to {entries:,} entries"
