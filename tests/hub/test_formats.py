"""Formats of answers.

Goal: an answer says the same in every format, as far as the format can.
Method: the same columns are written in each and read back, by another library where there is one.
"""

import csv
import io
import json
import math
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hub.errors import QueryError
from hub.query.formats import FORMATS, write_result

COLUMNS: dict[str, pa.Array] = {
    "n": pa.array([1, None, -(2**63)], pa.int64()),
    "level": pa.array([0.1, None, -0.0], pa.float64()),
    "open": pa.array([True, None, False]),
    "district": pa.array(["南山区", None, ""]),
    "note": pa.array(['a,"b"\r\n', None, " 'c';\t[red]:100:[/red]"]),
    "price": pa.array([Decimal("1234567890123456789.10"), None, Decimal("-0.01")], pa.decimal128(38, 2)),
    "seen_at": pa.array([datetime(2017, 4, 12, 1, 2, 3, 4000), None, datetime(1, 1, 1)], pa.timestamp("ms")),
    "sent_at": pa.array([datetime(2017, 4, 12), None, datetime(9999, 12, 31)], pa.timestamp("us", "UTC")),
    "day": pa.array([date(2017, 4, 12), None, date(9999, 12, 31)]),
    "hour": pa.array([time(23, 59, 59), None, time(0)]),
    "code": pa.array([b"\x00\xff,", None, b""]),
    "levels": pa.array([[1.5, None], None, []], pa.list_(pa.float64())),
    "place": pa.array([{"name": "福田区", "codes": [b"\x01"]}, None, {"name": None, "codes": []}]),
    "counts": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int32())),
}
BATCH = pa.record_batch(COLUMNS)
LIKE_JSON: dict[str, list[Any]] = {
    "price": ["1234567890123456789.10", None, "-0.01"],
    "seen_at": ["2017-04-12 01:02:03.004000", None, "0001-01-01 00:00:00"],
    "sent_at": ["2017-04-12 00:00:00+00:00", None, "9999-12-31 00:00:00+00:00"],
    "day": ["2017-04-12", None, "9999-12-31"],
    "hour": ["23:59:59", None, "00:00:00"],
    "code": ["00ff2c", None, ""],
    "place": [{"name": "福田区", "codes": ["01"]}, None, {"name": None, "codes": []}],
    "counts": [[["a", 1]], None, []],
}
"""What JSON has no type for."""


def written(name: str, *batches: pa.RecordBatch, schema: pa.Schema | None = None) -> bytes:
    sink = io.BytesIO()
    write_result(batches[0].schema if schema is None else schema, batches, name, sink)
    return sink.getvalue()


def parsed_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


def column_values(name: str) -> list[Any]:
    return LIKE_JSON.get(name) or list(COLUMNS[name].to_pylist())


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_binary_formats_keep_every_value_and_type(name: str) -> None:
    """Method: two batches."""
    data = written(name, BATCH, BATCH)
    found = pq.read_table(io.BytesIO(data)) if name == "parquet" else pa.ipc.open_stream(data).read_all()
    assert found.schema.equals(BATCH.schema)
    assert found.to_pylist() == BATCH.to_pylist() * 2


def test_json_keeps_every_value() -> None:
    """Method: whole numbers beyond 2⁵³ and the sign of zero as well; letters are not escaped."""
    data = written("json", BATCH, BATCH)
    found = json.loads(data)
    assert found == [{name: column_values(name)[row] for name in COLUMNS} for row in (0, 1, 2)] * 2
    assert math.copysign(1, found[2]["level"]) == -1
    assert "南山区" in data.decode()


def test_csv_keeps_every_value_but_null() -> None:
    """Method: quotes, line ends and commas within a value; nested values are JSON; a null is an empty text."""
    header, *rows = parsed_csv(written("csv", BATCH, BATCH))
    assert header == list(COLUMNS)
    assert len(rows) == 6
    assert rows[1] == [""] * len(COLUMNS)
    for number, name in enumerate(COLUMNS):
        for row in (0, 2, 3, 5):
            value = column_values(name)[row % 3]
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
            assert rows[row][number] == text


def test_table_shows_what_csv_says() -> None:
    """Goal: nothing is cut, squeezed or taken for markup. Method: a wide answer to something that is no terminal."""
    batch = BATCH.slice(2).drop_columns("note")
    _, expected = parsed_csv(written("csv", batch))
    shown = lines(written("table", batch))
    assert shown[-1] == "1 rows"
    for edge, row, cells in (("┃", shown[1], list(batch.schema.names)), ("│", shown[3], expected)):
        assert [cell.strip() for cell in row.strip(edge).split(edge)] == cells


@pytest.mark.parametrize("text", ["[red]a[/red]", "[/]", "a[b]", ":100:", ":city:", "\\[", "https://a.b", "x" * 300])
def test_table_takes_text_as_it_is(text: str) -> None:
    """Method: what rich would take for colours, pictures and links, in a name and in a value."""
    shown = lines(written("table", pa.record_batch({text: [text]})))
    assert shown[1].strip("┃ ") == shown[3].strip("│ ") == text


@pytest.mark.parametrize(("rows", "words"), [(200, "200 rows"), (201, "201 rows, the first 200 shown")])
def test_table_ends_after_200_rows(rows: int, words: str) -> None:
    """Method: batches that the limit cuts; the number of rows is told in full."""
    batches = [pa.record_batch({"n": range(start, min(start + 90, rows))}) for start in range(0, rows, 90)]
    shown = lines(written("table", *batches))
    assert shown[-1] == words
    assert [int(line.strip("│ ")) for line in shown if line.startswith("│")] == list(range(min(rows, 200)))


def test_an_empty_answer_has_its_columns() -> None:
    """Method: no batch at all, and an empty one."""
    for batches in ([], [BATCH.slice(0, 0)]):
        found = {name: written(name, *batches, schema=BATCH.schema) for name in FORMATS}
        assert json.loads(found["json"]) == []
        assert parsed_csv(found["csv"]) == [list(COLUMNS)]
        assert "0 rows" in found["table"].decode()
        for table in (pq.read_table(io.BytesIO(found["parquet"])), pa.ipc.open_stream(found["arrow"]).read_all()):
            assert table.num_rows == 0
            assert table.schema.equals(BATCH.schema)


def test_an_answer_without_columns_is_written() -> None:
    """Goal: no format fails on it. DuckDB gives none so far."""
    schema = pa.schema([])
    found = {name: written(name, schema=schema) for name in FORMATS}
    assert json.loads(found["json"]) == []
    assert found["csv"] == b"\r\n"
    assert found["table"].decode().split() == ["0", "rows"]
    assert pq.read_schema(io.BytesIO(found["parquet"])) == pa.ipc.open_stream(found["arrow"]).schema == schema


def test_columns_of_one_name_stay_apart() -> None:
    """Method: three columns of one name, and one of the name that would be given to the second."""
    batch = pa.RecordBatch.from_arrays([pa.array([n]) for n in range(4)], names=["a", "a", "a_1", "a"])
    assert json.loads(written("json", batch)) == [{"a": 0, "a_1": 1, "a_1_1": 2, "a_2": 3}]
    assert parsed_csv(written("csv", batch)) == [["a", "a", "a_1", "a"], ["0", "1", "2", "3"]]
    assert lines(written("table", batch))[3].replace(" ", "") == "│0│1│2│3│"


def test_numbers_that_json_lacks_are_text() -> None:
    """Method: nan and both infinities, alone and deep in a value; any JSON reader can read the rest."""

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    values = [math.nan, math.inf, -math.inf, 1.5]
    batch = pa.record_batch({"x": values, "y": pa.array([[{"z": value}] for value in values])})
    found = json.loads(written("json", batch), parse_constant=refuse)
    assert [row["x"] for row in found] == ["nan", "inf", "-inf", 1.5]
    assert [row["y"][0]["z"] for row in found] == ["nan", "inf", "-inf", 1.5]
    assert [row[0] for row in parsed_csv(written("csv", batch))[1:]] == ["nan", "inf", "-inf", "1.5"]


def moments(kind: pa.DataType, *counts: int) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(counts, pa.int32() if kind == pa.date32() else pa.int64()).view(kind)})


@pytest.mark.parametrize("name", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "batch",
    [
        moments(pa.timestamp("us"), 2**63 - 1),
        moments(pa.timestamp("us", "UTC"), 2**63 - 1),
        moments(pa.timestamp("ns"), 1),
        moments(pa.date32(), -(2**31 - 1)),
    ],
    ids=["infinity", "infinity with zone", "nanosecond", "day before the first"],
)
def test_a_moment_that_cannot_be_shown_is_told(name: str, batch: pa.RecordBatch) -> None:
    """Goal: an error that says what to do, instead of a wrong date."""
    with pytest.raises(QueryError) as caught:
        written(name, batch)
    assert str(batch.schema[0].type) in caught.value.message
    assert "varchar" in caught.value.hint


def test_a_type_that_parquet_lacks_is_told() -> None:
    intervals = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    with pytest.raises(QueryError, match="Parquet") as caught:
        written("parquet", pa.record_batch({"x": intervals}))
    assert "arrow" in caught.value.hint


def test_other_types_have_a_text() -> None:
    """Method: what DuckDB gives for uuid, enum, fixed lists and time spans."""
    columns = {
        "id": pa.array([UUID(int=1).bytes], pa.uuid()),
        "kind": pa.array(["gas"]).dictionary_encode(),
        "pair": pa.array([[1, 2]], pa.list_(pa.int32(), 2)),
        "span": pa.array([timedelta(hours=1)], pa.duration("us")),
    }
    (found,) = json.loads(written("json", pa.record_batch(columns)))
    assert found == {"id": str(UUID(int=1)), "kind": "gas", "pair": [1, 2], "span": "1:00:00"}
    assert parsed_csv(written("csv", pa.record_batch(columns)))[1] == [str(UUID(int=1)), "gas", "[1, 2]", "1:00:00"]


@pytest.mark.parametrize("name", ["csv", "json", "parquet", "arrow"])
def test_rows_are_written_as_they_arrive(name: str) -> None:
    """Goal: an answer of any length takes the memory of a batch. Method: the sink has grown at each batch's end."""
    sink = io.BytesIO()
    sizes = []

    def batches() -> Iterable[pa.RecordBatch]:
        for _ in range(3):
            yield BATCH
            sizes.append(len(sink.getvalue()))

    write_result(BATCH.schema, batches(), name, sink)
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert not sink.closed


def test_no_other_format() -> None:
    with pytest.raises(KeyError):
        written("xml", BATCH)
