"""What lies within the reach of each risk point, counted: all sources laid on grid cells, then by exact distance.

    things (kind, run from a place to a place, amounts) ─ cell ─┐
    risk points (place, reach) ─ cells around ──────────────────┴─ distance ≤ reach → (point, kind): count, amount

A thing is a straight run, of no length for all but pipelines and roads. Distances are from the point to the nearest
place of the run, in a plane around the point: within 20 km that is right to a ten-thousandth. Each part of the points
is a task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.grid import cells_around
from hub.risk.tasks import Engine, Task

METRES_A_DEGREE: Final = 111_195.0
LONGEST_RUN_M: Final = 2_500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The risk points in the order of their ids; degrees and metres, shape (points,)."""

    ids: pa.Array
    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]
    reach_m: npt.NDArray[np.float64]


def near(engine: Engine, points: Points, things: pa.Table, runs: pa.Table, parts: int) -> pa.Table:
    """(point, kind, n, amount) of the things and runs near the points, each pair of point and kind once.

    `things` and `runs`: kind, within_m (0: by the point's reach), from_lon, from_lat, to_lon, to_lat, amount, cell (of
    where it begins). Runs may be up to LONGEST_RUN_M long.
    """
    tables = [
        *_stage(engine, "what lies near", points, things, parts, margin_m=0.0),
        *_stage(engine, "what passes near", points, runs, parts, margin_m=LONGEST_RUN_M),
    ]
    return pa.concat_tables(tables)


def _stage(
    engine: Engine, name: str, points: Points, things: pa.Table, parts: int, *, margin_m: float
) -> Sequence[pa.Table]:
    farthest = pa.compute.max(things["within_m"]).as_py() or 0.0
    shared = engine.share(things)
    tasks = []
    for part in range(min(parts, max(1, len(points.lon)))):
        mine = np.arange(part, len(points.lon), parts)
        place, cell = cells_around(
            points.lon[mine], points.lat[mine], np.maximum(points.reach_m[mine], farthest) + margin_m
        )
        around = pa.table({"point": mine[place], "cell": cell})
        own = pa.table(
            {"point": mine, "lon": points.lon[mine], "lat": points.lat[mine], "reach_m": points.reach_m[mine]}
        )
        tasks.append(Task(sql=_NEAR, tables={"things": shared, "around": around, "points": own}))
    return engine.run(name, tasks)


# The square root is left out: distances are compared as squares.
_NEAR: Final = """
with placed as (
    select a.point, t.kind, t.amount, greatest(p.reach_m, t.within_m) as limit_m,
        (t.from_lon - p.lon) * 111195 * cos(radians(p.lat)) as x1, (t.from_lat - p.lat) * 111195 as y1,
        (t.to_lon - p.lon) * 111195 * cos(radians(p.lat)) as x2, (t.to_lat - p.lat) * 111195 as y2
    from around a
    join points p using (point)
    join things t using (cell)
),
shared as (
    select *, coalesce(greatest(0, least(1, -(x1 * (x2 - x1) + y1 * (y2 - y1))
        / nullif((x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1), 0))), 0) as share
    from placed
)
select point, kind, count(*) as n, sum(amount)::bigint as amount
from shared
where (x1 + share * (x2 - x1)) * (x1 + share * (x2 - x1)) + (y1 + share * (y2 - y1)) * (y1 + share * (y2 - y1))
    <= limit_m * limit_m
group by all
"""
