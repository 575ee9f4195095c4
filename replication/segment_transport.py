"""Segments between the centres, over gRPC.

    push    offer → where to go on, or held already → chunk, chunk, ... → durable
    fetch   id, offset → head → chunk, chunk, ...

A stream that breaks is begun again where the receiver stands, until the transfer has not moved on for
`segment_stuck_ms_max`. Who receives checks the whole against the id; who sends checks what it reads, so that damage at
the source is told from damage on the way: the one is final, the other is sent again from the beginning.

Memory: one chunk a transfer, and what gRPC's flow control lets through. File calls run in threads.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from replication.cancellation import raise_if_cancelled
from replication.errors import (
    SegmentBusyError,
    SegmentDamagedError,
    SegmentError,
    SegmentFailedError,
    SegmentFullError,
    SegmentMissingError,
    SegmentTransferError,
)
from replication.file_threads import HEAVY_NICENESS, FileThreads
from replication.limits import ReplicationLimits
from replication.rpc.v1 import segments_pb2 as pb
from replication.rpc.v1 import segments_pb2_grpc as pb_grpc
from replication.segment_reception import Reception
from replication.segments import SegmentFiles, is_segment_id

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["SegmentService"].full_name
_RETRY_MIN_S: Final = 0.05
_RETRY_MAX_S: Final = 1.0
_DAMAGES_MAX: Final = 3  # So many times in a row is no accident on the way.
_IDS_MAX: Final = 10_000  # In one message.
_CALL_ERRORS: Final = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError, ConnectionError)
_CODES: Final[dict[type[SegmentError], grpc.StatusCode]] = {
    SegmentMissingError: grpc.StatusCode.NOT_FOUND,
    SegmentDamagedError: grpc.StatusCode.DATA_LOSS,
    SegmentFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    SegmentFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    SegmentBusyError: grpc.StatusCode.ABORTED,
    SegmentTransferError: grpc.StatusCode.INVALID_ARGUMENT,
}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}
_FINAL: Final = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED)  # Trying again does not help.
Context = grpc.aio.ServicerContext[Any, Any]
Reply = TypeVar("Reply")


class SegmentSource(Protocol):
    """Where a segment is read: a `SegmentFiles`, or a `SegmentBuffer`."""

    def size(self, segment_id: str) -> int: ...

    def read_chunks(self, segment_id: str, offset: int, chunk_bytes: int) -> Generator[bytes, None, None]: ...


class SegmentSink(Protocol):
    """Where segments go: a `SegmentFiles`."""

    def holds(self, segment_id: str) -> bool: ...

    def staged_bytes(self, segment_id: str) -> int: ...

    def receive(self, segment_id: str, size_bytes: int) -> Reception: ...


class SegmentBuffer:
    """A segment in memory: it travels to the other centre while this one writes it."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)

    def size(self, segment_id: str) -> int:
        return len(self._data)

    def read_chunks(self, segment_id: str, offset: int, chunk_bytes: int) -> Generator[bytes, None, None]:
        for begin in range(offset, len(self._data), chunk_bytes):
            yield bytes(self._data[begin : begin + chunk_bytes])


# --- The centre that is asked -----------------------------------------------------------------------------------------


class SegmentServicer(pb_grpc.SegmentServiceServicer):
    """Serves the peer. Transfers beyond `segment_transfers_max` wait their turn."""

    def __init__(self, files: SegmentFiles, *, limits: ReplicationLimits) -> None:
        self._files = files
        self._slots = asyncio.Semaphore(limits.segment_transfers_max)
        self._threads = FileThreads(limits.segment_transfers_max, "segments in", niceness=HEAVY_NICENESS)
        self._step_s_max = limits.segment_step_ms_max / 1000
        self._chunk_bytes_max = limits.segment_chunk_bytes_max

    async def Push(self, requests: AsyncIterator[pb.PushRequest], context: Context) -> None:  # noqa: N802  # the schema's name
        async with _aborting(context):
            offer = (await self._next(requests)).offer
            _check_id(offer.id)
            if offer.size_bytes == 0:
                raise SegmentTransferError(offer.id, "a segment of no bytes is offered")
            if not self._files.holds(offer.id):
                async with self._slots:
                    await self._receive(offer, requests, context)
            await context.write(pb.PushReply(durable=True))

    async def Fetch(self, request: pb.FetchRequest, context: Context) -> None:  # noqa: N802  # the schema's name
        async with _aborting(context), self._slots:
            _check_id(request.id)
            size_bytes = self._files.size(request.id)
            head = pb.Head(size_bytes=size_bytes, offset=min(request.offset, size_bytes))
            await self._write(context, pb.FetchReply(head=head))
            with closing(self._files.read_chunks(request.id, head.offset, self._chunk_bytes_max)) as chunks:
                while chunk := await self._threads.run(next, chunks, b""):
                    await self._write(context, pb.FetchReply(chunk=chunk))

    async def Missing(self, request: pb.MissingRequest, context: Context) -> pb.MissingReply:  # noqa: N802  # the schema's name
        return pb.MissingReply(ids=[one for one in request.ids if not self._files.holds(one)])

    def close(self) -> None:
        self._threads.close()

    async def _receive(self, offer: pb.Offer, requests: AsyncIterator[pb.PushRequest], context: Context) -> None:
        with closing(self._files.receive(offer.id, offer.size_bytes)) as reception:
            await context.write(pb.PushReply(resume_at=await self._threads.run(reception.open)))
            while reception.received_bytes < offer.size_bytes:
                chunk = (await self._next(requests)).chunk
                if not 0 < len(chunk) <= self._chunk_bytes_max:
                    raise SegmentTransferError(offer.id, f"a chunk has 1 to {self._chunk_bytes_max} bytes")
                await self._threads.run(reception.write, chunk)
            await self._threads.run(reception.finish)

    async def _next(self, requests: AsyncIterator[pb.PushRequest]) -> pb.PushRequest:
        async with asyncio.timeout(self._step_s_max):
            request = await anext(requests, None)
        if request is None:
            raise SegmentTransferError("", "the stream ended before the segment did")
        return request

    async def _write(self, context: Context, reply: pb.FetchReply) -> None:
        async with asyncio.timeout(self._step_s_max):
            await context.write(reply)


@asynccontextmanager
async def _aborting(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except SegmentError as error:
        await context.abort(_CODES[type(error)], error.reason)
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "a step took too long")


def _check_id(segment_id: str) -> None:
    if not is_segment_id(segment_id):
        raise SegmentTransferError("", "an id has 32 hexadecimal digits")


def add_to_server(servicer: SegmentServicer, server: grpc.aio.Server) -> None:
    """Makes a server serve the peer's transfers."""
    pb_grpc.add_SegmentServiceServicer_to_server(servicer, server)


# --- The centre that asks ---------------------------------------------------------------------------------------------


class _BrokenError(Exception):
    """A transfer that did not come to its end this time."""


class _PeerDamagedError(SegmentDamagedError):
    """Told by the peer, and not found here."""


class _Course:
    """How a transfer fares over all its attempts."""

    def __init__(self) -> None:
        self._now_s = asyncio.get_running_loop().time
        self._moved_s = self._now_s()
        self._offset = 0
        self._damages = 0

    @property
    def still_s(self) -> float:
        """How long it has not moved on."""
        return self._now_s() - self._moved_s

    def moved(self) -> None:
        self._moved_s = self._now_s()

    def stands_at(self, offset: int) -> None:
        if offset > self._offset:
            self.moved()
        self._offset = offset

    def damaged(self, error: SegmentDamagedError) -> Exception:
        """What came was wrong, and thrown away: whether to send it again."""
        self._damages += 1
        return error if self._damages >= _DAMAGES_MAX else _BrokenError(str(error))


async def no_rest() -> None:
    """Nothing comes between two steps."""


class SegmentPeer:
    """The other centre's segments. Made and used in one event loop; transfers beyond `segment_transfers_max` wait.

    Each call goes on over broken streams. Raises SegmentTransferError when the peer cannot be reached or the transfer
    has not moved on for too long, and what the peer reports: its disk is full (SegmentFullError) or fails
    (SegmentFailedError).
    """

    def __init__(
        self, channel: grpc.aio.Channel, *, limits: ReplicationLimits, rest: Callable[[], Awaitable[None]] = no_rest
    ) -> None:
        """`rest` comes after each chunk that is pushed."""
        self._stub = pb_grpc.SegmentServiceStub(channel)
        self._rest = rest
        self._slots = asyncio.Semaphore(limits.segment_transfers_max)
        self._threads = FileThreads(limits.segment_transfers_max, "segments out", niceness=HEAVY_NICENESS)
        self._step_s_max = limits.segment_step_ms_max / 1000
        self._stuck_s_max = limits.segment_stuck_ms_max / 1000
        self._chunk_bytes_max = limits.segment_chunk_bytes_max

    async def push(self, segment_id: str, source: SegmentSource) -> None:
        """On return the peer holds the segment, durably. Raises what the source raises, too."""
        async with self._slots:
            await self._persist(segment_id, partial(self._push, segment_id, source))

    async def fetch(self, segment_id: str, sink: SegmentSink) -> None:
        """On return the sink holds the segment, durably; it may do so already, or by somebody else's bringing it.

        Raises SegmentMissingError or SegmentDamagedError when the peer has none that is sound, and what the sink
        raises.
        """
        async with self._slots:
            await self._persist(segment_id, partial(self._fetch, segment_id, sink))

    async def missing(self, segment_ids: Collection[str]) -> frozenset[str]:
        """Which of these the peer does not hold."""
        ordered = sorted(segment_ids)
        found: set[str] = set()
        for begin in range(0, len(ordered), _IDS_MAX):
            found |= await self._persist("", partial(self._ask_missing, ordered[begin : begin + _IDS_MAX]))
        return frozenset(found)

    def close(self) -> None:
        self._threads.close()

    async def _push(self, segment_id: str, source: SegmentSource, course: _Course) -> None:
        offer = pb.Offer(id=segment_id, size_bytes=source.size(segment_id))
        try:
            with closing(_Call(segment_id, self._stub.Push(), self._step_s_max)) as call:
                await call.write(pb.PushRequest(offer=offer))
                reply = await call.read()
                if not reply.durable:
                    course.stands_at(reply.resume_at)
                    await self._send(call, source, reply.resume_at, course)
                    reply = await call.read()
                if not reply.durable:
                    raise _BrokenError("the other centre does not say that it is durable")
        except _PeerDamagedError as error:
            raise course.damaged(error) from error

    async def _send(self, call: "_Call", source: SegmentSource, offset: int, course: _Course) -> None:
        with closing(source.read_chunks(call.segment_id, offset, self._chunk_bytes_max)) as chunks:
            while chunk := await self._threads.run(next, chunks, b""):
                await call.write(pb.PushRequest(chunk=chunk))
                course.moved()
                await self._rest()

    async def _fetch(self, segment_id: str, sink: SegmentSink, course: _Course) -> None:
        if sink.holds(segment_id):
            return
        offset = sink.staged_bytes(segment_id)
        course.stands_at(offset)
        request = pb.FetchRequest(id=segment_id, offset=offset)
        with closing(_Call(segment_id, self._stub.Fetch(request), self._step_s_max)) as call:
            head = (await call.read()).head
            with closing(sink.receive(segment_id, head.size_bytes)) as reception:
                if await self._threads.run(reception.open) != head.offset:
                    raise _BrokenError("what was staged has changed")
                await self._take(call, reception, course)

    async def _take(self, call: "_Call", reception: Reception, course: _Course) -> None:
        try:
            while reception.received_bytes < reception.size_bytes:
                chunk = (await call.read()).chunk
                await self._threads.run(reception.write, chunk)
                course.moved()
        except _PeerDamagedError:  # What came of it is worth nothing.
            reception.discard()
            raise
        try:
            await self._threads.run(reception.finish)
        except SegmentDamagedError as error:
            raise course.damaged(error) from error

    async def _ask_missing(self, segment_ids: Sequence[str], _: _Course) -> frozenset[str]:
        call = self._stub.Missing(pb.MissingRequest(ids=segment_ids))
        reply: pb.MissingReply = await _Call("", call, self._step_s_max).reply()
        return frozenset(reply.ids)

    async def _persist(self, segment_id: str, attempt: Callable[[_Course], Awaitable[Reply]]) -> Reply:
        """Tries until it is done, or has not moved on for too long."""
        course = _Course()
        retrying = AsyncRetrying(
            wait=wait_random_exponential(_RETRY_MIN_S, _RETRY_MAX_S),
            retry=retry_if_exception_type((_BrokenError, SegmentBusyError)),
            stop=lambda _: course.still_s > self._stuck_s_max,
            reraise=True,
        )
        try:
            return await retrying(attempt, course)
        except (_BrokenError, SegmentBusyError) as error:
            reason = error.reason if isinstance(error, SegmentBusyError) else str(error)
            raise SegmentTransferError(segment_id, f"no progress for {self._stuck_s_max:g} s: {reason}") from error


class _Call:
    """A call of the peer, step by step. Each step raises what the peer reports as an error of ours, or _BrokenError:
    also when it takes too long."""

    def __init__(self, segment_id: str, call: Any, step_s_max: float) -> None:
        self.segment_id = segment_id
        self._call = call
        self._step_s_max = step_s_max

    async def write(self, request: pb.PushRequest) -> None:
        await self._step(self._call.write(request))

    async def read(self) -> Any:
        """The next message of a stream."""
        return await self._step(self._call.read())

    async def reply(self) -> Any:
        """The only message."""
        return await self._step(self._call)

    def close(self) -> None:
        self._call.cancel()

    async def _step(self, step: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._step_s_max):
                found = await step
        except TimeoutError as error:
            raise _BrokenError(f"a step took longer than {self._step_s_max:g} s") from error
        except _CALL_ERRORS as error:
            raise_if_cancelled()
            raise await self._reported(error) from error
        if found is grpc.aio.EOF:
            raise _BrokenError("the stream ended early")
        return found

    async def _reported(self, error: Exception) -> Exception:
        if not self._call.done():
            return _BrokenError(str(error))
        code, details = await self._call.code(), await self._call.details()
        if code is grpc.StatusCode.DATA_LOSS:
            return _PeerDamagedError(self.segment_id, f"the other centre: {details}")
        if code in _KINDS:
            return _KINDS[code](self.segment_id, f"the other centre: {details}")
        if code in _FINAL:
            return SegmentTransferError(self.segment_id, f"the other centre does not serve segments: {details}")
        return _BrokenError(f"{code.name.lower().replace('_', ' ')}: {details}")
