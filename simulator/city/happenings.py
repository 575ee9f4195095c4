"""Feeds of what happens once: reports, incidents, inspections, and rows of registries that are sent again."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa

from simulator.city import people
from simulator.city.chance import Ints
from simulator.city.day import Columns, Day, Make, codes_of, whole
from simulator.city.plan import START_MS, City
from simulator.city.rows import DAY_MS, days, moments, pick, where

DISEASES: Final = ("流感", "手足口病", "登革热", "水痘", "肺结核", "诺如病毒感染")
DANGER_CATEGORIES: Final = ("消防通道堵塞", "电气线路老化", "燃气泄漏", "危险品混存", "特种设备未检", "临边防护缺失")


def police_calls(day: Day) -> Columns:
    kinds = ("crime", "traffic", "dispute", "help", "nuisance", "other")
    place, _ = day.places()
    return {
        "call_id": day.names("C"),
        "reported_at": moments(day.at_ms),
        "category": pick(kinds, day.dice.below(len(kinds), 1)),
    } | place


def residents(day: Day) -> pa.RecordBatch:
    return people.residents_of(day.city, _changed(day, day.city.people), day.number)


def legal_persons(day: Day) -> pa.RecordBatch:
    return people.legal_persons_of(day.city, _changed(day, day.city.firms), day.number)


def insured_people(day: Day) -> pa.RecordBatch:
    return people.insured_people_of(day.city, _changed(day, people.insured_count(day.city)) * 2, day.number)


def _changed(day: Day, of: int) -> Ints:
    """Whose rows are sent again on a day."""
    return (day.rows * 7_919 + day.number) % of


def weather_warnings(day: Day) -> Columns:
    hazards = ("rainstorm", "typhoon", "gale", "heat", "fog", "lightning")
    return {
        "warning_id": day.names("A"),
        "issued_at": moments(day.at_ms),
        "ends_at": moments(day.at_ms + 4 * 3_600_000),
        "hazard": pick(hazards, day.dice.below(len(hazards), 1)),
        "level": _level(day, 2),
        "district": pick(day.city.district_names, day.dice.below(len(day.city.district_names), 3)),
    }


def weather_products(day: Day) -> Columns:
    return {
        "product_id": day.names("P"),
        "issued_at": moments(day.at_ms),
        "field": pick(("observation", "forecast", "climate", "service"), day.rows % 4),
        "class": (day.rows % 26 + 1).astype(np.int8),
        "summary": pick(("多云", "有雷阵雨", "晴间多云", "有大雨"), day.dice.below(4, 1)),
    }


def flights(day: Day) -> Columns:
    return {
        "flight": codes_of("ZH", day.rows % 10_000),
        "scheduled_at": moments(day.at_ms // 300_000 * 300_000),
        "direction": pick(("arrival", "departure"), day.rows % 2),
        "status": pick(("planned", "delayed", "done"), day.dice.below(3, 1)),
        "people": whole(40 + 200 * day.dice.unit(2)),
    }


def internet_reports(day: Day) -> Columns:
    topics = ("flood", "fire", "gas_smell", "traffic", "crowd", "power_cut", "water_cut", "collapse", "other")
    place, _ = day.places()
    return {
        "report_id": day.names("N"),
        "reported_at": moments(day.at_ms),
        "topic": pick(topics, day.dice.below(len(topics), 1)),
        "lon": place["lon"],
        "lat": place["lat"],
        "summary": pick(("路面积水", "有烧焦味", "道路拥堵", "停电", "人很多"), day.dice.below(5, 2)),
    }


def city_cases(day: Day) -> Columns:
    kinds = ("waste", "road_damage", "street_vendor", "noise", "green", "lighting", "drainage", "other")
    place, house = day.places()
    return {
        "case_id": day.names("K"),
        "reported_at": moments(day.at_ms),
        "kind": pick(kinds, day.dice.below(len(kinds), 1)),
        "furniture_id": where(day.rows % 3 == 0, codes_of("F", day.dice.below(day.city.count(200_000, least=200), 2))),
        "street": pick(day.city.street_names, day.city.buildings.places.street[house]),
    } | place


def fire_alarms(day: Day) -> Columns:
    kinds = ("smoke", "heat", "manual", "sprinkler", "electrical")
    return {
        "alarm_id": day.names("L"),
        "reported_at": moments(day.at_ms),
        "building_code": _houses(day, 1),
        "kind": pick(kinds, day.dice.below(len(kinds), 2)),
        "confirmed": day.dice.unit(3) < 0.02,
    }


def hidden_dangers(day: Day) -> Columns:
    """Found, assigned after hours, fixed after days, closed after that: some of them."""
    place, house = day.places()
    found = day.at_ms - 20 * DAY_MS
    state = day.dice.unit(3)
    fixed = found + 86_400_000 + (day.dice.unit(4) * 15 * DAY_MS).astype(np.int64)
    # Who sits where it was found answers for it.
    firm = np.minimum(day.city.firm_starts[house], day.city.firms - 1)
    return {
        "danger_id": day.names("H"),
        "found_at": moments(found),
        "level": pick(("general", "major"), (day.dice.unit(1) < 0.06).astype(np.int8)),
        "category": pick(DANGER_CATEGORIES, day.dice.below(len(DANGER_CATEGORIES), 2)),
        "street": pick(day.city.street_names, day.city.buildings.places.street[house]),
        "building_code": day.city.building_codes.take(pa.array(house)),
        "credit_code": day.city.firm_codes(firm),
        "source": pick(("inspection", "self_check", "public_report", "sensor"), day.dice.below(4, 5)),
        "assigned_to": "街道安监办",
        "assigned_at": moments(found + 7_200_000),
        "fixed_at": where(state < 0.8, moments(fixed)),
        "closed_at": where(state < 0.7, moments(fixed + 3_600_000 * 20)),
        "due_on": days(found // DAY_MS + 15),
    } | place


def safety_inspections(day: Day) -> Columns:
    found = whole(4 * day.dice.unit(2) ** 3).astype(np.int16)
    return {
        "inspection_id": day.names("I"),
        "inspected_at": moments(day.at_ms),
        "credit_code": _firms(day, 1),
        "dangers_found": found,
        "result": pick(("passed", "to_be_fixed"), (found > 0).astype(np.int8)),
    }


def accidents(day: Day) -> Columns:
    kinds = ("fire", "explosion", "leak", "collapse", "fall", "electric", "traffic", "poisoning", "other")
    place, _ = day.places()
    return {
        "accident_id": day.names("U"),
        "happened_at": moments(day.at_ms),
        "kind": pick(kinds, day.dice.below(len(kinds), 1)),
        "credit_code": _firms(day, 2),
        "dead": (day.dice.unit(3) ** 20 * 5).astype(np.int16),
        "injured": (day.dice.unit(4) ** 4 * 8).astype(np.int16),
        "loss": (10 ** (4 * day.dice.unit(5)) / 10).round(1),
    } | place


def food_inspections(day: Day) -> Columns:
    return {
        "inspection_id": day.names("J"),
        "credit_code": day.city.firm_codes(day.dice.below(max(1, day.city.firms // 20), 1) * 20),
        "inspected_at": moments(day.at_ms),
        "passed": day.dice.unit(2) < 0.93,
    }


def disease_reports(day: Day) -> Columns:
    district, disease = np.divmod(day.rows % (10 * len(DISEASES)), len(DISEASES))
    return {
        "district": pick(day.city.district_names, district),
        "disease": pick(DISEASES, disease),
        "reported_on": days((START_MS // DAY_MS + day.number) - day.rows // (10 * len(DISEASES))),
        "cases": whole(200 * day.dice.unit(1) ** 2),
    }


def enterprise_output(day: Day) -> Columns:
    firms = (day.rows + day.number * day.total) % day.city.firms
    return {
        "credit_code": day.city.firm_codes(firms),
        "month": days(np.full(len(firms), 20_605) - 31 * ((day.rows + day.number * day.total) // day.city.firms)),
        "output": (10 ** (5 * day.dice.unit(1))).round(),
        "energy": (10 ** (4 * day.dice.unit(2))).round(),
    }


def incidents(day: Day) -> Columns:
    categories = ("natural_disaster", "accident", "public_health", "public_security")
    place, house = day.places()
    return {
        "incident_id": day.names("T"),
        "reported_at": moments(day.at_ms),
        "category": pick(categories, day.dice.below(4, 1)),
        "level": _level(day, 2),
        "building_code": day.city.building_codes.take(pa.array(house)),
        "summary": pick(("居民楼冒烟", "道路塌陷", "燃气泄漏", "多人食物中毒", "树木倒伏"), day.dice.below(5, 3)),
    } | place


def dispatches(day: Day) -> Columns:
    """Two a incident, in the order of the incidents."""
    incident = Day(day.city, "incidents", day.number, day.rows // 2, max(1, day.total // 2))
    return {
        "dispatch_id": day.names("X"),
        "incident_id": incident.names("T"),
        "unit_name": pick(("消防救援一队", "急救中心", "燃气抢修队", "工程抢险队"), day.dice.below(4, 1)),
        "people": whole(4 + 30 * day.dice.unit(2)),
        "status": pick(("sent", "arrived", "closed"), day.dice.below(3, 3)),
        "dispatched_at": moments(incident.at_ms + 120_000),
    }


def geological_reports(day: Day) -> Columns:
    place, _ = day.places()
    return {
        "report_id": day.names("G"),
        "point_id": where(day.rows % 2 == 0, codes_of("L", day.dice.below(day.city.count(700, least=20), 1))),
        "reported_at": moments(day.at_ms),
        "source": pick(("public", "inspector", "sensor"), day.dice.below(3, 2)),
        "lon": place["lon"],
        "lat": place["lat"],
        "summary": pick(("坡面有裂缝", "墙体倾斜", "有落石", "排水沟堵塞"), day.dice.below(4, 3)),
    }


def again(source: Callable[[City], Iterator[pa.RecordBatch]]) -> Make:
    """Rows of a registry, sent once more as they are."""

    def make(day: Day) -> pa.RecordBatch:
        rows = _only_batch(source, day.city)
        return rows.take(pa.array(day.rows % rows.num_rows))

    return make


@cache
def _only_batch(source: Callable[[City], Iterator[pa.RecordBatch]], city: City) -> pa.RecordBatch:
    (rows,) = source(city)
    return rows


def _level(day: Day, salt: int) -> pa.Array:
    return pick(("blue", "yellow", "orange", "red"), np.minimum((day.dice.unit(salt) ** 3 * 4).astype(np.int64), 3))


def _houses(day: Day, salt: int) -> pa.Array:
    return day.city.building_codes.take(pa.array(day.dice.below(len(day.city.building_codes), salt)))


def _firms(day: Day, salt: int) -> pa.Array:
    return day.city.firm_codes(day.dice.below(day.city.firms, salt))
