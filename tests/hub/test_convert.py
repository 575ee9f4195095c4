"""From text to types: each form that agencies write, and what is rejected."""

import json
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.errors import ConfigurationError, InputFileError
from hub.ingest.convert import Converted, convert
from hub.ingest.mapping import Mapping, read_mapping

BAD = "rejected"


def contract(kind: str, **parts: Any) -> Contract:
    return Contract.model_validate(
        {
            "name": "things",
            "agency": "test",
            "home": "ops",
            "kind": "event",
            "title": {"zh": "物", "en": "Things"},
            "columns": [{"name": "x", "type": kind, "title": {"zh": "某值", "en": "Some value"}} | parts],
        }
    )


def values_of(converted: Converted, count: int) -> list[Any]:
    """Value of `x` for each source row, BAD where it was rejected."""
    rejected = {one.row for one in converted.rejected}
    kept = iter(converted.rows.column(0).to_pylist())
    return [BAD if row in rejected else next(kept) for row in range(count)]


def texts(kind: str, values: list[str | None], mapping: Mapping | None = None, **parts: Any) -> list[Any]:
    rows = pa.record_batch({"x": pa.array(values, pa.string())})
    return values_of(convert(rows, contract(kind, **parts), mapping or Mapping()), len(values))


def test_missing_forms_are_null() -> None:
    """Goal: gaps are gaps, in whatever form and type. Method: all forms, bare and padded, in each kind of column."""
    forms: list[str | None] = ["", "NA", "N/A", "null", "NULL", "—", "——", "-", "  NA ", "　", None]
    for kind in ("int32", "float64", "decimal(5,2)", "boolean", "date", "timestamp", "string"):
        assert texts(kind, forms) == [None] * len(forms)
    assert texts("string", ["-", "x"], Mapping(missing=("x",))) == ["-", None]


def test_integers() -> None:
    """Goal: integers in each form, and nothing that would change on the way. Method: forms, overflow, fractions."""
    assert texts("int32", ["12", "-7", "007", "2147483647"]) == [12, -7, 7, 2147483647]
    found = texts(
        "int32", [" 12", "+5", "12.0", "１２", "－３", "2147483648", "1.5", "1e3", "x", "1 2", "9" * 30, "1,000"]
    )
    assert found == [12, 5, 12, 12, -3, *[BAD] * 7]
    assert texts("int8", ["127", "128", "-128"]) == [127, BAD, -128]
    assert texts("int64", ["9223372036854775807", "9223372036854775808"]) == [2**63 - 1, BAD]


def test_floats_and_decimals() -> None:
    """Goal: numbers as people and tools write them. Method: forms, full-width digits, too many places."""
    assert texts("float64", ["12.5", "-1e-3", ".5", "５．５", " 7 ", "+2", "1,5", "12.5 m"]) == [
        12.5, -0.001, 0.5, 5.5, 7.0, 2.0, BAD, BAD]  # fmt: skip
    assert texts("decimal(5,2)", ["1.5", "１.25", "1e2", "1.255", "1000", "x"]) == [
        Decimal("1.50"), Decimal("1.25"), Decimal("100.00"), BAD, BAD, BAD]  # fmt: skip


def test_nan_is_left_to_the_checks() -> None:
    """Goal: NaN is never taken for a gap without a word. Method: it converts to NaN, which `check` then refuses."""
    rows = convert(pa.record_batch({"x": ["nan", "inf", "１"]}), contract("float32"), Mapping()).rows
    assert str(rows["x"].to_pylist()) == "[nan, inf, 1.0]"


def test_booleans() -> None:
    """Goal: yes and no in the words of the files. Method: each word, and some that are neither."""
    assert texts("boolean", ["true", "0"]) == [True, False]
    assert texts("boolean", ["是", "否", "Y", "no", "T", "１", "2", "maybe"]) == [
        True, False, True, False, True, True, BAD, BAD]  # fmt: skip


def test_dates() -> None:
    """Goal: the forms of one day are one day, and no day is made up. Method: mixed forms, days that do not exist."""
    forms: list[str | None] = [
        "2017-04-12",
        "2017/4/12",
        "20170412",
        "2017.04.12",
        "2017年4月12日",
        "２０１７－４－１２",
    ]
    assert texts("date", forms) == [date(2017, 4, 12)] * len(forms)
    wrong: list[str | None] = [
        "2017-02-30",
        "2017/13/1",
        "2017112",
        "201704123",
        "12/4/2017",
        "2017-4",
        "2017-04-12 8:00",
    ]
    assert texts("date", [*wrong, "2016-2-29"]) == [*[BAD] * len(wrong), date(2016, 2, 29)]


def test_timestamps() -> None:
    """Goal: one moment in each form is one moment, in UTC. Method: mixed forms, zoned or not, wrong ones."""
    forms: list[str | None] = [
        "2017-04-12T08:05:00Z", "2017-04-12 08:05", "2017/4/12 8:05", "2017-04-12T16:05:00+08:00", "20170412080500",
        "2017-04-12 16:05:00.000 +0800", "2017年4月12日 8：05", "2017-04-12T08:05:00.0004z"]  # fmt: skip
    assert texts("timestamp", forms) == [datetime(2017, 4, 12, 8, 5)] * len(forms)
    assert texts("timestamp", ["2017-04-12", "20170412", "2017-04-12T08"]) == [
        datetime(2017, 4, 12), datetime(2017, 4, 12), datetime(2017, 4, 12, 8)]  # fmt: skip
    wrong: list[str | None] = [
        "2017-04-12 25:00",
        "2017-04-12 08:05:61",
        "2017-02-30 08:05",
        "8:05",
        "2017-04-12 8:5",
        "x",
    ]
    assert texts("timestamp", wrong) == [BAD] * len(wrong)


def test_local_times_become_utc() -> None:
    """Goal: times without a zone are read in the zone of the mapping; an hour that the clock skipped is no time.
    Method: Shanghai, and the nights of New York in which the clock was changed."""
    shanghai = Mapping(time_zone="Asia/Shanghai")
    assert texts("timestamp", ["2017-04-12 08:05", "2017/4/12 8:05", "2017-04-12 00:05Z"], shanghai) == [
        datetime(2017, 4, 12, 0, 5)] * 3  # fmt: skip
    new_york = Mapping(time_zone="America/New_York")
    times: list[str | None] = ["2013-03-10 02:30", "2013-11-03 01:30", "2013-11-03 03:30"]
    assert texts("timestamp", times, new_york) == [BAD, BAD, datetime(2013, 11, 3, 8, 30)]
    with pytest.raises(ConfigurationError, match="no time zone 'Mars'"):
        texts("timestamp", ["2017-04-12"], Mapping(time_zone="Mars"))


def test_fractions_below_a_millisecond_are_noted() -> None:
    """Goal: what is cut is said, once, and what is not cut is not. Method: digits that count and zeros, from text and
    from Parquet."""
    for values, cut in (
        (["2017-04-12 08:05:00.123999"], True),
        (["2017-04-12 08:05:00.123000"], False),
        (pa.array([datetime(2017, 4, 12, 8, 5, 0, 123_999)]), True),
        (pa.array([datetime(2017, 4, 12, 8, 5, 0, 123_000)]), False),
    ):
        converted = convert(pa.record_batch({"x": values}), contract("timestamp"), Mapping())
        assert converted.rows["x"].to_pylist() == [datetime(2017, 4, 12, 8, 5, 0, 123_000)]
        assert converted.notes == (("x: what is finer than a millisecond was cut off",) if cut else ())


def test_strings_are_trimmed_and_folded_only_to_their_pattern() -> None:
    """Goal: codes link up although someone typed full-width digits; names stay as they are.
    Method: the same text in a column with a pattern and in one without."""
    assert texts("string", [" 深圳（市） ", "１２"]) == ["深圳（市）", "１２"]
    assert texts("string", ["１２", "12", "（１２）"], domain={"pattern": "[0-9]{2}"}) == ["12", "12", "（１２）"]


def test_a_rejected_row_says_column_and_value() -> None:
    """Goal: whoever mends the file finds the cell. Method: two bad cells in one row, under Chinese titles."""
    known = builtin_contracts()["sensors"]
    good = ["7", "noise", "dB", "114", "22.5", "南山区", "2017-4-12"]
    bad = ["7.5", "noise", "dB", "114°", "22.5", "南山区", ""]
    titles = [column.title.zh for column in known.columns]
    rows = pa.RecordBatch.from_arrays([pa.array(pair) for pair in zip(good, bad, strict=True)], names=titles)
    converted = convert(rows, known, Mapping())
    assert converted.rows.to_pylist()[0]["installed_on"] == date(2017, 4, 12)
    (one,) = converted.rejected
    assert one.row == 1
    assert one.reason == "sensor_id (传感器编号): '7.5' is no int32; lon (经度): '114°' is no float64"
    assert json.loads(one.content)["经度"] == "114°"


def test_columns_are_found_by_name_title_or_mapping() -> None:
    """Goal: no mapping is needed where names speak. Method: name, Chinese and English title in odd case, a mapping that
    wins over them, a constant; what is left over is noted."""
    small = contract("int32", required=True)
    for name in ("x", " X ", "某值", "SOME VALUE"):
        assert convert(pa.record_batch({name: ["1"]}), small, Mapping()).rows["x"].to_pylist() == [1]
    rows = pa.record_batch({"x": ["1"], "温度": ["2"], "more": ["3"]})
    converted = convert(rows, small, Mapping(columns={"温度": "x"}))
    assert converted.rows["x"].to_pylist() == [2]
    assert converted.notes == ("columns not loaded: x, more",)
    assert convert(rows, small, Mapping(constants={"x": "7"})).rows["x"].to_pylist() == [7]


def test_a_file_that_does_not_fit_is_told_what_was_expected() -> None:
    """Goal: a missing column is found before a row is sent. Method: required, optional, doubled and wrong columns."""
    small = contract("int32", required=True)
    with pytest.raises(InputFileError, match=r"no column for x \(某值, Some value\); found: y"):
        convert(pa.record_batch({"y": ["1"]}), small, Mapping())
    with pytest.raises(InputFileError, match=r"no column for x \('温度'\); found: x"):
        convert(pa.record_batch({"x": ["1"]}), small, Mapping(columns={"温度": "x"}))
    converted = convert(pa.record_batch({"y": ["1"]}), contract("int32"), Mapping(columns={"温度": "x"}))
    assert "the file has no column '温度': x stays empty" in converted.notes
    with pytest.raises(InputFileError, match="more than one column for x"):
        convert(pa.RecordBatch.from_arrays([pa.array(["1"])] * 2, names=["x", "某值"]), small, Mapping())
    for mapping, words in (
        (Mapping(columns={"a": "z"}), "names column 'z', which things does not have"),
        (Mapping(columns={"a": "x", "b": "x"}), "fills column 'x' twice"),
        (Mapping(constants={"x": "many"}), "constant 'many' of column x is no int32"),
        (Mapping(values={"z": {"a": "1"}}), "names column 'z', which things does not have"),
        (Mapping(datum="gcj02"), "things has no place"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            convert(pa.record_batch({"x": ["1"]}), small, mapping)


def test_typed_columns() -> None:
    """Goal: Parquet's types fit without a detour, and what would change is rejected row by row, or refused whole.
    Method: wider integers, dictionaries, bytes, zones; a float for a text, a list for a number."""
    for found, kind, expected in (
        (pa.array([1, 2**40]), "int32", [1, BAD]),
        (pa.array([1.0, 1.5]), "int32", [1, BAD]),
        (pa.array([1.5, None]), "float32", [1.5, None]),
        (pa.array([4403], pa.int64()), "string", ["4403"]),
        (pa.array(["深圳", "NA"]).dictionary_encode(), "string", ["深圳", None]),
        (pa.array(["７"], pa.large_string()), "int32", [7]),
        (pa.array(["深圳".encode(), b"\xff"]), "string", ["深圳", BAD]),
        (pa.array([0], pa.timestamp("ns", "Asia/Shanghai")), "timestamp", [datetime(1970, 1, 1)]),
        (pa.nulls(1), "date", [None]),
    ):
        converted = convert(pa.record_batch({"x": found}), contract(kind), Mapping())
        assert values_of(converted, len(found)) == expected
    for found, kind in ((pa.array([4.4e24]), "string"), (pa.array([[1]]), "int32"), (pa.array([1.5]), "date")):
        with pytest.raises(InputFileError, match=f"column x is .* and cannot become {kind}"):
            convert(pa.record_batch({"x": found}), contract(kind), Mapping())


def test_mapping_files(tmp_path: Path) -> None:
    """Goal: a mapping is a small file whose faults are told. Method: a full one, then one fault at a time."""
    path = tmp_path / "m.toml"
    text = (
        'time_zone = "Asia/Shanghai"\nmissing = [""]\ndatum = "gcj02"\ndata_set = "things"\nmatch = "物*.xlsx"\n'
        'sheet = "一"\nencoding = "gb18030"\nformat = "xlsx"\nexchange_rows = 500\n'
        '[columns]\n"温度" = "x"\n[constants]\ny = "1"\n[values.x]\n"高" = "40"\n'
    )
    path.write_text(text, encoding="utf-8-sig")
    expected = Mapping(
        columns={"温度": "x"},
        constants={"y": "1"},
        missing=("",),
        time_zone="Asia/Shanghai",
        values={"x": {"高": "40"}},
        datum="gcj02",
        data_set="things",
        match="物*.xlsx",
        sheet="一",
        encoding="gb18030",
        format="xlsx",
        exchange_rows=500,
    )
    assert read_mapping(path) == expected
    for content, words in (
        ("[column]", "unknown column"),
        ("[columns]\nx = 1", "columns is no table of texts"),
        ("missing = 1", "missing is no list"),
        ("time_zone = 8", "time_zone is no text"),
        ('datum = "wgs72"', "there is no datum 'wgs72'"),
        ("values = 1", "values is no table"),
        ("[values]\nx = 1", "values.x is no table of texts"),
        ("[values.x]\na = 1", "values.x is no table of texts"),
        ("exchange_rows = 0", "exchange_rows is no number"),
        ("[", "cannot be read"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=words):
            read_mapping(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_mapping(tmp_path / "absent.toml")


PIECES = [
    "2017", "04", "4", "12", "30", "-", "/", ".", ":", "T", " ", "Z", "+08:00", "0", "8", "05", "1e", "x", "年", "月",
    "１", "－", "NA", "nan", "inf", "true", "是", "99999999999", "(a)", "0x1F", "日"]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), min_size=1, max_size=80),
    st.sampled_from(["int8", "int32", "int64", "float32", "decimal(5,2)", "boolean", "date", "timestamp"]),
    st.sampled_from(["UTC", "Asia/Shanghai"]),
)
def test_a_row_does_not_depend_on_its_neighbours(values: list[str], kind: str, zone: str) -> None:
    """Goal: rows in = rows + rejected, and each row's fate is its own, so that loading again gives the same.
    Method: random texts converted together, and one by one."""
    mapping = Mapping(time_zone=zone)
    together = texts(kind, list(values), mapping)
    assert len(together) == len(values)
    alone = [texts(kind, [value], mapping)[0] for value in values]
    assert str(together) == str(alone)  # As text, because NaN differs from itself.


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES, "男", " 女", "１２", "12", "x", "X"]), min_size=33, max_size=300),
    st.sampled_from(["int32", "float64", "boolean", "date", "string"]),
)
def test_texts_that_come_often_read_like_others(values: list[str], kind: str) -> None:
    """Goal: a column of few texts, of which each is read once, is the column that was there, with the same counts.
    Method: random columns, converted together and one by one."""
    parts = {"domain": {"code": "resident_id"}} if kind == "string" else {}
    mapping = Mapping(values={"x": {"男": "1", "女": "1"}})
    small = contract(kind, **parts)
    together = convert(pa.record_batch({"x": pa.array(values).dictionary_encode()}), small, mapping)
    alone = [convert(pa.record_batch({"x": [value]}), small, mapping) for value in values]
    assert str(values_of(together, len(values))) == str([values_of(one, 1)[0] for one in alone])
    counts: Counter[str] = Counter()
    for one in alone:
        counts.update(one.put_right)
    assert together.put_right == counts


BLANKS = ["", " ", "\t", "\u3000", "\u00a0", "\u0085", "\u1680", "\u2003", "\u205f", "a", "深", "。", "é", "\u3001"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(BLANKS), max_size=5).map("".join), min_size=1, max_size=40), st.integers(0, 39)
)
def test_blanks_at_the_ends_are_cut_off(values: list[str], begin: int) -> None:
    """Goal: the look at the ends of a column misses no blank. Method: random texts, in a slice of a longer column."""
    rows = pa.record_batch({"x": pa.array(values, pa.string())}).slice(min(begin, len(values) - 1))
    found = convert(rows, contract("string"), Mapping(missing=())).rows["x"].to_pylist()
    assert found == [value.strip(" \t\u3000\u00a0\u0085\u1680\u2003\u205f") for value in rows["x"].to_pylist()]
