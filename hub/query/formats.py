"""Writes an answer as it arrives: table, CSV, JSON, Parquet or Arrow. Only the table is held in memory, in part."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

_TABLE_ROWS_MAX: Final = 200

Writer = Callable[[pa.Schema, Iterable[pa.RecordBatch], BinaryIO], None]


def write_result(schema: pa.Schema, batches: Iterable[pa.RecordBatch], name: str, sink: BinaryIO) -> None:
    """Writes in the format `name`, one of FORMATS. Raises KeyError for another."""
    FORMATS[name](schema, batches, sink)
    sink.flush()


def _table(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    table = Table(*schema.names)
    shown = rows = 0
    for batch in batches:
        rows += batch.num_rows
        for row in batch.slice(0, max(0, _TABLE_ROWS_MAX - shown)).to_pylist():
            table.add_row(*("" if value is None else str(value) for value in row.values()))
            shown += 1
    text = io.TextIOWrapper(sink, encoding="utf-8", write_through=True)
    console = Console(file=text)
    console.print(table, markup=False)
    console.print(f"{rows:,} rows" + (f", the first {shown:,} shown" if shown < rows else ""), highlight=False)
    text.detach()


def _csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    text = io.TextIOWrapper(sink, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(schema.names)
    for batch in batches:
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    text.detach()


def _json(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    separator = b"[\n"
    for batch in batches:
        for row in batch.to_pylist():
            sink.write(separator + json.dumps(row, ensure_ascii=False, default=_plain).encode())
            separator = b",\n"
    sink.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    with pq.ParquetWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _plain(value: Any) -> Any:
    """Dates, times, decimals and the like as text, bytes as hexadecimal digits."""
    return value.hex() if isinstance(value, bytes) else str(value)


FORMATS: Final[dict[str, Writer]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
}
