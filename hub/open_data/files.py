"""An answer as files, written as it comes: CSV and Parquet beside each other, in bounded memory.

The CSV is UTF-8 with a byte order mark, for the sake of spreadsheets; texts are in quotes, so that an empty one is no
null. The Parquet file is zstd. Both are cut into groups of rows that do not depend on how the rows came, so that equal
rows make equal files.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hub.errors import HubError
from hub.open_data.rows import ROWS_ALL

GROUP_ROWS: Final = 122_880
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """SHA-256 in hexadecimal digits."""

    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`rows_all`: of the data set, those that were withheld, too; None if no row came that would tell."""

    rows: int
    rows_all: int | None
    csv: File
    parquet: File


def write_files(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    folder: Path,
    name: str,
    progress: Callable[[int, int], None] = lambda rows, rows_all: None,
) -> Written:
    """Writes `name.csv` and `name.parquet`, on disk when this returns. The batches have the schema's columns and
    `#all`. `progress` is told rows written, rows of the data set. Raises HubError for other columns."""
    csv, parquet = folder / f"{name}.csv", folder / f"{name}.parquet"
    rows, rows_all = 0, None
    with csv.open("wb") as csv_sink, parquet.open("wb") as parquet_sink:
        csv_sink.write(_BYTE_ORDER_MARK)
        with (
            pa_csv.CSVWriter(csv_sink, schema) as csv_writer,
            pq.ParquetWriter(parquet_sink, schema, compression="zstd") as parquet_writer,
        ):
            for group, rows_all in _groups(batches, schema):
                csv_writer.write_table(group)
                parquet_writer.write_table(group, row_group_size=GROUP_ROWS)
                rows += group.num_rows
                progress(rows, rows_all)
        for sink in (csv_sink, parquet_sink):
            sink.flush()
            os.fsync(sink.fileno())
    return Written(rows=rows, rows_all=rows_all, csv=_file(csv), parquet=_file(parquet))


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[tuple[pa.Table, int]]:
    """Tables of GROUP_ROWS rows, the last one of fewer, and the number of rows of the data set."""
    waiting: list[pa.RecordBatch] = []
    waiting_rows = rows_all = 0
    for batch in batches:
        if batch.schema.names != [*schema.names, ROWS_ALL]:
            raise HubError(f"the centre answered with columns {', '.join(batch.schema.names)}")
        if batch.num_rows == 0:
            continue
        rows_all = batch.column(ROWS_ALL)[0].as_py()
        waiting.append(batch.select(schema.names).cast(schema))
        waiting_rows += batch.num_rows
        while waiting_rows >= GROUP_ROWS:
            table = pa.Table.from_batches(waiting, schema)
            yield table.slice(0, GROUP_ROWS).combine_chunks(), rows_all
            waiting = table.slice(GROUP_ROWS).to_batches()
            waiting_rows -= GROUP_ROWS
    if waiting_rows:
        yield pa.Table.from_batches(waiting, schema).combine_chunks(), rows_all


def _file(path: Path) -> File:
    return File(path=path, size_bytes=path.stat().st_size, sha256=sha256_of(path))


def span(path: Path, column: str) -> tuple[str, str]:
    """The least and the greatest moment of a column of a Parquet file, in ISO form; empty texts if it has none."""
    facts = pq.read_metadata(path)
    place = facts.schema.names.index(column)
    groups = [facts.row_group(number).column(place).statistics for number in range(facts.num_row_groups)]
    known = [one for one in groups if one is not None and one.has_min_max]
    if not known:
        return "", ""
    return min(one.min for one in known).isoformat(), max(one.max for one in known).isoformat()


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
