"""The three codes: who has which, from a number alone. Everybody's code is another one, and its check digits are right.

Persons, legal persons and buildings are numbered from 0. A code is a permutation of its number written in the code's
digits, so that neighbours have nothing in common and no table of codes is needed. Divisions of birth are real provinces
with made-up counties; organisation codes are random characters.
"""

from functools import cache
from typing import Final

import numpy as np

from hub.ingest.codes import CREDIT_ALPHABET, Bytes, credit_checks, digits, organisation_checks, resident_checks
from simulator.city.chance import Ints, shuffled

FIRST_BIRTH: Final = np.datetime64("1930-01-01")
LAST_BIRTH: Final = np.datetime64("2026-04-30")
_PROVINCES: Final = (
    *(11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42),
    *(43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63, 64, 65),
)
_COUNTIES: Final = 40
_SEQUENCES: Final = 99  # Pairs of an even and an odd one in a fifth of a day's 999.
# By age in years up to: how many fifths of a day's sequences are in use. Shenzhen is young.
_AGES: Final = ((15, 3), (22, 3), (45, 5), (60, 3), (200, 1))
_ORGANISATIONS: Final = 30**7


def person_codes(persons: Ints, female: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Bytes:
    """ID numbers (GB 11643), shape (n, 18); the last digit of a woman's sequence is even."""
    slots, fifths = _birth_slots()
    rest, sequence = np.divmod(shuffled(persons, _persons_max()), _SEQUENCES)
    place, slot = np.divmod(rest, len(slots))
    province, county = np.divmod(place, _COUNTIES)
    codes = np.empty((len(persons), 18), np.uint8)
    codes[:, :6] = digits(np.array(_PROVINCES)[province] * 10_000 + 101 + county, 6)
    codes[:, 6:14] = _dates()[slots[slot]]
    codes[:, 14:17] = digits(fifths[slot] * 199 + 1 + 2 * sequence + (fifths[slot] % 2 == np.asarray(~female)), 3)
    codes[:, 17] = resident_checks(codes)
    return codes


def births(persons: Ints) -> Ints:
    """Days of birth, counted from 1970."""
    slots, _ = _birth_slots()
    rest = shuffled(persons, _persons_max()) // _SEQUENCES
    result: Ints = slots[rest % len(slots)] + FIRST_BIRTH.astype(np.int64)
    return result


def credit_codes(firms: Ints, divisions: Ints) -> Bytes:
    """Unified social credit codes (GB 32100), shape (n, 18), of firms registered in these divisions."""
    codes = np.empty((len(firms), 18), np.uint8)
    codes[:, :2] = np.frombuffer(b"91", np.uint8)
    codes[:, 2:8] = digits(divisions, 6)
    codes[:, 8] = ord("M")
    rest = shuffled(firms, _ORGANISATIONS)
    for place in range(15, 8, -1):
        rest, digit = np.divmod(rest, 30)
        codes[:, place] = CREDIT_ALPHABET[digit]
    codes[:, 16] = organisation_checks(codes[:, 8:16])
    codes[:, 17] = credit_checks(codes)
    return codes


def building_codes(buildings: Ints, divisions: Ints, streets: Ints) -> Bytes:
    """Building codes, shape (n, 25): division, street office, serial number."""
    codes = np.empty((len(buildings), 25), np.uint8)
    codes[:, :6] = digits(divisions, 6)
    codes[:, 6:9] = digits(streets + 1, 3)
    codes[:, 9:] = digits(buildings + 1, 16)
    return codes


@cache
def _birth_slots() -> tuple[Ints, Ints]:
    """For each slot its day, from FIRST_BIRTH, and its fifth of the day's sequences."""
    day = np.arange((LAST_BIRTH - FIRST_BIRTH).astype(int) + 1)
    age = (day[-1] - day) / 365.25
    uses = np.select([age < limit for limit, _ in _AGES], [count for _, count in _AGES])
    ends = np.cumsum(uses)
    fifth = np.arange(ends[-1]) - np.repeat(ends - uses, uses)
    return np.repeat(day, uses), fifth


def _persons_max() -> int:
    return len(_birth_slots()[0]) * _SEQUENCES * len(_PROVINCES) * _COUNTIES


@cache
def _dates() -> Bytes:
    """The eight digits of each day from FIRST_BIRTH on."""
    days = np.arange(FIRST_BIRTH, LAST_BIRTH + 1)
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]").astype(int) + 1970
    return digits(years * 10_000 + (months.astype(int) % 12 + 1) * 100 + (days - months).astype(int) + 1, 8)
