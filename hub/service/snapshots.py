"""SnapshotService: takes a snapshot of this centre and keeps its files while they are fetched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from secrets import token_hex
from typing import Any

import grpc

from hub.errors import HubError, UnavailableError
from hub.rpc.v1 import snapshot_pb2 as pb
from hub.rpc.v1 import snapshot_pb2_grpc as pb_grpc
from hub.service.aborting import abort
from hub.snapshots.description import Snapshot, snapshot_to_json
from hub.snapshots.take import Snapshots
from replication.errors import ReplicationError, SegmentError

Context = grpc.aio.ServicerContext
Take = Callable[[Callable[[str], None], Sequence[str]], Snapshot]
"""Of these data sets, or of all. Blocks; tells what it is at."""
Drop = Callable[[Sequence[str]], Awaitable[None]]


class SnapshotServicer(pb_grpc.SnapshotServiceServicer):
    """`take` runs in a thread, one at a time; `drop` deletes files."""

    def __init__(self, snapshots: Snapshots, take: Take, drop: Drop) -> None:
        self._snapshots = snapshots
        self._take = take
        self._drop = drop

    async def Take(  # noqa: N802  # the schema's name
        self, request: pb.TakeSnapshotRequest, context: "Context[Any, Any]"
    ) -> AsyncIterator[pb.TakeSnapshotReply]:
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(at: str | None) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, at)

        def work() -> Snapshot:
            try:
                return self._take(tell, request.data_sets)
            finally:
                tell(None)

        try:
            async with self._snapshots.files_stay:
                taking = asyncio.create_task(asyncio.to_thread(work))
                while (at := await steps.get()) is not None:
                    yield pb.TakeSnapshotReply(at=at)
                snapshot = await taking
                key = token_hex(8)
                self._snapshots.hold(key, snapshot, request.by)
        except (SegmentError, ReplicationError) as error:
            await abort(context, UnavailableError(f"no snapshot can be taken: {error}"))
        except HubError as error:
            await abort(context, error)
        yield pb.TakeSnapshotReply(key=key, description=snapshot_to_json(snapshot))

    async def Keep(self, request: pb.KeepSnapshotRequest, context: object) -> pb.KeepSnapshotReply:  # noqa: N802
        return pb.KeepSnapshotReply(held=self._snapshots.heard(request.key, request.done_bytes))

    async def LetGo(self, request: pb.LetGoSnapshotRequest, context: object) -> pb.LetGoSnapshotReply:  # noqa: N802
        await self._drop(self._snapshots.let_go(request.key))
        return pb.LetGoSnapshotReply()
