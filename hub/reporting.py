"""What a centre says of its logs and its witness, in the values of `hub.status`."""

import time
from collections.abc import Mapping

from hub.status import LogStatus, WitnessStatus
from replication.core.state import Leader
from replication.driver import Driver
from replication.witness_client import WitnessLink


class Reporter:
    """`drivers` are keyed by log and may be added later; `changed` must be called after each change of one."""

    def __init__(self, drivers: Mapping[str, Driver], witness: WitnessLink) -> None:
        self._drivers = drivers
        self._witness = witness
        self._pending_since_s: dict[str, float] = {}
        self._shared_lsn: dict[tuple[str, int], int] = {}

    def changed(self, log: str) -> None:
        driver = self._drivers.get(log)
        if driver is None or driver.state.pending is None:
            self._pending_since_s.pop(log, None)
            return
        self._pending_since_s.setdefault(log, time.monotonic())
        state = driver.state
        if state.peer in state.configuration.in_sync:  # It asks to go on alone, and has acknowledged nothing alone yet.
            self._shared_lsn[log, state.configuration.epoch] = state.commit_lsn

    def log(self, log: str, *, waiting: int, standby_lost_in_s: float) -> LogStatus:
        driver = self._drivers[log]
        state = driver.state
        entries = self._lag_entries(driver)
        _, size_bytes, seconds = driver.lag
        since_s = self._pending_since_s.get(log)
        return LogStatus(
            log=log,
            role="leader" if driver.leads else "standby",
            leader=state.configuration.leader,
            configuration_version=state.configuration.version,
            epoch=state.configuration.epoch,
            in_sync=sorted(state.configuration.in_sync),
            pending=sorted(state.pending or ()),
            end_lsn=state.end.lsn,
            durable_lsn=state.durable_lsn,
            commit_lsn=state.commit_lsn,
            applied_lsn=driver.applied_lsn,
            peer_connected=driver.connected,
            lag_entries=entries,
            lag_bytes=size_bytes if entries else 0,
            lag_s=seconds,
            waiting=waiting,
            log_bytes=driver.log_bytes,
            blocked=driver.blocked,
            suspected=driver.suspected,
            apply_lag_entries=max(0, state.commit_lsn - driver.applied_lsn),
            pending_ms=0.0 if since_s is None else (time.monotonic() - since_s) * 1000,
            first_lsn=driver.first_lsn,
            standby_lost_in_s=standby_lost_in_s,
        )

    def witness(self) -> WitnessStatus:
        status, peer = self._witness.status, self._witness.peer
        known = status.identity
        return WitnessStatus(
            address=status.address,
            seen=status.seen,
            identity=known.id if known else "",
            generation=known.generation if known else 0,
            maintenance=status.maintenance,
            last_view_ms_ago=-1.0 if status.last_view_ms_ago is None else status.last_view_ms_ago,
            problem=status.problem,
            peer_silent_ms=peer.silent_ms if peer else 0.0,
            peer_gone=peer.gone if peer else False,
        )

    def _lag_entries(self, driver: Driver) -> int:
        if not isinstance(driver.state.role, Leader) or driver.state.role.matched_lsn:
            return driver.lag[0]
        return max(0, driver.state.end.lsn - self._held_lsn(driver))

    def _held_lsn(self, driver: Driver) -> int:
        """What the standby holds at least, while it has confirmed nothing in this connection: what this epoch
        inherited, what was acknowledged before this centre went alone, its end as the witness heard it in this epoch.
        """
        state = driver.state
        epoch = state.configuration.epoch
        inherited_lsn = min((one.first_lsn - 1 for one in state.epochs if one.epoch >= epoch), default=state.end.lsn)
        peer = self._witness.peer
        heard = [
            report.end_lsn
            for report in (peer.logs if peer else ())
            if report.log == state.log and report.configuration.epoch == epoch
        ]
        return max([inherited_lsn, self._shared_lsn.get((state.log, epoch), 0), *heard])
