"""BulkService: one exchange of any size a call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import grpc

from hub.catalogue.contract import Contract, Kind
from hub.errors import ContractError, ExchangeError, HubError, LimitError, UnknownDataSetError
from hub.ingest.admission import Admission
from hub.ingest.bulk import BulkIntake, Segmenter
from hub.ingest.exchange import Exchange, Receipt
from hub.ingest.sections import Operation
from hub.rpc.v1 import bulk_pb2 as pb
from hub.rpc.v1 import bulk_pb2_grpc as pb_grpc
from hub.segments.descriptor import Descriptor
from hub.service.aborting import abort
from hub.service.exchanges import receipt_to_pb

_IDLE_S_MAX: Final = 60.0
_BATCH_TAG: Final = bytes([pb.LoadRequest.BATCH_FIELD_NUMBER << 3 | 2])  # Protobuf's wire format: length-delimited.
_VARINT_BYTES_MAX: Final = 5
_VARINT_MORE: Final = 0x80
Requests = AsyncIterator[Any]


class BulkServicer(pb_grpc.BulkServiceServicer):
    """`admissions` is keyed by log. Calls beyond what the segmenter takes at a time wait their turn."""

    def __init__(
        self,
        admissions: Mapping[str, Admission],
        contracts: Callable[[], Mapping[str, Contract]],
        segmenter: Segmenter,
    ) -> None:
        self._admissions = admissions
        self._contracts = contracts
        self._segmenter = segmenter

    async def Load(self, requests: Requests, context: "grpc.aio.ServicerContext[Any, Any]") -> pb.LoadReply:  # noqa: N802
        try:
            header = (await _next(requests)).header
            receipt = await self._load(header, requests)
        except HubError as error:
            await abort(context, error)
        return pb.LoadReply(receipt=receipt_to_pb(receipt))

    async def _load(self, header: pb.LoadHeader, requests: Requests) -> Receipt:
        contract = self._contract(header)
        admission = self._admissions[contract.home]
        if error := admission.refuse_now():
            raise error
        segments: tuple[Descriptor, ...] = ()
        quarantine = b""
        if not admission.knows((header.producer, header.sequence)):
            async with self._segmenter.turn():
                segments, quarantine = await self._segments(contract, header, requests)
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        admission.submit(
            Exchange(
                producer=header.producer,
                sequence=header.sequence,
                data_set=contract.name,
                operation=Operation.APPEND,
                payload=b"",
                bare=False,
                contract_version=contract.version,
                quarantine=quarantine,
                segments=segments,
                reply=lambda one: None if receipt.done() else receipt.set_result(one),
            )
        )
        answer = await receipt
        if answer.error is not None:
            raise answer.error
        return answer

    def _contract(self, header: pb.LoadHeader) -> Contract:
        contract = self._contracts().get(header.data_set)
        if contract is None:
            raise UnknownDataSetError(f"there is no data set {header.data_set!r}", hint="`cityhub datasets` lists them")
        if contract.home not in self._admissions or contract.kind is not Kind.EVENT:
            raise ExchangeError(f"data set {contract.name!r} takes no bulk exchanges", hint="send small ones")
        if header.contract_version != contract.version:
            raise ContractError(
                f"{contract.name} is at version {contract.version}, the exchange at {header.contract_version}",
                hint="fetch the catalogue again",
            )
        return contract

    async def _segments(
        self, contract: Contract, header: pb.LoadHeader, requests: Requests
    ) -> tuple[tuple[Descriptor, ...], bytes]:
        intake = BulkIntake(self._segmenter, contract, producer=header.producer, sequence=header.sequence)
        pieces: list[bytes] = []
        size = 0
        try:
            while (request := await _next(requests, end=True)) is not None:
                if isinstance(request, memoryview):
                    await intake.add(request)
                    continue
                pieces.append(request.parquet)
                size += len(request.parquet)
                if size > self._segmenter.limits.file_bytes_max:
                    raise LimitError(
                        f"a file may have {self._segmenter.limits.file_bytes_max} bytes", hint="send it in parts"
                    )
            if pieces:
                await intake.add_parquet(b"".join(pieces))
            return await intake.finish()
        finally:
            await intake.cancel()


def add_to_server(servicer: BulkServicer, server: grpc.aio.Server) -> None:
    """As the generated function does, but a batch stays where gRPC put it: protobuf would copy it twice more, while
    every other call waits."""
    service = pb.DESCRIPTOR.services_by_name["BulkService"].full_name
    load = grpc.stream_unary_rpc_method_handler(
        servicer.Load, request_deserializer=parse_request, response_serializer=pb.LoadReply.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Load": load}),))


def parse_request(message: bytes) -> "memoryview | pb.LoadRequest":
    """A request; of one that holds nothing but a batch, the batch."""
    if message[:1] == _BATCH_TAG:
        size, place = 0, 1
        while place < len(message) and place <= _VARINT_BYTES_MAX:
            size |= (message[place] & 0x7F) << 7 * (place - 1)
            place += 1
            if message[place - 1] < _VARINT_MORE:
                break
        if place + size == len(message):
            return memoryview(message)[place:]
    return pb.LoadRequest.FromString(message)


async def _next(requests: Requests, *, end: bool = False) -> Any:
    """The next request; None when the stream has ended and may."""
    try:
        async with asyncio.timeout(_IDLE_S_MAX):
            request = await anext(requests, None)
    except TimeoutError:
        raise ExchangeError(f"nothing came for {_IDLE_S_MAX:g} s") from None
    if request is None and not end:
        raise ExchangeError("the first request of a stream is the header")
    return request
