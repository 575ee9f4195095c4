"""Reads Arrow IPC that somebody else wrote: whatever the bytes are, a batch that can be trusted or an ExchangeError.

Compressed buffers are refused: eight megabytes of them may unpack to more memory than there is, and Arrow has no
limit to give. Whether a message is compressed stands in its FlatBuffers metadata (format/Message.fbs of Apache Arrow:
the third field of `Message` is its header, the fourth of `RecordBatch` the compression), which Arrow verifies before
it hands it out.
"""

import struct
from typing import Final

import pyarrow as pa

from hub.errors import ExchangeError

_HEADER_FIELD: Final = 2
_COMPRESSION_FIELD: Final = 3


def read_batch(payload: bytes | memoryview, schema: pa.Schema) -> pa.RecordBatch:
    """The batch of one encapsulated record batch message in `schema`. Raises ExchangeError."""
    try:
        message = pa.ipc.read_message(pa.py_buffer(payload))
        _refuse_compression(message)
        batch = pa.ipc.read_record_batch(message, schema)
        batch.validate(full=True)
    except ExchangeError:
        raise
    except Exception as error:  # Arrow has many for bytes that it cannot read, not all of its own kind.
        raise _unreadable(error) from error
    return batch


def read_stream(payload: bytes) -> pa.RecordBatch:
    """All rows of a whole IPC stream as one batch. Raises ExchangeError."""
    try:
        for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(payload)):
            if message.type in ("record batch", "dictionary"):
                _refuse_compression(message)
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            batches = list(reader)
            for batch in batches:
                batch.validate(full=True)
            return combine(batches) if batches else pa.RecordBatch.from_pylist([], schema=reader.schema)
    except ExchangeError:
        raise
    except Exception as error:  # As above.
        raise _unreadable(error) from error


def combine(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of one schema's batches; a single one is not copied."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _refuse_compression(message: pa.Message) -> None:
    metadata = memoryview(message.metadata)
    (root,) = struct.unpack_from("<I", metadata)
    header = _field(metadata, root, _HEADER_FIELD)
    if message.type == "dictionary":  # A dictionary batch holds its record batch in the second field.
        header = _field(metadata, _follow(metadata, header), 1)
    if _field(metadata, _follow(metadata, header), _COMPRESSION_FIELD):
        raise ExchangeError("compressed Arrow buffers are refused", hint="write the stream without compression")


def _field(data: memoryview, table: int, number: int) -> int:
    """Place of a field of a FlatBuffers table, 0 when it is not set."""
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * number)
    return table + offset if offset else 0


def _follow(data: memoryview, place: int) -> int:
    (offset,) = struct.unpack_from("<I", data, place)
    return place + int(offset)


def _unreadable(error: Exception) -> ExchangeError:
    return ExchangeError(f"the payload cannot be read as Arrow IPC: {error}")
