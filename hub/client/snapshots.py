"""Brings a snapshot of a centre into a folder of segments: for a centre that lost its own store, and for backups.

Files that are there already stay, so that a fetch goes on where an earlier one ended, and a second backup brings only
what is new.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from hub.errors import UnavailableError
from hub.rpc.v1 import snapshot_pb2 as pb
from hub.rpc.v1 import snapshot_pb2_grpc as pb_grpc
from hub.snapshots.description import Snapshot, snapshot_from_json
from hub.wire import error_of_call
from replication.errors import SegmentError
from replication.limits import ReplicationLimits
from replication.segment_transport import SegmentPeer
from replication.segments import SegmentFiles

_KEEP_S: Final = 1.0
_CALL_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """`at` says what is going on; bytes count files, those that were there already, too."""

    at: str
    done_bytes: int = 0
    total_bytes: int = 0


Told = Callable[[FetchProgress], None]


@asynccontextmanager
async def fetched(
    channel: grpc.aio.Channel,
    files: SegmentFiles,
    *,
    by: str,
    limits: ReplicationLimits,
    told: Told,
    data_sets: Collection[str] = (),
    beside: Path | None = None,
) -> AsyncIterator[Snapshot]:
    """Inside, every file of the snapshot is in `files`, durably, and the centre keeps its log from there on.

    `data_sets`: of these only, or of all. `beside`: a folder of segments, perhaps on this disk, whose files are linked
    rather than fetched.

    Raises UnavailableError: what came stays, and another try goes on from there.
    """
    stub = pb_grpc.SnapshotServiceStub(channel)
    peer = SegmentPeer(channel, limits=limits)
    try:
        key, snapshot = await _take(stub, pb.TakeSnapshotRequest(by=by, data_sets=data_sets), told)
        fetching = _Fetch(stub, key, snapshot, files, told, beside)
        keeping = asyncio.create_task(fetching.keep())
        try:
            await _unless_it_fails(keeping, asyncio.create_task(fetching.run(peer)))
            yield snapshot
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            with suppress(grpc.aio.AioRpcError):  # It lets go by itself, later.
                await stub.LetGo(pb.LetGoSnapshotRequest(key=key), timeout=_CALL_S)
    finally:
        peer.close()


async def _unless_it_fails(other: "asyncio.Task[None]", work: "asyncio.Task[None]") -> None:
    """Waits for the work; an end of the other one, which goes on for ever, is an error of both."""
    try:
        await asyncio.wait({other, work}, return_when=asyncio.FIRST_COMPLETED)
        await (other if other.done() else work)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _take(stub: pb_grpc.SnapshotServiceStub, request: pb.TakeSnapshotRequest, told: Told) -> tuple[str, Snapshot]:
    try:
        async for reply in stub.Take(request):
            if reply.key:
                return reply.key, snapshot_from_json(reply.description)
            told(FetchProgress(at=f"the other centre reads {reply.at}"))
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, "the other centre") from error
    raise UnavailableError("the snapshot ended before it was taken")


class _Fetch:
    def __init__(
        self,
        stub: pb_grpc.SnapshotServiceStub,
        key: str,
        snapshot: Snapshot,
        files: SegmentFiles,
        told: Told,
        beside: Path | None,
    ) -> None:
        self._beside = beside
        self._stub = stub
        self._key = key
        self._snapshot = snapshot
        self._files = files
        self._told = told
        self._total_bytes = sum(snapshot.sizes_bytes.values())

    def _done_bytes(self) -> int:
        sizes = self._snapshot.sizes_bytes.items()
        return sum(size if self._files.holds(one) else self._files.staged_bytes(one) for one, size in sizes)

    async def run(self, peer: SegmentPeer) -> None:
        for one, size in self._snapshot.sizes_bytes.items():
            if self._files.holds(one) and self._files.size(one) != size:
                self._files.distrust(one)
        missing = [one for one in self._snapshot.sizes_bytes if not self._files.holds(one) and not self._linked(one)]
        outcomes = await asyncio.gather(*(peer.fetch(one, self._files) for one in missing), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, SegmentError):
                raise UnavailableError(f"the snapshot was not fetched: {outcome}", hint="it is tried again")
            if isinstance(outcome, BaseException):
                raise outcome

    def _linked(self, one: str) -> bool:
        return self._beside is not None and self._files.link(one, self._beside)

    async def keep(self) -> None:
        """Tells how far it is, which keeps the files there."""
        while True:
            done = await asyncio.to_thread(self._done_bytes)
            self._told(FetchProgress(at="fetching", done_bytes=done, total_bytes=self._total_bytes))
            try:
                request = pb.KeepSnapshotRequest(key=self._key, done_bytes=done)
                held = (await self._stub.Keep(request, timeout=_CALL_S)).held
            except grpc.aio.AioRpcError:
                held = True  # It may come back in time.
            if not held:
                raise UnavailableError("the other centre let the snapshot go")
            await asyncio.sleep(_KEEP_S)
