"""Agencies' files as blocks of rows: CSV, JSON lines, Parquet; text plain or gzipped; memory bounded by the block.

    file → unzip → decode (bad bytes marked) → cut at row ends → pyarrow.csv → Block, ...   CSV: columns of text
                                                     → DuckDB's JSON functions → Block, ...   JSON lines: the same
    file → pyarrow.parquet, row group by row group → Block, ...                      Parquet: columns as they are

A row that cannot be read (wrong number of fields, undecodable bytes, no JSON object) is handed on in
`Block.malformed` with its reason: rows in = rows + malformed. Blank lines are no rows. A file that cannot be read as
a whole (damaged, truncated, a row longer than a block) raises InputFileError after the blocks before the damage.

Text that says nothing about its encoding is UTF-8, with or without a byte order mark, or GB18030: what most of the
lines sampled across the file are valid in. UTF-16 is known by its byte order mark.
"""

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from hub.ingest.checks import CONTENT_CHARACTERS_MAX, Rejected, row_contents, shorten

FileFormat = Literal["csv", "parquet", "jsonl"]
BLOCK_BYTES: Final = 4 << 20
BLOCK_ROWS: Final = 65_536
JSON_KEYS_MAX: Final = 4_096
_NO_OBJECT: Final = "is no JSON object"

_SUFFIXES: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_GZIP_MAGIC: Final = b"\x1f\x8b"
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BINARY_MAGICS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1")  # Zip and new Excel, old Excel, Parquet.
_BINARY_SHARE: Final = 50  # Of so many bytes of text at most one is zero.
_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 65_536
_SAMPLE_GZIP_BYTES_MAX: Final = 64 << 20
_SAMPLE_LINES_ENOUGH: Final = 5_000
# Stands before the two hex digits of an undecodable byte. Unicode will never give it a meaning, and being the last
# code point of all it costs nothing to look for: Python knows that a text without such characters cannot hold it.
_MARK: Final = "\U0010ffff"
_MARK_ERRORS: Final = "hub.ingest.mark"
_QUOTE: Final = b'"'
_NEWLINE: Final = np.frombuffer(b"\n", np.uint8)
_BESIDE_QUOTES: Final = np.frombuffer(b'",\r\n', np.uint8)
# Whole rows as pyarrow understands them: a quotation mark opens a value only where the value begins.
_VALUE: Final = rb'(?:"(?:[^"]++|"")*+"[^,\n\r]*+|[^",\n\r][^,\n\r]*+|)'
_ROWS: Final = re.compile(rb"(?:(?:" + _VALUE + rb",)*+" + _VALUE + rb"(?:\r\n|\n|\r(?=[^\n])))*+")
# No JSON text holds it unescaped, so that as a delimiter it leaves every sound line whole.
_UNIT_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of a file that follow each other, and those between them that cannot be read.

    `first_row` and the rows in `malformed` count the file's rows from 0, without header and blank lines.
    `bytes_read` counts bytes of the file as it lies on disk. `encoding` is what text was decoded from.
    """

    rows: pa.RecordBatch
    first_row: int
    bytes_read: int
    malformed: tuple[Rejected, ...] = ()
    encoding: str = ""

    def row_numbers(self) -> npt.NDArray[np.int64]:
        """The file's row number of each of `rows`."""
        numbers = np.arange(self.first_row, self.first_row + self.rows.num_rows + len(self.malformed))
        return np.delete(numbers, [one.row - self.first_row for one in self.malformed])


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
    block_bytes: int = BLOCK_BYTES,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[Block]:
    """Blocks in the file's order; at least one, so that a file without rows still tells its columns.

    `block_bytes` bounds a block of text and its longest row, `block_rows` a block of Parquet. `encoding` is any
    codec of Python, for text only. Raises InputFileError.
    """
    kind = file_format(path, format)
    try:
        if path.stat().st_size == 0:
            raise InputFileError(f"{path.name} is empty")
        if kind == "parquet":
            yield from _read_parquet(path, block_rows)
        else:
            known = resolve_encoding(path, encoding)
            read = _read_csv if kind == "csv" else _read_json_lines
            yield from read(path, known, block_bytes)
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{path.name} cannot be read as {kind}: {error}", hint=_hint(error)) from error


def resolve_encoding(path: Path, encoding: str | None) -> str:
    """Codec name for what the user said, or for what the file looks like. Raises InputFileError."""
    if encoding is None:
        return detect_encoding(path)
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise InputFileError(f"unknown encoding {encoding!r}", hint="utf-8 or gb18030, for example") from error
    return "gb18030" if name in ("gb2312", "gbk") else name  # Files said to be in the older two hold more than that.


def detect_encoding(path: Path) -> str:
    """`utf-8`, `gb18030` or `utf-16`: by lines sampled across the file (of a gzipped one, its first 64 MiB).

    UTF-8 if at least half of the lines with other than ASCII are valid in it, so that a few broken rows do not
    decide; else the one that more of them are valid in. Raises InputFileError for a file that holds no text.
    """
    lines: list[bytes] = []
    try:
        with _open_bytes(path) as (source, _):
            begin = source.read(4)
        if begin.startswith(_UTF16_MARKS):
            return "utf-16"
        for sample in _samples(path):
            if begin in _BINARY_MAGICS or _BINARY_SHARE * sample.count(b"\0") > len(sample):
                raise InputFileError(f"{path.name} holds binary data, not text", hint="export it as CSV in UTF-8")
            lines += [line for line in sample.split(b"\n") if not line.isascii()]
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{path.name} cannot be read: {error}", hint=_hint(error)) from error
    utf8 = sum(_decodes(line, "utf-8") for line in lines)
    if 2 * utf8 >= len(lines):
        return "utf-8"
    return "gb18030" if sum(_decodes(line, "gb18030") for line in lines) > utf8 else "utf-8"


def _samples(path: Path) -> Iterator[bytes]:
    """Whole lines: from evenly spread places of a plain file, from the front of a gzipped one until they suffice."""
    with _open_bytes(path) as (source, raw):
        if source is not raw:
            rest, taken, lines = b"", 0, 0
            while taken < _SAMPLE_GZIP_BYTES_MAX and lines < _SAMPLE_LINES_ENOUGH and (data := source.read(1 << 20)):
                taken += len(data)
                whole, _, rest = (rest + data).rpartition(b"\n")
                lines += sum(not line.isascii() for line in whole.split(b"\n"))
                yield whole
            yield rest
            return
        size = raw.size()
        step = max(size // _SAMPLES, _SAMPLE_BYTES)
        for start in range(0, size, step):
            raw.seek(start)
            sample = raw.read(_SAMPLE_BYTES)
            begin = sample.find(b"\n") + 1 if start else 0
            end = sample.rfind(b"\n") + 1 if start + len(sample) < size else len(sample)
            yield sample[begin : end or len(sample)]


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _open_bytes(path: Path) -> Iterator[tuple[pa.NativeFile, pa.NativeFile]]:
    """The file's content, unzipped, and the file itself: the same object if it is not gzipped."""
    with pa.OSFile(str(path)) as raw:
        magic = raw.read(len(_GZIP_MAGIC))
        raw.seek(0)
        if path.suffix.lower() == ".gz" or magic == _GZIP_MAGIC:
            with pa.CompressedInputStream(raw, "gzip") as source:
                yield source, raw
        else:
            yield raw, raw


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"{_MARK}{byte:02x}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_MARK_ERRORS, _mark)


class _Utf8Text:
    """A file's text as valid UTF-8 that ends with a newline, its undecodable bytes marked.

    Marked rather than passed through: pyarrow cannot hand over a malformed row that is no UTF-8.
    """

    def __init__(self, name: str, source: pa.NativeFile, raw: pa.NativeFile, encoding: str) -> None:
        self._source = source
        self._raw = raw
        self._utf8 = encoding == "utf-8"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=_MARK_ERRORS)
        self._newline = False
        self.name = name
        self.encoding = encoding
        self.marked = False
        self.finished = False
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        """About `size` bytes, nothing once the text has ended."""
        data = self._source.read(size)
        self.bytes_read = self._raw.tell()
        self.finished = not data
        more = self._decode(data)
        if more:
            self._newline = more.endswith(b"\n")
        return more if self._newline or not self.finished else more + b"\n"

    def _decode(self, data: bytes) -> bytes:
        held = bytes(self._decoder.getstate()[0])
        if self._utf8 and not held and data.isascii():
            return data
        text = self._decoder.decode(data, final=not data)
        if _MARK in text:
            self.marked = True
        elif self._utf8:  # Valid as it is, up to a character that the next bytes complete.
            return (held + data)[: len(held) + len(data) - len(self._decoder.getstate()[0])]
        return text.encode()


def _read_csv(path: Path, encoding: str, block_bytes: int) -> Iterator[Block]:
    with _open_bytes(path) as (source, raw):
        yield from _rows_of_text(_Utf8Text(path.name, source, raw, encoding), block_bytes, header=True)


def _read_json_lines(path: Path, encoding: str, block_bytes: int) -> Iterator[Block]:
    """JSON lines by DuckDB: pyarrow.json stops at the first bad line, and makes doubles of 25-digit codes."""
    with _open_bytes(path) as (source, raw), duckdb.connect(config={"threads": 1}) as connection:
        keys: list[str] = []
        for block in _rows_of_text(_Utf8Text(path.name, source, raw, encoding), block_bytes, header=False):
            yield _parse_json(connection, block, keys)
            if len(keys) > JSON_KEYS_MAX:
                raise InputFileError(f"{path.name} has over {JSON_KEYS_MAX} keys", hint="is a value used as a key?")


def _rows_of_text(text: _Utf8Text, block_bytes: int, *, header: bool) -> Iterator[Block]:
    """Whole rows, block by block, each block parsed at once.

    Not by pyarrow's own streaming reader: that reads ahead in threads that call back into Python and outlive it, and
    an interpreter that ends meanwhile hangs or aborts.
    """
    names: list[str] | None = None if header else ["line"]
    first = 0
    for data, rest in _whole_rows(text, block_bytes, quoted=header):
        block = _parse_rows(data, names, first, text, quoted=header)
        if any(_MARK in name for name in block.rows.schema.names):
            raise InputFileError(f"{text.name}: the header is no {text.encoding}", hint="say the file's encoding")
        names = block.rows.schema.names
        if text.marked:
            block = _without(block, _marked(block.rows), f"holds bytes that are no {text.encoding}", raw=not header)
        first += block.rows.num_rows + len(block.malformed)
        yield _with_open_row(block, rest, first) if rest else block


def _whole_rows(text: _Utf8Text, block_bytes: int, *, quoted: bool) -> Iterator[tuple[bytes, bytes]]:
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


def _parse_rows(data: bytes, names: list[str] | None, first: int, text: _Utf8Text, *, quoted: bool) -> Block:
    """Whole rows as a block of columns of text, `first` being the number of the first row; no names: a header.

    Not `quoted`: lines of one column.
    """
    malformed: list[Rejected] = []
    skipped = 2 if names is None else 1  # pyarrow counts rows from 1, the header included.

    def keep(row: pacsv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} fields, not {row.expected_columns}" if quoted else _NO_OBJECT
        malformed.append(Rejected(row=first + row.number - skipped, reason=reason, content=_raw_content(row.text)))
        return "skip"

    table = pacsv.read_csv(
        pa.BufferReader(_native(data or b"\n")),  # pyarrow takes a blank line for no rows, and nothing for an error.
        read_options=pacsv.ReadOptions(
            use_threads=False,  # With threads pyarrow does not tell the number of a malformed row.
            block_size=len(data) + 2,
            column_names=names,
        ),
        parse_options=pacsv.ParseOptions(
            delimiter="," if quoted else _UNIT_SEPARATOR,
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
            invalid_row_handler=keep,
        ),
        convert_options=pacsv.ConvertOptions(
            default_column_type=pa.string(), strings_can_be_null=False, check_utf8=False
        ),
    )
    columns = [column.chunk(0) for column in table.columns]
    return Block(
        rows=pa.RecordBatch.from_arrays(columns, names=table.schema.names),
        first_row=first,
        bytes_read=text.bytes_read,
        malformed=tuple(malformed),
        encoding=text.encoding,
    )


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
    return shorten(text.replace(_MARK, "\\x"), CONTENT_CHARACTERS_MAX)


def _without(block: Block, bad: npt.NDArray[np.bool_], reason: str, *, raw: bool = False) -> Block:
    """The block with its bad rows moved to the malformed ones; `raw` is for lines, whose content is their text."""
    indices = np.flatnonzero(bad)
    if not len(indices):
        return block
    if raw:
        contents = [_raw_content(line) for line in block.rows.column(0).take(pa.array(indices)).to_pylist()]
    else:
        contents = [text.replace(_MARK, "\\\\x") for text in row_contents(block.rows, indices.tolist())]
    moved = [
        Rejected(row=row, reason=reason, content=content)
        for row, content in zip(block.row_numbers()[indices].tolist(), contents, strict=True)
    ]
    malformed = tuple(sorted((*block.malformed, *moved), key=lambda one: one.row))
    return replace(block, rows=block.rows.filter(pa.array(~bad)), malformed=malformed)


def _marked(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Rows with an undecodable byte in any column."""
    bad = np.zeros(batch.num_rows, np.bool_)
    for values in batch.columns:
        bad |= pc.match_substring(values, _MARK).to_numpy(zero_copy_only=False)
    return bad


def _parse_json(connection: duckdb.DuckDBPyConnection, block: Block, keys: list[str]) -> Block:
    """A block of lines as a block of columns, one for each key met so far; all values are text, `null` is null."""
    lines = connection.from_arrow(pa.Table.from_batches([block.rows]))
    good = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END"
    objects = _query(lines, f"SELECT {good} AS good FROM lines")["good"]  # noqa: S608 - a constant
    block = _without(block, ~objects.to_numpy(), _NO_OBJECT, raw=True)
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


def _hint(error: Exception) -> str:
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
        return ""
    return "is the file complete?"
