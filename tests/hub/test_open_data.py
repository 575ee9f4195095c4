"""What is published is k-anonymous, loses no row of a crowd, and shows nothing that must not go out.

Method: random tables go through the real query (DuckDB, past the guard) into real files, which are compared with a
model in plain Python; then faults are put into files, which must be refused.
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.catalogue.publication import parse_rule, type_after
from hub.errors import ConfigurationError, ContractError, HubError, UnavailableError
from hub.open_data import files
from hub.open_data.files import Written, write_files
from hub.open_data.folder import METADATA, Versions, locked, newest_metadata, write_json
from hub.open_data.publish import write_catalog
from hub.open_data.rows import ROWS_ALL, Plan, plan_of
from hub.open_data.verify import verify
from hub.query.guard import check_sql

TITLE = {"zh": "列", "en": "Column"}
K = 3
SECRETS = ("zhang", "inner", "hidden")


def column(name: str, kind: str, sensitivity: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "sensitivity": sensitivity, "title": TITLE}


def people(**publication: Any) -> Contract:
    return Contract.model_validate(
        {
            "name": "people",
            "agency": "public_security",
            "home": "ops",
            "kind": "event",
            "time_column": "seen_at",
            "title": {"zh": "人", "en": "People"},
            "columns": [
                column("person", "string", "personal"),
                column("born_on", "date", "personal"),
                column("seen_at", "timestamp", "open"),
                column("income", "int32", "personal"),
                column("weight", "float64", "personal"),
                column("place", "string", "personal"),
                column("note", "string", "open"),
                column("remark", "string", "internal"),
                column("word", "string", "secret"),
            ],
            "publication": {
                "quasi_identifiers": ["born_on", "income", "weight", "place"],
                "k": K,
                "generalise": {
                    "born_on": "decade",
                    "income": "round:1000",
                    "weight": "round:0.5",
                    "place": "first:2",
                    "seen_at": "month",
                },
            }
            | publication,
        }
    )


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "person": st.just(SECRETS[0]),
            "born_on": some(st.dates(date(1969, 1, 1), date(1981, 1, 1))),
            "seen_at": some(st.datetimes(datetime(2026, 1, 30), datetime(2026, 2, 2))),
            "income": some(st.sampled_from([-600, -499, 0, 400, 499, 501, 999])),
            "weight": some(st.sampled_from([-0.1, 0.0, 0.2, 0.3])),
            "place": some(st.sampled_from(["", "深圳市", "深圳湾", "深a", "𝄞é́x"])),
            "note": some(st.text(max_size=3)),
            "remark": st.just(SECRETS[1]),
            "word": st.just(SECRETS[2]),
        }
    ),
    max_size=40,
)
SIMPLE = people(quasi_identifiers=["born_on", "place"], generalise={"born_on": "decade", "place": "first:2"})
CONTRACTS = [people(), SIMPLE, people(quasi_identifiers=["seen_at"], generalise={"seen_at": "year"})]


def half_away(value: float, step: float) -> float:
    steps = int(abs(value) / step + 0.5)
    return round((steps if value >= 0 else -steps) * step, 1)


def coarser(row: dict[str, Any], contract: Contract) -> tuple[Any, ...]:
    """The row as it goes out, by a model of its own."""
    assert contract.publication is not None
    shown: list[Any] = []
    for one in contract.columns:
        rule, value = contract.publication.generalise.get(one.name), row[one.name]
        if one.sensitivity != "open" and not (one.sensitivity == "personal" and rule):
            continue
        if value is not None and rule is not None:
            kind, _, amount = rule.partition(":")
            match kind:
                case "decade":
                    value = value.year // 10 * 10
                case "year":
                    value = value.year
                case "month":
                    value = f"{value.year:04}-{value.month:02}"
                case "first":
                    value = value[: int(amount)]
                case "round":
                    value = half_away(value, float(amount))
        shown.append(value)
    return tuple(shown)


def answer(contract: Contract, rows: list[dict[str, Any]], batch_rows: int) -> tuple[Plan, Iterator[pa.RecordBatch]]:
    plan = plan_of(contract)
    connection = duckdb.connect(":memory:", config={"threads": 1})
    columns = ", ".join(f'"{one.name}" {one.duckdb}' for one in contract.columns)
    connection.execute(f'create table "{contract.name}" ({columns})')
    if rows:
        # Timestamps are held to the millisecond, as they travel.
        table = pa.Table.from_pylist(rows, contract.schema)
        connection.register("sent", table)
        connection.execute(f'insert into "{contract.name}" select * from sent')
    sql = check_sql(connection, plan.sql, relations={contract.name}, bytes_max=65_536)
    return plan, iter(connection.sql(sql).to_arrow_reader(batch_rows))


def published(
    contract: Contract, rows: list[dict[str, Any]], folder: Path, batch_rows: int = 7
) -> tuple[Plan, Written]:
    plan, batches = answer(contract, rows, batch_rows)
    return plan, write_files(batches, plan.schema, folder=folder, name=contract.name)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, contract=st.sampled_from(CONTRACTS))
def test_what_is_published_is_k_anonymous_and_whole(rows: list[dict[str, Any]], contract: Contract) -> None:
    """Method: the model makes every row coarser and counts crowds; exactly the rows of large ones are in both files."""
    for row in rows:
        if row["seen_at"] is not None:
            row["seen_at"] = row["seen_at"].replace(microsecond=row["seen_at"].microsecond // 1000 * 1000)
    with TemporaryDirectory() as name:
        plan, written = published(contract, rows, Path(name))
        smallest = verify(plan, written)
        table = pq.read_table(written.parquet.path)
        text = written.csv.path.read_text(encoding="utf-8-sig")
        csv = pa_csv.read_csv(
            written.csv.path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=plan.schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
            ),
        )
    names = table.schema.names
    places = [names.index(one) for one in plan.quasi_identifiers]
    shown = [coarser(row, contract) for row in rows]
    crowds = Counter(tuple(row[place] for place in places) for row in shown)
    expected = [row for row in shown if crowds[tuple(row[place] for place in places)] >= K]
    found = [tuple(row.values()) for row in table.to_pylist()]
    assert Counter(found) == Counter(expected)
    assert Counter(tuple(row.values()) for row in csv.to_pylist()) == Counter(expected)
    left = Counter(tuple(row[place] for place in places) for row in found)
    assert min(left.values(), default=0) == smallest
    assert not left or smallest >= K
    assert written.rows == len(expected)
    assert written.rows_all == (len(rows) if expected else None)
    assert not {"person", "remark", "word"} & set(names)
    assert not any(secret in text for secret in SECRETS)


def test_equal_rows_make_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Method: the rows in another order, the answer in other batches, groups of a few rows."""
    monkeypatch.setattr(files, "GROUP_ROWS", 100)
    rows = [
        {one.name: None for one in SIMPLE.columns} | {"note": str(number % 50), "seen_at": datetime(2026, 1, 1)}
        for number in range(1_234)
    ]
    sums = set()
    for number, (order, batch_rows) in enumerate(((rows, 2048), (rows[::-1], 77), (rows[600:] + rows[:600], 1))):
        folder = tmp_path / str(number)
        folder.mkdir()
        plan, written = published(SIMPLE, order, folder, batch_rows)
        assert verify(plan, written) == 1_234
        assert pq.read_metadata(written.parquet.path).num_row_groups == 13
        assert written.csv.path.read_bytes().startswith(b"\xef\xbb\xbf")
        sums.add((written.csv.sha256, written.parquet.sha256))
    assert len(sums) == 1


def test_files_that_show_too_much_are_refused(tmp_path: Path) -> None:
    """Method: for each thing that `verify` asks, files in which it is not so."""
    plan = plan_of(SIMPLE)
    row = {"born_on": 1970, "seen_at": datetime(2026, 1, 1), "place": "深圳", "note": None}

    def refused(rows: list[dict[str, Any]], words: str, schema: pa.Schema = plan.schema, missing: int = 0) -> None:
        table = pa.Table.from_pylist(
            [one | {ROWS_ALL: 9} for one in rows], schema.append(pa.field(ROWS_ALL, pa.int64()))
        )
        written = write_files(table.to_batches(), schema, folder=tmp_path, name="people")
        facts = Written(rows=written.rows + missing, rows_all=9, csv=written.csv, parquet=written.parquet)
        with pytest.raises(HubError, match=words):
            verify(plan, facts)

    refused([row] * 3 + [row | {"place": None}] * 2, "only 2 rows look alike where 3 must")
    refused([row] * 3, "has 3 rows, not 4", missing=1)
    refused([row | {"born_on": 1971}] * 3, "3 rows hold values finer than their rules allow")
    refused([row | {"place": "深圳市"}] * 3, "finer than their rules allow")
    refused([row | {"person": "zhang"}] * 3, "it has columns", plan.schema.append(pa.field("person", pa.string())))
    months = plan_of(people(quasi_identifiers=[], generalise={"seen_at": "month"}))
    with pytest.raises(HubError, match="answered with columns"):
        write_files(iter([pa.RecordBatch.from_pylist([row])]), months.schema, folder=tmp_path, name="people")


@pytest.mark.parametrize(
    ("publication", "words"),
    [
        ({"generalise": {"remark": "as_is"}}, "remark is generalised, but internal"),
        ({"generalise": {"word": "first:1"}}, "word is generalised, but secret"),
        ({"quasi_identifiers": ["person"]}, "person is a quasi identifier, but does not go out"),
        ({"quasi_identifiers": [], "generalise": {"born_on": "year"}}, "born_on is personal and goes out"),
        ({"generalise": {"born_on": "week"}}, "no rule 'week'"),
        ({"generalise": {"place": "year"}}, "rule year is not for string"),
    ],
)
def test_a_publication_that_tells_too_much_is_not_carried_out(publication: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        plan_of(people(**publication))


def test_a_data_set_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(ContractError, match="not open data") as refused:
        plan_of(builtin_contracts()["experts"])
    assert "publication = {}" in refused.value.hint


def test_every_built_in_publication_can_be_carried_out() -> None:
    """Method: the query of each over an empty table; its answer has the types that the files are to have."""
    for contract in builtin_contracts().values():
        if contract.publication is not None:
            plan, batches = answer(contract, [], 10)
            assert all(batch.schema.names == [*plan.schema.names, ROWS_ALL] for batch in batches)


@pytest.mark.parametrize(
    ("rule", "kind", "after"),
    [
        ("as_is", "boolean", "boolean"),
        ("year", "timestamp_us", "int32"),
        ("decade", "date", "int32"),
        ("month", "timestamp", "string"),
        ("first:4", "string", "string"),
        ("round:5", "uint8", "int64"),
        ("round:5", "int64", "float64"),
        ("round:0.25", "float32", "float64"),
        ("round:0.25", "decimal(9,2)", "float64"),
        ("round:0.25", "int8", None),
        ("round:0", "int8", None),
        ("round", "int8", None),
        ("round:5", "date", None),
        ("first:0", "string", None),
        ("first:1.5", "string", None),
        ("first:-1", "string", None),
        ("year:4", "date", None),
        ("Year", "date", None),
        ("", "date", None),
    ],
)
def test_rules(rule: str, kind: str, after: str | None) -> None:
    if after is None:
        with pytest.raises(ValueError, match="rule"):
            type_after(parse_rule(rule), kind)
    else:
        assert type_after(parse_rule(rule), kind) == after


def test_a_folder_shows_whole_versions_only(tmp_path: Path) -> None:
    """Method: two versions of one data set, a third that is being made, files that are no versions."""
    versions = Versions(tmp_path, "people")
    assert versions.newest() == 0
    for number in (9, 10):
        versions.stage()
        write_json(versions.staged / METADATA, {"number": number})
        versions.show(number)
    versions.stage()
    write_json(versions.staged / METADATA, {"number": 11})
    (tmp_path / "people" / "vx").mkdir()
    (tmp_path / "other").mkdir()
    assert versions.newest() == 10
    assert [one["number"] for one in newest_metadata(tmp_path)] == [10]
    versions.clear()
    assert sorted(one.name for one in (tmp_path / "people").iterdir()) == ["v10", "v9", "vx"]


def test_one_process_at_a_time_publishes_in_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "folder"):
        with pytest.raises(UnavailableError, match="another process"), locked(tmp_path / "new" / "folder"):
            pass
        assert write_catalog(tmp_path / "new" / "folder") == 0
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(ConfigurationError, match="cannot be written to"), locked(tmp_path / "file" / "folder"):
        pass
