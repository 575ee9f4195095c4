"""The synthetic city.

Goal: equal arguments give equal rows, however they are cut; every row is one that the hub takes; people, firms and
buildings belong together; the known answers are those that a database gives.
Method: small cities, put through the hub's own checks, and into a DuckDB in memory that is asked what is known.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Code, Kind
from hub.catalogue.load import agencies, builtin_contracts
from hub.ingest.checks import check, conform
from hub.ingest.codes import wrong_codes
from simulator.city import people, sensing
from simulator.city.agency_files import write_agency_files
from simulator.city.answers import agrees, known_answers
from simulator.city.chance import Dice, apportioned, shuffled
from simulator.city.contents import contents
from simulator.city.day import Feed
from simulator.city.feeds import FEEDS
from simulator.city.places import districts, grid_cells, streets
from simulator.city.plan import EXCHANGES_A_DAY, START_MS, City
from simulator.city.rows import DAY_MS
from simulator.city.weather import PLANTED_MM_H, rain

SMALL = City(0.0002)
DAY = 7


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    """All of a small city."""
    found: dict[str, list[pa.RecordBatch]] = {}
    for data_set, rows in contents(SMALL):
        found.setdefault(data_set, []).append(rows)
    return {data_set: pa.Table.from_batches(rows) for data_set, rows in found.items()}


def test_every_agency_has_its_data_and_as_many_records_as_asked(tables: dict[str, pa.Table]) -> None:
    assert sum(table.num_rows for table in tables.values()) == SMALL.records
    known = builtin_contracts()
    assert {known[data_set].agency for data_set in tables} == agencies().keys() - {"cityhub"}
    of_agencies = {contract.name for contract in known.values() if contract.agency != "cityhub"}
    assert of_agencies - tables.keys() == {"alerts"}, "alerts are what the city's risk is worked out to be"


def test_every_row_is_one_that_the_hub_takes(tables: dict[str, pa.Table]) -> None:
    """Method: the contract's schema and checks, and keys of their own."""
    for data_set, table in tables.items():
        contract = builtin_contracts()[data_set]
        for rows in table.to_batches():
            assert conform(contract, rows) is rows
            assert [one.reason for one in check(contract, rows).rejected] == [], data_set
        assert table.group_by(list(contract.key)).aggregate([]).num_rows == table.num_rows, data_set


def test_references_are_known(tables: dict[str, pa.Table]) -> None:
    """Goal: what a row refers to is there, but for what is planted: representatives from abroad. Cells at the edge of
    the city are no cells of its grid."""
    loose = {("legal_persons", "representative_id"): SMALL.firms // people.ABROAD_EVERY}
    for data_set, table in tables.items():
        for column in builtin_contracts()[data_set].columns:
            if column.reference is None or table[column.name].null_count == table.num_rows:
                continue
            known = tables[column.reference.data_set][column.reference.column]
            found = pc.is_in(table[column.name].drop_null(), value_set=known.combine_chunks())
            lost = len(found) - pc.sum(found).as_py()
            assert lost == loose.get((data_set, column.name), 0), (data_set, column.name)


def test_known_answers_are_those_of_a_database(tables: dict[str, pa.Table]) -> None:
    """Goal: the SQL and the plan agree, and an answer that is off by little is seen."""
    with duckdb.connect() as connection:
        for data_set, table in tables.items():
            connection.register(data_set, table)
        answers = known_answers(SMALL)
        assert len(answers) >= 13
        for known in answers:
            found = connection.sql(known.sql).to_arrow_table()
            assert agrees(known, found), (known.name, known.rows[:3], found.slice(0, 3).to_pylist())
            assert not agrees(known, found.slice(1)), known.name


def test_people_live_in_buildings_of_their_district(tables: dict[str, pa.Table]) -> None:
    """Method: districts of people against those of buildings; places against the outlines."""
    buildings = tables["buildings"]
    outlines = {one.name: one.outline for one in districts()}
    for name, outline in outlines.items():
        here = buildings.filter(pc.equal(buildings["district"], name))
        inside = shapely.contains_xy(outline, here["lon"].to_numpy(), here["lat"].to_numpy())
        assert (~inside).sum() <= here.num_rows / 1_000  # Six digits of a degree may move a place over the line.
    homes = tables["residents"].join(
        buildings.select(["building_code", "district"]), "building_code", right_suffix="_b"
    )
    assert homes.filter(pc.not_equal(homes["district"], homes["district_b"])).num_rows == 0
    assert len(pc.unique(tables["residents"]["district"])) >= 8


def test_codes_are_right_and_nobody_shares_one() -> None:
    """Method: a million persons and legal persons; sex and birth are those of the code."""
    city = City(0.05)
    for codes, code in (
        (city.person_codes(np.arange(city.people)), Code.RESIDENT_ID),
        (city.firm_codes(np.arange(city.firms)), Code.CREDIT_CODE),
        (city.building_codes, Code.BUILDING_CODE),
    ):
        assert not wrong_codes(code, codes).any()
        assert len(codes.unique()) == len(codes)
    rows = people.residents_of(city, np.arange(2_000) * 499)
    code = rows["resident_id"].to_pylist()
    assert [one[6:14] for one in code] == [f"{day:%Y%m%d}" for day in rows["birth_date"].to_pylist()]
    assert [int(one[16]) % 2 == 0 for one in code] == [sex == "female" for sex in rows["sex"].to_pylist()]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.data_set)
def test_a_day_can_be_cut_anywhere(feed: Feed) -> None:
    """Goal: rows depend on their place in the day only. Method: a day in one piece and in three."""
    total = feed.rows_of(SMALL, DAY)
    whole = feed.batch(SMALL, DAY, 0, total)
    edges = [0, total // 3, total // 3, 2 * total // 3, total]
    parts = [feed.batch(SMALL, DAY, first, end) for first, end in itertools.pairwise(edges)]
    assert pa.concat_batches(parts).equals(whole)
    assert not check(feed.contract, whole).rejected
    if feed.contract.kind is Kind.EVENT:
        keys = pa.table(whole).group_by(list(feed.contract.key)).aggregate([])
        assert keys.num_rows == total
        times = whole[feed.contract.time_column or ""].cast(pa.timestamp("ms")).cast(pa.int64())
        assert feed.data_set in ("disease_reports", "enterprise_output") or all(
            START_MS + DAY * DAY_MS <= at < START_MS + (DAY + 1) * DAY_MS for at in times.to_pylist()
        )


def test_a_day_is_five_million_exchanges_of_all_units() -> None:
    city = City(1)
    assert sum(feed.exchanges_of(city) for feed in FEEDS) == EXCHANGES_A_DAY
    assert sum(feed.rows_of(city, DAY) for feed in FEEDS) >= 20_000_000
    assert {feed.contract.agency for feed in FEEDS} == agencies().keys() - {"cityhub"}


def test_sensors_fall_silent_get_stuck_and_smell_gas() -> None:
    """Method: a day of readings; each sensor's count against its interval."""
    city = City(0.05)
    sensors = sensing.sensors_of(city)
    day = pa.Table.from_batches(list(_first_day(city)))
    counts = np.bincount(day["sensor_id"].to_numpy(), minlength=city.sensors + 1)[1:]
    full = DAY_MS // sensing.ROUND_MS // sensors.interval
    assert (counts <= full).all()
    assert 0 < (counts < full).mean() < 0.1
    doubtful = day.filter(pc.greater(day["quality"], 0))
    assert 0 < len(pc.unique(doubtful["sensor_id"])) < 0.05 * city.sensors
    spans = doubtful.group_by("sensor_id").aggregate([("value", "min"), ("value", "max")])
    assert spans["value_min"].equals(spans["value_max"]), "what is stuck is stuck at one value"
    times = day["observed_at"].cast(pa.int64()).to_numpy()
    leaking = sensing.leaks(day["sensor_id"].to_numpy(), times)
    assert (day["value"].to_numpy()[leaking] == sensing.LEAK_VALUE).all()
    assert leaking.sum() == sensing.LEAK_MS // sensing.ROUND_MS


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(0, 60_000), batch_rows=st.integers(5_000, 70_000))
def test_fewer_readings_are_the_first_of_more(rows: int, batch_rows: int) -> None:
    city = City(0.0001)
    some = list(sensing.readings(city, rows))
    more = list(sensing.readings(city, rows + batch_rows))
    schema = builtin_contracts()["readings"].schema
    assert pa.Table.from_batches(more, schema).slice(0, rows).equals(pa.Table.from_batches(some, schema))


def test_rain_moves_over_the_city() -> None:
    """Method: the planted storm's heaviest place, hour by hour, wanders east."""
    lon = np.linspace(113.8, 114.5, 141)
    wettest = []
    for hour in (8.5, 9.5, 10.5):
        at_ms = np.array([START_MS + int(hour * 3_600_000)])
        rate = rain(SMALL.seed, at_ms, lon, np.full_like(lon, 22.56))
        wettest.append(lon[rate.argmax()])
        assert 0.5 * PLANTED_MM_H < rate.max() < 2 * PLANTED_MM_H
    assert wettest[0] + 0.1 < wettest[1] < wettest[2] - 0.1
    assert rain(SMALL.seed, np.array([START_MS]), lon, lon).max() == 0


def test_the_grid_covers_the_city() -> None:
    names, centres = grid_cells()
    cells = City(0.01).building_grids
    assert len(pc.unique(names)) == len(names) > 15_000
    assert pc.sum(pc.is_in(cells, value_set=names)).as_py() > 0.999 * len(cells)
    assert set(np.unique(centres.district)) == set(range(10))
    assert len(streets().name) == 74


def test_the_smallest_and_impossible_cities() -> None:
    assert City(0.0001).people == 2_000
    for scale in (0.00001, 11, float("nan")):
        with pytest.raises(ValueError, match="a city has a scale"):
            City(scale)


@given(size=st.integers(1, 10**10), data=st.data())
def test_shuffling_loses_nobody(size: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, size - 1), unique=True, max_size=50))
    found = shuffled(np.array(numbers, np.int64), size).tolist()
    assert len(set(found)) == len(numbers)
    assert all(0 <= one < size for one in found)


@given(weights=st.lists(st.floats(0.01, 1_000), min_size=1, max_size=50), total=st.integers(0, 10_000))
def test_shares_add_up(weights: list[float], total: int) -> None:
    counts = apportioned(np.array(weights), total)
    assert counts.sum() == total
    assert (np.abs(counts - np.array(weights) / sum(weights) * total) < 1 + 1e-6).all()


def test_dice_are_even() -> None:
    rolls = Dice(1, "x", np.arange(100_000)).below(6, 1)
    assert (np.abs(np.bincount(rolls) / 100_000 - 1 / 6) < 0.01).all()


def test_agency_files_say_what_becomes_of_them(tmp_path: Path) -> None:
    made = write_agency_files(SMALL, tmp_path)
    assert [one.path.exists() for one in made] == [True] * len(made)
    assert sum(one.rejected for one in made) > 0
    assert [one.taken for one in made].count(False) == 1


def _first_day(city: City) -> Iterator[pa.RecordBatch]:
    for rows in sensing.readings(city, city.records):
        today = rows.filter(pc.less(rows["observed_at"], pa.scalar(START_MS + DAY_MS, pa.timestamp("ms"))))
        yield today
        if today.num_rows < rows.num_rows:
            return
