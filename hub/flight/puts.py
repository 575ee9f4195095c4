"""Rows that come by DoPut: a bulk exchange, from the first batch to its receipt."""

import time
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.flight as fl

from hub.errors import ExchangeError
from hub.flight.calls import END, Loop
from hub.ingest.exchange import Receipt
from hub.ingest.reception import Reception

_HAND_OVER_BYTES: Final = 8 << 20
_TOLD_S: Final = 1.0


def receive(
    reception: Reception,
    loop: Loop,
    context: fl.ServerCallContext,
    batches: Iterator[pa.RecordBatch],
    writer: fl.FlightMetadataWriter | None,
    *,
    producer: str,
    sequence: int,
    data_set: str,
    contract_version: int | None = None,
) -> Receipt:
    """Takes all the batches. Where the caller knows of it (`writer`), an empty message each second says that
    we live. Raises HubError."""
    told = _Told(writer)
    receiving = loop.run(
        reception.begin(producer=producer, sequence=sequence, data_set=data_set, contract_version=contract_version),
        context,
        told=told,
    )
    try:
        for some in _gathered(batches):
            loop.run(receiving.add(some), context, told=told)
            told()
        return loop.run(receiving.finish(), context, told=told)
    finally:
        loop.run(receiving.end())


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches, some megabytes at a time: each hand-over costs the event loop a turn."""
    some: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        some.append(batch)
        size += batch.nbytes
        if size >= _HAND_OVER_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def batches_of(reader: fl.MetadataRecordBatchReader, *, marked: bool = False) -> Iterator[pa.RecordBatch]:
    """As they come. A stream of our own senders is `marked` at its end: pyarrow closes one that broke off as if it were
    complete. Raises ExchangeError."""
    ended = not marked
    try:
        for chunk in reader:
            if chunk.data is not None:
                yield chunk.data
            ended = ended or chunk.app_metadata == END
    except (pa.ArrowException, OSError) as error:
        raise ExchangeError(f"the stream of rows cannot be read: {error}") from error
    if not ended:
        raise ExchangeError("the stream of rows broke off", hint="send it again with the same sequence")


class _Told:
    def __init__(self, writer: fl.FlightMetadataWriter | None) -> None:
        self._writer = writer
        self._last_s = time.monotonic()

    def __call__(self) -> None:
        if self._writer is not None and time.monotonic() - self._last_s > _TOLD_S:
            self._writer.write(b"")
            self._last_s = time.monotonic()
