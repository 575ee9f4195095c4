"""Writing so that it survives a power loss, and so that damage shows: the steps, each in one place.

Deliberately absent: retries. A failed write or fsync is the caller's to judge.
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk that is full: they pass, other errors of a write do not."""
_CRC: Final = struct.Struct("<I")
_PARTS_MAX: Final = os.sysconf("SC_IOV_MAX")


def write_all(fd: int, parts: Sequence[bytes | memoryview], offset: int) -> None:
    """Writes the parts one after the other from `offset` on, without joining them. Raises OSError."""
    left = list(parts)
    while left:
        written = os.pwritev(fd, left[:_PARTS_MAX], offset)
        offset += written
        left = _after(left, written)


def _after(parts: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    """What is left to write when a disk took only so many bytes."""
    if written == sum(map(len, parts)):
        return []
    done = 0
    while len(parts[done]) <= written:
        written -= len(parts[done])
        done += 1
    return [memoryview(parts[done])[written:], *parts[done + 1 :]]


def sync_directory(path: Path) -> None:
    """Makes the directory's names durable: files created, renamed or removed in it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Creates the directory and those above it, durably, where they do not exist."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Puts a file of these bytes in place of any that has the name; a crash leaves the old one or the new one."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def checked(data: bytes) -> bytes:
    """The bytes, followed by their CRC-32."""
    return data + _CRC.pack(zlib.crc32(data))
