"""Codes with check digits.

Goal: every right code passes, every code with one wrong or two exchanged characters fails, nulls are left alone.
Method: the standards' own examples; codes made digit by digit in plain Python; Hypothesis for what is done to them.
"""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.contract import Code
from hub.ingest.codes import CREDIT_ALPHABET, digits, strings, wrong_codes

ALPHABET = CREDIT_ALPHABET.tobytes().decode()
PERSON = "11010519491231002X"  # GB 11643-1999, clause 4.3
FIRM = "91350100M000100Y43"  # GB 32100-2015, annex
HOUSE = "440305001002003000400005A"[:24] + "5"


def wrong(code: Code, *values: str | None) -> list[bool]:
    return list(wrong_codes(code, pa.array(values, pa.string())).tolist())


def person(place: int, born: str, sequence: int) -> str:
    """GB 11643 by its text: the weights are 2 to the power of the place, mod 11."""
    head = f"{place:06}{born}{sequence:03}"
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(head))
    return head + "10X98765432"[total % 11]


def firm(head: str, organisation: str) -> str:
    """GB 32100 and GB 11714 by their texts."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    total = sum(
        letters.index(one) * weight for one, weight in zip(organisation, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)
    )
    code = head + organisation + "0X987654321"[total % 11]
    total = sum(ALPHABET.index(one) * pow(3, place, 31) for place, one in enumerate(code))
    return code + ALPHABET[(31 - total % 31) % 31]


PERSONS = st.builds(
    person,
    st.integers(110_000, 659_999),
    st.dates().filter(lambda day: 1880 <= day.year <= 2100).map(lambda day: f"{day:%Y%m%d}"),
    st.integers(0, 999),
)
FIRMS = st.builds(
    firm, st.from_regex("[1-9A-C][0-9][0-9]{6}", fullmatch=True), st.text(ALPHABET, min_size=8, max_size=8)
)


def test_examples_of_the_standards() -> None:
    assert wrong(Code.RESIDENT_ID, PERSON, "440524188001010014") == [False, False]
    assert wrong(Code.CREDIT_CODE, FIRM) == [False]
    assert wrong(Code.BUILDING_CODE, HOUSE) == [False]


@pytest.mark.parametrize("code", list(Code))
def test_what_is_no_code_at_all(code: Code) -> None:
    """Method: nulls, nothing, too short, too long, full-width, lower case."""
    right = {Code.RESIDENT_ID: PERSON, Code.CREDIT_CODE: FIRM, Code.BUILDING_CODE: HOUSE}[code]
    assert wrong(code, None, right, "", right[:-1], right + "0", right.replace("1", "１", 1), right[:-3] + "甲") == [
        *(False, False),
        *(True, True, True, True, True),
    ]
    assert wrong(code) == []
    assert wrong(code, None, None) == [False, False]
    sliced = pa.array(["x", right, "y", None]).slice(1, 3)
    assert wrong_codes(code, sliced).tolist() == [False, True, False]
    if code is not Code.BUILDING_CODE:
        assert wrong(code, right.lower()) == [right.lower() != right]


@given(PERSONS)
def test_right_persons_pass(code: str) -> None:
    assert wrong(Code.RESIDENT_ID, code) == [False]


@given(FIRMS)
def test_right_firms_pass(code: str) -> None:
    assert wrong(Code.CREDIT_CODE, code) == [False]


@given(code=st.one_of(PERSONS, FIRMS), place=st.integers(0, 17), data=st.data())
def test_one_wrong_character_is_found(code: str, place: int, data: st.DataObject) -> None:
    kind = (
        Code.RESIDENT_ID
        if len(code) == 18 and code[:17].isdigit() and wrong(Code.RESIDENT_ID, code) == [False]
        else Code.CREDIT_CODE
    )
    letters = "0123456789" if kind is Code.RESIDENT_ID else ALPHABET
    other = data.draw(st.sampled_from([one for one in letters if one != code[place]]))
    assert wrong(kind, code[:place] + other + code[place + 1 :]) == [True]


@given(code=PERSONS, place=st.integers(0, 16))
def test_two_exchanged_digits_are_found(code: str, place: int) -> None:
    changed = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert wrong(Code.RESIDENT_ID, changed) == [changed != code]


@pytest.mark.parametrize("born", ["18791231", "19990229", "20001301", "20000100", "20000431", "19000229"])
def test_impossible_days_of_birth(born: str) -> None:
    assert wrong(Code.RESIDENT_ID, person(440_305, born, 1)) == [True]


def test_buildings_of_other_cities() -> None:
    assert wrong(Code.BUILDING_CODE, "440106" + HOUSE[6:], "440312" + HOUSE[6:], "440311" + HOUSE[6:]) == [
        True,
        True,
        False,
    ]


def test_codes_and_digits_as_text() -> None:
    import numpy as np

    assert strings(digits(np.array([0, 7, 1_234]), 4)).to_pylist() == ["0000", "0007", "1234"]
    assert strings(digits(np.array([], np.int64), 3)).to_pylist() == []
