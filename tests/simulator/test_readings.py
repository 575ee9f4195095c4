"""The plain stream of readings.

Goal: equal arguments give equal rows, in whichever batches; what is generated is what the contracts ask for, and looks
like a city.
Method: batches are generated twice, cut in other ways, and put through the hub's own checks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts
from hub.ingest.checks import check, conform
from simulator.city.readings import INTERVAL_MS, QUALITY_FLAGGED_SHARE, START_MS, readings, sensors

SENSORS = sensors(500, 1)
DAY_MS = 86_400_000
MAKERS: dict[str, Callable[[int, int], pa.RecordBatch]] = {
    "sensors": sensors,
    "readings": lambda rows, seed: table(rows, seed).combine_chunks().to_batches()[0],
}


def table(rows: int, seed: int = 1, *, batch_rows: int = 4_096, of: pa.RecordBatch = SENSORS) -> pa.Table:
    batches = list(readings(rows, seed, sensors=of, batch_rows=batch_rows))
    return pa.Table.from_batches(batches, builtin_contracts()["readings"].schema)


def values(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_rows_follow_from_the_seed(name: str) -> None:
    """Method: the same arguments twice, and another seed."""
    make = MAKERS[name]
    assert make(300, 7).equals(make(300, 7))
    assert not make(300, 7).equals(make(300, 8))


@pytest.mark.parametrize("name", sorted(MAKERS))
@pytest.mark.parametrize("rows", [1, 20_000])
def test_rows_are_what_the_contract_asks_for(name: str, rows: int) -> None:
    """Goal: the hub takes every row. Method: its schema and its checks, and distinct keys."""
    known = builtin_contracts()[name]
    batch = MAKERS[name](rows, 3)
    assert batch.num_rows == rows
    assert batch.schema.equals(known.schema)
    assert conform(known, batch) is batch
    checked = check(known, batch)
    assert [one.reason for one in checked.rejected] == []
    assert checked.accepted.num_rows == rows
    keys = pa.Table.from_batches([batch]).group_by(list(known.key)).aggregate([])
    assert keys.num_rows == rows


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(0, 2_000), batch_rows=st.integers(1, 2_500), count=st.integers(1, 700), seed=st.integers(0, 99))
def test_readings_do_not_depend_on_batches(rows: int, batch_rows: int, count: int, seed: int) -> None:
    """Method: any number of rows in batches of any size against one batch; all but the last are full."""
    of = SENSORS.slice(0, min(count, SENSORS.num_rows))
    sizes = [batch.num_rows for batch in readings(rows, seed, sensors=of, batch_rows=batch_rows)]
    assert sizes == [min(batch_rows, rows - first) for first in range(0, rows, batch_rows)]
    cut = table(rows, seed, batch_rows=batch_rows, of=of)
    assert cut.equals(table(rows, seed, batch_rows=max(1, rows), of=of))
    assert cut.num_rows == rows


def test_fewer_readings_are_the_first_of_more() -> None:
    assert table(1_500).equals(table(9_000).slice(0, 1_500))


def test_sensors_report_in_turn() -> None:
    """Goal: times rise, and a sensor reports once in every interval. Method: ten rounds."""
    count, rounds = SENSORS.num_rows, 10
    found = table(count * rounds)
    observed = values(found["observed_at"]).astype("datetime64[ms]").astype(np.int64)
    assert observed[0] == START_MS
    assert (np.diff(observed) >= 0).all()
    assert observed[-1] < START_MS + rounds * INTERVAL_MS
    by_round = observed.reshape(rounds, count)
    assert (np.diff(by_round, axis=0) == INTERVAL_MS).all()
    assert (values(found["sensor_id"]).reshape(rounds, count) == values(SENSORS["sensor_id"])).all()


def test_values_look_like_measurements() -> None:
    """Goal: each kind has its own level, swings over the day, and never goes below zero.
    Method: a day of few sensors, in minutes; levels against those that a city has."""
    of = SENSORS.slice(0, 60)
    found = table(60 * DAY_MS // INTERVAL_MS // 4, of=of, batch_rows=65_536)
    kinds = pa.table({"sensor_id": of["sensor_id"], "kind": of["kind"]})
    by_kind = {
        row["kind"]: row
        for row in found.join(kinds, "sensor_id")
        .group_by("kind")
        .aggregate([("value", "mean"), ("value", "min"), ("value", "max"), ("value", "stddev")])
        .to_pylist()
    }
    assert by_kind.keys() == {"water_level", "rainfall", "pm2_5", "noise", "temperature", "gas"}
    for kind, low, high in (("water_level", 1, 4), ("pm2_5", 20, 50), ("noise", 45, 70), ("temperature", 18, 32)):
        assert low < by_kind[kind]["value_mean"] < high
    for row in by_kind.values():
        assert row["value_min"] >= 0
        assert row["value_stddev"] > 0
        assert row["value_max"] < 3 * row["value_mean"] + 3


def test_values_are_rounded_as_instruments_round() -> None:
    """Method: each value is a whole number of its sensor's steps."""
    steps = {"water_level": 0.01, "rainfall": 0.2, "pm2_5": 1.0, "noise": 0.1, "temperature": 0.1, "gas": 0.1}
    found = table(20_000)
    step = np.array([steps[kind] for kind in SENSORS["kind"].to_pylist()])[values(found["sensor_id"]) - 1]
    parts = values(found["value"]) / step
    assert np.abs(parts - np.rint(parts)).max() < 1e-3


def test_one_reading_in_a_hundred_is_flagged() -> None:
    """Method: shares of 200,000 readings; each of the three flags takes its third."""
    quality = values(table(200_000, batch_rows=65_536)["quality"])
    shares = np.bincount(quality, minlength=4) / len(quality)
    assert len(shares) == 4
    assert shares[0] == pytest.approx(1 - QUALITY_FLAGGED_SHARE, abs=0.001)
    assert shares[1:] == pytest.approx([QUALITY_FLAGGED_SHARE / 3] * 3, abs=0.0006)


def test_sensors_are_all_over_the_city() -> None:
    """Goal: no district and no kind is left out, and a unit belongs to its kind. Method: counts of 5,000."""
    many = sensors(5_000, 2)
    assert many["sensor_id"].to_pylist() == list(range(1, 5_001))
    assert len(pc.unique(many["district"])) == 10
    assert len(set(zip(many["kind"].to_pylist(), many["unit"].to_pylist(), strict=True))) == 6


def test_a_generator_without_sensors_or_batches_is_our_fault() -> None:
    with pytest.raises(AssertionError, match="no sensors"):
        next(readings(1, 1, sensors=SENSORS.slice(0, 0), batch_rows=1))
    with pytest.raises(AssertionError):
        next(readings(1, 1, sensors=SENSORS, batch_rows=0))
