"""QueryService: one read-only statement, answered as an Arrow IPC stream with the position it reflects; the named
queries; what waits and runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, Final

import grpc

from hub.errors import BadRequestError, HubError
from hub.query.asked import Asked
from hub.query.desk import QueryDesk
from hub.query.named import NamedQueries, NamedQuery
from hub.query.run import RunningQuery
from hub.query.scheduler import QueryClass, Turn
from hub.rpc.v1 import query_pb2 as pb
from hub.rpc.v1 import query_pb2_grpc as pb_grpc
from hub.rpc.v1.position_pb2 import Position
from hub.service.aborting import abort
from hub.service.ipc import StreamCutter
from hub.wire_values import value_of, value_to_pb
from replication.file_threads import HEAVY_NICENESS, FileThreads

_CANCEL_AGAIN_S: Final = 0.1
_REPLY_BYTES: Final = 256 << 10
_NICENESS: Final = {QueryClass.INTERACTIVE: 0, QueryClass.ANALYSIS: HEAVY_NICENESS, QueryClass.SYSTEM: HEAVY_NICENESS}


class QueryServicer(pb_grpc.QueryServiceServicer):
    def __init__(self, desk: QueryDesk, named: NamedQueries) -> None:
        self._desk = desk
        self._named = named
        share = desk.limits.emergency_share
        self._threads = {
            one: FileThreads(desk.scheduler.limits_of(one).running_max * share, f"{one} query", niceness=_NICENESS[one])
            for one in QueryClass
        }

    async def Query(  # noqa: N802  # the schema's name
        self, request: pb.QueryRequest, context: "grpc.aio.ServicerContext[pb.QueryRequest, pb.QueryReply]"
    ) -> AsyncIterator[pb.QueryReply]:
        try:
            asked = self._asked(request, context.peer())
            await self._desk.reach(asked)
            turn = self._desk.ask(asked)
            try:
                await self._granted(turn)
                async for reply in self._answer(asked, turn):
                    yield reply
            finally:
                turn.leave()
        except HubError as error:
            await abort(context, error)

    async def NamedQueries(  # noqa: N802  # the schema's name
        self, request: pb.NamedQueriesRequest, context: object
    ) -> pb.NamedQueriesReply:
        return pb.NamedQueriesReply(queries=[_named_to_pb(one) for one in self._named.all()])

    async def ListQueries(  # noqa: N802  # the schema's name
        self, request: pb.ListQueriesRequest, context: object
    ) -> pb.ListQueriesReply:
        found = self._desk.scheduler.queries()
        return pb.ListQueriesReply(queries=[pb.RunningQuery(**asdict(one)) for one in found])

    async def KillQuery(  # noqa: N802  # the schema's name
        self, request: pb.KillQueryRequest, context: "grpc.aio.ServicerContext[pb.KillQueryRequest, pb.KillQueryReply]"
    ) -> pb.KillQueryReply:
        if not self._desk.scheduler.kill(request.id):
            missing = BadRequestError(f"no query {request.id!r} runs here", hint="`cityhub queries` lists them")
            await abort(context, missing)
        return pb.KillQueryReply()

    def close(self) -> None:
        for threads in self._threads.values():
            threads.close()

    def _asked(self, request: pb.QueryRequest, peer: str) -> Asked:
        sql = request.sql
        parameters: Any = [value_of(one) for one in request.parameters]
        if request.name:
            named = self._named.get(request.name, request.version)
            given = {name: value_of(one) for name, one in request.named_parameters.items()}
            sql, parameters = named.sql, named.bind(given)
        elif request.named_parameters:
            parameters = {name: value_of(one) for name, one in request.named_parameters.items()}
        return Asked(
            sql=sql,
            parameters=parameters,
            query_class=QueryClass.of(request.query_class),
            at_least=dict(request.at_least.applied),
            strong=request.strong,
            rows_max=request.rows_max,
            time_s_max=request.time_ms_max / 1000,
            asked_by=peer,
        )

    async def _granted(self, turn: Turn) -> None:
        if turn.granted.done():
            turn.granted.result()
            return
        try:
            async with asyncio.timeout(turn.wait_s_max):
                await asyncio.wrap_future(turn.granted)
        except TimeoutError:
            raise turn.late() from None

    async def _answer(self, asked: Asked, turn: Turn) -> AsyncIterator[pb.QueryReply]:
        run = self._threads[turn.query_class].run
        answer = _Answer(self._desk.prepare(asked, turn), asked)
        beginning = asyncio.ensure_future(run(answer.begin))
        try:
            parts = await asyncio.shield(beginning)
            yield pb.QueryReply(position=Position(applied=answer.query.position), ipc=parts[0])
            for part in parts[1:]:
                yield pb.QueryReply(ipc=part)
            while not answer.ended:
                for part in await run(answer.more):
                    yield pb.QueryReply(ipc=part)
        finally:
            if not answer.ended:
                await asyncio.shield(_end(answer.query, beginning, run))


class _Answer:
    """A query and its IPC stream, for a thread: a short answer is computed, written and let go of in one go."""

    def __init__(self, query: RunningQuery, asked: Asked) -> None:
        self.query = query
        self.ended = False
        self._asked = asked

    def begin(self) -> list[bytes]:
        """The first parts, one at least."""
        self.query.start(self._asked.sql, self._asked.parameters)
        self._cutter = StreamCutter(self.query.schema)
        self._batches = iter(self.query)
        return self.more()

    def more(self) -> list[bytes]:
        """Of about one message, or less at the end."""
        size = 0
        parts: list[bytes] = []
        while size < _REPLY_BYTES and not self.ended:
            if (batch := next(self._batches, None)) is not None:
                self._cutter.write(batch)
            else:
                self._cutter.close()
                self.query.close()
                self.ended = True
            parts += self._cutter.take()
            size = sum(map(len, parts))
        return parts


async def _end(query: RunningQuery, beginning: "asyncio.Future[Any]", run: Callable[..., Any]) -> None:
    """Also when the caller went away while a thread still computes."""
    query.cancel()
    while not beginning.done():
        await asyncio.wait([beginning], timeout=_CANCEL_AGAIN_S)
        query.cancel()
    await run(query.close)


def _named_to_pb(query: NamedQuery) -> pb.NamedQuery:
    return pb.NamedQuery(
        name=query.name,
        version=query.version,
        title_en=query.title.en,
        title_zh=query.title.zh,
        description=query.description,
        parameters=[
            pb.QueryParameter(
                name=one.name,
                type=one.type,
                description=one.description,
                default=None if one.default is None else value_to_pb(one.default),
                optional=one.optional,
            )
            for one in query.parameters
        ],
        sql=query.sql,
        data_sets=query.data_sets,
    )
