"""Sends bulk exchanges: rows of one data set by the million, which become segments.

Each exchange is a Flight call of its own to the leader of the data set's log. Until it has its outcome it is sent
again, with the same sequence, to whoever leads by then.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
from google.protobuf.any_pb2 import Any as Packed
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from hub.catalogue.contract import Contract
from hub.client.leaders import Leaders
from hub.client.producer import receipt_of
from hub.errors import InputFileError, NotLeaderError, UnavailableError
from hub.flight.calls import END, KEEPALIVE
from hub.flight.errors import error_of_flight
from hub.ingest.exchange import Receipt
from hub.rpc.v1 import bulk_pb2 as pb
from hub.rpc.v1.exchange_pb2 import Receipt as WireReceipt

_CHUNK_BYTES: Final = 1 << 20
_FILE_BATCH_ROWS: Final = 65_536
_PAUSE_MIN_S: Final = 0.02
_PAUSE_MAX_S: Final = 1.0

Rows: TypeAlias = pa.Table | Path
"""Rows with the contract's columns, or a Parquet file of them."""


class AsyncBulk:
    """Made by `AsyncHubClient.bulk`. Any number of `send` may be under way; beyond `in_flight_max` they wait."""

    def __init__(
        self,
        name: str,
        *,
        leaders: Leaders,
        in_flight_max: int,
        patience_s: float,
        acknowledged: Callable[[str, int], None],
    ) -> None:
        self.name = name
        self._acknowledged = acknowledged
        self._leaders = leaders
        self._room = asyncio.Semaphore(in_flight_max)
        self._threads = ThreadPoolExecutor(in_flight_max, thread_name_prefix="bulk")
        self._patience_s = patience_s

    async def send(self, contract: Contract, rows: Rows, *, sequence: int) -> Receipt:
        """Returns when the rows are on disk in every in-sync centre.

        `sequence` is unique for this producer and log; one that was accepted is answered with its first receipt. Raises
        HubError; UnavailableError once no attempt went well for `patience_s`.
        """
        header = pb.BulkExchange(
            producer=self.name, sequence=sequence, data_set=contract.name, contract_version=contract.version
        )
        async with self._room:
            self._leaders.watch()
            centre = self._leaders.leader_of(contract.home)
            async for attempt in AsyncRetrying(
                wait=wait_random_exponential(_PAUSE_MIN_S, _PAUSE_MAX_S),
                stop=stop_after_delay(self._patience_s),
                retry=retry_if_exception_type((UnavailableError, NotLeaderError)),
                reraise=True,
            ):
                with attempt:
                    try:
                        receipt = await self._load(centre, header, rows)
                        self._acknowledged(receipt.log, receipt.lsn)
                        return receipt
                    except (UnavailableError, NotLeaderError):
                        centre = self._leaders.leader_of(contract.home, after=centre)
                        raise
        raise AssertionError("the last attempt returns or raises")

    async def _load(self, centre: str, header: pb.BulkExchange, rows: Rows) -> Receipt:
        address = await self._leaders.flight_address(centre)
        call = _Call(centre, address)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call.send, header, rows)
        finally:
            call.cancelled = True


class _Call:
    """One attempt; `send` blocks. Once `cancelled`, it ends before its next batch."""

    def __init__(self, centre: str, address: str) -> None:
        self._centre = centre
        self._address = address
        self.cancelled = False

    def send(self, header: pb.BulkExchange, rows: Rows) -> Receipt:
        command = Packed()
        command.Pack(header)
        descriptor = fl.FlightDescriptor.for_command(command.SerializeToString())
        with (
            _opened(rows) as (schema, batches),
            fl.connect(f"grpc://{self._address}", generic_options=KEEPALIVE) as there,
        ):
            try:
                writer, replies = there.do_put(descriptor, schema)
                try:
                    self._write(writer, batches)
                    receipt = _last(replies)
                finally:
                    writer.close()  # Raises what the centre said: a write that failed says nothing of the cause.
            except (pa.ArrowException, OSError) as error:
                raise error_of_flight(error, self._centre) from error
        return receipt_of(WireReceipt.FromString(receipt))

    def _write(self, writer: fl.FlightStreamWriter, batches: Iterator[pa.RecordBatch]) -> None:
        for batch in batches:
            if self.cancelled:
                raise UnavailableError("the exchange was cancelled", definite=False)
            writer.write_batch(batch)
        writer.write_metadata(END)
        writer.done_writing()


def _last(replies: fl.FlightMetadataReader) -> bytes:
    """The receipt, after empty messages that only say that it is worked at."""
    receipt = b""
    while (reply := replies.read()) is not None:
        receipt = reply.to_pybytes() or receipt
    return receipt


@contextmanager
def _opened(rows: Rows) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Schema and batches of a size that travels well. Raises InputFileError."""
    if isinstance(rows, pa.Table):
        rows_a_chunk = max(1, _CHUNK_BYTES * rows.num_rows // max(1, rows.nbytes))
        yield rows.schema, iter(rows.to_batches(rows_a_chunk))
        return
    with _unreadable(rows):
        file = pq.ParquetFile(rows)
    with file:
        yield file.schema_arrow, _batches(file, rows)


def _batches(file: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    with _unreadable(path):
        yield from file.iter_batches(batch_size=_FILE_BATCH_ROWS)


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{path} cannot be read as Parquet: {error}") from error
