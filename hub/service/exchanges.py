"""ExchangeService: a stream of exchanges in, a stream of receipts out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import grpc

from hub.catalogue.contract import Contract
from hub.errors import ExchangeError, HubError
from hub.ingest.admission import Admission
from hub.ingest.exchange import Exchange, Receipt
from hub.ingest.in_force import contract_in_force
from hub.ingest.sections import Operation
from hub.rpc.v1 import exchange_pb2 as pb
from hub.rpc.v1 import exchange_pb2_grpc as pb_grpc
from hub.service.aborting import abort
from hub.wire import status_of

_OPERATIONS: Final = {
    pb.OPERATION_APPEND: Operation.APPEND,
    pb.OPERATION_UPSERT: Operation.UPSERT,
    pb.OPERATION_DELETE: Operation.DELETE,
}


class _Outbox:
    """Receipts of one stream until they are written; bounds what the stream may have unanswered."""

    def __init__(self, window_max: int) -> None:
        self._window_max = window_max
        self._receipts: list[Receipt] = []
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._unanswered = 0
        self._closed = False

    async def expect(self, count: int) -> None:
        """Waits until the stream may have more unanswered; passes its window by one request at most."""
        await self._room.wait()
        self._unanswered += count
        if self._unanswered >= self._window_max:
            self._room.clear()

    def reply(self, receipt: Receipt) -> None:
        self._receipts.append(receipt)
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def take(self) -> list[Receipt]:
        """All receipts that are there, at least one; empty when the stream is closed and all is answered."""
        while not self._receipts:
            if self._closed and not self._unanswered:
                return []
            self._changed.clear()
            await self._changed.wait()
        receipts, self._receipts = self._receipts, []
        self._unanswered -= len(receipts)
        if self._unanswered < self._window_max:
            self._room.set()
        return receipts


class ExchangeServicer(pb_grpc.ExchangeServiceServicer):
    """`admissions` is keyed by log; `contracts` gives the contracts in force."""

    def __init__(
        self,
        admissions: Mapping[str, Admission],
        contracts: Callable[[], Mapping[str, Contract]],
        *,
        stream_window_exchanges_max: int,
    ) -> None:
        self._admissions = admissions
        self._contracts = contracts
        self._window_max = stream_window_exchanges_max
        self.streams = 0

    async def Submit(  # noqa: N802  # the schema's name
        self,
        requests: AsyncIterator[pb.SubmitRequest],
        context: "grpc.aio.ServicerContext[pb.SubmitRequest, pb.SubmitReply]",
    ) -> AsyncIterator[pb.SubmitReply]:
        outbox = _Outbox(self._window_max)
        reading = asyncio.create_task(self._read(requests, outbox))
        self.streams += 1
        try:
            while receipts := await outbox.take():
                yield pb.SubmitReply(receipts=[receipt_to_pb(receipt) for receipt in receipts])
            await reading
        except HubError as error:
            await abort(context, error)
        finally:
            self.streams -= 1
            reading.cancel()

    async def _read(self, requests: AsyncIterator[pb.SubmitRequest], outbox: _Outbox) -> None:
        producer = ""
        try:
            async for request in requests:
                if request.producer and producer not in ("", request.producer):
                    raise ExchangeError("a stream has one producer", hint="open another stream")
                producer = producer or request.producer
                if not producer:
                    raise ExchangeError("the first request of a stream names its producer")
                await outbox.expect(len(request.exchanges))
                for message in request.exchanges:
                    await self._submit(producer, message, outbox)
                for admission in self._admissions.values():
                    await admission.room()
        finally:
            outbox.close()

    async def _submit(self, producer: str, message: pb.Exchange, outbox: _Outbox) -> None:
        try:
            admission = await self._admission(message.data_set)
            if message.operation not in _OPERATIONS:
                raise ExchangeError("an exchange names its operation: append, upsert or delete")
        except HubError as error:
            outbox.reply(Receipt(sequence=message.sequence, error=error))
            return
        bare = message.WhichOneof("payload") == "batch"
        admission.submit(
            Exchange(
                producer=producer,
                sequence=message.sequence,
                data_set=message.data_set,
                operation=_OPERATIONS[message.operation],
                payload=message.batch if bare else message.stream,
                bare=bare,
                contract_version=message.contract_version,
                quarantine=message.quarantine,
                reply=outbox.reply,
            )
        )

    async def _admission(self, data_set: str) -> Admission:
        contract = await contract_in_force(data_set, self._contracts, self._admissions.values())
        if contract.home not in self._admissions:
            raise ExchangeError(f"data set {data_set!r} is written by the hub itself")
        return self._admissions[contract.home]


def receipt_to_pb(receipt: Receipt) -> pb.Receipt:
    return pb.Receipt(
        sequence=receipt.sequence,
        log=receipt.log,
        lsn=receipt.lsn,
        rows=receipt.rows,
        rows_rejected=receipt.rows_rejected,
        duplicate=receipt.duplicate,
        error=status_of(receipt.error) if receipt.error else None,
    )
