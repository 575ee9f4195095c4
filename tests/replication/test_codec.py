"""Goal: bytes of entries either give the entries back or raise. Method: Hypothesis, and every bit flipped once."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.codec import (
    HEADER_BYTES,
    CodecError,
    decode_entries,
    decode_header,
    encode_entries,
    header_id,
    make_entry,
)
from replication.core.types import ORIGIN, Entry, EntryId, Kind

positions = st.builds(
    EntryId,
    lsn=st.integers(0, 2**63),
    epoch=st.integers(0, 2**63),
    hash=st.binary(min_size=16, max_size=16),
)
contents = st.tuples(st.sampled_from(Kind), st.integers(0, 3), st.binary(max_size=300))


def chain(after: EntryId, *parts: tuple[Kind, int, bytes]) -> list[Entry]:
    """Entries of (kind, rise of the epoch, payload) that follow one another."""
    entries = []
    for kind, rise, payload in parts:
        entries.append(make_entry(after=after, epoch=after.epoch + rise, kind=kind, payload=payload))
        after = entries[-1].id
    return entries


SAMPLE = chain(ORIGIN, (Kind.EPOCH, 1, b""), (Kind.ROWS, 0, b"some rows"), (Kind.SEAL, 1, b"\x00"))


@given(positions, st.lists(contents, max_size=5))
def test_entries_survive_the_round_trip(after: EntryId, parts: list[tuple[Kind, int, bytes]]) -> None:
    """Goal: decoding gives what was encoded. Method: any chain after any position."""
    entries = chain(after, *parts)
    decoded = list(decode_entries(encode_entries(entries), after=after))
    assert decoded == entries
    for entry in decoded:
        assert decode_header(entry.header) == (entry.lsn, len(entry.payload))
        assert header_id(entry.header) == entry.id


@given(positions, st.lists(contents, min_size=1, max_size=3), st.data())
def test_cut_bytes_give_the_whole_entries_and_raise(
    after: EntryId, parts: list[tuple[Kind, int, bytes]], data: st.DataObject
) -> None:
    """Goal: a cut is noticed where it is. Method: any chain cut anywhere but between entries."""
    entries = chain(after, *parts)
    ends = [sum(entry.size_bytes for entry in entries[:count]) for count in range(len(entries) + 1)]
    cut = data.draw(st.integers(1, ends[-1] - 1).filter(lambda size: size not in ends))
    whole = sum(end <= cut for end in ends) - 1
    found: list[Entry] = []
    with pytest.raises(CodecError, match="incomplete") as caught:
        found.extend(decode_entries(encode_entries(entries)[:cut], after=after))
    assert caught.value.offset == ends[whole]
    assert found == entries[:whole]


def test_every_bit_flip_is_detected() -> None:
    """Goal: no damaged bit is taken for an entry. Method: flip each bit of a small chain, alone."""
    data = bytearray(encode_entries(SAMPLE))
    begins = [0, SAMPLE[0].size_bytes, SAMPLE[0].size_bytes + SAMPLE[1].size_bytes]
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodecError) as caught:
            list(decode_entries(bytes(data)))
        assert caught.value.offset == max(begin for begin in begins if begin <= bit // 8)
        data[bit // 8] ^= 1 << bit % 8


def test_entries_out_of_order_are_refused() -> None:
    """Goal: the link to the entry before is checked. Method: leave one out, repeat one, start elsewhere."""
    first, second, third = SAMPLE
    for entries in ([first, third], [first, second, second], [second, first]):
        with pytest.raises(CodecError, match="does not follow"):
            list(decode_entries(encode_entries(entries)))
    with pytest.raises(CodecError, match="does not follow"):
        list(decode_entries(encode_entries(SAMPLE), after=EntryId(lsn=0, epoch=0, hash=b"another chain...")))


def test_unknown_kind_is_a_codec_error() -> None:
    """Goal: an intact entry of a newer release is refused by its kind. Method: make one of kind 200."""
    entry = make_entry(after=ORIGIN, epoch=1, kind=Kind.ROWS, payload=b"")
    unknown = make_entry_of_kind(200)
    assert len(entry.header) == len(unknown) == HEADER_BYTES
    with pytest.raises(CodecError, match="unknown kind 200"):
        list(decode_entries(unknown))
    with pytest.raises(CodecError, match="unknown kind 200 at byte 7"):
        decode_header(unknown, 7)


def make_entry_of_kind(kind: int) -> bytes:
    """Header of an empty entry whose kind is not in `Kind`, with the right CRC."""
    header = bytearray(make_entry(after=ORIGIN, epoch=1, kind=Kind.ROWS, payload=b"").header)
    header[4] = kind
    header[12:16] = zlib.crc32(header[16:], zlib.crc32(header[:12])).to_bytes(4, "little")
    return bytes(header)
