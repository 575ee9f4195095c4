"""QueryService: one read-only statement, answered as an Arrow IPC stream with the position it reflects."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import grpc

from hub.errors import HubError, LimitError
from hub.query.run import Limits, RunningQuery
from hub.rpc.v1 import query_pb2 as pb
from hub.rpc.v1 import query_pb2_grpc as pb_grpc
from hub.rpc.v1.position_pb2 import Position
from hub.service.aborting import abort
from hub.service.ipc import StreamCutter

_CANCEL_AGAIN_S: Final = 0.1


class QueryServicer(pb_grpc.QueryServiceServicer):
    """`prepare` makes a query to be started; `reached` waits until a position is applied here; `proved` finds the
    position that holds all that was acknowledged before the call."""

    def __init__(
        self,
        prepare: Callable[[Limits], RunningQuery],
        reached: Callable[[dict[str, int]], Awaitable[None]],
        proved: Callable[[], Awaitable[dict[str, int]]],
        *,
        limits: Limits,
        concurrent_max: int,
    ) -> None:
        self._prepare = prepare
        self._reached = reached
        self._proved = proved
        self._limits = limits
        self._threads = ThreadPoolExecutor(max_workers=concurrent_max, thread_name_prefix="query")
        self._concurrent_max = concurrent_max
        self.running = 0

    async def Query(  # noqa: N802  # the schema's name
        self, request: pb.QueryRequest, context: "grpc.aio.ServicerContext[pb.QueryRequest, pb.QueryReply]"
    ) -> AsyncIterator[pb.QueryReply]:
        try:
            if self.running >= self._concurrent_max:
                raise LimitError(f"{self.running} queries are running, the limit", hint="try again in a moment")
            self.running += 1
            try:
                if request.strong:
                    await self._reached(await self._proved())
                await self._reached(dict(request.at_least.applied))
                async for reply in self._answer(request):
                    yield reply
            finally:
                self.running -= 1
        except HubError as error:
            await abort(context, error)

    async def _answer(self, request: pb.QueryRequest) -> AsyncIterator[pb.QueryReply]:
        query = self._prepare(self._limits_of(request))
        starting = asyncio.ensure_future(self._in_thread(query.start, request.sql))
        try:
            await asyncio.shield(starting)
            cutter = StreamCutter(query.schema)
            yield pb.QueryReply(position=Position(applied=query.position))
            batches = iter(query)
            while (batch := await self._in_thread(next, batches, None)) is not None:
                cutter.write(batch)
                for part in cutter.take():
                    yield pb.QueryReply(ipc=part)
            cutter.close()
            for part in cutter.take():
                yield pb.QueryReply(ipc=part)
        finally:
            await asyncio.shield(self._end(query, starting))

    async def _end(self, query: RunningQuery, starting: "asyncio.Future[Any]") -> None:
        """Also when the caller went away while a thread still computes."""
        query.cancel()
        while not starting.done():
            await asyncio.wait([starting], timeout=_CANCEL_AGAIN_S)
            query.cancel()
        await self._in_thread(query.close)

    def _limits_of(self, request: pb.QueryRequest) -> Limits:
        limits = self._limits
        if request.rows_max:
            limits = replace(limits, rows_max=min(limits.rows_max, request.rows_max))
        if request.time_ms_max:
            limits = replace(limits, time_s_max=min(limits.time_s_max, request.time_ms_max / 1000))
        return limits

    async def _in_thread(self, work: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
