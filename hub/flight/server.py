"""The Flight server of a centre. Its calls run in threads of their own, which pyarrow makes."""

import asyncio
import threading
from typing import Final

import pyarrow as pa
import pyarrow.flight as fl
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError

from hub.errors import BadRequestError, ConfigurationError
from hub.flight.calls import Loop
from hub.flight.errors import flight_errors
from hub.flight.puts import receive
from hub.ingest.reception import Reception
from hub.rpc.v1 import bulk_pb2
from hub.service.exchanges import receipt_to_pb

_GRACE_S: Final = 2.0


class FlightServer(fl.FlightServerBase):  # type: ignore[misc]  # pyarrow has no types
    """Serves from the moment it is made, in the event loop whose reception it feeds. Raises ConfigurationError when the
    address cannot be bound."""

    def __init__(self, address: str, reception: Reception) -> None:
        self._calls = Loop(asyncio.get_running_loop())
        self._reception = reception
        try:
            super().__init__(f"grpc://{address}")
        except (pa.ArrowException, OSError) as error:
            raise ConfigurationError(f"{address} cannot be bound", hint="is another centre running there?") from error

    async def stop(self) -> None:
        """Takes no more calls, and gives those under way a moment."""
        stopping = threading.Thread(target=self.shutdown, name="stop flight", daemon=True)
        stopping.start()
        await asyncio.to_thread(stopping.join, _GRACE_S)

    @flight_errors
    def do_put(
        self,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.FlightMetadataWriter,
    ) -> None:
        command = _unpacked(descriptor.command or b"")
        if command.Unpack(bulk := bulk_pb2.BulkExchange()):
            self._bulk(bulk, context, reader, writer)
            return
        raise BadRequestError(f"a put of {command.type_url or 'nothing'} is not known here")

    def _bulk(
        self,
        header: bulk_pb2.BulkExchange,
        context: fl.ServerCallContext,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.FlightMetadataWriter,
    ) -> None:
        receipt = receive(
            self._reception,
            self._calls,
            context,
            reader,
            writer,
            producer=header.producer,
            sequence=header.sequence,
            data_set=header.data_set,
            contract_version=header.contract_version,
        )
        writer.write(receipt_to_pb(receipt).SerializeToString())


def _unpacked(command: bytes) -> Packed:
    try:
        return Packed.FromString(command)
    except DecodeError:
        raise BadRequestError("the command of this call cannot be read") from None
