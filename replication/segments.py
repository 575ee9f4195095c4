"""Segments on disk: a folder of immutable files, each named by the XXH3-128 of its bytes.

    <id, 32 hexadecimal digits>.parquet   a segment: whole, and durable
    <id>.part                             one that is being received; its length says where to go on
    <id>.<number>.new                     one that is being written here

Writing, in this order:
1. write the bytes under a name that is no segment's;
2. fsync the file;
3. rename it;
4. fsync the folder;
5. count it in: from now on `holds` says so.

Receiving is the same chunk by chunk, and the checksum must be right before step 2. So whatever fails, and whenever the
power does, a file with a segment's name has all of its bytes. Opening removes what can be of no use any more, and
fsyncs the folder: a process may have died between steps 3 and 4.

Deliberately absent: what is in a segment; which ones are needed; the pace of scrubbing; retries.
"""

import errno
import itertools
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from xxhash import xxh3_128

from replication.durable import NO_ROOM, make_directory
from replication.errors import (
    SegmentBusyError,
    SegmentDamagedError,
    SegmentError,
    SegmentFailedError,
    SegmentFullError,
    SegmentMissingError,
)
from replication.folder_sync import FolderSync
from replication.segment_reception import Reception
from replication.segment_staging import Bytes, StagingFile

_ID: Final = re.compile(r"[0-9a-f]{32}")
_SEGMENT: Final = ".parquet"
_RECEIVED: Final = ".part"
_WRITTEN: Final = ".new"
_VERIFY_BYTES: Final = 4 << 20


def is_segment_id(text: str) -> bool:
    """Whether this may name a segment: everything that comes from elsewhere is asked before it becomes a path."""
    return _ID.fullmatch(text) is not None


def segment_id_of(parts: Sequence[Bytes]) -> str:
    """The id of a segment of these bytes."""
    checksum = xxh3_128()
    for part in parts:
        checksum.update(part)
    return checksum.hexdigest()


class SegmentFiles:
    """The segments of one centre. Any number of threads may use it at once; no lock is held while the disk works,
    but that of the folder's fsync, which threads share.

    Whoever deletes a segment sees to it that nobody is about to name it.
    """

    def __init__(self, folder: Path, sizes_bytes: dict[str, int]) -> None:
        self.folder = folder
        self._sizes_bytes = sizes_bytes
        self._sync_folder = FolderSync(folder)
        self._numbers = itertools.count(1)
        self._receiving: set[str] = set()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, staging_s_max: float = 86_400.0) -> "SegmentFiles":
        """Creates the folder, or looks through it. What nobody went on receiving for `staging_s_max` seconds is
        removed. Raises OSError."""
        make_directory(folder)
        oldest_s = time.time() - staging_s_max
        sizes_bytes = {}
        for path in sorted(folder.iterdir()):
            segment_id = path.name[:32]
            if not is_segment_id(segment_id):
                continue
            if path.name == segment_id + _SEGMENT:
                sizes_bytes[segment_id] = path.stat().st_size
            elif path.suffix == _WRITTEN or (path.suffix == _RECEIVED and path.stat().st_mtime < oldest_s):
                path.unlink()
        files = cls(folder, sizes_bytes)
        files._sync_folder()
        return files

    # --- What is held -------------------------------------------------------------------------------------------

    def ids(self) -> frozenset[str]:
        return frozenset(self._sizes_bytes.copy())

    def holds(self, segment_id: str) -> bool:
        """Whether the segment is here, durably, and not known to be damaged. Never waits for the disk."""
        return segment_id in self._sizes_bytes

    def size(self, segment_id: str) -> int:
        """Its length in bytes. Raises SegmentMissingError."""
        try:
            return self._sizes_bytes[segment_id]
        except KeyError:
            raise SegmentMissingError(segment_id, "is not held here") from None

    def path(self, segment_id: str) -> Path:
        """Where its file lies, or would."""
        assert is_segment_id(segment_id), segment_id
        return self.folder / (segment_id + _SEGMENT)

    def written_s(self, segment_id: str) -> float:
        """When its file was made, as `time.time` counts; infinity when there is none."""
        try:
            return self.path(segment_id).stat().st_mtime
        except OSError:
            return math.inf

    # --- Writing ------------------------------------------------------------------------------------------------

    def write(self, parts: Sequence[Bytes]) -> tuple[str, int]:
        """Writes a segment of these bytes; returns its id and its length in bytes. Durable on return.

        One that is held already is not written again. Raises SegmentFullError or SegmentFailedError.
        """
        segment_id, size_bytes = segment_id_of(parts), sum(map(len, parts))
        assert size_bytes > 0, "a segment without bytes"
        with self._explained(segment_id):
            if self._is_there(segment_id, size_bytes):
                return segment_id, size_bytes
            file = StagingFile(self.folder / f"{segment_id}.{next(self._numbers)}{_WRITTEN}", keep=False)
            try:
                file.append(parts)
                file.sync()
                self._publish(segment_id, file)
            except BaseException:
                file.discard()
                raise
            file.close()
        return segment_id, size_bytes

    def link(self, segment_id: str, folder: Path) -> bool:
        """Takes a file of another folder of segments on this disk without copying it; says whether that went well."""
        try:
            self.path(segment_id).hardlink_to(folder / (segment_id + _SEGMENT))
            self._sizes_bytes[segment_id] = self.path(segment_id).stat().st_size
        except OSError:
            return False
        return True

    def receive(self, segment_id: str, size_bytes: int) -> Reception:
        """Takes up the reception of a segment of that length where an earlier one ended.

        One that is held may be received all the same: the new file takes the old one's place. Nothing is read or
        written yet. Raises SegmentBusyError while another reception goes on.
        """
        assert size_bytes > 0, "a segment without bytes"
        with self._lock:
            if segment_id in self._receiving:
                raise SegmentBusyError(segment_id, "is just being received")
            self._receiving.add(segment_id)
        return Reception(
            segment_id,
            size_bytes,
            partial(StagingFile, self._staged_path(segment_id), keep=True),
            publish=partial(self._publish, segment_id),
            explain=partial(self._explain, segment_id),
            release=partial(self._receiving.discard, segment_id),
        )

    def staged_bytes(self, segment_id: str) -> int:
        """How many bytes of a segment an earlier reception left."""
        try:
            return self._staged_path(segment_id).stat().st_size
        except OSError:
            return 0

    def distrust(self, segment_id: str) -> None:
        """It does not count as held any more, until it is written or received again."""
        self._sizes_bytes.pop(segment_id, None)

    def delete(self, segment_ids: Collection[str]) -> None:
        """Removes segments, durably on return; those that are not here are no error. Raises SegmentFailedError."""
        for segment_id in segment_ids:
            with self._explained(segment_id):
                self._sizes_bytes.pop(segment_id, None)
                self.path(segment_id).unlink(missing_ok=True)
        if segment_ids:
            with self._explained(next(iter(segment_ids))):
                self._sync_folder()

    # --- Reading ------------------------------------------------------------------------------------------------

    def read_chunks(self, segment_id: str, offset: int, chunk_bytes: int) -> Generator[bytes, None, None]:
        """The bytes from `offset` on in chunks of `chunk_bytes`, the last one shorter. The last one comes only if the
        checksum of the whole is right, for which the bytes before `offset` are read, too.

        Raises SegmentMissingError, SegmentDamagedError (the segment no longer counts as held) or SegmentFailedError.
        """
        size_bytes = self.size(segment_id)
        assert 0 <= offset <= size_bytes, "the segment ends before"
        with self._explained(segment_id, reading=True), self._open_to_read(segment_id) as fd:
            found_bytes = os.fstat(fd).st_size
            if found_bytes != size_bytes or found_bytes == 0:
                raise self._damaged(segment_id, f"its file has {found_bytes} bytes instead of {size_bytes}")
            checksum = xxh3_128()
            end = 0
            while end < size_bytes:
                begin, until = end, offset if end < offset else size_bytes
                data = os.pread(fd, min(chunk_bytes, until - begin), begin)
                checksum.update(data)
                end += len(data)
                if not data or (end == size_bytes and checksum.hexdigest() != segment_id):
                    raise self._damaged(segment_id, "the bytes of its file do not have its checksum")
                if begin >= offset:
                    yield data

    def verify(self, segment_id: str) -> None:
        """Reads all of it and checks it. Raises as `read_chunks` does.

        What the kernel has cached is dropped first: it would prove nothing about the disk.
        """
        with self._explained(segment_id, reading=True), self._open_to_read(segment_id) as fd:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        deque(self.read_chunks(segment_id, 0, _VERIFY_BYTES), maxlen=0)

    # --- Within -------------------------------------------------------------------------------------------------

    def _staged_path(self, segment_id: str) -> Path:
        assert is_segment_id(segment_id), segment_id
        return self.folder / (segment_id + _RECEIVED)

    def _is_there(self, segment_id: str, size_bytes: int) -> bool:
        """Whether the segment is held and its file has the right length: somebody may have touched it."""
        try:
            return self.holds(segment_id) and self.path(segment_id).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def _publish(self, segment_id: str, file: StagingFile) -> None:
        """Gives a fsynced file its name, durably, and counts it in. Raises OSError."""
        file.path.rename(self.path(segment_id))
        self._sync_folder()
        self._sizes_bytes[segment_id] = file.size_bytes

    @contextmanager
    def _open_to_read(self, segment_id: str) -> Iterator[int]:
        try:
            fd = os.open(self.path(segment_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise self._lost(segment_id) from None
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _explained(self, segment_id: str, *, reading: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if reading and error.errno == errno.EIO:  # As good as damaged: only another copy helps.
                raise self._damaged(segment_id, f"its file cannot be read: {error.strerror}") from error
            raise self._explain(segment_id, error) from error

    def _explain(self, segment_id: str, error: OSError) -> SegmentError:
        kind = SegmentFullError if error.errno in NO_ROOM else SegmentFailedError
        return kind(segment_id, f"{self.folder}: {error.strerror}")

    def _damaged(self, segment_id: str, reason: str) -> SegmentDamagedError:
        """The file stays where it is: `write` or `receive` puts a sound one in its place."""
        self._sizes_bytes.pop(segment_id, None)
        return SegmentDamagedError(segment_id, reason)

    def _lost(self, segment_id: str) -> SegmentMissingError:
        self._sizes_bytes.pop(segment_id, None)
        return SegmentMissingError(segment_id, "its file is gone")
