"""Cuts an Arrow IPC stream into messages, with bounded memory."""

import io
from typing import Final

import pyarrow as pa

PART_BYTES_MAX: Final = 4 << 20
_BUFFER_BYTES: Final = 64 << 10


class StreamCutter:
    """Writes batches into one IPC stream; `take` gives the bytes written since the last call, in bounded parts."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Sink()
        # Arrow writes little by little, and would take the interpreter's lock for each bit.
        self._buffer = pa.output_stream(self._sink, buffer_size=_BUFFER_BYTES)
        self._writer = pa.ipc.new_stream(self._buffer, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()

    def take(self) -> list[bytes]:
        self._buffer.flush()
        data = b"".join(self._sink.parts)
        self._sink.parts.clear()
        return [data[start : start + PART_BYTES_MAX] for start in range(0, len(data), PART_BYTES_MAX)]


class _Sink(io.RawIOBase):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # Arrow hands a buffer in
        self.parts.append(part)
        self._position += len(part)
        return len(part)
