"""The witness over gRPC. What a centre sends is judged before anything is done with it: whatever is damaged, too large
or senseless ends the call with a status that says so.

A stream has one view under way at most: what comes in the meantime is told by the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError

from replication.errors import WitnessDamagedError, WitnessError, WitnessRefusedError
from replication.rpc.v1 import witness_pb2 as pb
from replication.rpc.v1 import witness_pb2_grpc as pb_grpc
from replication.wire import configuration_from_pb, configuration_to_pb
from replication.witness_host import Stream, WitnessHost
from replication.witness_wire import beat_from_pb, change_to_pb, identity_from_pb, view_to_pb

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["WitnessService"].full_name
_REASON_CHARS_MAX: Final = 500
_STATUS: Final[dict[type[BaseException], grpc.StatusCode]] = {
    WitnessRefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    WitnessDamagedError: grpc.StatusCode.DATA_LOSS,
    DecodeError: grpc.StatusCode.INVALID_ARGUMENT,
}
Context = grpc.aio.ServicerContext[Any, Any]
Reply = TypeVar("Reply")


class WitnessServicer(pb_grpc.WitnessServiceServicer):
    """`first_beat_ms_max`: a stream that says nothing for so long after its start is ended."""

    def __init__(self, host: WitnessHost, *, first_beat_ms_max: int) -> None:
        self._host = host
        self._first_beat_s_max = first_beat_ms_max / 1000

    async def Observe(self, requests: AsyncIterator[pb.Beat], context: Context) -> None:  # noqa: N802  # the schema's name
        stream = Stream()
        reading = asyncio.create_task(self._read(stream, requests))
        reading.add_done_callback(lambda _: stream.wake.set())
        try:
            async with asyncio.timeout(self._first_beat_s_max):
                await stream.wake.wait()
            while not (reading.done() or stream.ended):
                stream.wake.clear()
                await context.write(view_to_pb(self._host.view_for(stream.centre)))
                await stream.wake.wait()
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no beat came")
        finally:
            reading.cancel()
            self._host.left(stream)
        if stream.ended:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the witness stops, or the centre has a newer stream")
        if not reading.cancelled() and (error := reading.exception()):
            await _abort(context, error)

    async def Read(self, request: pb.ReadRequest, context: Context) -> pb.View:  # noqa: N802  # the schema's name
        return await self._answer(context, lambda: self._view(request.centre))

    async def CompareAndSwap(self, request: pb.CompareAndSwapRequest, context: Context) -> pb.Standing:  # noqa: N802  # the schema's name
        async def work() -> pb.Standing:
            standing, granted = await self._host.compare_and_swap(
                request.log,
                configuration_from_pb(request.configuration),
                identity=identity_from_pb(request.identity),
                centre=request.centre,
                reason=request.reason[:_REASON_CHARS_MAX],
            )
            return pb.Standing(configuration=configuration_to_pb(standing), granted=granted)

        return await self._answer(context, work)

    async def SetMaintenance(self, request: pb.SetMaintenanceRequest, context: Context) -> pb.View:  # noqa: N802  # the schema's name
        async def work() -> pb.View:
            await self._host.set_maintenance(on=request.on)
            return view_to_pb(self._host.overview())

        return await self._answer(context, work)

    async def Rebuild(self, request: pb.RebuildRequest, context: Context) -> pb.View:  # noqa: N802  # the schema's name
        async def work() -> pb.View:
            standings = {one.log: configuration_from_pb(one.configuration) for one in request.standings}
            if len(standings) != len(request.standings):
                raise WitnessRefusedError("a log is named twice")
            await self._host.rebuild(standings, request.generation)
            return view_to_pb(self._host.overview())

        return await self._answer(context, work)

    async def History(self, request: pb.HistoryRequest, context: Context) -> pb.HistoryReply:  # noqa: N802  # the schema's name
        async def work() -> pb.HistoryReply:
            return pb.HistoryReply(changes=[change_to_pb(change) for change in await self._host.history()])

        return await self._answer(context, work)

    async def _read(self, stream: Stream, requests: AsyncIterator[pb.Beat]) -> None:
        async for request in requests:
            await self._host.heard(stream, beat_from_pb(request))

    async def _view(self, centre: str) -> pb.View:
        return view_to_pb(self._host.view_for(centre))

    async def _answer(self, context: Context, work: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            return await work()
        except WitnessError as error:
            await _abort(context, error)


async def _abort(context: Context, error: BaseException) -> NoReturn:
    text = error.reason if isinstance(error, WitnessRefusedError) else str(error)
    await context.abort(_STATUS.get(type(error), grpc.StatusCode.INTERNAL), text)
    raise AssertionError("abort raises")


class DamagedRequests(grpc.aio.ServerInterceptor):
    """Answers a request that is no message with INVALID_ARGUMENT; gRPC by itself reports an error of the server's."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def parse_and_answer(data: bytes, context: Context) -> Any:
            try:
                request = handler.request_deserializer(data)
            except DecodeError as error:
                await _abort(context, error)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(parse_and_answer, response_serializer=handler.response_serializer)


def add_to_server(servicer: WitnessServicer, server: grpc.aio.Server) -> None:
    pb_grpc.add_WitnessServiceServicer_to_server(servicer, server)
