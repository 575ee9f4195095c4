"""What questions about the city must be answered with: each with its SQL, and its answer from the plan alone.

Nothing here asks a hub. Answers come from the plan's arrays, or from rows counted by numpy and Arrow as they are made:
by other code than the store's, over the same rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.city import people, registries, sensing
from simulator.city.contents import HISTORY, day_of
from simulator.city.places import distance_m, districts
from simulator.city.plan import START_MS, City
from simulator.city.readings import KINDS
from simulator.city.rows import DAY_MS

Row = list[Any]
LEAK_RADIUS_M: Final = 1_000.0
_FIRST_DAY: Final = "observed_at >= timestamp '2026-06-01' and observed_at < timestamp '2026-06-02'"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """`rows` in the order that the SQL asks for; floats agree to a millionth."""

    name: str
    sql: str
    rows: list[Row]


def known_answers(city: City) -> list[KnownAnswer]:
    return [KnownAnswer(name=name, sql=sql, rows=answer(city)) for name, (sql, answer) in _QUESTIONS.items()]


def agrees(known: KnownAnswer, table: pa.Table) -> bool:
    """Whether a hub's answer is the known one."""
    found = [list(row.values()) for row in table.to_pylist()]
    return len(found) == len(known.rows) and all(
        len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(found, known.rows, strict=True)
    )


def _same(found: Any, known: Any) -> bool:
    if isinstance(found, float) or isinstance(known, float):
        return bool(np.isclose(float(found), float(known), rtol=1e-6, atol=1e-6))
    return bool(found == known)


def _by_district(counts: Any) -> list[Row]:
    names = [one.name for one in districts()]
    return [
        [names[place], int(counts[place])]
        for place in sorted(range(len(names)), key=names.__getitem__)
        if counts[place]
    ]


def _people_by_district(city: City) -> list[Row]:
    per_building = np.diff(city.person_starts)
    return _by_district(np.bincount(city.buildings.places.district, per_building, len(districts())))


def _fullest_building(city: City) -> list[Row]:
    persons = np.arange(city.people)
    housed = np.bincount(city.home_of(persons[~people.is_homeless(persons)]), minlength=len(city.building_codes))
    most = int(housed.max())
    codes = city.building_codes.take(pa.array(np.flatnonzero(housed == most))).to_pylist()
    return [[min(codes), most]]


def _without_building(city: City) -> list[Row]:
    return [[city.people // people.HOMELESS_EVERY]]


def _closed_firms(city: City) -> list[Row]:
    return [[city.firms // people.CLOSED_EVERY]]


def _represented_from_abroad(city: City) -> list[Row]:
    return [[city.firms // people.ABROAD_EVERY]]


def _at_work_where_they_live(city: City) -> list[Row]:
    persons = np.arange(people.insured_count(city)) * 2
    same = city.home_of(persons) == city.seat_of(people.employer_of(city, persons))
    return [[int((same & ~people.is_homeless(persons)).sum())]]


def _people_near_the_leak(city: City) -> list[Row]:
    sensor, made = sensing.sensors_of(city).places, city.buildings.places
    near = distance_m(made.lon, made.lat, float(sensor.lon[0]), float(sensor.lat[0])) <= LEAK_RADIUS_M
    persons = np.arange(city.people)
    home = city.home_of(persons)
    return [[1, int((near[home] & ~people.is_homeless(persons)).sum())]]


def _leak(city: City) -> list[Row]:
    return [[1, sensing.LEAK_MS // sensing.ROUND_MS, sensing.LEAK_VALUE]]


def _readings_of_the_first_day(city: City) -> list[Row]:
    rows, doubtful = np.zeros(len(KINDS), np.int64), np.zeros(len(KINDS), np.int64)
    kinds = sensing.sensors_of(city).kind
    for part in sensing.readings(city, city.records):
        today = part.filter(pc.less(part["observed_at"], pa.scalar(START_MS + DAY_MS, pa.timestamp("ms"))))
        kind = kinds[today["sensor_id"].to_numpy() - 1]
        rows += np.bincount(kind, minlength=len(KINDS))
        doubtful += np.bincount(kind[today["quality"].to_numpy() > 0], minlength=len(KINDS))
        if today.num_rows < part.num_rows:
            break
    order = sorted(range(len(KINDS)), key=lambda place: KINDS[place].name)
    return [[KINDS[place].name, int(rows[place]), int(doubtful[place])] for place in order if rows[place]]


def _wettest_station(city: City) -> list[Row]:
    rows = _first_day(city, "rainfall").group_by("station").aggregate([("rain", "sum")])
    most = pc.max(rows["rain_sum"]).as_py()
    stations = rows.filter(pc.greater_equal(rows["rain_sum"], most - 1e-6))["station"].to_pylist()
    return [[min(stations), float(round(most, 3))]]


def _open_dangers(city: City) -> list[Row]:
    rows = _first_day(city, "hidden_dangers")
    counted = rows.filter(rows["closed_at"].is_null()).group_by("district").aggregate([([], "count_all")])
    return sorted([row["district"], row["count_all"]] for row in counted.to_pylist())


def _fullest_hazard(city: City) -> list[Row]:
    (rows,) = registries.hazardous_chemicals(city)
    share = pc.divide(rows["quantity"], rows["critical_quantity"])
    sums = pa.table({"source": rows["source_id"], "share": share}).group_by("source").aggregate([("share", "sum")])
    row = max(sums.to_pylist(), key=lambda one: one["share_sum"])
    return [[row["source"], row["share_sum"]]]


def _dispatches_an_incident(city: City) -> list[Row]:
    dispatches, incidents = _first_day(city, "dispatches"), _first_day(city, "incidents")
    return [[incidents.num_rows, dispatches.num_rows]]


def _first_day(city: City, data_set: str) -> pa.Table:
    feed = next(one for one in HISTORY if one.data_set == data_set)
    return pa.Table.from_batches(list(day_of(city, feed, 0)))


_METRES: Final = (
    "2 * 6371008.8 * asin(sqrt(power(sin(radians(b.lat - s.lat) / 2), 2) "
    "+ cos(radians(s.lat)) * cos(radians(b.lat)) * power(sin(radians(b.lon - s.lon) / 2), 2)))"
)
_QUESTIONS: Final[dict[str, tuple[str, Callable[[City], list[Row]]]]] = {
    "people by district": (
        "select district, count(*) from residents group by 1 order by 1",
        _people_by_district,
    ),
    "the building with most residents": (
        "select building_code, count(*) n from residents join buildings using (building_code) "
        "group by 1 order by n desc, 1 limit 1",
        _fullest_building,
    ),
    "residents without a building": (
        "select count(*) from residents where building_code is null",
        _without_building,
    ),
    "deregistered legal persons": (
        "select count(*) from legal_persons where status = 'deregistered'",
        _closed_firms,
    ),
    "legal persons represented by nobody who lives here": (
        "select count(*) from legal_persons f anti join residents r on r.resident_id = f.representative_id",
        _represented_from_abroad,
    ),
    "people who work in the building they live in": (
        "select count(*) from residents r join insured_people i using (resident_id) "
        "join legal_persons f using (credit_code) where f.building_code = r.building_code",
        _at_work_where_they_live,
    ),
    "the gas leak: sensor, readings above the alarm, highest": (
        f"select sensor_id, count(*), max(value) from readings join sensors using (sensor_id) "
        f"where kind = 'gas' and value >= {sensing.GAS_ALARM} and {_FIRST_DAY} group by 1 order by 1",
        _leak,
    ),
    "people who live within a kilometre of the leak": (
        f"select l.sensor_id, (select count(*) from residents r join buildings b using (building_code) "
        f"where {_METRES} <= {LEAK_RADIUS_M}) "
        "from (select distinct sensor_id from readings join sensors using (sensor_id) "
        f"where kind = 'gas' and value >= {sensing.GAS_ALARM} and {_FIRST_DAY}) l "
        "join sensors s using (sensor_id)",
        _people_near_the_leak,
    ),
    "readings of the first day by kind, and those in doubt": (
        f"select kind, count(*), count(*) filter (where quality > 0) from readings join sensors using (sensor_id) "
        f"where {_FIRST_DAY} group by 1 order by 1",
        _readings_of_the_first_day,
    ),
    "the weather station with most rain on the first day": (
        f"select station, round(sum(rain::double), 3) mm from rainfall where {_FIRST_DAY} "
        "group by 1 order by mm desc, 1 limit 1",
        _wettest_station,
    ),
    "open hidden dangers by district": (
        "select district, count(*) from hidden_dangers where closed_at is null and danger_id like 'H0000%' "
        "group by 1 order by 1",
        _open_dangers,
    ),
    "the major hazard source with most of its critical quantities": (
        "select source_id, sum(quantity / critical_quantity) share from hazardous_chemicals "
        "group by 1 order by share desc limit 1",
        _fullest_hazard,
    ),
    "incidents of the first day and who was sent": (
        "select count(distinct i.incident_id), count(*) from incidents i join dispatches d using (incident_id) "
        "where i.incident_id like 'T0000%'",
        _dispatches_an_incident,
    ),
}
