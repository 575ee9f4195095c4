"""Reads Parquet that somebody else wrote, as a segment of a data set: rows that can be trusted, or an ExchangeError.

    file → footer: columns, types, how much it unpacks to → batch after batch: sound, short enough → check → accepted

Nothing is converted: a file either has exactly the contract's columns or is refused. A few kilobytes of Parquet may
unpack to more memory than there is, by compression and once more by a dictionary of long texts. So the footer's own
figures are held against the limits first, strings are taken as the dictionaries they come in, and their lengths are
added up before a batch is written out in full. What is left is one page: its header may claim up to 2 GiB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hub.catalogue.contract import Contract
from hub.errors import ExchangeError, LimitError
from hub.ingest.checks import Rejected, check

_BATCH_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSegment:
    """`accepted` is in the contract's schema and in the file's order; `rejected` counts rows from the file's first."""

    accepted: pa.Table
    rejected: tuple[Rejected, ...]


def check_segment(
    contract: Contract,
    source: Path | pa.Buffer | bytes,
    *,
    rows_max: int,
    memory_bytes_max: int,
    rejected_rows_max: int,
) -> CheckedSegment:
    """Judges every row of a Parquet file.

    `memory_bytes_max` bounds the rows as they lie in memory. Raises ExchangeError for a file that is damaged or has
    other columns, and LimitError for one that is too large, or that holds so many bad rows that it must be mended.
    """
    batches: list[pa.RecordBatch] = []
    rejected: list[Rejected] = []
    first_row = memory_bytes = 0
    for rows in _batches(contract, source, rows_max, memory_bytes_max):
        memory_bytes += rows.nbytes
        _refuse_above(memory_bytes, memory_bytes_max)
        checked = check(contract, rows)
        rejected += (replace(one, row=first_row + one.row) for one in checked.rejected)
        if len(rejected) > rejected_rows_max:
            raise LimitError(
                f"more than {rejected_rows_max} of the first {first_row + rows.num_rows} rows fail their checks",
                hint=f"mend the file; row {rejected[0].row}: {rejected[0].reason}",
            )
        batches.append(checked.accepted)
        first_row += rows.num_rows
    return CheckedSegment(accepted=pa.Table.from_batches(batches, contract.schema), rejected=tuple(rejected))


def _batches(
    contract: Contract, source: Path | pa.Buffer | bytes, rows_max: int, memory_bytes_max: int
) -> Iterator[pa.RecordBatch]:
    """Sound rows in the contract's schema."""
    texts = [field.name for field in contract.schema if pa.types.is_string(field.type)]
    try:
        with _open(source) as file:  # Only columns that are there may be read as dictionaries.
            _refuse_columns(contract, file.schema_arrow)
            _refuse_size(file.metadata, rows_max, memory_bytes_max)
        with _open(source, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield _plain(contract, batch, memory_bytes_max)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ExchangeError(f"the file cannot be read as Parquet: {error}") from error


def _open(source: Path | pa.Buffer | bytes, *, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    where = source if isinstance(source, Path) else pa.BufferReader(source)
    return pq.ParquetFile(where, read_dictionary=read_dictionary)


def _refuse_columns(contract: Contract, found: pa.Schema) -> None:
    expected = [(field.name, str(field.type)) for field in contract.schema]
    given = [(field.name, str(_value_type(field.type))) for field in found]
    if given == expected:
        return
    for place, column in enumerate(expected):
        if place >= len(given):
            raise ExchangeError(f"{contract.name}: column {column[0]!r} ({column[1]}) is missing", hint=_hint(contract))
        if given[place] != column:
            shown = "{!r} ({})".format(*given[place])
            raise ExchangeError(
                f"{contract.name}: column {place} is {shown}, expected {column[0]!r} ({column[1]})",
                hint=_hint(contract),
            )
    raise ExchangeError(f"{contract.name}: unknown column {given[len(expected)][0]!r}", hint=_hint(contract))


def _hint(contract: Contract) -> str:
    return f"a segment has the columns of version {contract.version}, in order: {', '.join(contract.schema.names)}"


def _value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values: how strings are laid out is the reader's business."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _refuse_size(footer: pq.FileMetaData, rows_max: int, memory_bytes_max: int) -> None:
    if footer.num_rows > rows_max:
        raise LimitError(f"a segment may hold {rows_max} rows, this one holds {footer.num_rows}", hint="split it")
    # A look at a column's own figures would end the process where they are damaged (pyarrow 26): no exception gets out.
    _refuse_above(
        sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups)), memory_bytes_max
    )


def _refuse_above(memory_bytes: int, memory_bytes_max: int) -> None:
    if memory_bytes > memory_bytes_max:
        raise LimitError(f"the file unpacks to more than {memory_bytes_max} bytes", hint="split it")


def _plain(contract: Contract, batch: pa.RecordBatch, memory_bytes_max: int) -> pa.RecordBatch:
    """The batch with its dictionaries written out. Raises LimitError before that would take too much."""
    batch.validate(full=True)
    columns = []
    for values, field in zip(batch.columns, contract.schema, strict=True):
        if pa.types.is_dictionary(values.type):
            lengths = pc.take(pc.binary_length(values.dictionary), values.indices)
            _refuse_above(pc.sum(lengths.cast(pa.int64())).as_py() or 0, memory_bytes_max)
            values = values.dictionary_decode().cast(field.type)
        columns.append(values)
    return pa.RecordBatch.from_arrays(columns, schema=contract.schema)
