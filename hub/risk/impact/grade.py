"""Levels of all major hazard sources (GB 18218), and their record in the data set `hazard_grades`.

α goes by the residents within 500 m of the place that is filed. The standard counts from the edge of the plant, which
the register does not have: around a large plant the count is too low outside and has who lives on the plant itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from hub.client import HubClient
from hub.ingest.exchange import Receipt
from hub.risk.formulas.arrays import Floats
from hub.risk.formulas.major_hazard import MajorHazard, alpha, beta, levels, r_values
from hub.risk.impact.plane import Plane
from hub.risk.impact.reading import Reading
from hub.risk.impact.substances import Substances, find_substance

GRADES: Final = "hazard_grades"
RADIUS_M: Final = 500.0
_OTHER: Final = "other"
_SOURCES: Final = "select source_id, name, district, lon, lat from major_hazard_sources order by source_id"
_STOCKS: Final = "select source_id, chemical, quantity, critical_quantity from hazardous_chemicals order by all"
# A box of 0.006° around each source is more than 500 m to every side up to latitude 41°.
_NEIGHBOURS: Final = """
with near as (
    select s.source_id, b.building_code, b.lon, b.lat
    from major_hazard_sources s join buildings b
    on b.lon between s.lon - 0.006 and s.lon + 0.006 and b.lat between s.lat - 0.006 and s.lat + 0.006
),
lived_in as (
    select building_code, count(*) as residents from residents
    where building_code in (select building_code from near) group by building_code
)
select near.source_id, near.lon, near.lat, lived_in.residents
from near join lived_in using (building_code)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """`people` live within 500 m. `doubts` are chemicals that count with β = 1 as nothing is known of them, or not at
    all as their critical quantity is 0."""

    source_id: str
    name: str
    district: str
    people: int
    alpha: float
    r: float
    level: int
    doubts: tuple[str, ...]


def grade_sources(reading: Reading, table: MajorHazard, substances: Substances) -> list[Grade]:
    """The gravest first. Raises HubError."""
    sources = reading.table(_SOURCES).to_pylist()
    stocks = reading.table(_STOCKS).to_pylist()
    index = {one["source_id"]: place for place, one in enumerate(sources)}
    people = _people(sources, index, reading.table(_NEIGHBOURS))
    alphas = alpha(people, table)
    counted = [one for one in stocks if one["source_id"] in index and one["critical_quantity"] > 0]
    r = r_values(
        [one["quantity"] for one in counted],
        [one["critical_quantity"] for one in counted],
        [beta(one["chemical"], _kind(one["chemical"], substances), table) for one in counted],
        np.array([index[one["source_id"]] for one in counted], np.int64),
        alphas,
    )
    doubts = _doubts(stocks, table, substances)
    grades = [
        Grade(
            source_id=one["source_id"],
            name=one["name"],
            district=one["district"],
            people=int(people[place]),
            alpha=float(alphas[place]),
            r=float(r[place]),
            level=int(level),
            doubts=tuple(doubts.get(one["source_id"], ())),
        )
        for place, (one, level) in enumerate(zip(sources, levels(r, table), strict=True))
    ]
    return sorted(grades, key=lambda one: (one.level, -one.r, one.source_id))


def record(client: HubClient, grades: Sequence[Grade], *, graded_at: datetime) -> Receipt:
    """Upserts the grades; `graded_at` is naive UTC and names the producer, so that sending them again changes nothing.
    Raises HubError."""
    contract = client.contract(GRADES)
    rows = [
        {
            "source_id": one.source_id,
            "graded_at": graded_at,
            "residents_500m": one.people,
            "alpha": one.alpha,
            "r": one.r,
            "grade": one.level,
        }
        for one in grades
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=contract.schema)
    with client.producer(f"grades-{graded_at.isoformat(timespec='milliseconds')}", log=contract.home) as producer:
        return producer.send(GRADES, batch, sequence=1).result()


def _people(sources: list[dict[str, Any]], index: dict[str, int], near: pa.Table) -> Floats:
    """Residents within 500 m of each source."""
    people = np.zeros(len(sources))
    lon, lat, residents = (near[name].to_numpy() for name in ("lon", "lat", "residents"))
    owner = np.array([index.get(one, -1) for one in near["source_id"].to_pylist()], np.int64)
    for place, source in enumerate(sources):
        here = owner == place
        x, y = Plane(source["lon"], source["lat"]).to_metres(lon[here], lat[here])
        people[place] = residents[here][np.hypot(x, y) <= RADIUS_M].sum()
    return people


def _kind(chemical: str, substances: Substances) -> str:
    found = find_substance(chemical, substances)
    return found.kind if found else _OTHER


def _doubts(stocks: list[dict[str, Any]], table: MajorHazard, substances: Substances) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in stocks:
        known = one["chemical"] in table.gases or find_substance(one["chemical"], substances)
        if not known or one["critical_quantity"] <= 0:
            found.setdefault(one["source_id"], []).append(one["chemical"])
    return found
