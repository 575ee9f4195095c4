"""Candidates of an accident: all that lies within the bounds of its widest zone. The centre joins and counts, one query
a kind; who is inside is told by `count`."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from hub.risk.formulas.arrays import Floats
from hub.risk.impact.plane import Bounds
from hub.risk.impact.reading import Reading

CITY_HOURS: Final = 8  # The city's clock is that much ahead of UTC, all the year.
_DAY: Final = timedelta(hours=24)
_WITHIN: Final = "lon between $west and $east and lat between $south and $north"
_BUILDINGS: Final = f"""
with near as (select building_code, lon, lat, use from buildings where {_WITHIN}),
lived_in as (
    select building_code, count(*) as residents from residents
    where building_code in (select building_code from near) group by building_code
)
select near.lon, near.lat, near.use, coalesce(lived_in.residents, 0)::bigint as residents
from near left join lived_in using (building_code)
"""
_SITES: Final = " union all ".join(
    f"select '{kind}' as sort, {key} as id, name, {part} as kind, lon, lat, {size}::bigint as occupants "
    f"from {data_set} where {_WITHIN}"
    for data_set, kind, key, part, size in (
        ("schools", "school", "school_id", "kind", "pupils"),
        ("hospitals", "hospital", "hospital_id", "'hospital'", "beds"),
        ("welfare_homes", "welfare_home", "home_id", "kind", "beds"),
        ("venues", "venue", "venue_id", "kind", "capacity"),
    )
)
_CITY_HOUR: Final = f"extract(hour from observed_at + interval {CITY_HOURS} hour) = $hour"
_PRESENCE: Final = f"""
select grid_id, arg_max(people, observed_at) as people, max(observed_at) as newest from presence
where observed_at > $since::timestamp and observed_at <= $until::timestamp
and grid_id in (select grid_id from grid_cells where {_WITHIN})
"""
_CELL_M: Final = 300.0  # From the centre of a grid cell to its farthest corner, and more.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Buildings:
    """Shape (n,) each; places in degrees."""

    lon: Floats
    lat: Floats
    residents: Floats
    use: np.ndarray[Any, np.dtype[np.object_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """People in grid cells (H3 indices as text) in the hour that began at `at`, naive UTC; None if nobody counted."""

    grid_id: pa.Array
    people: Floats
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place with people who cannot help themselves, or with many: `sort` is school, hospital, welfare_home or venue,
    `occupants` pupils, beds or capacity, if it is known."""

    sort: str
    id: str
    name: str
    kind: str
    lon: float
    lat: float
    occupants: int | None


def fetch_buildings(reading: Reading, bounds: Bounds) -> Buildings:
    """Residents without a building are nowhere, and not counted. Raises HubError."""
    rows = reading.table(_BUILDINGS, asdict(bounds))
    lon, lat, residents = (rows[name].to_numpy().astype(np.float64) for name in ("lon", "lat", "residents"))
    return Buildings(lon=lon, lat=lat, residents=residents, use=rows["use"].to_numpy().astype(np.object_))


def fetch_sites(reading: Reading, bounds: Bounds) -> list[Site]:
    """Raises HubError."""
    return [Site(**row) for row in reading.table(_SITES, asdict(bounds)).to_pylist()]


def fetch_presence(reading: Reading, bounds: Bounds, hour: int | None) -> Presence:
    """The newest count of each cell within the last day that there is of, at an hour of the city's clock (0 to 23) or
    at any. Raises HubError."""
    (last,) = reading.table("select max(observed_at) as at from presence").to_pylist()
    if last["at"] is None:
        return Presence(grid_id=pa.array([], pa.string()), people=np.empty(0), at=None)
    until: datetime = last["at"]
    parameters: dict[str, object] = {"since": until - _DAY, "until": until} | asdict(_wider(bounds))
    sql = _PRESENCE
    if hour is not None:
        parameters["hour"] = hour
        sql += f" and {_CITY_HOUR}"
    rows = reading.table(f"{sql} group by grid_id order by grid_id", parameters)
    newest = [at for at in rows["newest"].to_pylist() if at is not None]
    return Presence(
        grid_id=rows["grid_id"].combine_chunks(),
        people=rows["people"].to_numpy().astype(np.float64),
        at=max(newest, default=None),
    )


def _wider(bounds: Bounds) -> Bounds:
    """With cells whose centre is outside."""
    degrees = _CELL_M / 100_000
    return Bounds(bounds.west - degrees, bounds.south - degrees, bounds.east + degrees, bounds.north + degrees)
