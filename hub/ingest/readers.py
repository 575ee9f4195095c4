"""Agencies' files as blocks of rows: CSV, JSON lines, Parquet, Excel; text plain or gzipped; in bounded memory.

    file → unzip → decode (bad bytes marked) → cut at row ends → pyarrow.csv → Block, ...   CSV: columns of text
                                                     → DuckDB's JSON functions → Block, ...   JSON lines: the same
    file → pyarrow.parquet, row group by row group → Block, ...                      Parquet: columns as they are
    file → excel.read_sheet → Block, ...                                             Excel: columns of text

A row that cannot be read (wrong number of fields, undecodable bytes, no JSON object) is handed on in
`Block.malformed` with its reason: rows in = rows + malformed. Blank lines are no rows. A file that cannot be read as
a whole (damaged, truncated, a row longer than a block) raises InputFileError after the blocks before the damage.

Text that says nothing about its encoding is UTF-8, with or without a byte order mark, or GB18030: what most of the
lines sampled across the file are valid in. UTF-16 is known by its byte order mark.
"""

import codecs
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, cast, get_args

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from hub.errors import InputFileError
from hub.ingest.blocks import Block, without
from hub.ingest.checks import CONTENT_CHARACTERS_MAX, Rejected, row_contents, shorten
from hub.ingest.decoding import MARK, Text, damage_hint, open_bytes, resolve_encoding
from hub.ingest.excel import read_sheet

FileFormat = Literal["csv", "parquet", "jsonl", "xlsx"]
BLOCK_BYTES: Final = 4 << 20
BLOCK_ROWS: Final = 65_536
JSON_KEYS_MAX: Final = 4_096
_NO_OBJECT: Final = "is no JSON object"
_SAMPLE_ROWS: Final = 512
_REPEATED: Final = 4  # A text must come so often, on average, that it pays to look it up.
_DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())

_SUFFIXES: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xls": "xlsx",
}
_QUOTE: Final = b'"'
_NEWLINE: Final = np.frombuffer(b"\n", np.uint8)
_BESIDE_QUOTES: Final = np.frombuffer(b'",\r\n', np.uint8)
# Whole rows as pyarrow understands them: a quotation mark opens a value only where the value begins.
_VALUE: Final = rb'(?:"(?:[^"]++|"")*+"[^,\n\r]*+|[^",\n\r][^,\n\r]*+|)'
_ROWS: Final = re.compile(rb"(?:(?:" + _VALUE + rb",)*+" + _VALUE + rb"(?:\r\n|\n|\r(?=[^\n])))*+")
# No JSON text holds it unescaped, so that as a delimiter it leaves every sound line whole.
_UNIT_SEPARATOR: Final = "\x1f"


def file_format(path: Path, said: str | None = None) -> FileFormat:
    """The format that was said, or the one of the name's suffix, `.gz` aside. Raises InputFileError."""
    if said is not None:
        for known in get_args(FileFormat):
            if said == known:
                return cast(FileFormat, known)
        raise InputFileError(f"there is no format {said!r}", hint=f"one of {', '.join(get_args(FileFormat))}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    raise InputFileError(f"{path.name}: the name does not tell the format", hint=f"one of {', '.join(_SUFFIXES)}")


def read_file(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002 - the word of the command line
    encoding: str | None = None,
    sheet: str | None = None,
    names: Collection[str] = (),
    block_bytes: int = BLOCK_BYTES,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[Block]:
    """Blocks in the file's order; at least one, so that a file without rows still tells its columns.

    `block_bytes` bounds a block of text and its longest row, `block_rows` one of Parquet or of a sheet. `encoding` is
    any codec of Python, for text only; `sheet` and `names`, what wanted columns may be called, are for workbooks only.
    Raises InputFileError.
    """
    kind = file_format(path, format)
    try:
        if path.stat().st_size == 0:
            raise InputFileError(f"{path.name} is empty")
        if kind == "parquet":
            yield from _read_parquet(path, block_rows)
        elif kind == "xlsx":
            yield from read_sheet(path, sheet=sheet, names=names, block_rows=block_rows)
        else:
            known = resolve_encoding(path, encoding)
            read = _read_csv if kind == "csv" else _read_json_lines
            yield from read(path, known, block_bytes)
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{path.name} cannot be read as {kind}: {error}", hint=damage_hint(error)) from error


def _read_csv(path: Path, encoding: str, block_bytes: int) -> Iterator[Block]:
    with open_bytes(path) as (source, raw):
        text = Text(path.name, source, raw, encoding, raw=encoding == "gb18030")
        yield from _rows_of_text(text, block_bytes, header=True)


def _read_json_lines(path: Path, encoding: str, block_bytes: int) -> Iterator[Block]:
    """JSON lines by DuckDB: pyarrow.json stops at the first bad line, and makes doubles of 25-digit codes."""
    with open_bytes(path) as (source, raw), duckdb.connect(config={"threads": 1}) as connection:
        keys: list[str] = []
        text = Text(path.name, source, raw, encoding, raw=False)
        for block in _rows_of_text(text, block_bytes, header=False):
            yield _parse_json(connection, block, keys)
            if len(keys) > JSON_KEYS_MAX:
                raise InputFileError(f"{path.name} has over {JSON_KEYS_MAX} keys", hint="is a value used as a key?")


def _rows_of_text(text: Text, block_bytes: int, *, header: bool) -> Iterator[Block]:
    """Whole rows, block by block, each block parsed at once.

    Not by pyarrow's own streaming reader: that reads ahead in threads that call back into Python and outlive it, and
    an interpreter that ends meanwhile hangs or aborts.
    """
    names: list[str] | None = None if header else ["line"]
    few: set[str] = set()
    first = 0
    for data, rest in _whole_rows(text, block_bytes, quoted=header):
        block = _parse_raw(data, names, few, first, text) if text.raw and names else None
        if block is None:
            decoded = text.decoded(data) if text.raw else data
            block = _parse_rows(decoded, names, few, first, text, quoted=header)
        if any(MARK in name for name in block.rows.schema.names):
            raise InputFileError(f"{text.name}: the header is no {text.encoding}", hint="say the file's encoding")
        names = block.rows.schema.names
        few = _repeated_columns(block.rows) if header else few
        if text.marked:
            contents_of = _marked_contents if header else _line_contents
            block = without(block, _marked(block.rows), f"holds bytes that are no {text.encoding}", contents_of)
        first += block.rows.num_rows + len(block.malformed)
        yield _with_open_row(block, text.decoded(rest) if text.raw else rest, first) if rest else block


def _whole_rows(text: Text, block_bytes: int, *, quoted: bool) -> Iterator[tuple[bytes, bytes]]:
    """Blocks of whole rows; beside the last one, the text from the row on that a quotation mark keeps open."""
    data = b""
    while not text.finished:
        while len(data) < block_bytes and not text.finished:
            data += text.read(block_bytes - len(data))
        end = _rows_end(data, quoted=quoted)
        if not end and not text.finished:
            words = f"{text.name}: a row is longer than {block_bytes} bytes"
            raise InputFileError(words, hint="is a quotation mark never closed?")
        yield data[:end], data[end:] if text.finished else b""
        data = data[end:]


def _rows_end(data: bytes, *, quoted: bool) -> int:
    """Where the last whole row ends, given that a row begins at 0. Newlines within quotes end no row."""
    newline = b"\n" if b"\n" in data else b"\r"
    end = data.rfind(newline)
    if not quoted or _QUOTE not in data:
        return end + 1
    content = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(content == ord(_QUOTE))
    if not _well_quoted(content, quotes):
        rows = _ROWS.match(data)
        assert rows is not None, "it matches nothing at least"
        return rows.end()
    while end >= 0 and (before := int(np.searchsorted(quotes, end))) % 2:
        end = data.rfind(newline, 0, int(quotes[before - 1]))
    return end + 1


def _well_quoted(content: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64]) -> bool:
    """Is every quotation mark one that opens or closes a value, or doubled within? Then counting them is enough."""
    padded = np.concatenate((_NEWLINE, content, _NEWLINE))  # So that place i of the content has i and i + 2 beside it.
    opens, closes = padded[quotes[0::2]], padded[quotes[1::2] + 2]
    return bool(np.isin(opens, _BESIDE_QUOTES).all() and np.isin(closes, _BESIDE_QUOTES).all())


def _repeated_columns(rows: pa.RecordBatch) -> set[str]:
    """Columns that few texts make up: in the next block, each of these is read, hashed and converted once."""
    return {name for name, values in zip(rows.schema.names, rows.columns, strict=True) if _is_repeated(values)}


def _is_repeated(values: pa.Array) -> bool:
    if len(values) < _SAMPLE_ROWS:
        return False
    if pa.types.is_dictionary(values.type):
        return bool(_REPEATED * len(values.dictionary) <= len(values))
    return len(values[:_SAMPLE_ROWS].unique()) <= _SAMPLE_ROWS // _REPEATED


def _parse_raw(data: bytes, names: list[str], few: set[str], first: int, text: Text) -> Block | None:
    """Rows that are cut before they are decoded; None if one of them is malformed, or where pyarrow would see a mark of
    UTF-8 in the first bytes."""
    if data.startswith(codecs.BOM_UTF8):
        return None
    try:
        table = _read_table(data, names, few, pacsv.ParseOptions(newlines_in_values=True))
    except pa.ArrowInvalid:
        return None
    rows = text.decode_columns(_one_batch(table))
    return Block(rows=rows, first_row=first, bytes_read=text.bytes_read, encoding=text.encoding)


def _parse_rows(data: bytes, names: list[str] | None, few: set[str], first: int, text: Text, *, quoted: bool) -> Block:
    """Whole rows as a block of columns of text, `first` being the number of the first row; no names: a header.

    Not `quoted`: lines of one column.
    """
    malformed: list[Rejected] = []
    skipped = 2 if names is None else 1  # pyarrow counts rows from 1, the header included.

    def keep(row: pacsv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} fields, not {row.expected_columns}" if quoted else _NO_OBJECT
        malformed.append(Rejected(row=first + row.number - skipped, reason=reason, content=_raw_content(row.text)))
        return "skip"

    table = _read_table(
        data,
        names,
        few,
        pacsv.ParseOptions(
            delimiter="," if quoted else _UNIT_SEPARATOR,
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
            invalid_row_handler=keep,
        ),
    )
    return Block(
        rows=_one_batch(table),
        first_row=first,
        bytes_read=text.bytes_read,
        malformed=tuple(malformed),
        encoding=text.encoding,
    )


def _read_table(data: bytes, names: list[str] | None, few: set[str], parse_options: pacsv.ParseOptions) -> pa.Table:
    """All in one chunk, columns as strings, whatever bytes they hold; those of `few` texts as dictionaries."""
    return pacsv.read_csv(
        pa.BufferReader(_native(data or b"\n")),  # pyarrow takes a blank line for no rows, and nothing for an error.
        read_options=pacsv.ReadOptions(
            use_threads=False,  # With threads pyarrow does not tell the number of a malformed row.
            block_size=len(data) + 2,
            column_names=names,
        ),
        parse_options=parse_options,
        convert_options=pacsv.ConvertOptions(
            default_column_type=pa.string(),
            column_types=dict.fromkeys(few, _DICTIONARY),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [column.chunk(0) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=table.schema.names)


def _native(data: bytes) -> pa.Buffer:
    """A copy that Arrow's threads can let go without Python."""
    sink = pa.BufferOutputStream()
    sink.write(data)
    return sink.getvalue()


def _with_open_row(block: Block, rest: bytes, row: int) -> Block:
    """The block and, as one malformed row, what follows a quotation mark that is never closed."""
    content = _raw_content(rest.removesuffix(b"\n").decode())
    lost = Rejected(row=row, reason="the file ends inside quotation marks", content=content)
    return replace(block, malformed=(*block.malformed, lost))


def _raw_content(text: str) -> str:
    return shorten(text.replace(MARK, "\\x"), CONTENT_CHARACTERS_MAX)


def _line_contents(lines: pa.RecordBatch, indices: list[int]) -> list[str]:
    return [_raw_content(line) for line in lines.column(0).take(pa.array(indices)).to_pylist()]


def _marked_contents(rows: pa.RecordBatch, indices: list[int]) -> list[str]:
    return [text.replace(MARK, "\\\\x") for text in row_contents(rows, indices)]


def _marked(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Rows with an undecodable byte in any column."""
    bad = np.zeros(batch.num_rows, np.bool_)
    for values in batch.columns:
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        bad |= pc.match_substring(values, MARK).to_numpy(zero_copy_only=False)
    return bad


def _parse_json(connection: duckdb.DuckDBPyConnection, block: Block, keys: list[str]) -> Block:
    """A block of lines as a block of columns, one for each key met so far; all values are text, `null` is null."""
    lines = connection.from_arrow(pa.Table.from_batches([block.rows]))
    good = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END"
    objects = _query(lines, f"SELECT {good} AS good FROM lines")["good"]  # noqa: S608 - a constant
    block = without(block, ~objects.to_numpy(), _NO_OBJECT, _line_contents)
    lines = connection.from_arrow(pa.Table.from_batches([block.rows]))
    found = _query(lines, "SELECT DISTINCT unnest(json_keys(line)) AS key FROM lines")["key"].to_pylist()
    keys += sorted(set(found) - set(keys))
    rows = _extract(lines, keys) if keys else pa.RecordBatch.from_pylist([], schema=pa.schema([]))
    return replace(block, rows=rows)


def _extract(lines: duckdb.DuckDBPyRelation, keys: list[str]) -> pa.RecordBatch:
    pointers = ("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
    quoted = ", ".join("'" + pointer.replace("'", "''") + "'" for pointer in pointers)
    columns = ", ".join(f"found[{place}] AS c{place}" for place in range(1, len(keys) + 1))
    sql = f"SELECT {columns} FROM (SELECT json_extract_string(line, [{quoted}]) AS found FROM lines)"  # noqa: S608 - keys are quoted
    table = _query(lines, sql).combine_chunks()
    arrays = [column.chunk(0) if column.num_chunks else pa.array([], pa.string()) for column in table.columns]
    return pa.RecordBatch.from_arrays([values.cast(pa.string()) for values in arrays], names=keys)


def _query(lines: duckdb.DuckDBPyRelation, sql: str) -> pa.Table:
    answer = lines.query("lines", sql)
    assert answer is not None, "a SELECT has an answer"
    return answer.to_arrow_table()


def _read_parquet(path: Path, block_rows: int) -> Iterator[Block]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        sizes = [_group_bytes(file.metadata.row_group(group)) for group in range(file.num_row_groups)]
        total, first, done = max(sum(sizes), 1), 0, 0
        for group, size in enumerate(sizes):
            rows = max(file.metadata.row_group(group).num_rows, 1)
            begin = first
            for batch in file.iter_batches(batch_size=block_rows, row_groups=[group]):
                share = (done + size * (first - begin + batch.num_rows) / rows) / total
                yield Block(rows=_sound(batch), first_row=first, bytes_read=int(path.stat().st_size * share))
                first += batch.num_rows
            done += size
        if not first:
            empty = pa.RecordBatch.from_pylist([], schema=file.schema_arrow)
            yield Block(rows=empty, first_row=0, bytes_read=path.stat().st_size)


def _group_bytes(group: pq.RowGroupMetaData) -> int:
    return sum(group.column(place).total_compressed_size for place in range(group.num_columns))


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, its strings as bytes if some are no UTF-8: then their rows fail where they are converted."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        arrays = [values.view(pa.binary()) if pa.types.is_string(values.type) else values for values in batch.columns]
        batch = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
        batch.validate(full=True)
    return batch
