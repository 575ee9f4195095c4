"""A segment's file before it has its final name.

Large files are fsynced on the way, every `_SYNC_BYTES`: an fsync of all of it at the end would hold up the fsyncs of a
log on the same disk for as long as it takes (65 to 90 ms for 256 MiB where 10 ms are usual, measured).

Deliberately absent: names, checksums, and any judgement of errors.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from replication.durable import write_all

Bytes = bytes | memoryview

_SYNC_BYTES: Final = 32 << 20


class StagingFile:
    """Bytes are appended in order by one thread. Everything raises OSError, but `discard` and `close` never do."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        """Opens the file, made if it does not exist. With `keep` its bytes stay, and more come after them."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if keep else os.O_TRUNC), 0o644)
        self.size_bytes = os.fstat(self._fd).st_size
        self._synced_bytes = 0

    def append(self, parts: Sequence[Bytes]) -> None:
        for group in _groups(parts, _SYNC_BYTES):
            write_all(self._fd, group, self.size_bytes)
            self.size_bytes += sum(map(len, group))
            if self.size_bytes - self._synced_bytes >= _SYNC_BYTES:
                os.fdatasync(self._fd)
                self._synced_bytes = self.size_bytes

    def read(self, bytes_max: int, offset: int) -> bytes:
        return os.pread(self._fd, bytes_max, offset)

    def empty(self) -> None:
        os.ftruncate(self._fd, 0)
        self.size_bytes = self._synced_bytes = 0

    def sync(self) -> None:
        """What was appended is durable; the file's name is not."""
        os.fsync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # What is to be durable was fsynced before.
                os.close(fd)

    def discard(self) -> None:
        """Closes the file and removes it: frees what it took, which a full disk needs."""
        self.close()
        with suppress(OSError):  # What stays behind is removed when the folder is opened.
            self.path.unlink(missing_ok=True)


def _groups(parts: Sequence[Bytes], bytes_max: int) -> Iterator[list[Bytes]]:
    """The parts in order, cut and gathered into groups of `bytes_max`, the last one shorter."""
    group: list[Bytes] = []
    room = bytes_max
    for part in parts:
        view = memoryview(part)
        while len(view):
            group.append(view[:room])
            view = view[room:]
            room -= len(group[-1])
            if room == 0:
                yield group
                group, room = [], bytes_max
    if group:
        yield group
