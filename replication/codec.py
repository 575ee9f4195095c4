"""Bytes of an entry, the same on disk and on the wire. All integers are little-endian.

    offset  size  field
         0     4  magic, "CHE1"
         4     1  kind
         5     3  zero
         8     4  payload length, bytes
        12     4  CRC-32 of the other 60 bytes of the header
        16     8  lsn
        24     8  epoch
        32    16  hash of the previous entry (zero for lsn 1)
        48    16  XXH3-128 of the payload
        64     …  payload

The hash of an entry is the XXH3-128 of its 64 header bytes: through `previous hash` and the payload's
checksum it covers the entry and all that came before it.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from xxhash import xxh3_128_digest

from replication.core.types import Entry, EntryId, Kind

MAGIC: Final = b"CHE1"
HEADER_BYTES: Final = 64
_FIELDS: Final = struct.Struct("<4sB3xIIQQ16s16s")
_CRC_OFFSET: Final = 12
_CRC: Final = struct.Struct("<I")
_KINDS: Final = frozenset(Kind)


class CodecError(ValueError):
    """Bytes that are no entry, or a damaged one. `offset` counts from the start of the bytes given."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} at byte {self.offset}"


def make_entry(*, after: EntryId, epoch: int, kind: Kind, payload: bytes, payload_hash: bytes | None = None) -> Entry:
    """The entry that follows `after`. Give `payload_hash` where it was computed off the hot thread already."""
    checksum = payload_hash if payload_hash is not None else xxh3_128_digest(payload)
    fields = (MAGIC, kind, len(payload), 0, after.lsn + 1, epoch, after.hash, checksum)
    header = bytearray(_FIELDS.pack(*fields))
    _CRC.pack_into(header, _CRC_OFFSET, _crc(header))
    return _entry(bytes(header), payload)


def decode_header(header: bytes | memoryview, offset: int = 0) -> tuple[int, int]:
    """(lsn, payload length in bytes) of a header whose magic, CRC and kind are right.

    Raises CodecError, whose offset is `offset`.
    """
    if len(header) < HEADER_BYTES:
        raise CodecError("incomplete header", offset)
    magic, kind, length, crc, lsn, *_ = _FIELDS.unpack(header)
    if magic != MAGIC:
        raise CodecError("no entry magic", offset)
    if crc != _crc(header):
        raise CodecError("header checksum differs", offset)
    if kind not in _KINDS:  # Intact, but written by a newer release.
        raise CodecError(f"unknown kind {kind}", offset)
    return lsn, length


def header_id(header: bytes) -> EntryId:
    """Identity of the entry whose header this is; `decode_header` has found it good."""
    _, _, _, _, lsn, epoch, *_ = _FIELDS.unpack(header)
    return EntryId(lsn=lsn, epoch=epoch, hash=xxh3_128_digest(header))


def decode_entries(data: bytes | memoryview, *, after: EntryId | None = None) -> Iterator[Entry]:
    """Entries of concatenated bytes, each verified: magic, CRC, payload checksum, and the link to the one before.

    `after` is the entry that the first must follow; without it the first one's link is not checked.
    Payloads are views into `data`. Raises CodecError at the first bad entry, after yielding the good ones.
    """
    view = memoryview(data)
    offset = 0
    while offset < len(view):
        header = bytes(view[offset : offset + HEADER_BYTES])
        _, length = decode_header(header, offset)
        end = offset + HEADER_BYTES + length
        if end > len(view):
            raise CodecError("incomplete payload", offset)
        entry = _entry(header, view[offset + HEADER_BYTES : end])
        if xxh3_128_digest(entry.payload) != header[48:64]:
            raise CodecError(f"payload checksum of entry {entry.lsn} differs", offset)
        if after is not None and (entry.lsn != after.lsn + 1 or entry.previous_hash != after.hash):
            raise CodecError(f"entry {entry.lsn} does not follow entry {after.lsn}", offset)
        yield entry
        after = entry.id
        offset = end


def encode_entries(entries: Iterable[Entry]) -> bytes:
    """Concatenated bytes of entries, as `decode_entries` takes them."""
    return b"".join(part for entry in entries for part in (entry.header, entry.payload))


def _entry(header: bytes, payload: bytes | memoryview) -> Entry:
    _, kind, _, _, lsn, epoch, previous_hash, _ = _FIELDS.unpack(header)
    return Entry(
        lsn=lsn,
        epoch=epoch,
        kind=Kind(kind),
        previous_hash=previous_hash,
        hash=xxh3_128_digest(header),
        header=header,
        payload=payload,
    )


def _crc(header: bytes | bytearray | memoryview) -> int:
    return zlib.crc32(header[_CRC_OFFSET + 4 : HEADER_BYTES], zlib.crc32(header[:_CRC_OFFSET]))
