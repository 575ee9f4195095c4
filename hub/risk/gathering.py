"""All sources into the figures of risk points and grid cells: the plan of a run, in any engine.

    readings ──────────────▶ sensor states ─┐
    residents, firms, presence ▶ by building and cell ─┤
    places, dangers, accidents, pipelines, roads ──────┴▶ things → near each point → facts → (score)
                                                        └▶ grid cells

Everything is read from the files of one position, at one moment `at_ms`: nothing here reads a clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract
from hub.errors import InputFileError
from hub.grid import cell_texts, cells_of
from hub.risk.extract import Extract
from hub.risk.files import Files
from hub.risk.nearness import METRES_A_DEGREE, Points, near
from hub.risk.people import People
from hub.risk.score import FACTS, Ints
from hub.risk.sensing import hour_tasks, merge_hours, newest_hour_end_ms, sensor_states
from hub.risk.tasks import Engine
from hub.risk.things import things_of
from hub.risk.weighing import Weights

_LEVELS: Final = ("blue", "yellow", "orange", "red")
_FAR_M: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """`points`: risk_point_id, category, group, district, street and their grid cell; `facts`: FACTS by point; `cells`:
    one row a grid cell with something in it, without the risk of its points."""

    at_ms: int
    points: pa.Table
    facts: dict[str, Ints]
    cells: pa.Table


def gather(
    extract: Extract,
    contracts: Mapping[str, Contract],
    engine: Engine,
    by: Weights,
    *,
    parts: int,
    at_ms: int | None,
    told: Callable[[str], None],
) -> Gathered:
    """`at_ms` None: the end of the newest hour with readings. Raises InputFileError where there is nothing to score."""
    read = Files(extract, contracts)
    points = read.table("risk_points", "order by risk_point_id")
    if not points.num_rows:
        raise InputFileError("there are no risk points", hint="load the data set risk_points")
    told("readings")
    tasks = hour_tasks(contracts["readings"], extract.files["readings"], parts, at_ms)
    hours = merge_hours(engine.run("readings by sensor and hour", tasks))
    at_ms = at_ms or newest_hour_end_ms(hours)
    if at_ms is None:
        raise InputFileError("there are no readings to tell the moment by", hint="name it with --at")
    told("people")
    people = People(engine, read, parts, at_ms)
    states = sensor_states(hours, read.table("sensors"), at_ms, by.sensors)
    told("things on the grid")
    things, runs = things_of(read, people, states, at_ms, by)
    place = Points(
        ids=points["risk_point_id"].combine_chunks(),
        lon=points["lon"].to_numpy(),
        lat=points["lat"].to_numpy(),
        reach_m=points["reach"].cast(pa.float64()).to_numpy(),
    )
    told("risk points")
    found = near(engine, place, things, runs, parts)
    own = cells_of(place.lon, place.lat)
    facts = _facts(found, points, place, read, at_ms, by)
    cells = _cells(things, own)
    return Gathered(at_ms=at_ms, points=points.append_column("grid_id", cell_texts(own)), facts=facts, cells=cells)


def _facts(found: pa.Table, points: pa.Table, place: Points, read: Files, at_ms: int, by: Weights) -> dict[str, Ints]:
    count = points.num_rows
    facts: dict[str, Ints] = {name: np.zeros(count, np.int64) for name in FACTS}
    for name in FACTS:
        mine = found.filter(pc.equal(found["kind"], name))
        facts[name][mine["point"].to_numpy()] = mine["amount"].to_numpy()
    facts["rescue_m"] = _nearest(place, read.table("rescue_stations"))
    plans = _counts(read.ask(f"select category, count(*) as n from {read.source('emergency_plans')} group by 1"))
    fields = _counts(read.ask(f"select field, count(*) as n from {read.source('experts')} where available group by 1"))
    stocks = _counts(read.ask(f"select district, count(*) as n from {read.source('emergency_supplies')} group by 1"))
    experts: dict[Any, int] = {
        group: sum(fields.get(field, 0) for field in known) for group, known in by.experts.items()
    }
    warnings = _warnings(read, at_ms)
    for name, column, values, otherwise in (
        ("plans", "category", plans, 0),
        ("experts", "group", experts, 0),
        ("stocks", "district", stocks, 0),
        ("warning", "district", warnings, warnings[None]),
    ):
        facts[name] = np.array([values.get(one, otherwise) for one in points[column].to_pylist()], np.int64)
    return facts


def _nearest(place: Points, stations: pa.Table) -> Ints:
    """Whole metres to the nearest station."""
    best = np.full(len(place.lon), float(_FAR_M))
    east = METRES_A_DEGREE * np.cos(np.radians(place.lat))
    for lon, lat in zip(stations["lon"].to_pylist(), stations["lat"].to_pylist(), strict=True):
        best = np.minimum(best, np.hypot((lon - place.lon) * east, (lat - place.lat) * METRES_A_DEGREE))
    return best.round().astype(np.int64)


def _warnings(read: Files, at_ms: int) -> dict[Any, int]:
    """By district, None for the whole city: the gravest in force, 1 to 4."""
    at = f"make_timestamp({at_ms * 1000})"
    rows = read.table("weather_warnings", f"where issued_at <= {at} and (ends_at is null or ends_at > {at})")
    gravest: dict[Any, int] = {}
    for district, level in zip(rows["district"].to_pylist(), rows["level"].to_pylist(), strict=True):
        gravest[district] = max(gravest.get(district, 0), 1 + _LEVELS.index(level))
    everywhere = gravest.get(None, 0)
    return {district: max(level, everywhere) for district, level in gravest.items()} | {None: everywhere}


def _counts(table: pa.Table) -> dict[Any, int]:
    return dict(zip(table[0].to_pylist(), table[1].to_pylist(), strict=True))


def _cells(things: pa.Table, points: Any) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("things", things)
        connection.register("points", pa.table({"cell": points}))
        table = connection.sql(_CELLS).to_arrow_table()
    return table.set_column(0, "grid_id", cell_texts(table["cell"].to_numpy()))


_CELLS: Final = """
select cell,
    coalesce(sum(amount) filter (where kind = 'residents'), 0)::integer as residents,
    coalesce(sum(amount) filter (where kind = 'present'), 0)::integer as present,
    coalesce(sum(amount) filter (where kind = 'firms'), 0)::integer as firms,
    coalesce(sum(amount) filter (where kind = 'buildings'), 0)::integer as buildings,
    coalesce(sum(amount) filter (where kind = 'dangers_open'), 0)::integer as dangers_open,
    coalesce(sum(amount) filter (where kind = 'point'), 0)::integer as risk_points
from (
    select cell, kind, amount from things
    union all select cell, 'point', 1 from points
)
group by cell
having residents + present + firms + buildings + dangers_open + risk_points > 0
order by cell
"""
