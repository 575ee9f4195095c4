"""Text as UTF-8, whatever encoding it comes in: which one that is, and what is done with bytes that are no text.

    file → unzip → bytes → decoded, bad bytes marked → UTF-8                    any encoding
                         → passed on; columns decoded one by one → UTF-8        GB18030 of CSV (`decode_columns`)

Undecodable bytes are marked rather than passed through: pyarrow cannot hand over a malformed row that is no UTF-8. No
byte of a GB18030 character can be taken for a comma, a quotation mark or an end of line, so that rows can be cut before
they are decoded: columns of ASCII cost nothing then, and texts that are repeated are decoded once.
"""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.errors import InputFileError

_GZIP_MAGIC: Final = b"\x1f\x8b"
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BINARY_MAGICS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1")  # Zip and new Excel, old Excel, Parquet.
_BINARY_SHARE: Final = 50  # Of so many bytes of text at most one is zero.
_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 65_536
_SAMPLE_GZIP_BYTES_MAX: Final = 64 << 20
_SAMPLE_LINES_ENOUGH: Final = 5_000
_JUDGED_LINES: Final = 2_000
# Stands before the two hex digits of an undecodable byte. Unicode will never give it a meaning, and being the last
# code point of all it costs nothing to look for: Python knows that a text without such characters cannot hold it.
MARK: Final = "\U0010ffff"
MARK_ERRORS: Final = "hub.ingest.mark"
_SEPARATORS: Final = (b"\n", b"\x1e", b"\x1f", b"\0")


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
        with open_bytes(path) as (source, _):
            begin = source.read(4)
        if begin.startswith(_UTF16_MARKS):
            return "utf-16"
        for sample in _samples(path):
            if begin in _BINARY_MAGICS or _BINARY_SHARE * sample.count(b"\0") > len(sample):
                raise InputFileError(f"{path.name} holds binary data, not text", hint="export it as CSV in UTF-8")
            lines += [line for line in sample.split(b"\n") if not line.isascii()]
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{path.name} cannot be read: {error}", hint=damage_hint(error)) from error
    lines = lines[:: max(1, len(lines) // _JUDGED_LINES)]
    utf8 = sum(_decodes(line, "utf-8") for line in lines)
    if 2 * utf8 >= len(lines):
        return "utf-8"
    return "gb18030" if sum(_decodes(line, "gb18030") for line in lines) > utf8 else "utf-8"


def _samples(path: Path) -> Iterator[bytes]:
    """Whole lines: from evenly spread places of a plain file, from the front of a gzipped one until they suffice."""
    with open_bytes(path) as (source, raw):
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
def open_bytes(path: Path) -> Iterator[tuple[pa.NativeFile, pa.NativeFile]]:
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
    """A byte at a time, since what breaks a character off may end its row. UTF-16 and UTF-32 have no single bytes."""
    assert isinstance(error, UnicodeDecodeError)
    end = error.end if error.encoding.startswith(("utf-16", "utf-32")) else error.start + 1
    return "".join(f"{MARK}{byte:02x}" for byte in error.object[error.start : end]), end


codecs.register_error(MARK_ERRORS, _mark)


class Text:
    """A file's text that ends with a newline: as valid UTF-8, or undecoded if it is `raw`."""

    def __init__(self, name: str, source: pa.NativeFile, file: pa.NativeFile, encoding: str, *, raw: bool) -> None:
        self._source = source
        self._file = file
        self.raw = raw
        self._utf8 = encoding == "utf-8"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=MARK_ERRORS)
        self._newline = False
        self.name = name
        self.encoding = encoding
        self.marked = False
        self.finished = False
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        """About `size` bytes, nothing once the text has ended."""
        data = self._source.read(size)
        self.bytes_read = self._file.tell()
        self.finished = not data
        more = data if self.raw else self._decode(data)
        if more:
            self._newline = more.endswith(b"\n")
        return more if self._newline or not self.finished else more + b"\n"

    def _decode(self, data: bytes) -> bytes:
        held = bytes(self._decoder.getstate()[0])
        if self._utf8 and not held and data.isascii():
            return data
        text = self._decoder.decode(data, final=not data)
        if MARK in text:
            self.marked = True
        elif self._utf8:  # Valid as it is, up to a character that the next bytes complete.
            return (held + data)[: len(held) + len(data) - len(self._decoder.getstate()[0])]
        return text.encode()

    def decoded(self, whole: bytes) -> bytes:
        """Whole rows of raw text as UTF-8."""
        text = whole.decode(self.encoding, MARK_ERRORS)
        self.marked = self.marked or MARK in text
        return text.encode()

    def decode_columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Columns of strings that hold raw text, as UTF-8."""
        return pa.RecordBatch.from_arrays([self._decode_column(one) for one in rows.columns], names=rows.schema.names)

    def _decode_column(self, values: pa.Array) -> pa.Array:
        if pa.types.is_dictionary(values.type):
            return pa.DictionaryArray.from_arrays(values.indices, self._decode_column(values.dictionary))
        content = _content(values)
        return values if content.isascii() else self._decode_each(values, content)

    def _decode_each(self, values: pa.Array, content: bytes) -> pa.Array:
        """All texts at once, an end of line after each, or whatever else does not occur in them."""
        separator = next((one for one in _SEPARATORS if one not in content), None)
        if separator is None:
            return pa.array([self.decoded(one).decode() for one in values.cast(pa.binary()).to_pylist()], pa.string())
        joined = pc.binary_join_element_wise(values, "", separator.decode())
        utf8 = np.frombuffer(self.decoded(_content(joined)), np.uint8)
        inner = utf8 != separator[0]
        ends = np.flatnonzero(~inner)
        assert len(ends) == len(values), "a separator is no part of a character"
        offsets = np.zeros(len(values) + 1, np.int32)
        offsets[1:] = ends - np.arange(len(values))
        return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(utf8[inner]))


def _content(values: pa.Array) -> bytes:
    """The bytes of all strings, one after the other."""
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(values) + 1, values.offset * 4)
    return b"" if data is None else bytes(memoryview(data)[bounds[0] : bounds[-1]])


def damage_hint(error: Exception) -> str:
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
        return ""
    return "is the file complete?"
