"""What the replication core is about: entries, their identity, and the configuration of a log.

Vocabulary: an *entry* has an *lsn* (1, 2, 3 … per log) and the *epoch* of the leadership that wrote
it; a *configuration* says who leads and which centres are *in_sync*.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HASH_BYTES: Final = 16
NO_HASH: Final = bytes(HASH_BYTES)


class Kind(IntEnum):
    """What an entry's payload means to the host that applies it."""

    ROWS = 1
    SEGMENTS = 2
    CONTRACT = 3
    SEAL = 4
    COMPACT = 5
    RETIRE = 6
    MODE = 7
    EPOCH = 8
    MARK = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryId:
    """Identity of an entry; `hash` is the checksum of its header, which covers the whole chain before it."""

    lsn: int
    epoch: int
    hash: bytes = NO_HASH


ORIGIN: Final = EntryId(lsn=0, epoch=0)
"""The position before the first entry of a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a log, immutable once written.

    `header` holds the 64 bytes that precede the payload on disk and on the wire (see `replication.codec`);
    `hash` is its checksum and becomes the next entry's `previous_hash`.
    """

    lsn: int
    epoch: int
    kind: Kind
    previous_hash: bytes
    hash: bytes
    header: bytes
    payload: bytes | memoryview

    @property
    def id(self) -> EntryId:
        return EntryId(lsn=self.lsn, epoch=self.epoch, hash=self.hash)

    @property
    def size_bytes(self) -> int:
        return len(self.header) + len(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStart:
    """First lsn that a log holds of an epoch. A log's tuple of these is sorted and finds common prefixes."""

    epoch: int
    first_lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Who leads a log and who holds every acknowledged entry of it.

    `version` rises with every change; `epoch` with every change of leader.
    """

    version: int
    epoch: int
    leader: str
    in_sync: frozenset[str]
