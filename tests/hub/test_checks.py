"""`conform` and `check`: what is cast, what is refused, and that every row ends on one side."""

import json
import math
import time
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.errors import ExchangeError
from hub.ingest.checks import CONTENT_CHARACTERS_MAX, check, conform

TITLE = {"zh": "某", "en": "Something"}


def contract(*columns: dict[str, Any], key: tuple[str, ...] = ()) -> Contract:
    return Contract.model_validate(
        {
            "name": "things",
            "agency": "test",
            "home": "ops",
            "kind": "registry" if key else "event",
            "key": key,
            "title": TITLE,
            "columns": [{"title": TITLE} | column for column in columns],
        }
    )


def one_column(kind: str, values: list[Any], /, **domain: Any) -> list[str | None]:
    """Reason for each value of a single column `x`, None for the accepted ones."""
    small = contract({"name": "x", "type": kind, "unit": "m", "domain": domain or None})
    checked = check(small, pa.record_batch({"x": pa.array(values, small.schema[0].type)}))
    reasons: list[str | None] = [None] * len(values)
    for one in checked.rejected:
        reasons[one.row] = one.reason
    assert checked.accepted.num_rows == reasons.count(None)
    return reasons


def readings(rows: int) -> pa.RecordBatch:
    columns = {
        "observed_at": np.arange(rows) + 1_492_000_000_000,
        "sensor_id": np.arange(rows, dtype=np.int32) % 10_000 + 1,
        "value": np.linspace(0, 100, rows, dtype=np.float32),
        "quality": np.zeros(rows, np.int8),
    }
    schema = builtin_contracts()["readings"].schema
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema
    )


def test_clean_rows_pass_untouched_and_fast() -> None:
    """Goal: checks cost clean data nothing: the same batch comes back, at 10 million rows a second and core.
    Method: the best of several passes over batches of 20,000 rows."""
    batch = readings(20_000)
    known = builtin_contracts()["readings"]
    assert check(known, batch).accepted is batch
    assert conform(known, batch) is batch
    passes = []
    for _ in range(20):
        started_s = time.process_time()
        check(known, batch)
        passes.append(time.process_time() - started_s)
    assert batch.num_rows / min(passes) > 10e6


def test_a_row_is_refused_once_with_all_its_reasons() -> None:
    """Goal: nothing is counted twice and nothing is kept back from whoever must mend it.
    Method: three bad rows in five, one of them with two faults."""
    known = builtin_contracts()["readings"]
    rows = readings(5).to_pydict()
    rows["value"][1] = math.nan
    rows["sensor_id"][3] = None
    rows["quality"][3] = 9
    rows["value"][4] = -math.inf
    checked = check(known, pa.RecordBatch.from_pydict(rows, schema=known.schema))
    assert [(one.row, one.reason) for one in checked.rejected] == [
        (1, "value nan is not a finite number"),
        (3, "sensor_id is missing, and it is part of the key; quality 9 is above 3"),
        (4, "value -inf is not a finite number"),
    ]
    assert checked.accepted["sensor_id"].to_pylist() == [1, 3]
    content = json.loads(checked.rejected[0].content)
    assert content == {"observed_at": "2017-04-12 12:26:40.001", "sensor_id": 2, "value": "nan", "quality": 0}


def test_domains_hold() -> None:
    """Goal: each kind of limit refuses what is outside and nothing else. Method: values on both sides of it."""
    assert one_column("int8", [-1, 0, 3, 4, None], min=0, max=3) == [
        "x -1 is below 0 m", None, None, "x 4 is above 3 m", None]  # fmt: skip
    assert one_column("int64", [2**53, 2**53 + 1], max=float(2**53)) == [
        None,
        "x 9007199254740993 is above 9.0072e+15 m",
    ]
    assert one_column("int32", [0, 1, 2], min=0.5) == ["x 0 is below 0.5 m", None, None]
    assert one_column("float32", [0.1, 0.2], max=0.1) == [None, "x 0.2 is above 0.1 m"]
    assert one_column("float64", [math.nan, -5.0, 5.0], min=0) == [
        "x nan is not a finite number", "x -5 is below 0 m", None]  # fmt: skip
    assert one_column("decimal(5,2)", [Decimal("1.50"), Decimal("9.99")], max=2) == [None, "x 9.99 is above 2 m"]
    assert one_column("string", ["红", "紫", None], values=["红", "蓝"]) == [None, "x '紫' is not one of 红, 蓝", None]
    assert one_column("int16", [1, 4], values=[1, 2]) == [None, "x 4 is not one of 1, 2"]
    assert one_column("string", ["12", "123", "12\n", "x12"], pattern="[0-9]{2}") == [
        None, *(f"x '{text}' does not match [0-9]{{2}}" for text in ("123", "12\n", "x12"))]  # fmt: skip
    assert one_column("string", ["深圳", "深圳市"], length_max=2) == [None, "x '深圳市' is longer than 2 characters"]
    assert one_column("boolean", [True, None]) == [None, None]


def test_a_day_that_no_reader_could_show_is_refused() -> None:
    """Goal: no row that would stop every query which touches it. Method: the calendar's ends and beyond."""
    first, last = date(1, 1, 1), date(9999, 12, 31)
    assert one_column("date", [first, last]) == [None, None]
    assert one_column("timestamp", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_000)]) == [None, None]
    for kind, beyond in (("date", 2_932_897), ("date", -719_163), ("timestamp", 2**62), ("timestamp", -(2**62))):
        small = contract({"name": "x", "type": kind})
        kind_of = small.schema[0].type
        counts = pa.array([0, beyond], pa.int32() if kind == "date" else pa.int64())
        checked = check(small, pa.record_batch({"x": counts.view(kind_of)}))
        assert [one.row for one in checked.rejected] == [1]
        assert "is outside the years 1 to 9999" in checked.rejected[0].reason


def test_a_delete_is_checked_by_its_key() -> None:
    """Goal: deletes carry a sound key and nothing else. Method: a null and a malformed code among the keys."""
    known = builtin_contracts()["buildings"]
    rows = pa.record_batch({"building_code": ["440305" + "1" * 19, None, "12"]})
    checked = check(known, conform(known, rows, key_only=True), key_only=True)
    assert [one.row for one in checked.rejected] == [1, 2]
    with pytest.raises(ExchangeError, match="unknown column 'name'"):
        conform(known, pa.record_batch({"building_code": ["440305" + "1" * 19], "name": ["a"]}), key_only=True)


def test_columns_are_ordered_and_filled() -> None:
    """Goal: senders need not know the order nor the optional columns. Method: swapped and missing columns."""
    small = contract(
        {"name": "a", "type": "int32", "required": True}, {"name": "b", "type": "string"}, {"name": "c", "type": "date"}
    )
    rows = conform(small, pa.record_batch({"b": ["x"], "a": pa.array([1], pa.int32())}))
    assert rows.schema == small.schema
    assert rows.to_pylist() == [{"a": 1, "b": "x", "c": None}]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (pa.array([1], pa.int8()), "int64"),
        (pa.array([1], pa.uint16()), "int32"),
        (pa.array([1], pa.int32()), "float64"),
        (pa.array([1.5], pa.float32()), "float64"),
        (pa.array(["a"], pa.large_string()), "string"),
        (pa.array(["a"], pa.string_view()), "string"),
        (pa.array(["a", "a"]).dictionary_encode(), "string"),
        (pa.array([5], pa.timestamp("s")), "timestamp"),
        (pa.array([5_000], pa.timestamp("us", "Asia/Shanghai")), "timestamp"),
        (pa.array([86_400_000], pa.date64()), "date"),
        (pa.array([Decimal("1.5")], pa.decimal128(3, 1)), "decimal(5,2)"),
        (pa.nulls(2), "int32"),
    ],
)
def test_lossless_casts(found: pa.Array, kind: str) -> None:
    """Goal: a type that holds every value is as good. Method: narrower and differently stored columns."""
    small = contract({"name": "x", "type": kind})
    rows = conform(small, pa.record_batch({"x": found}))
    assert rows.schema == small.schema
    plain = found.cast(pa.timestamp("ms")) if kind == "timestamp" else found
    assert rows["x"].to_pylist() == plain.to_pylist()


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (pa.array([1], pa.int64()), "int32"),
        (pa.array([1], pa.int64()), "float64"),
        (pa.array([1.0], pa.float64()), "float32"),
        (pa.array([1.0]), "int32"),
        (pa.array(["1"]), "int32"),
        (pa.array([1]), "string"),
        (pa.array([1_001], pa.timestamp("us")), "timestamp"),
        (pa.array([1], pa.date32()), "timestamp"),
        (pa.array([b"a"]), "string"),
        (pa.array([[1]]), "int32"),
        (pa.array([Decimal("1.234")], pa.decimal128(4, 3)), "decimal(5,2)"),
    ],
)
def test_lossy_casts_are_refused(found: pa.Array, kind: str) -> None:
    """Goal: no value changes on the way in, and the sender learns what was expected. Method: types that differ."""
    small = contract({"name": "x", "type": kind})
    expected = str(small.schema[0].type).replace("[", r"\[").replace("]", r"\]").replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ExchangeError, match=f"things: column 'x' is .*, expected {expected}"):
        conform(small, pa.record_batch({"x": found}))


def test_columns_that_do_not_belong_are_named() -> None:
    """Goal: a wrong exchange is refused whole, by the column's name. Method: unknown, missing, doubled columns."""
    small = contract({"name": "a", "type": "int32", "required": True}, {"name": "b", "type": "int32"})
    ones = pa.array([1], pa.int32())
    for names, words in (
        (["a", "z"], "unknown column 'z'"),
        (["b"], r"required column 'a' \(int32\) is missing"),
        (["a", "a"], "column 'a' comes twice"),
    ):
        with pytest.raises(ExchangeError, match=words):
            conform(small, pa.RecordBatch.from_arrays([ones] * len(names), names=names))


def test_what_is_quarantined_has_a_limit() -> None:
    """Goal: one huge row cannot fill the log. Method: a row far longer than the limit."""
    small = contract({"name": "x", "type": "string", "domain": {"length_max": 5}})
    (one,) = check(small, pa.record_batch({"x": ["y" * 10 * CONTENT_CHARACTERS_MAX]})).rejected
    assert len(one.content) < CONTENT_CHARACTERS_MAX + 100
    assert one.content.endswith("more characters)")
    assert len(one.reason) < 200


rows_of_readings = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.floats(width=32),
        st.none() | st.integers(-128, 127),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(rows_of_readings)
def test_every_row_ends_on_one_side(rows: list[tuple[int | None, int | None, float | None, int | None]]) -> None:
    """Goal: rows in = accepted + rejected, each exactly once, by the same rule as a plain reading of the contract.
    Method: random rows, judged by a second, row-wise implementation."""
    known = builtin_contracts()["readings"]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    stored = (pa.int64(), pa.int32(), pa.float32(), pa.int8())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, stored, strict=True)]
    arrays = [array.cast(field.type) for array, field in zip(arrays, known.schema, strict=True)]
    checked = check(known, pa.RecordBatch.from_arrays(arrays, schema=known.schema))

    def good(row: tuple[int | None, int | None, float | None, int | None]) -> bool:
        at, sensor, value, quality = row
        return (
            at is not None
            and -62_135_596_800_000 <= at <= 253_402_300_799_999
            and sensor is not None
            and sensor >= 1
            and value is not None
            and math.isfinite(value)
            and quality is not None
            and 0 <= quality <= 3
        )

    assert [one.row for one in checked.rejected] == [place for place, row in enumerate(rows) if not good(row)]
    accepted = [column.cast(kind).to_pylist() for column, kind in zip(checked.accepted.columns, stored, strict=True)]
    assert list(zip(*accepted, strict=True)) == [row for row in rows if good(row)]


def _rows_of(data_set: str, **columns: list[Any]) -> pa.RecordBatch:
    known = builtin_contracts()[data_set]
    fields = {name: pa.array(values, known.column(name).arrow) for name, values in columns.items()}
    return conform(known, pa.record_batch(fields))


def test_exchanged_coordinates_are_named() -> None:
    """Goal: a place whose longitude is a latitude says so; one that is merely far away does not."""
    known = builtin_contracts()["sensors"]
    columns: dict[str, list[Any]] = {
        "sensor_id": [1, 2, 3],
        "kind": ["gas"] * 3,
        "unit": ["%LEL"] * 3,
        "district": ["南山区"] * 3,
    }
    rows = _rows_of("sensors", **columns, lon=[113.9, 22.5, 100.0], lat=[22.5, 113.9, 22.5])
    checked = check(known, rows)
    assert [one.row for one in checked.rejected] == [1, 2]
    assert "lat 113.9 and lon seem to be exchanged" in checked.rejected[0].reason
    assert "exchanged" not in checked.rejected[1].reason


def test_moments_stand_in_their_order() -> None:
    """Goal: what cannot precede is refused; what is not known yet is no fault."""
    known = builtin_contracts()["hidden_dangers"]
    columns: dict[str, list[Any]] = {
        "danger_id": ["a", "b", "c"],
        "level": ["major"] * 3,
        "district": ["南山区"] * 3,
        "street": ["西丽街道"] * 3,
    }
    rows = _rows_of("hidden_dangers", **columns, found_at=[5, 5, 5], closed_at=[4, 5, None])
    checked = check(known, rows)
    assert [one.row for one in checked.rejected] == [0]
    assert "is before found_at" in checked.rejected[0].reason


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamp_us"])
def test_moments_within_their_limits(kind: str) -> None:
    domain = {"earliest": "2000-01-01", "latest": "2000-12-31"}
    known = contract({"name": "x", "type": kind, "domain": domain, "title": {"zh": "时", "en": "x"}})
    texts = pa.array(["1999-12-31", "2000-01-01", "2000-12-31", "2001-01-01", None])
    checked = check(known, pa.record_batch({"x": texts.cast(known.schema[0].type)}))
    assert [(one.row, one.reason.split(" ", 2)[-1]) for one in checked.rejected] == [
        (0, checked.rejected[0].reason.split(" ", 2)[-1]),
        (3, checked.rejected[1].reason.split(" ", 2)[-1]),
    ]
    assert "is before 2000-01-01" in checked.rejected[0].reason
    assert "is after 2000-12-31" in checked.rejected[1].reason
