"""Writes an answer as it arrives: table, CSV, JSON, Parquet or Arrow. Only the table is held in memory, in part.

In the three formats of text, bytes are hexadecimal digits and nested values are JSON. CSV cannot tell a null from an
empty text; JSON has neither nan nor inf: they are text there.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hub.errors import QueryError

_TABLE_ROWS_MAX: Final = 200
_TABLE_WIDTH_MAX: Final = 10_000  # Characters, where there is no terminal to fit.

Writer = Callable[[pa.Schema, Iterable[pa.RecordBatch], BinaryIO], None]


def write_result(schema: pa.Schema, batches: Iterable[pa.RecordBatch], name: str, sink: BinaryIO) -> None:
    """Writes in the format `name`, one of FORMATS. Raises KeyError for another, QueryError for a value it lacks."""
    FORMATS[name](schema, batches, sink)
    sink.flush()


def _table(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    table = Table()
    for name in schema.names:
        table.add_column(Text(name), overflow="fold")
    shown = rows = 0
    for batch in batches:
        rows += batch.num_rows
        for row in _rows(batch.slice(0, max(0, _TABLE_ROWS_MAX - shown)), _cells):
            table.add_row(*(Text("" if value is None else str(value)) for value in row))
            shown += 1
    text = io.TextIOWrapper(sink, encoding="utf-8", write_through=True)
    console = Console(file=text, highlight=False)
    if not console.is_terminal:
        options = console.options.update(max_width=_TABLE_WIDTH_MAX)
        console.width = max(console.width, Measurement.get(console, options, table).maximum)
    console.print(table)
    console.print(f"{rows:,} rows" + (f", the first {shown:,} shown" if shown < rows else ""))
    text.detach()


def _csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    text = io.TextIOWrapper(sink, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(schema.names)
    for batch in batches:
        writer.writerows(_rows(batch, _cells))
    text.detach()


def _json(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    names = _unique(schema.names)
    separator = b"[\n"
    for batch in batches:
        for row in _rows(batch, _values):
            sink.write(separator + _json_text(dict(zip(names, row, strict=True))).encode())
            separator = b",\n"
    sink.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    try:
        writer = pq.ParquetWriter(sink, schema)
    except pa.ArrowNotImplementedError as error:
        raise QueryError(f"Parquet lacks a type: {error}", hint="cast it in the query, or take arrow") from error
    with writer:
        for batch in batches:
            writer.write_batch(batch)


def _arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO) -> None:
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _rows(batch: pa.RecordBatch, values: Callable[[pa.Array], Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    return zip(*(values(column) for column in batch.columns), strict=True)


def _values(column: pa.Array) -> list[Any]:
    try:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # What pandas, where it is, would take.
            column = column.cast(pa.timestamp("us", column.type.tz))
        return column.to_pylist()  # type: ignore[no-any-return]
    except (OverflowError, ValueError) as error:  # Beyond Python's calendar, or finer than a microsecond.
        raise QueryError(
            f"a value of {column.type} cannot be shown", hint="cast it to varchar in the query, or take arrow"
        ) from error


def _cells(column: pa.Array) -> list[Any]:
    """Values for a format that knows text only; of most types they are good as they are."""
    values = _values(column)
    kind = column.type
    if pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_decimal(kind):
        return values
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return _json_text(value)
    return value.hex() if isinstance(value, bytes) else value


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_plain)


def _finite(value: Any) -> Any:
    """The same value with nan and inf as text."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Dates, times, decimals and the like as text, bytes as hexadecimal digits."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _unique(names: Iterable[str]) -> list[str]:
    """A name that was there before gets a number, as DuckDB does it."""
    found: dict[str, None] = {}
    for name in names:
        number, one = 0, name
        while one in found:
            number += 1
            one = f"{name}_{number}"
        found[one] = None
    return list(found)


FORMATS: Final[dict[str, Writer]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
}
