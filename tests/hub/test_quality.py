"""Goal: the measures are what they say, and the score is their weighted mean.

Method: each measure on a few rows with known answers, in a DuckDB in memory; samples of larger tables against the
whole; scores by hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts, contract_to_json, parse_contract
from hub.quality.measures import ACCEPTED, OPEN, Measures, measures, sample_facts
from hub.quality.score import Scored, Weights, builtin_rules, by_agency, score
from hub.query.run import describe
from hub.query.statements import Statements
from hub.store.store import Store
from replication.codec import make_entry
from replication.core.types import ORIGIN, Entry
from replication.core.types import Kind as EntryKind
from replication.segments import SegmentFiles

SENSORS: Final = """
[[contract]]
name = "sensors"
agency = "environment"
home = "ops"
kind = "registry"
key = ["sensor_id"]
title = { zh = "传感器", en = "Sensors" }
columns = [{ name = "sensor_id", type = "int32", required = true, title = { zh = "编号", en = "Sensor" } }]
"""
READINGS: Final = """
[[contract]]
name = "readings"
agency = "environment"
home = "ops"
kind = "event"
key = ["sensor_id", "minute"]
title = { zh = "读数", en = "Readings" }
columns = [
    { name = "sensor_id", type = "int32", required = true, REFERENCE, title = { zh = "编号", en = "Sensor" } },
    { name = "minute", type = "timestamp", required = true, title = { zh = "时间", en = "Minute" } },
    { name = "value", type = "float64", title = { zh = "读数", en = "Value" } },
    { name = "note", type = "string", title = { zh = "备注", en = "Note" } },
]
""".replace("REFERENCE", 'reference = { data_set = "sensors", column = "sensor_id" }')
TITLE: Final = 'title = { zh = "读数", en = "Readings" }'
KNOWN: Final = ("sensors", "readings")


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Sensors 0 to 3."""
    with duckdb.connect() as connection:
        connection.execute("create table sensors as select range::integer as sensor_id from range(4)")
        connection.execute("create table readings (sensor_id integer, minute timestamp, value double, note varchar)")
        yield connection


def facts(
    database: duckdb.DuckDBPyConnection, contract: Contract, known: tuple[str, ...] = KNOWN, sample_rows: int = 100_000
) -> dict[str, Any]:
    (held,) = database.execute(f"select count(*) from {contract.name}").fetchall()[0]
    sql = sample_facts(contract, known, rows=held, sample_rows=sample_rows)
    answer = database.execute(sql)
    names = [column[0] for column in answer.description or ()]
    return dict(zip(names, answer.fetchall()[0], strict=True))


def readings(time: str = "") -> Contract:
    return parse_contract(READINGS.replace(TITLE, f"{TITLE}\n{time}"))


def test_every_measure(database: duckdb.DuckDBPyConnection) -> None:
    """Method: five readings; two have one key, one is of an unknown sensor, of ten optional values four are there."""
    database.execute(
        "insert into readings values (0, '2026-01-01', 1, 'a'), (0, '2026-01-01', 1, null), (1, '2026-01-01', 2, null),"
        " (2, '2026-01-02', null, null), (9, '2026-01-02', null, null)"
    )
    found = facts(database, readings())
    assert found == {"sampled": 5, "filled": 4, "alone": 3, "given": 5, "linked": 4}
    assert measures(readings(), found, accepted=90, rejected=10) == Measures(
        validity=0.9, completeness=0.4, uniqueness=0.6, linkage=0.8
    )


def test_what_a_data_set_does_not_have_is_not_measured(database: duckdb.DuckDBPyConnection) -> None:
    """Method: a registry of a key alone; a data set whose reference does not exist; one without rows."""
    registry = parse_contract(SENSORS)
    assert measures(registry, facts(database, registry), accepted=4, rejected=0) == Measures(
        validity=1.0, completeness=None, uniqueness=1.0, linkage=None
    )
    empty = measures(readings(), facts(database, readings(), known=("readings",)), accepted=0, rejected=3)
    assert empty == Measures(validity=0.0, completeness=None, uniqueness=None, linkage=None)


@pytest.mark.parametrize("time", ["", 'time_column = "minute"'])
def test_large_data_sets_are_sampled(database: duckdb.DuckDBPyConnection, time: str) -> None:
    """Method: 200,000 readings of which every tenth comes twice, all of them of sensor 0, one of four that are known
    out of five; the newest readings, or whole keys: both show the shares."""
    database.execute(
        "insert into readings select i % 5, timestamp '2026-01-01' + to_minutes(i::bigint), 1, null "
        "from range(200000) r(i)"
    )
    database.execute("insert into readings select * from readings where epoch(minute)::bigint // 60 % 10 = 0")
    contract = readings(time)
    found = facts(database, contract, sample_rows=10_000)
    assert 0.9 < found["sampled"] / 10_000 < 1.25
    shares = measures(contract, found, accepted=1, rejected=0)
    assert shares.uniqueness == pytest.approx(9 / 11, abs=0.02)
    assert shares.linkage == pytest.approx(9 / 11, abs=0.02)
    assert shares.completeness == pytest.approx(0.5)


def test_a_sample_without_key_and_time(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("insert into readings select i % 8, now(), i, 'x' from range(50000) r(i)")
    contract = parse_contract(READINGS.replace('key = ["sensor_id", "minute"]\n', ""))
    found = facts(database, contract, sample_rows=1000)
    assert (found["sampled"], found["filled"], found["alone"]) == (1000, 2000, 0)
    assert found["linked"] / found["given"] == pytest.approx(0.5, abs=0.1)


def test_every_data_set_of_the_catalogue_can_be_measured(tmp_path: Path) -> None:
    """Method: the guard lets each statement through, and DuckDB binds it: of few rows, and of so many that they are
    sampled."""
    contracts = {name: one for name, one in builtin_contracts().items() if one.home != "each"}
    segments = SegmentFiles.open(tmp_path / "segments")
    limits = {"memory_bytes_max": 1 << 28, "threads": 1, "temp_bytes_max": 1 << 20}
    store = Store.open(tmp_path / "store.duckdb", segments, **limits)
    try:
        entries: list[Entry] = []
        for contract in contracts.values():
            after = entries[-1].id if entries else ORIGIN
            payload = contract_to_json(contract).encode()
            entries.append(make_entry(after=after, epoch=1, kind=EntryKind.CONTRACT, payload=payload))
        store.apply("ops", entries)
        statements = Statements(store, bytes_max=1 << 16)
        for contract in contracts.values():
            for rows in (10, 10_000_000):
                sql = sample_facts(contract, contracts, rows=rows, sample_rows=1000)
                schema, _ = describe(store, statements, sql)
                assert schema.names == ["sampled", "filled", "alone", "given", "linked"]
        for sql in (ACCEPTED, OPEN):
            assert describe(store, statements, sql)[0].names == ["data_set", "rows"]
    finally:
        store.close()


def test_the_score_is_the_weighted_mean_of_what_there_is() -> None:
    weights = Weights(validity=40, completeness=20, uniqueness=20, linkage=20)
    assert score(Measures(validity=1, completeness=1, uniqueness=1, linkage=1), weights) == 100
    assert score(Measures(validity=0.5, completeness=0, uniqueness=1, linkage=1), weights) == pytest.approx(60)
    assert score(Measures(validity=0.5, completeness=None, uniqueness=None, linkage=1), weights) == pytest.approx(
        200 / 3
    )
    assert builtin_rules().weights.validity > 0


def test_agencies_are_rolled_up() -> None:
    """Method: a registry of 90 rows at 50 beside a stream of nearly ten million at 100: magnitudes 2 and 7."""
    whole = Measures(validity=1, completeness=None, uniqueness=None, linkage=None)
    scored = [
        Scored(data_set=name, agency=agency, rows=rows, rows_rejected=0, measures=whole, score=value)
        for name, agency, rows, value in (
            ("a", "water", 90, 50.0),
            ("b", "water", 9_999_990, 100.0),
            ("c", "fire", 5, 90.0),
        )
    ]
    water, fire = by_agency(scored)
    assert (water.agency, water.data_sets, water.rows) == ("water", 2, 10_000_080)
    assert water.score == pytest.approx((50 * 2 + 100 * 7) / 9)
    assert fire.agency == "fire"
    assert fire.score == pytest.approx(90)
