"""One centre from start to end: opens what is on its disk, runs a node on it, and gets a snapshot where that is needed.

    open → lacks something that only a snapshot brings? → fetch and install it → open again
         → node serves → finds out that it lacks something → fetch and install it → open again

A damaged store is set aside: the log, or a snapshot, makes it anew.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from hub.config import CENTRES, City
from hub.errors import ConfigurationError, StoreDamagedError
from hub.node import Node
from hub.seeding import SnapshotNeededError, seed, set_aside
from hub.snapshots.install import STORE_NAME
from hub.store.store import Store
from replication.disk import FileDisk
from replication.segments import SegmentFiles


class Centre:
    """Made and run in one event loop."""

    def __init__(self, city: City, centre: str) -> None:
        self._city = city
        self._centre = centre
        self._folder = city.folder(centre)
        self._node: Node | None = None
        self._logger = structlog.get_logger().bind(centre=centre)

    async def run(self, *, ready: asyncio.Event | None = None) -> None:
        """Serves until cancelled. Raises HubError or ReplicationError when it cannot start or go on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            files = SegmentFiles.open(self._folder / "segments")
            with self._opened_disks() as disks:
                if reason := await self._life(files, disks, ready):
                    await seed(self._city, self._centre, files, disks, reason)

    async def leave(self) -> None:
        """Before a planned stop, while it serves: lets the other centre lead what this one does, within moments."""
        if self._node is not None:
            await self._node.leave()

    async def _life(self, files: SegmentFiles, disks: dict[str, FileDisk], ready: asyncio.Event | None) -> str:
        """Returns why only a snapshot helps."""
        store = self._open_store(files)
        try:
            reason = self._gap(store, disks)
            if not reason:
                self._node = Node(self._city, self._centre, files=files, disks=disks, store=store)
                await self._node.run(ready=ready)
        except* SnapshotNeededError as group:
            reason = str(group.exceptions[0])
        finally:
            self._node = None
            store.close()
        return reason

    def _open_store(self, files: SegmentFiles) -> Store:
        limits = self._city.store

        def open_store() -> Store:
            return Store.open(
                self._folder / STORE_NAME,
                files,
                memory_bytes_max=limits.memory_bytes_max,
                threads=limits.threads,
                temp_bytes_max=limits.temp_bytes_max,
            )

        try:
            return open_store()
        except StoreDamagedError as error:
            aside = set_aside(self._folder, STORE_NAME)
            self._logger.error("store damaged: it is made anew", error=str(error), set_aside=str(aside))
            return open_store()

    def _gap(self, store: Store, disks: dict[str, FileDisk]) -> str:
        """Why log and store do not meet. Raises ConfigurationError when the log is what is missing."""
        for log, disk in disks.items():
            applied_lsn = store.applied()[log]
            if applied_lsn > disk.end.lsn:
                raise ConfigurationError(
                    f"the store at {self._folder} has applied entry {applied_lsn} of log {log}, which ends at "
                    f"{disk.end.lsn}: the log lost entries, or the store is another centre's",
                    hint="restore the log's folder, or move the whole folder away to seed this centre anew",
                )
            if applied_lsn + 1 < disk.first_lsn:
                return f"the store ends at entry {applied_lsn} of log {log}, which begins at {disk.first_lsn}"
        return ""

    @contextmanager
    def _opened_disks(self) -> Iterator[dict[str, FileDisk]]:
        disks: dict[str, FileDisk] = {}
        try:
            for log in CENTRES:
                folder = self._folder / "log" / log
                disks[log] = FileDisk.open(folder, file_bytes_max=self._city.replication.log_file_bytes_max)
            yield disks
        finally:
            for disk in disks.values():
                disk.close()
