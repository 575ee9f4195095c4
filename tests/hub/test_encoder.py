"""Segments: encoded once, described truly, read back by everybody, and checked when somebody else made them.

Goal: a segment holds exactly its rows, the same bytes whoever encodes them, within the bounds that its descriptor
gives, in the encodings that its values call for. Method: contracts of every type and any rows (Hypothesis), read back
by pyarrow and DuckDB; data whose right encoding is known; files that are wrong, damaged or hostile.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.segments import encoder, encodings
from hub.segments.descriptor import (
    BOUND_CHARACTERS_MAX,
    Descriptor,
    DescriptorError,
    Value,
    descriptor_from_json,
    descriptor_to_json,
)
from hub.segments.encoder import EncodedSegment, encode
from hub.segments.encodings import Encoding, choose_encodings
from replication.segments import is_segment_id, segment_id_of
from simulator.city.readings import readings, sensors

TITLE = {"zh": "某", "en": "Something"}
READINGS = builtin_contracts()["readings"]


def contract(columns: dict[str, str], time_column: str | None = None) -> Contract:
    facts = {"name": "things", "agency": "test", "home": "ops", "kind": "event", "title": TITLE, "version": 3}
    listed = [{"name": name, "type": kind, "title": TITLE} for name, kind in columns.items()]
    return Contract.model_validate({**facts, "columns": listed, "time_column": time_column})


def noisy(rows: int, sensor_count: int = 10_000) -> pa.RecordBatch:
    return next(readings(rows, 7, sensors=sensors(sensor_count, 7), batch_rows=rows))


def read(segment: EncodedSegment) -> pa.Table:
    return pq.read_table(pa.BufferReader(segment.buffer)).replace_schema_metadata(None)


# --- Any rows ---------------------------------------------------------------------------------------------------------

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int8": st.integers(-(2**7), 2**7 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(max_size=100),
    "date": st.dates(),
    "timestamp": st.datetimes().map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    "decimal(9,2)": st.decimals(min_value=-9_999_999, max_value=9_999_999, places=2),
    "decimal(18,0)": st.integers(-(10**18) + 1, 10**18 - 1).map(Decimal),
    "decimal(38,10)": st.decimals(min_value=-(10**27), max_value=10**27, places=10),
}


@st.composite
def rows_of_any_type(draw: st.DrawFn) -> tuple[Contract, pa.Table]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    known = contract({f"c{index}": kind for index, kind in enumerate(kinds)})
    count = draw(st.integers(0, 25))
    columns = []
    for column in known.columns:
        values = st.sampled_from(draw(st.lists(st.none() | VALUES[column.type], min_size=1, max_size=25)))
        columns.append(pa.array([draw(values) for _ in range(count)], column.arrow))
    return known, pa.Table.from_arrays(columns, schema=known.schema)


@contextmanager
def small_groups() -> Iterator[None]:
    """So that few rows make many row groups, and a sample is less than all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "ROW_GROUP_ROWS", 7)
        patch.setattr(encodings, "_SAMPLE_BLOCK_ROWS", 5)
        yield


@settings(max_examples=150, deadline=None)
@given(rows_of_any_type())
@example((contract({"text": "string"}), pa.table({"text": pa.array([], pa.string())})))
@example((contract({"text": "string"}), pa.table({"text": pa.array([None, ""], pa.string())})))
def test_any_rows_come_back(case: tuple[Contract, pa.Table]) -> None:
    """Goal: pyarrow and DuckDB read what was encoded; the descriptor is true and survives JSON.
    Method: contracts of up to four columns of any type, up to 25 rows, in groups of seven."""
    known, rows = case
    with small_groups():
        segment = encode(known, rows, origin="test")
    assert read(segment).equals(rows)
    assert by_duckdb(segment).cast(known.schema).equals(rows)
    check_descriptor(known, rows, segment)


def by_duckdb(segment: EncodedSegment) -> pa.Table:
    with NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        file.write(segment.buffer)
        file.flush()
        return connection.sql("select * from read_parquet(?)", params=[file.name]).to_arrow_table()


def check_descriptor(known: Contract, rows: pa.Table, segment: EncodedSegment) -> None:
    descriptor = segment.descriptor
    assert (descriptor.data_set, descriptor.contract_version) == (known.name, known.version)
    assert (descriptor.rows, descriptor.size_bytes) == (rows.num_rows, segment.buffer.size)
    assert descriptor.id == segment_id_of([memoryview(segment.buffer)])
    assert is_segment_id(descriptor.id)
    assert descriptor_from_json(descriptor_to_json(descriptor)) == descriptor
    for column, found in zip(known.columns, descriptor.columns, strict=True):
        values = [value for value in rows[column.name].to_pylist() if value is not None]
        assert found.name == column.name
        assert found.nulls == rows.num_rows - len(values)
        if not values or column.type == "boolean":
            assert (found.min, found.max) == (None, None)
            continue
        low, high = expected_value(min(values)), expected_value(max(values))
        if isinstance(high, str) and len(high) > BOUND_CHARACTERS_MAX:
            assert found.max is None or (isinstance(found.max, str) and found.max > high)
        else:
            assert found.max == high
        assert found.min == (low[:BOUND_CHARACTERS_MAX] if isinstance(low, str) else low)
        assert type(found.min) is type(low)


def expected_value(value: Any) -> Value:
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case int() | float() | str():
            return value
    raise AssertionError(value)


# --- The same bytes ---------------------------------------------------------------------------------------------------


def test_equal_rows_give_equal_bytes() -> None:
    """Goal: the id is a function of contract and rows. Method: one batch whole, cut, sliced out of others, in threads;
    other rows, and another data set."""
    batch = noisy(300)
    table = pa.Table.from_batches([batch])
    segment = encode(READINGS, batch, origin="test")
    around = pa.concat_tables([table, table, table])
    others = [
        table,
        pa.concat_tables([table.slice(0, 1), table.slice(1, 100), table.slice(101)]),
        around.slice(300, 300),
        around.combine_chunks().slice(300, 300),
        pa.Table.from_pylist(table.to_pylist(), schema=table.schema),
    ]
    with ThreadPoolExecutor(4) as threads:
        for other in threads.map(lambda rows: encode(READINGS, rows, origin="test"), others):
            assert other.buffer.equals(segment.buffer)
            assert other.descriptor == segment.descriptor
    assert encode(READINGS, table.slice(1), origin="test").descriptor.id != segment.descriptor.id
    renamed = READINGS.model_copy(update={"name": "measurements"})
    assert encode(renamed, table, origin="test").descriptor.id != segment.descriptor.id


def test_a_segment_says_what_it_is() -> None:
    """Goal: a file that nobody names any more can still be told. Method: its metadata."""
    found = pq.read_metadata(pa.BufferReader(encode(READINGS, noisy(10), origin="test").buffer))
    assert found.metadata == {b"data_set": b"readings", b"contract_version": b"1", b"origin": b"test"}


# --- Encodings --------------------------------------------------------------------------------------------------------

COUNT = 40_000
CHANCE = np.random.default_rng(3)
IDS = CHANCE.permutation(10_000).astype(np.int32)
CASES: dict[str, tuple[str, Any, Encoding]] = {
    "times that rise": ("timestamp", np.arange(COUNT) * 1000 + CHANCE.integers(0, 50, COUNT), Encoding.DELTA),
    "ids that count up": ("int32", np.tile(np.arange(10_000), 4), Encoding.DELTA),
    "ids in an order of their own": ("int32", np.tile(IDS, 4), Encoding.DICTIONARY),
    "amounts": (
        "decimal(9,2)",
        [Decimal(int(cents)) / 100 for cents in CHANCE.integers(0, 10**8, 2_000)],
        Encoding.DELTA,
    ),
    "long decimals": ("decimal(38,2)", [Decimal(int(n)) for n in CHANCE.integers(0, 2**60, 2_000)], Encoding.PLAIN),
    "codes": ("int8", (CHANCE.random(COUNT) < 0.01) * 3, Encoding.DICTIONARY),
    "quantised": ("float32", np.round(20 + CHANCE.normal(0, 0.5, COUNT), 1), Encoding.DICTIONARY),
    "noise": ("float32", 20 + CHANCE.normal(0, 0.5, COUNT), Encoding.SPLIT),
    "places": ("float64", 114 + CHANCE.random(COUNT), Encoding.SPLIT),
    "districts": (
        "string",
        np.array(["罗湖区", "福田区", "南山区"])[CHANCE.integers(0, 3, COUNT)],
        Encoding.DICTIONARY,
    ),
    "numbers as text": ("string", [f"INC-2017-{number:08}" for number in range(COUNT)], Encoding.PLAIN),
    "flags": ("boolean", CHANCE.random(COUNT) < 0.1, Encoding.PLAIN),
}


@pytest.mark.parametrize("case", CASES)
def test_encodings_follow_the_values(case: str) -> None:
    """Goal: each column gets the encoding that its values call for, and the file has it. Method: known values."""
    kind, values, expected = CASES[case]
    known = contract({"x": kind})
    rows = pa.table({"x": pa.array(values).cast(known.schema[0].type)})
    assert choose_encodings(rows) == {"x": expected}
    segment = encode(known, rows, origin="test")
    column = pq.read_metadata(pa.BufferReader(segment.buffer)).row_group(0).column(0)
    assert column.compression == "ZSTD"
    assert column.statistics.has_min_max
    assert ("RLE_DICTIONARY" if expected is Encoding.DICTIONARY else expected.value) in column.encodings
    assert read(segment).equals(rows)
    assert by_duckdb(segment).cast(known.schema).equals(rows)


def test_readings_are_small_and_fast() -> None:
    """Goal: noisy readings take less than 1.4 bytes a row and are encoded at 8 million rows a second and core at least.
    Method: half a million of them, best of three."""
    batch = noisy(500_000)
    passes = []
    for _ in range(3):
        started_s = time.process_time()
        segment = encode(READINGS, batch, origin="test")
        passes.append(time.process_time() - started_s)
    assert segment.buffer.size / batch.num_rows < 1.4
    assert batch.num_rows / min(passes) > 8e6


# --- Descriptors ------------------------------------------------------------------------------------------------------


def descriptor(known: Contract, **columns: list[Any]) -> Descriptor:
    return encode(known, pa.Table.from_pydict(columns, schema=known.schema), origin="test").descriptor


def test_a_descriptor_reads_as_its_text_says() -> None:
    """Goal: the JSON form is as documented. Method: one column of each kind."""
    kinds = {"n": "int64", "x": "float32", "d": "decimal(12,10)", "day": "date", "at": "timestamp", "s": "string"}
    columns: dict[str, list[Any]] = {
        "n": [2**63 - 1, -(2**63)],
        "x": [0.1, 2.0],
        "d": [Decimal("0.0000000001"), Decimal("-0.5")],
        "day": [date(1, 1, 1), date(9999, 12, 31)],
        "at": [datetime(1, 1, 1), datetime(2017, 4, 12, 8, 0, 0, 7000)],
        "s": ["深圳", None],
    }
    facts = json.loads(descriptor_to_json(descriptor(contract(kinds, "at"), **columns)))
    assert set(facts) == {"data_set", "contract_version", "id", "rows", "size_bytes", "columns", "sorted_by"}
    assert facts["columns"] == [
        {"name": "n", "nulls": 0, "min": -(2**63), "max": 2**63 - 1},
        {"name": "x", "nulls": 0, "min": 0.10000000149011612, "max": 2.0},
        {"name": "d", "nulls": 0, "min": "-0.5000000000", "max": "0.0000000001"},
        {"name": "day", "nulls": 0, "min": "0001-01-01", "max": "9999-12-31"},
        {"name": "at", "nulls": 0, "min": "0001-01-01T00:00:00.000", "max": "2017-04-12T08:00:00.007"},
        {"name": "s", "nulls": 1, "min": "深圳", "max": "深圳"},
    ]
    assert (facts["data_set"], facts["contract_version"], facts["rows"]) == ("things", 3, 2)
    assert facts["sorted_by"] == ["at"]


def test_bounds_of_long_texts_are_short_and_hold() -> None:
    """Goal: a descriptor stays small whatever the texts are. Method: texts at the ends of Unicode and of its gap."""
    known = contract({"s": "string"})
    cut = BOUND_CHARACTERS_MAX
    for text, above in (
        ("a" * 2_000, "a" * (cut - 1) + "b"),
        ("a" * cut, "a" * cut),
        ("a" * (cut - 1) + "\U0010ffff" * 9, "a" * (cut - 2) + "b"),
        ("a" * (cut - 1) + "\ud7ff" * 9, "a" * (cut - 1) + "\ue000"),
        ("\U0010ffff" * 2_000, None),
    ):
        (found,) = descriptor(known, s=[text]).columns
        assert found.min == text[:cut]
        assert found.max == above
        assert above is None or above >= text


def test_sorted_by_says_what_rises() -> None:
    """Goal: nobody relies on an order that is not there. Method: times that rise, stand, fall, are missing."""
    known = contract({"at": "timestamp", "n": "int8"}, "at")
    start = datetime(2017, 4, 12)
    for steps, expected in (([0, 0, 1], ("at",)), ([0, 2, 1], ()), ([0, None, 1], ()), ([], ()), ([5], ("at",))):
        times = [None if step is None else start + timedelta(hours=step) for step in steps]
        assert descriptor(known, at=times, n=[1] * len(times)).sorted_by == expected
    by_day = contract({"day": "date"}, "day")
    assert descriptor(by_day, day=[date(2017, 1, 1), date(2017, 1, 2)]).sorted_by == ("day",)
    assert descriptor(contract({"at": "timestamp"}), at=[start]).sorted_by == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data_set": 1}', "{" * 1_000])
def test_what_is_no_descriptor_is_refused(text: str) -> None:
    """Goal: a log's damage is not taken for a segment. Method: other JSON, and none."""
    with pytest.raises(DescriptorError):
        descriptor_from_json(text)


def test_a_descriptor_of_a_newer_release_is_refused() -> None:
    """Goal: what is not understood is not passed over. Method: one more field."""
    facts = json.loads(descriptor_to_json(encode(READINGS, noisy(5), origin="test").descriptor))
    descriptor_from_json(json.dumps(facts))
    with pytest.raises(DescriptorError):
        descriptor_from_json(json.dumps({**facts, "more": 1}))
