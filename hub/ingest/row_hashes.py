"""Two hashes of 64 bits of every row of a batch, whole columns at a time. Pure.

A text is taken eight bytes at a time: word k of all texts of a column is one gather from Arrow's buffer. A text's
hashes are polynomials of its length and words at two odd places, modulo 2^64, mixed at the end. The hashes of a row's
columns are added up; a null adds nothing, so that a column that a later batch has more changes nothing for rows that
have no value there. Equal rows have equal hashes; that any two unequal ones of n rows have both in common has a
probability of about n² / 2^129.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words = npt.NDArray[np.uint64]
_Counts = npt.NDArray[np.int64]

_WORD_BYTES: Final = 8
_MIXERS: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_SEEDS: Final = (0x165667B19E3779F9, 0x27D4EB2F165667C5)
_SHIFT: Final = np.uint64(32)
# Masks of the first n bytes of a little-endian word.
_FIRST_BYTES: Final = np.array([(1 << (8 * count)) - 1 for count in range(_WORD_BYTES + 1)], np.uint64)


def row_hashes(rows: pa.RecordBatch) -> tuple[Words, Words]:
    """Each of shape (n,)."""
    totals = np.zeros(rows.num_rows, np.uint64), np.zeros(rows.num_rows, np.uint64)
    for place, values in enumerate(rows.columns):
        for total, hashes in zip(totals, _column_hashes(values, place), strict=True):
            if values.null_count:
                hashes[values.is_null().to_numpy(zero_copy_only=False)] = 0
            total += hashes
    return totals


def _column_hashes(values: pa.Array, place: int) -> tuple[Words, Words]:
    if pa.types.is_dictionary(values.type):
        first, second = _column_hashes(values.dictionary, place)
        places = values.indices.fill_null(0).to_numpy()
        return (first[places], second[places]) if len(first) else _column_hashes(values.dictionary_decode(), place)
    begun = [np.full(len(values), seed * (place + 1) % 2**64, np.uint64) for seed in _SEEDS]
    hashes = begun[0], begun[1]
    width = _fixed_bytes(values.type)
    if width:
        raw = np.frombuffer(values.buffers()[1], f"<u{width}", len(values), values.offset * width)
        _mix(hashes, raw.astype(np.uint64))
    elif len(values):
        _mix_texts(hashes, _as_texts(values))
    for one in hashes:  # So that sums of columns do not cancel out.
        one ^= one >> _SHIFT
        one *= _MIXERS[0]
        one ^= one >> _SHIFT
    return hashes


def _fixed_bytes(kind: pa.DataType) -> int:
    """Bytes of a value that fits into a word; 0 for all else."""
    if not pa.types.is_primitive(kind) or pa.types.is_boolean(kind) or kind.bit_width > 8 * _WORD_BYTES:
        return 0
    return int(kind.bit_width) // 8


def _as_texts(values: pa.Array) -> pa.Array:
    """With 32-bit offsets."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return values
    if pa.types.is_nested(kind):
        return pa.array([None if value is None else repr(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _mix_texts(hashes: tuple[Words, Words], texts: pa.Array) -> None:
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32, len(texts) + 1, texts.offset * 4).astype(np.int64)
    low, high = int(offsets[0]), int(offsets[-1])
    padded = np.zeros((high - low) // _WORD_BYTES + 2, "<u8")
    if high > low:
        padded.view(np.uint8)[: high - low] = np.frombuffer(data, np.uint8, high - low, low)
    lengths = np.diff(offsets)
    _mix(hashes, lengths.astype(np.uint64))
    if int(lengths.min()) == int(lengths.max()):
        _mix_even(hashes, padded, int(lengths[0]))
    else:
        _mix_uneven(hashes, padded, offsets[:-1] - low, lengths)


def _mix_even(hashes: tuple[Words, Words], padded: Words, length: int) -> None:
    """Texts of one length follow each other: their words lie at equal distances."""
    for begin in range(0, length, _WORD_BYTES):
        words: Words = np.ndarray(hashes[0].shape, "<u8", padded, begin, (length,))
        _mix(hashes, words & _FIRST_BYTES[min(length - begin, _WORD_BYTES)])


def _mix_uneven(hashes: tuple[Words, Words], padded: Words, begins: _Counts, left: _Counts) -> None:
    """A word is put together of two aligned ones, of which the second is the first of the next word."""
    places = begins // _WORD_BYTES
    shift = (begins % _WORD_BYTES * 8).astype(np.uint64)
    back = np.uint64(64) - shift  # A shift by 64 leaves nothing, as it should.
    active: _Counts | None = None  # Rows that have bytes left; None stands for all.
    low = padded[places]
    while True:
        if int(left.min(initial=1)) <= 0:
            kept = np.flatnonzero(left > 0)
            places, left = places[kept], left[kept]
            shift, back, low = shift[kept], back[kept], low[kept]
            active = kept if active is None else active[kept]
        if not len(left):
            return
        places += 1
        high = padded[places]
        words = (low >> shift) | (high << back)
        if int(left.min()) < _WORD_BYTES:
            words &= _FIRST_BYTES[np.minimum(left, _WORD_BYTES)]
        _mix_some(hashes, active, words)
        left = left - _WORD_BYTES
        low = high


def _mix_some(hashes: tuple[Words, Words], active: _Counts | None, words: Words) -> None:
    if active is None:
        _mix(hashes, words)
        return
    parts = hashes[0][active], hashes[1][active]
    _mix(parts, words)
    hashes[0][active], hashes[1][active] = parts


def _mix(hashes: tuple[Words, Words], words: Words | np.uint64) -> None:
    for one, mixer in zip(hashes, _MIXERS, strict=True):
        one += words
        one *= mixer
