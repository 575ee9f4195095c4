"""Finds segments that are damaged or missing and fetches them from the other centre; deletes what nobody needs.

The scrubber reads every segment of the manifest again and again, at a bounded rate. While a file is missing its data
set is closed to queries here; the other centre answers them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

import structlog

from hub.arrivals import Arrivals
from hub.config import UpkeepLimits
from hub.snapshots.take import Snapshots
from hub.store.store import Store
from replication.errors import SegmentDamagedError, SegmentError, SegmentMissingError
from replication.file_threads import HEAVY_NICENESS, FileThreads
from replication.segment_transport import SegmentPeer
from replication.segments import SegmentFiles

_ORPHANS_S: Final = 60.0

Reopen = Callable[[Collection[str]], Awaitable[None]]


class Keeper:
    """Of all segments of a centre. `damaged` and `repaired` count since the start, `scrubbed_bytes` too."""

    def __init__(
        self,
        store: Store,
        files: SegmentFiles,
        peer: SegmentPeer,
        arrivals: Arrivals,
        snapshots: Snapshots,
        *,
        reopen: Reopen,
        passed: Callable[[str, int], bool],
        limits: UpkeepLimits,
    ) -> None:
        """`reopen` calls `Store.reopen` in the thread that applies; `passed` as in `Readers.free`."""
        self.damaged = 0
        self.repaired = 0
        self.scrubbed_bytes = 0
        self._store = store
        self._files = files
        self._peer = peer
        self._arrivals = arrivals
        self._snapshots = snapshots
        self._reopen = reopen
        self._passed = passed
        self._limits = limits
        self._threads = FileThreads(1, "scrub", niceness=HEAVY_NICENESS)
        self._logger = structlog.get_logger()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._mending, self._scrubbing, self._sweeping):
                    tasks.create_task(work())
        finally:
            self._threads.close()

    def missing(self) -> dict[str, str]:
        """Segments of the manifest that are not held here, and their data sets."""
        return {one.id: one.data_set for one in self._store.manifest().all() if not self._files.holds(one.id)}

    async def _mending(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_ms / 1000)
            if missing := self.missing():
                await self._mend(missing)

    async def _mend(self, missing: dict[str, str]) -> None:
        closed = set(missing.values()) - self._store.closed()
        if closed:
            await self._reopen(closed)  # Which closes them.
        outcomes = await asyncio.gather(
            *(self._peer.fetch(one, self._files) for one in missing), return_exceptions=True
        )
        for segment_id, outcome in zip(missing, outcomes, strict=True):
            if isinstance(outcome, SegmentError):
                self._logger.error("segment not repaired", segment=segment_id, error=str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                self.repaired += 1
                self._logger.warning("segment repaired", segment=segment_id, data_set=missing[segment_id])
        await self._reopen(set(missing.values()))

    async def _scrubbing(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_ms / 1000)
            for one in tuple(self._store.manifest().all()):
                if self._files.holds(one.id):
                    await self._scrub(one.id)
                    self.scrubbed_bytes += one.size_bytes
                    await asyncio.sleep(one.size_bytes / self._limits.scrub_bytes_per_s)

    async def _scrub(self, segment_id: str) -> None:
        try:
            await self._threads.run(self._files.verify, segment_id)
        except (SegmentDamagedError, SegmentMissingError) as error:
            if segment_id in self._store.manifest().ids():  # It may have been dropped meanwhile.
                self.damaged += 1
                self._logger.error("segment damaged", segment=segment_id, error=str(error))
        except SegmentError as error:
            self._logger.error("segment not read", segment=segment_id, error=str(error))

    async def _sweeping(self) -> None:
        swept_s = time.monotonic()
        while True:
            await asyncio.sleep(self._limits.look_ms / 1000)
            free = set(self._store.readers.free(self._passed))
            if time.monotonic() - swept_s > _ORPHANS_S:
                swept_s = time.monotonic()
                free |= self._orphans()
            await self.drop([*free, *self._snapshots.expired()])

    async def drop(self, segment_ids: Collection[str]) -> None:
        """Deletes those that nobody needs."""
        if not segment_ids:
            return
        async with self._snapshots.files_stay:
            needed = self._store.manifest().ids() | self._arrivals.named() | self._snapshots.names()
            free = set(segment_ids) - needed
            for one in free:
                self._files.distrust(one)  # At once: nobody may name it from here on.
            if free:
                with suppress(SegmentError):  # It is removed another time.
                    await self._threads.run(self._files.delete, free)

    def _orphans(self) -> set[str]:
        """Files that were made and then named by no entry, as their exchange failed."""
        kept = self._store.manifest().ids() | self._store.readers.dropped()
        oldest_s = time.time() - self._limits.orphan_s
        return {one for one in self._files.ids() - kept if self._files.written_s(one) < oldest_s}
