"""One file of a log, named `<first lsn, 20 digits>.log`. All integers are little-endian.

    offset  size  field
         0     4  magic, "CHL1"
         4     4  format version, 1
         8     8  first lsn
        16     8  epoch of the entry before the first one (0 for lsn 1)
        24    16  hash of it
        40     8  first lsn of the file before this one (0 when there was none)
        48     4  length of the file before, bytes
        52     4  CRC-32 of the 52 bytes before
        56     4  mark: how many of this file's entries are known to be durable
        60     4  CRC-32 of the mark
        64     …  entries, as in `replication.codec`

The mark is the only field ever written again. It is set after an fsync and reaches the disk with the next one, so
after a power loss it is at most one append behind, and it never claims too much.

`replication.log` puts the files together. Deliberately absent here: locks, and any judgement of damage.
"""

import os
import struct
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from replication.codec import HEADER_BYTES, MAGIC, CodecError, decode_entries, decode_header, header_id
from replication.core.types import Entry, EntryId
from replication.durable import checked, sync_directory, write_all
from replication.errors import EntryNotHeldError, LogDamagedError

FILE_HEADER_BYTES: Final = 64
_FILE_MAGIC: Final = b"CHL1"
_FORMAT_VERSION: Final = 1
_FIELDS: Final = struct.Struct("<4sIQQ16sQI")
_MARK_OFFSET: Final = 56
_WORD: Final = struct.Struct("<I")
_FILE_BYTES_MAX: Final = (1 << 32) - 1
_VERIFY_BYTES: Final = 1 << 20
_HEADERS_BYTES: Final = 1 << 16
"""Bytes read at once when only headers are looked at: large payloads are then skipped unread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    first_lsn: int
    previous: EntryId
    file_before_lsn: int
    file_before_bytes: int


class LogFile:
    """An open file. `size_bytes` ends its last entry; `bounds`, once known, holds where each entry begins, then that.

    `previous` identifies the entry before the first one, `marked` counts the entries known to be durable at open.
    """

    def __init__(self, path: Path, fd: int, header: _Header, size_bytes: int, marked: int) -> None:
        self.path = path
        self.fd = fd
        self.first_lsn = header.first_lsn
        self.previous = header.previous
        self.file_before_lsn = header.file_before_lsn
        self.file_before_bytes = header.file_before_bytes
        self.size_bytes = size_bytes
        self.marked = marked
        self.bounds: array[int] | None = None

    @classmethod
    def create(cls, directory: Path, previous: EntryId, file_before: "LogFile | None") -> "LogFile":
        """A new file for the entries after `previous`, durable when this returns. Raises OSError and leaves none."""
        header = _Header(
            first_lsn=previous.lsn + 1,
            previous=previous,
            file_before_lsn=file_before.first_lsn if file_before else 0,
            file_before_bytes=file_before.size_bytes if file_before else 0,
        )
        path = file_path(directory, header.first_lsn)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, [_encode(header), checked(_WORD.pack(0))], 0)
            os.fsync(fd)
            sync_directory(directory)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        file = cls(path, fd, header, FILE_HEADER_BYTES, marked=0)
        file.bounds = array("I", [FILE_HEADER_BYTES])
        return file

    @classmethod
    def open(cls, path: Path) -> "LogFile":
        """An existing file; its header is verified, its entries are not. Raises LogDamagedError."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            data = os.pread(fd, FILE_HEADER_BYTES, 0)
            header = _decode(path, data)
            mark = data[_MARK_OFFSET:]
            marked = _WORD.unpack_from(mark)[0] if checked(mark[:4]) == mark else 0
            return cls(path, fd, header, os.fstat(fd).st_size, marked)
        except BaseException:
            os.close(fd)
            raise

    def verified(self) -> Iterator[tuple[int, Entry]]:
        """(offset, entry) of each entry, each verified to follow. Raises LogDamagedError at the first bad one."""
        offset, after = FILE_HEADER_BYTES, self.previous
        while offset < self.size_bytes:
            begin = offset
            try:
                for entry in decode_entries(self._whole_entry(offset), after=after):
                    yield offset, entry
                    offset += entry.size_bytes
                    after = entry.id
            except CodecError as error:
                if offset == begin:  # Otherwise the bytes read ended within an entry: read on from there.
                    raise LogDamagedError(self.path, offset, after.lsn + 1, error.reason) from None

    def headers(self) -> Iterator[tuple[int, bytes]]:
        """(offset, header) of each entry; payloads are not verified. Raises LogDamagedError when a header is bad."""
        try:
            yield from self._headers()
        except LogDamagedError:
            deque(self.verified(), maxlen=0)  # A payload before it may be bad, too: name the first damage.
            raise

    def _headers(self) -> Iterator[tuple[int, bytes]]:
        data, base = b"", 0
        offset, lsn = FILE_HEADER_BYTES, self.first_lsn
        while offset < self.size_bytes:
            if offset + HEADER_BYTES > base + len(data):
                data, base = os.pread(self.fd, _HEADERS_BYTES, offset), offset
            header = data[offset - base : offset - base + HEADER_BYTES]
            end = offset + HEADER_BYTES + self._checked_length(header, offset, lsn)
            if end > self.size_bytes:
                raise LogDamagedError(self.path, offset, lsn, "incomplete payload")
            yield offset, header
            offset, lsn = end, lsn + 1

    def index(self) -> "array[int]":
        """What `bounds` should be, from the headers. Raises LogDamagedError."""
        bounds = array("I", (offset for offset, _ in self.headers()))
        bounds.append(self.size_bytes)
        return bounds

    def id_at(self, lsn: int) -> EntryId:
        """Identity of an entry of this file, or of the one before its first. Raises LogDamagedError."""
        if lsn < self.first_lsn:
            assert lsn == self.previous.lsn
            return self.previous
        offset = self.begin_of(lsn)
        header = os.pread(self.fd, HEADER_BYTES, offset)
        self._checked_length(header, offset, lsn)
        return header_id(header)

    def begin_of(self, lsn: int) -> int:
        """Offset where the entry begins, or would begin if it were the next one. Raises EntryNotHeldError."""
        assert self.bounds is not None
        try:
            return self.bounds[lsn - self.first_lsn]
        except IndexError:
            raise EntryNotHeldError(lsn, self.first_lsn, self.first_lsn + len(self.bounds) - 2) from None

    def span(self, after_lsn: int, through_lsn: int, bytes_max: int) -> tuple[int, int]:
        """(begin, end) of the entries after `after_lsn`: as many as fit into `bytes_max`, but one at least.

        Raises EntryNotHeldError.
        """
        assert self.bounds is not None
        begin, end = self.begin_of(after_lsn + 1), self.begin_of(after_lsn + 2)
        second = after_lsn + 2 - self.first_lsn
        stop = min(len(self.bounds), through_lsn + 2 - self.first_lsn)
        fitting = bisect_right(self.bounds, begin + bytes_max, second, stop) - 1
        return begin, max(end, self.bounds[fitting])

    def read(self, span: tuple[int, int], after: EntryId) -> list[Entry]:
        """The entries of a span, verified to follow `after`. Raises LogDamagedError."""
        begin, end = span
        data = os.pread(self.fd, end - begin, begin)
        entries: list[Entry] = []
        try:
            for entry in decode_entries(data, after=after):
                entries.append(entry)
            if len(data) < end - begin:
                raise CodecError("file ends", len(data))
        except CodecError as error:
            lsn = after.lsn + 1 + len(entries)
            raise LogDamagedError(self.path, begin + error.offset, lsn, error.reason) from None
        return entries

    def write(self, entries: Sequence[Entry]) -> list[int]:
        """Writes entries after the last one, and returns where each ends: for `extend`. Raises OSError."""
        parts: list[bytes | memoryview] = []
        ends = []
        end = self.size_bytes
        for entry in entries:
            parts += (entry.header, entry.payload)
            end += HEADER_BYTES + len(entry.payload)
            ends.append(end)
        assert end <= _FILE_BYTES_MAX
        write_all(self.fd, parts, self.size_bytes)
        return ends

    def extend(self, ends: Sequence[int]) -> None:
        """Counts in what `write` wrote."""
        assert self.bounds is not None
        self.bounds.extend(ends)
        self.size_bytes = ends[-1]

    def shorten(self, after_lsn: int) -> None:
        """Counts out the entries after `after_lsn`; their bytes stay until the file is cut to `size_bytes`."""
        assert self.bounds is not None
        del self.bounds[after_lsn + 2 - self.first_lsn :]
        self.size_bytes = self.bounds[-1]

    def mark(self) -> None:
        """Notes that all entries are durable; the note itself is durable after the next fsync. Raises OSError."""
        assert self.bounds is not None
        os.pwrite(self.fd, checked(_WORD.pack(len(self.bounds) - 1)), _MARK_OFFSET)

    def close(self) -> None:
        os.close(self.fd)

    def _whole_entry(self, offset: int) -> bytes:
        """Bytes from `offset` on that hold at least the entry there, if the file does."""
        data = os.pread(self.fd, _VERIFY_BYTES, offset)
        try:
            _, length = decode_header(data[:HEADER_BYTES])
        except CodecError:
            return data
        if HEADER_BYTES + length <= len(data):
            return data
        return os.pread(self.fd, HEADER_BYTES + length, offset)

    def _checked_length(self, header: bytes, offset: int, lsn: int) -> int:
        try:
            found, length = decode_header(header)
        except CodecError as error:
            raise LogDamagedError(self.path, offset, lsn, error.reason) from None
        if found != lsn:
            raise LogDamagedError(self.path, offset, lsn, f"entry {found} is in its place")
        return length


def file_path(directory: Path, first_lsn: int) -> Path:
    return directory / f"{first_lsn:020}.log"


def file_paths(directory: Path) -> list[Path]:
    """The directory's log files, oldest first."""
    return sorted(path for path in directory.glob("*.log") if len(path.stem) == 20 and path.stem.isdecimal())


def holds_entry(data: bytes, from_lsn: int) -> bool:
    """Whether a whole, verified entry of at least `from_lsn` begins anywhere in the bytes."""
    found = data.find(MAGIC)
    while found >= 0:
        try:
            if next(decode_entries(memoryview(data)[found:])).lsn >= from_lsn:
                return True
        except CodecError:
            pass  # Bytes that look like the magic, or the beginning of a torn entry.
        found = data.find(MAGIC, found + 1)
    return False


def _encode(header: _Header) -> bytes:
    before = header.previous
    files = (header.file_before_lsn, header.file_before_bytes)
    return checked(_FIELDS.pack(_FILE_MAGIC, _FORMAT_VERSION, header.first_lsn, before.epoch, before.hash, *files))


def _decode(path: Path, data: bytes) -> _Header:
    """Raises LogDamagedError."""
    lsn = int(path.stem)
    if len(data) < FILE_HEADER_BYTES:
        raise LogDamagedError(path, 0, lsn, "incomplete file header")
    magic, version, first_lsn, epoch, before_hash, file_before_lsn, file_before_bytes = _FIELDS.unpack_from(data)
    if magic != _FILE_MAGIC:
        raise LogDamagedError(path, 0, lsn, "no log file magic")
    if checked(data[: _FIELDS.size]) != data[:_MARK_OFFSET]:
        raise LogDamagedError(path, 0, lsn, "file header checksum differs")
    if version != _FORMAT_VERSION:
        raise LogDamagedError(path, 0, lsn, f"unknown format version {version}")
    if first_lsn != lsn:
        raise LogDamagedError(path, 0, lsn, f"file of entry {first_lsn} is in its place")
    return _Header(
        first_lsn=first_lsn,
        previous=EntryId(lsn=first_lsn - 1, epoch=epoch, hash=before_hash),
        file_before_lsn=file_before_lsn,
        file_before_bytes=file_before_bytes,
    )
