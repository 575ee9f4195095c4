"""Replication over gRPC: the two streams of a log between its centres.

Each centre opens one stream a log to its peer and sends appends on it while it leads; acks come back on the same
stream. Streams are reopened for ever; where new connections are refused, the peer's process is gone. Bytes that fail
their checksums end the stream: the leader sends them again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final, Protocol

import grpc
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from replication.cancellation import raise_if_cancelled
from replication.codec import CodecError, decode_entries, encode_entries
from replication.core.messages import Ack, Append, Message
from replication.core.types import Entry, EntryId, EpochStart
from replication.limits import ReplicationLimits
from replication.probing import refused
from replication.rpc.v1 import replication_pb2 as pb
from replication.rpc.v1 import replication_pb2_grpc as pb_grpc
from replication.wire import configuration_from_pb, configuration_to_pb

_CENTRE_KEY: Final = "cityhub-centre"
_INLINE_BYTES_MAX: Final = 128 << 10  # Checksums of more than this are computed off the event loop.
_RECONNECT_MIN_S: Final = 0.05
_RECONNECT_MAX_S: Final = 0.5
_CONNECTION_ERRORS: Final = (grpc.aio.AioRpcError, asyncio.InvalidStateError, ConnectionError)

CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


class Receiver(Protocol):
    """Where messages go: a driver."""

    async def receive(self, message: Message) -> None: ...

    def connection(self, *, up: bool) -> None: ...

    def gone(self) -> None: ...


class GrpcLink:
    """The two streams of one log: the one this centre opened, and the one its peer opened."""

    def __init__(
        self, log: str, centre: str, channel: grpc.aio.Channel, *, peer_address: str, limits: ReplicationLimits
    ) -> None:
        self._log = log
        self._centre = centre
        self._peer_address = peer_address
        self._limits = limits
        self._stub = pb_grpc.ReplicationServiceStub(channel)
        self._outbound: grpc.aio.StreamStreamCall[pb.Append, pb.Ack] | None = None
        self._replies: asyncio.Queue[pb.Ack | None] | None = None
        self._logger = structlog.get_logger().bind(log=log, centre=centre)

    async def send(self, message: Append) -> None:
        call = self._outbound
        if call is not None:
            with suppress(*_CONNECTION_ERRORS):  # `run` sees the same end of the stream and reconnects.
                await call.write(_append_to_pb(message))

    def reply(self, message: Ack) -> None:
        if self._replies is not None:
            self._replies.put_nowait(_ack_to_pb(message))

    async def run(self, receiver: Receiver) -> None:
        """Keeps the outbound stream open until cancelled."""
        while True:
            retrying = AsyncRetrying(
                wait=wait_random_exponential(_RECONNECT_MIN_S, _RECONNECT_MAX_S),
                retry=retry_if_exception_type(_CONNECTION_ERRORS),
            )
            async for attempt in retrying:
                with attempt:
                    call = await self._connect(receiver)
            await self._converse(call, receiver)

    async def _connect(self, receiver: Receiver) -> "grpc.aio.StreamStreamCall[pb.Append, pb.Ack]":
        call: grpc.aio.StreamStreamCall[pb.Append, pb.Ack]
        call = self._stub.Replicate(metadata=((_CENTRE_KEY, self._centre),))
        try:
            if _CENTRE_KEY not in dict(await call.initial_metadata()):  # As of a call that found nobody.
                raise ConnectionError(await call.details())
        except _CONNECTION_ERRORS:
            raise_if_cancelled()
            limits = self._limits
            if await refused(self._peer_address, times=limits.refused_times, within_ms=limits.refused_for_ms):
                receiver.gone()
            raise
        return call

    async def serve(self, requests: AsyncIterator[pb.Append], receiver: Receiver) -> AsyncIterator[pb.Ack]:
        """Serves the stream that the peer opened; a newer one takes its place."""
        if self._replies is not None:
            self._replies.put_nowait(None)
        replies: asyncio.Queue[pb.Ack | None] = asyncio.Queue()
        self._replies = replies
        reading = asyncio.create_task(self._read(requests, receiver, replies))
        try:
            while (reply := await replies.get()) is not None:
                yield reply
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            if self._replies is replies:
                self._replies = None

    async def _converse(self, call: "grpc.aio.StreamStreamCall[pb.Append, pb.Ack]", receiver: Receiver) -> None:
        self._outbound = call
        self._logger.info("connected")
        receiver.connection(up=True)
        try:
            async for reply in call:
                await receiver.receive(_ack_from_pb(reply))
        except _CONNECTION_ERRORS as error:
            raise_if_cancelled()
            self._logger.info("disconnected", error=str(error).partition("\n")[0])
        finally:
            self._outbound = None
            call.cancel()
            receiver.connection(up=False)

    async def _read(
        self, requests: AsyncIterator[pb.Append], receiver: Receiver, replies: "asyncio.Queue[pb.Ack | None]"
    ) -> None:
        try:
            async for request in requests:
                await receiver.receive(await _append_from_pb(request))
        finally:
            replies.put_nowait(None)


class ReplicationServicer(pb_grpc.ReplicationServiceServicer):
    """Serves the peer. `links` and `receivers` are keyed by log."""

    def __init__(
        self, centre: str, peer: str, links: Mapping[str, GrpcLink], receivers: Mapping[str, Receiver]
    ) -> None:
        self._centre = centre
        self._peer = peer
        self._links = links
        self._receivers = receivers

    async def Replicate(  # noqa: N802  # the schema's name
        self, requests: AsyncIterator[pb.Append], context: "grpc.aio.ServicerContext[pb.Append, pb.Ack]"
    ) -> AsyncIterator[pb.Ack]:
        caller = dict(context.invocation_metadata() or ()).get(_CENTRE_KEY)
        if caller != self._peer:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{caller!r} is not this centre's peer")
        await context.send_initial_metadata(((_CENTRE_KEY, self._centre),))
        first = await anext(requests, None)
        if first is None:
            return
        if first.log not in self._links:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no log {first.log!r}")
        try:
            async for reply in self._links[first.log].serve(_chain(first, requests), self._receivers[first.log]):
                yield reply
        except CodecError as error:
            await context.abort(grpc.StatusCode.DATA_LOSS, f"damaged on the way: {error}")


async def _chain(first: pb.Append, rest: AsyncIterator[pb.Append]) -> AsyncIterator[pb.Append]:
    yield first
    async for request in rest:
        yield request


def _append_to_pb(message: Append) -> pb.Append:
    return pb.Append(
        log=message.log,
        configuration=configuration_to_pb(message.configuration),
        previous=pb.EntryId(lsn=message.previous.lsn, epoch=message.previous.epoch, hash=message.previous.hash),
        commit_lsn=message.commit_lsn,
        entries=encode_entries(message.entries),
        probe=message.probe,
        relied_on=message.relied_on,
    )


async def _append_from_pb(request: pb.Append) -> Append:
    previous = EntryId(lsn=request.previous.lsn, epoch=request.previous.epoch, hash=request.previous.hash)
    if len(request.entries) > _INLINE_BYTES_MAX:
        entries = await asyncio.to_thread(_decode, request.entries, previous)
    else:
        entries = _decode(request.entries, previous)
    return Append(
        log=request.log,
        configuration=configuration_from_pb(request.configuration),
        previous=previous,
        commit_lsn=request.commit_lsn,
        entries=entries,
        probe=request.probe,
        relied_on=request.relied_on,
    )


def _decode(data: bytes, previous: EntryId) -> tuple[Entry, ...]:
    return tuple(decode_entries(data, after=previous))


def _ack_to_pb(message: Ack) -> pb.Ack:
    return pb.Ack(
        log=message.log,
        configuration=configuration_to_pb(message.configuration),
        accepted=message.accepted,
        durable_lsn=message.durable_lsn,
        end=pb.EntryId(lsn=message.end.lsn, epoch=message.end.epoch, hash=message.end.hash),
        epochs=[pb.EpochStart(epoch=start.epoch, first_lsn=start.first_lsn) for start in message.epochs],
        probe=message.probe,
        blank=message.blank,
    )


def _ack_from_pb(reply: pb.Ack) -> Ack:
    return Ack(
        log=reply.log,
        configuration=configuration_from_pb(reply.configuration),
        accepted=reply.accepted,
        durable_lsn=reply.durable_lsn,
        end=EntryId(lsn=reply.end.lsn, epoch=reply.end.epoch, hash=reply.end.hash),
        epochs=tuple(EpochStart(epoch=start.epoch, first_lsn=start.first_lsn) for start in reply.epochs),
        probe=reply.probe,
        blank=reply.blank,
    )


def add_to_server(servicer: ReplicationServicer, server: grpc.aio.Server) -> None:
    """Makes a server serve the peer."""
    pb_grpc.add_ReplicationServiceServicer_to_server(servicer, server)
