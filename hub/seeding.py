"""A centre that lacks what only a snapshot can bring: finding that out, and getting one.

It lacks it when its store is gone or damaged and its log no longer begins at the first entry; when the leader's log
begins after the end of its own; when an entry names segments that the leader has merged away since; or when its disk
was wiped and much has happened. Then it stops serving, fetches a snapshot from the other centre, going on where an
earlier try ended, installs it and starts again as a standby: the log does the rest.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb
import grpc
import structlog

from hub.arrivals import Arrivals
from hub.client import AsyncHubClient
from hub.client.snapshots import FetchProgress, fetched
from hub.config import City
from hub.errors import HubError, StoreDamagedError
from hub.snapshots.install import install
from hub.status import CentreStatus, LogStatus
from replication.disk import FileDisk
from replication.driver import Driver
from replication.segments import SegmentFiles
from replication.transport import CHANNEL_OPTIONS

_LOOK_S: Final = 1.0
_FIRST_LOOK_S: Final = 0.1
_UNDECIDED_S_MAX: Final = 10.0
"""A wiped centre on which its leader relies still, as no witness lets it go, takes entries after all."""
_RETRY_S: Final = 1.0
_LOGGED_S: Final = 5.0
_WIPED_ENTRIES: Final = 5000
"""A wiped centre takes so many entries from the log rather than a snapshot, when there are no segments."""


class SnapshotNeededError(Exception):
    """Ends a node's life. Says why."""


async def wait_until_needed(
    centre: str, peer: AsyncHubClient, drivers: Mapping[str, Driver], arrivals: Arrivals
) -> str:
    """Returns why, once this centre needs a snapshot and nobody depends on it. Decides within moments of a start."""
    (name,) = peer.centres
    begun_s = time.monotonic()
    while True:
        await asyncio.sleep(_FIRST_LOOK_S if arrivals.undecided else _LOOK_S)
        arrivals.undecided = arrivals.undecided and time.monotonic() - begun_s < _UNDECIDED_S_MAX
        if all(driver.leads or centre in driver.state.configuration.in_sync for driver in drivers.values()):
            continue
        if any(driver.leads and not driver.relies_on_peer for driver in drivers.values()):
            continue  # It is the only one that holds a log.
        try:
            status = await peer.status(name)
        except HubError:
            continue
        for log in status.logs:
            if reason := _lacks(centre, drivers[log.log], log, status, arrivals):
                return reason
        if not any(driver.leads or centre in driver.state.configuration.in_sync for driver in drivers.values()):
            arrivals.undecided = False


def _lacks(centre: str, driver: Driver, theirs: LogStatus, status: CentreStatus, arrivals: Arrivals) -> str:
    if driver.leads or centre in driver.state.configuration.in_sync or theirs.role != "leader":
        return ""
    end_lsn = driver.state.end.lsn
    if theirs.first_lsn > end_lsn + 1:
        return f"log {theirs.log} ends at {end_lsn} here and begins at {theirs.first_lsn} at {status.centre}"
    if arrivals.unavailable:
        return f"log {theirs.log} names segments that {status.centre} does not hold any more"
    if end_lsn == 0 and (status.store.segments or theirs.end_lsn > _WIPED_ENTRIES):
        return f"log {theirs.log} is empty here"
    return ""


async def seed(city: City, centre: str, files: SegmentFiles, disks: dict[str, FileDisk], reason: str) -> None:
    """Until it is done. Nothing of the centre may be running."""
    logger = structlog.get_logger().bind(centre=centre)
    logger.warning("fetching a snapshot", reason=reason, source=city.peer(centre))
    teller = _Teller(logger)
    channel = grpc.aio.insecure_channel(city.centres[city.peer(centre)].grpc, options=CHANNEL_OPTIONS)
    try:
        while True:
            try:
                async with fetched(channel, files, by=centre, limits=city.replication, told=teller.tell) as snapshot:
                    kept = await asyncio.to_thread(install, city.folder(centre), snapshot, files, disks, city.store)
            except HubError as error:
                teller.failed(str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                await asyncio.to_thread(files.delete, set(snapshot.table_files) - set(snapshot.segments))
                position = {log: point.lsn for log, point in snapshot.position.items()}
                size_bytes = sum(snapshot.sizes_bytes.values())
                logger.warning("snapshot installed", position=position, bytes=size_bytes, logs_kept=kept)
                return
    except duckdb.Error as error:
        raise StoreDamagedError(f"the snapshot cannot be installed: {error}") from error
    finally:
        await channel.close()


def set_aside(folder: Path, name: str) -> Path:
    """Moves a damaged store out of the way; returns where it lies now."""
    aside = folder / f"damaged-{int(time.time())}-{name}"
    (folder / name).rename(aside)
    (folder / f"{name}.wal").unlink(missing_ok=True)
    return aside


class _Teller:
    """Tells what goes on, but not too often."""

    def __init__(self, logger: structlog.stdlib.BoundLogger) -> None:
        self._logger = logger
        self._told_s = 0.0

    def tell(self, progress: FetchProgress) -> None:
        if self._due():
            done_mib, total_mib = progress.done_bytes >> 20, progress.total_bytes >> 20
            self._logger.info("snapshot", at=progress.at, done_mib=done_mib, total_mib=total_mib)

    def failed(self, problem: str) -> None:
        if self._due():
            self._logger.warning("no snapshot yet", problem=problem)

    def _due(self) -> bool:
        due = time.monotonic() - self._told_s > _LOGGED_S
        if due:
            self._told_s = time.monotonic()
        return due
