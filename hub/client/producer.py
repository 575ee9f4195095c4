"""Sends exchanges of one producer and keeps sending them until each has its outcome.

Exchanges go out in the order of `send`, many to a message when they come faster than the stream takes them. When the
stream breaks or another centre comes to lead, all that is unanswered is sent again, there, with the same sequence: the
hub recognises what it has accepted.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import grpc
import pyarrow as pa
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from hub.catalogue.contract import Contract, Kind
from hub.client.leaders import Leaders
from hub.errors import HubError, LimitError, NotLeaderError, UnavailableError
from hub.ingest.exchange import Receipt
from hub.ingest.sections import Operation
from hub.rpc.v1 import exchange_pb2 as pb
from hub.rpc.v1 import exchange_pb2_grpc as pb_grpc
from hub.wire import error_of, error_of_call

_OPERATIONS: Final = {
    Operation.APPEND: pb.OPERATION_APPEND,
    Operation.UPSERT: pb.OPERATION_UPSERT,
    Operation.DELETE: pb.OPERATION_DELETE,
}
_MESSAGE_BYTES_MAX: Final = 8 << 20
_PAUSE_MIN_S: Final = 0.02
_PAUSE_MAX_S: Final = 0.25


@dataclass(slots=True, eq=False)
class _Pending:
    message: pb.Exchange
    size_bytes: int
    done: "asyncio.Future[Receipt]" = field(repr=False)


class AsyncProducer:
    """One stream to the leader of one log, whoever it is. Made by `AsyncHubClient.producer`; use as an async context
    manager."""

    def __init__(
        self,
        name: str,
        *,
        log: str,
        leaders: Leaders,
        stub_of: Callable[[str], pb_grpc.ExchangeServiceStub],
        contract_of: Callable[[str], Contract],
        window_max: int,
        patience_s: float,
        exchange_bytes_max: int,
        acknowledged: Callable[[str, int], None],
    ) -> None:
        self.name = name
        self._acknowledged = acknowledged
        self._log = log
        self._leaders = leaders
        self._centre = ""
        self._stub_of = stub_of
        self._contract_of = contract_of
        self._exchange_bytes_max = exchange_bytes_max
        self._room = asyncio.Semaphore(window_max)
        self._unsent: deque[_Pending] = deque()
        self._unanswered: dict[int, _Pending] = {}
        self._patience = _Patience(patience_s, self._unanswered)
        self._next_sequence = 1
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._failed: HubError | None = None

    async def __aenter__(self) -> "AsyncProducer":
        self._leaders.watch()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exception: object) -> None:
        try:
            if exception[0] is None:
                await self.flush()
        finally:
            assert self._task is not None
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._fail(UnavailableError("the producer was closed", definite=False))

    async def send(
        self,
        data_set: str,
        rows: pa.RecordBatch,
        *,
        operation: Operation | None = None,
        sequence: int | None = None,
        quarantine: pa.RecordBatch | None = None,
    ) -> "asyncio.Future[Receipt]":
        """Queues one exchange, waiting while the window is full; the future gives its receipt or its error.

        `operation` defaults to append for event data sets, upsert for registries. `sequence` defaults to the next
        one; give it to make a resend after a restart of the producer recognisable. `quarantine`: rows that the
        sender could not read (columns row, reason, content). Raises HubError when the exchange cannot be sent.
        """
        contract = self._contract_of(data_set)
        message = self._message(contract, rows, operation, quarantine)
        await self._room.acquire()
        if self._failed is not None:
            self._room.release()
            raise self._failed
        message.sequence = self._next_sequence if sequence is None else sequence
        if message.sequence in self._unanswered:
            self._room.release()
            raise HubError(f"sequence {message.sequence} is under way already")
        self._next_sequence = max(self._next_sequence, message.sequence + 1)
        pending = _Pending(message, message.ByteSize(), asyncio.get_running_loop().create_future())
        self._unanswered[message.sequence] = pending
        self._unsent.append(pending)
        self._idle.clear()
        self._due.set()
        return pending.done

    async def flush(self) -> None:
        """Waits until every exchange has its outcome."""
        await self._idle.wait()

    def _message(
        self, contract: Contract, rows: pa.RecordBatch, operation: Operation | None, quarantine: pa.RecordBatch | None
    ) -> pb.Exchange:
        if operation is None:
            operation = Operation.APPEND if contract.kind is Kind.EVENT else Operation.UPSERT
        schema = contract.key_schema if operation is Operation.DELETE else contract.schema
        message = pb.Exchange(data_set=contract.name, operation=_OPERATIONS[operation])
        if rows.schema.equals(schema):
            message.batch = rows.serialize().to_pybytes()
            message.contract_version = contract.version
        else:
            message.stream = _stream(rows)
        if quarantine is not None and quarantine.num_rows:
            message.quarantine = _stream(quarantine)
        if (size := message.ByteSize()) > self._exchange_bytes_max:
            raise LimitError(
                f"an exchange may have {self._exchange_bytes_max} bytes, this one has {size}", hint="send it in parts"
            )
        return message

    async def _run(self) -> None:
        try:
            async for attempt in AsyncRetrying(
                wait=wait_random_exponential(_PAUSE_MIN_S, _PAUSE_MAX_S),
                sleep=self._pause,
                stop=self._patience,
                retry=retry_if_exception_type((UnavailableError, NotLeaderError)),
                reraise=True,
            ):
                with attempt:
                    await self._converse()
        except HubError as error:
            self._fail(error)

    async def _converse(self) -> None:
        """One stream, until it breaks or the log is led elsewhere."""
        self._requeue()
        self._centre = centre = self._leaders.leader_of(self._log, after=self._centre)
        call = self._stub_of(centre).Submit()
        helpers = [asyncio.create_task(self._send_all(call)), asyncio.create_task(self._leave(call))]
        try:
            async for reply in call:
                for receipt in reply.receipts:
                    self._take(receipt)
            raise UnavailableError(f"{centre} ended the stream", definite=False)
        except asyncio.CancelledError:
            if call.cancelled() and helpers[1].done():
                raise UnavailableError(f"log {self._log} is led elsewhere by now", definite=False) from None
            raise
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, centre) from error
        finally:
            for helper in helpers:
                helper.cancel()
            call.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _leave(self, call: "grpc.aio.StreamStreamCall[pb.SubmitRequest, pb.SubmitReply]") -> None:
        await self._leaders.elsewhere(self._log, self._centre)
        call.cancel()

    async def _pause(self, seconds: float) -> None:
        """Ends early when another centre is known to lead than the one that failed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaders.elsewhere(self._log, self._centre)

    async def _send_all(self, call: "grpc.aio.StreamStreamCall[pb.SubmitRequest, pb.SubmitReply]") -> None:
        request = pb.SubmitRequest(producer=self.name)
        while True:
            while not self._unsent:
                self._due.clear()
                await self._due.wait()
            size = 0
            while self._unsent and size < _MESSAGE_BYTES_MAX:
                pending = self._unsent.popleft()
                request.exchanges.append(pending.message)
                size += pending.size_bytes
            await call.write(request)
            request = pb.SubmitRequest()

    def _take(self, receipt: pb.Receipt) -> None:
        error = error_of(receipt.error) if receipt.HasField("error") else None
        if isinstance(error, UnavailableError | NotLeaderError):
            raise error  # A new stream sends it again, with all that is unanswered.
        pending = self._unanswered.pop(receipt.sequence, None)
        if pending is None:
            return
        self._room.release()
        self._patience.renew()
        if not pending.done.done():
            if error is not None:
                pending.done.set_exception(error)
            else:
                self._acknowledged(receipt.log, receipt.lsn)
                pending.done.set_result(receipt_of(receipt))
        if not self._unanswered:
            self._idle.set()

    def _requeue(self) -> None:
        self._unsent = deque(self._unanswered[sequence] for sequence in sorted(self._unanswered))
        self._due.set()

    def _fail(self, error: HubError) -> None:
        self._failed = error
        for pending in self._unanswered.values():
            self._room.release()
            if not pending.done.done():
                pending.done.set_exception(error)
                pending.done.exception()  # The caller may have lost interest; that is no leak.
        self._unanswered.clear()
        self._unsent.clear()
        self._idle.set()


class _Patience:
    """Stops retrying when something is unanswered and nothing went well for `limit_s`."""

    def __init__(self, limit_s: float, unanswered: Collection[int]) -> None:
        self._limit_s = limit_s
        self._unanswered = unanswered
        self._failing_since_s: float | None = None

    def renew(self) -> None:
        self._failing_since_s = None

    def __call__(self, attempt: RetryCallState) -> bool:
        now_s = time.monotonic()
        if self._failing_since_s is None or not self._unanswered:
            self._failing_since_s = now_s
        return now_s - self._failing_since_s > self._limit_s


def _stream(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return bytes(sink.getvalue())


def receipt_of(message: pb.Receipt) -> Receipt:
    return Receipt(
        sequence=message.sequence,
        log=message.log,
        lsn=message.lsn,
        rows=message.rows,
        rows_rejected=message.rows_rejected,
        duplicate=message.duplicate,
    )


def newest(receipts: Iterable[Receipt]) -> dict[str, int]:
    """The position that covers all receipts: pass it to a read to see what was written."""
    position: dict[str, int] = {}
    for receipt in receipts:
        position[receipt.log] = max(receipt.lsn, position.get(receipt.log, 0))
    return position
