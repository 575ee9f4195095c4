"""The head of a log: the file `head`, which says how far the log is known to be durable. Little-endian.

offset  size  field
     0     4  magic, "CHH1"
     4     4  zero
     8     8  first lsn of the log's first file
    16     8  first lsn of the log's last file
    24     8  lsn of the last entry known to be durable (0: none)
    32     8  its epoch
    40    16  its hash
    56     4  zero
    60     4  CRC-32 of the 60 bytes before
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from replication.core.types import EntryId
from replication.durable import checked, write_all

HEAD_NAME: Final = "head"
_HEAD_BYTES: Final = 64
_MAGIC: Final = b"CHH1"
_FIELDS: Final = struct.Struct("<4s4xQQQQ16s4x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    first_lsn: int
    last_file_lsn: int
    id: EntryId


class HeadFile:
    """The open file, written in place: its 64 bytes lie in one sector."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def open(cls, directory: Path) -> "HeadFile":
        """Creates an empty one where there is none; its name is durable once the directory is synced."""
        return cls(os.open(directory / HEAD_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))

    def read(self) -> Head | None:
        """None when the file was missing or is damaged."""
        data = os.pread(self._fd, _HEAD_BYTES + 1, 0)
        if len(data) != _HEAD_BYTES or checked(data[: _FIELDS.size]) != data:
            return None
        magic, first_lsn, last_file_lsn, lsn, epoch, entry_hash = _FIELDS.unpack_from(data)
        if magic != _MAGIC:
            return None
        end = EntryId(lsn=lsn, epoch=epoch, hash=entry_hash)
        return Head(first_lsn=first_lsn, last_file_lsn=last_file_lsn, id=end)

    def write(self, head: Head) -> None:
        """Raises OSError."""
        end = head.id
        fields = (_MAGIC, head.first_lsn, head.last_file_lsn, end.lsn, end.epoch, end.hash)
        write_all(self._fd, [checked(_FIELDS.pack(*fields))], 0)

    def sync(self) -> None:
        """Makes the last `write` durable. Raises OSError."""
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
