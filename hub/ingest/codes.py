"""Codes with check digits, whole columns at a time. Pure.

| code | form | source |
| --- | --- | --- |
| `resident_id` | 6 digits of a division, 8 of a date of birth, 3 of a sequence, check | GB 11643-1999 |
| `credit_code` | 2 of authority and kind, 6 of a division, 9 of an organisation, check | GB 32100-2015, GB 11714-1997 |
| `building_code` | 25 digits, the first six a division of Shenzhen | the proposal |

A column is laid out as a matrix of bytes, one row a code: every check is then a few sums over whole columns, at some
millions of codes a second and core.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Code

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

LENGTHS: Final = {Code.RESIDENT_ID: 18, Code.CREDIT_CODE: 18, Code.BUILDING_CODE: 25}
PROBLEMS: Final = {
    Code.RESIDENT_ID: "is no ID number: its form, date or check digit (GB 11643) is wrong",
    Code.CREDIT_CODE: "is no unified social credit code: its form or check character (GB 32100) is wrong",
    Code.BUILDING_CODE: "is no building code of the city: 25 digits, the first six a division of Shenzhen",
}

RESIDENT_WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], np.int32)
RESIDENT_CHECKS: Final = np.frombuffer(b"10X98765432", np.uint8)  # By the weighted sum mod 11.
CREDIT_ALPHABET: Final = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", np.uint8)
CREDIT_WEIGHTS: Final = np.array([pow(3, place, 31) for place in range(17)], np.int32)
ORGANISATION_WEIGHTS: Final = np.array([3, 7, 9, 10, 5, 8, 4, 2], np.int32)
ORGANISATION_CHECKS: Final = np.frombuffer(b"0X987654321", np.uint8)  # By the weighted sum mod 11.

_FOREIGN: Final = 255
_FIRST_YEAR: Final = 1880
_DIVISIONS: Final = range(440_300, 440_312)  # Shenzhen and its districts.
_MONTH_DAYS: Final = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int32)


def _values(alphabet: Bytes) -> npt.NDArray[np.uint8]:
    values = np.full(256, _FOREIGN, np.uint8)
    values[alphabet] = np.arange(len(alphabet), dtype=np.uint8)
    return values


_CREDIT_VALUES: Final = _values(CREDIT_ALPHABET)
_ORGANISATION_VALUES: Final = _values(np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8))


def wrong_codes(code: Code, values: pa.Array) -> Flags:
    """Which of the strings are no such code, shape (n,); nulls are none of them."""
    length = LENGTHS[code]
    fits = pc.fill_null(pc.equal(pc.binary_length(values), length), False).to_numpy(zero_copy_only=False)
    wrong: Flags = np.logical_not(fits)
    if values.null_count:
        wrong &= values.is_valid().to_numpy(zero_copy_only=False)
    right = values if fits.all() else values.filter(pa.array(fits))
    if len(right):
        wrong[fits] = _CHECKS[code](_matrix(right, length))
    return wrong


def resident_checks(codes: Bytes) -> Bytes:
    """The check characters, shape (n,), of ID numbers of which the first 17 digits are given, shape (n, ≥ 17)."""
    return RESIDENT_CHECKS[_weighted(codes[:, :17] - ord("0"), RESIDENT_WEIGHTS) % 11]


def organisation_checks(codes: Bytes) -> Bytes:
    """The check characters, shape (n,), of organisation codes of which 8 characters are given, shape (n, 8)."""
    return ORGANISATION_CHECKS[_weighted(_ORGANISATION_VALUES[codes], ORGANISATION_WEIGHTS) % 11]


def credit_checks(codes: Bytes) -> Bytes:
    """The check characters, shape (n,), of credit codes of which the first 17 are given, shape (n, ≥ 17)."""
    return CREDIT_ALPHABET[-_weighted(_CREDIT_VALUES[codes[:, :17]], CREDIT_WEIGHTS) % 31]


def strings(codes: Bytes) -> pa.Array:
    """ASCII codes of one length, shape (n, length), as an Arrow array of strings; shares no memory."""
    count, length = codes.shape
    offsets = np.arange(count + 1, dtype=np.int32) * length
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(codes)))


def digits(numbers: npt.NDArray[np.integer], width: int) -> Bytes:
    """Numbers as ASCII digits with leading zeros, shape (n, width)."""
    out = np.empty((len(numbers), width), np.uint8)
    rest = numbers.astype(np.int64)
    for place in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        out[:, place] = digit + ord("0")
    return out


def _matrix(values: pa.Array, length: int) -> Bytes:
    """Strings of one length as bytes, shape (n, length); nulls have been left out."""
    _, offsets, data = values.buffers()
    first = np.frombuffer(offsets, np.int32)[values.offset]
    flat = np.frombuffer(data, np.uint8, len(values) * length, first)
    return flat.reshape(-1, length)


def _weighted(values: npt.NDArray[np.uint8], weights: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    total = np.zeros(len(values), np.int32)
    for place, weight in enumerate(weights):
        total += values[:, place] * weight
    return total


def _are_digits(codes: Bytes) -> Flags:
    right: Flags = np.all(codes - np.uint8(ord("0")) < 10, axis=1)  # What is below "0" wraps around.
    return right


def _number(codes: Bytes) -> npt.NDArray[np.int32]:
    total = np.zeros(len(codes), np.int32)
    for place in range(codes.shape[1]):
        total = total * 10 + (codes[:, place] - np.uint8(ord("0")))
    return total


def _wrong_residents(codes: Bytes) -> Flags:
    wrong: Flags = ~_are_digits(codes[:, :17])
    year, month, day = _number(codes[:, 6:10]), _number(codes[:, 10:12]), _number(codes[:, 12:14])
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    wrong |= (year < _FIRST_YEAR) | (month < 1) | (month > 12) | (day < 1)
    wrong |= day > _MONTH_DAYS[np.clip(month, 0, 12)] - ((month == 2) & ~leap)
    wrong |= codes[:, 17] != resident_checks(codes)
    return wrong


def _wrong_credits(codes: Bytes) -> Flags:
    values = _CREDIT_VALUES[codes]
    wrong: Flags = np.any(values == _FOREIGN, axis=1)
    wrong |= ~_are_digits(codes[:, 2:8])
    wrong |= codes[:, 16] != organisation_checks(codes[:, 8:16])
    wrong |= codes[:, 17] != credit_checks(codes)
    return wrong


def _wrong_buildings(codes: Bytes) -> Flags:
    division = _number(codes[:, :6])
    return ~_are_digits(codes) | (division < _DIVISIONS.start) | (division >= _DIVISIONS.stop)


_CHECKS: Final = {
    Code.RESIDENT_ID: _wrong_residents,
    Code.CREDIT_CODE: _wrong_credits,
    Code.BUILDING_CODE: _wrong_buildings,
}
