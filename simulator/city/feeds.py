"""What the 29 source units send in a day: a feed for each data set that changes, row by row.

    Feed (so many exchanges a day of so many rows) → rows of a day by their index → a batch

At scale 1 the feeds make 5 million exchanges a day. Row i of a day's n has its time at i / n of the day, or, in a
series of k stations, all k at each tick. Rows depend on (seed, day, index) only, so a day can be cut anywhere.
Registries are sent again with a new telephone or state: who lives and sits where never changes, and with it no known
answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.ingest.codes import digits, strings
from simulator.city import people, registries
from simulator.city.chance import Dice, Floats, Ints
from simulator.city.places import grid_cells, streets
from simulator.city.plan import START_MS, City
from simulator.city.readings import KINDS
from simulator.city.rows import DAY_MS, batch, days, moments, pick, where
from simulator.city.sensing import sensors_of
from simulator.city.weather import rain

Columns = dict[str, Any]
DISEASES: Final = ("流感", "手足口病", "登革热", "水痘", "肺结核", "诺如病毒感染")
PORTS: Final = ("罗湖口岸", "福田口岸", "皇岗口岸", "深圳湾口岸", "文锦渡口岸", "蛇口口岸", "机场口岸", "莲塘口岸")
DANGER_CATEGORIES: Final = ("消防通道堵塞", "电气线路老化", "燃气泄漏", "危险品混存", "特种设备未检", "临边防护缺失")


@dataclass(frozen=True)
class Day:
    """Some rows of one feed of one day: their indices among `total`, and all that goes by them."""

    city: City
    data_set: str
    number: int
    rows: Ints
    total: int

    @cached_property
    def dice(self) -> Dice:
        return Dice(self.city.seed, f"{self.data_set} {self.number}", self.rows)

    @cached_property
    def at_ms(self) -> Ints:
        """Moments spread evenly over the day."""
        return START_MS + self.number * DAY_MS + self.rows * DAY_MS // self.total

    def series(self, keys: int) -> tuple[Ints, Ints]:
        """(which of the keys, milliseconds): each key once a tick."""
        ticks = -(-self.total // keys)
        return self.rows % keys, START_MS + self.number * DAY_MS + self.rows // keys * (DAY_MS // ticks)

    def names(self, letter: str) -> pa.Array:
        """A code of its own for each row: letter, day, index."""
        number = strings(
            np.concatenate((digits(np.full(len(self.rows), self.number), 4), digits(self.rows, 8)), axis=1)
        )
        return pc.binary_join_element_wise(letter, number, "")

    def places(self, *, salt: int = 70) -> tuple[Columns, Ints]:
        """Where things happen: near a building each. Also the buildings."""
        made = self.city.buildings.places
        house = self.dice.below(len(made.lon), salt)
        street = made.street[house]
        return {
            "district": pick(self.city.district_names, streets().district[street]),
            "lon": made.lon[house],
            "lat": made.lat[house],
        }, house


Make = Callable[[Day], Columns | pa.RecordBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """`exchanges` are those of a day at scale 1, each of `rows` rows. The city's history has a day of them, of
    `history_rows` rows at least, so that the smallest city has something to show."""

    data_set: str
    exchanges: int
    rows: int
    make: Make
    history_rows: Callable[[City], int]

    @property
    def contract(self) -> Contract:
        return builtin_contracts()[self.data_set]

    def exchanges_of(self, city: City) -> int:
        return city.count(self.exchanges)

    def rows_of(self, city: City, day: int) -> int:
        """How many rows there are on a day; day 0 is the history's."""
        return max(self.exchanges_of(city) * self.rows, self.history_rows(city) if day == 0 else 0)

    def batch(self, city: City, day: int, first: int, end: int) -> pa.RecordBatch:
        """The rows from `first` to before `end` of a day."""
        part = Day(city, self.data_set, day, np.arange(first, end), self.rows_of(city, day))
        made = self.make(part)
        return made if isinstance(made, pa.RecordBatch) else batch(self.data_set, made)


def _rhythm(day: Day, key: Ints, at_ms: Ints, *, base: float, swing: float, noise: float) -> Floats:
    """A daily wave with its height by the key, and noise; never below zero."""
    wave = np.sin(2 * np.pi * (at_ms % DAY_MS / DAY_MS - 0.3))
    level = base * (0.6 + 0.8 * (key * 0.6180339887 % 1.0))
    return np.maximum(level * (1 + swing * wave) + noise * day.dice.bell(1), 0)


def _counts(values: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return values.astype(np.int32)


def _readings(day: Day) -> Columns:
    key, at_ms = day.series(day.city.sensors)
    instruments = sensors_of(day.city)
    facts = np.array([(one.base, one.swing / one.base, one.noise) for one in KINDS])[instruments.kind[key]]
    value = _rhythm(day, key, at_ms, base=1, swing=0, noise=0) * facts[:, 0] + facts[:, 2] * day.dice.bell(5)
    return {
        "observed_at": moments(at_ms),
        "sensor_id": (key + 1).astype(np.int32),
        "value": np.maximum(value, 0).round(1),
        "quality": np.int8(0) * key,
    }


def _traffic(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(10_000, least=50))
    vehicles = _rhythm(day, key, at_ms, base=180, swing=0.8, noise=20)
    return {
        "section_id": _codes("R", key),
        "observed_at": moments(at_ms),
        "vehicles": _counts(vehicles),
        "speed": (70 - vehicles / 8).clip(5, 120).round(1),
    }


def _power(day: Day) -> Columns:
    key, at_ms = day.series(len(day.city.building_codes))
    return {
        "meter_id": _codes("E", key),
        "observed_at": moments(at_ms),
        "energy": _rhythm(day, key, at_ms, base=45, swing=0.5, noise=4).round(2),
    }


def _volume(base: float) -> Make:
    def make(day: Day) -> Columns:
        key, at_ms = day.series(len(day.city.building_codes))
        return {
            "building_code": day.city.building_codes.take(pa.array(key)),
            "observed_at": moments(at_ms),
            "volume": _rhythm(day, key, at_ms, base=base, swing=0.6, noise=base / 10).round(2),
        }

    return make


def _metro(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(300, least=10))
    entered = _rhythm(day, key, at_ms, base=260, swing=0.9, noise=30)
    return {
        "station": _codes("M", key),
        "observed_at": moments(at_ms),
        "entered": _counts(entered),
        "left": _counts(entered * 0.97),
    }


def _trains(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(300, least=10))
    return {
        "train": pc.binary_join_element_wise("D", strings(digits(day.rows, 8)), ""),
        "station": _codes("M", key),
        "observed_at": moments(at_ms),
        "delay": (day.dice.unit(2) ** 6 * 400).astype(np.int16),
    }


def _presence(day: Day) -> Columns:
    cells = _cells_in_use(day.city)
    key, at_ms = day.series(len(cells))
    people = _rhythm(day, key, at_ms, base=20_000_000 * day.city.scale / len(cells), swing=0.5, noise=3)
    return {"grid_id": cells.take(pa.array(key)), "observed_at": moments(at_ms), "people": _counts(people)}


def _payments(day: Day) -> Columns:
    cells = _cells_in_use(day.city)
    key, at_ms = day.series(len(cells))
    count = _rhythm(day, key, at_ms, base=400, swing=0.9, noise=20)
    return {
        "grid_id": cells.take(pa.array(key)),
        "observed_at": moments(at_ms),
        "payments": _counts(count),
        "amount": (count * 38.5).round(2),
    }


def _police_calls(day: Day) -> Columns:
    kinds = ("crime", "traffic", "dispute", "help", "nuisance", "other")
    place, _ = day.places()
    return {
        "call_id": day.names("C"),
        "reported_at": moments(day.at_ms),
        "category": pick(kinds, day.dice.below(len(kinds), 1)),
    } | place


def _residents(day: Day) -> pa.RecordBatch:
    return people.residents_of(day.city, _changed(day, day.city.people), day.number)


def _legal_persons(day: Day) -> pa.RecordBatch:
    return people.legal_persons_of(day.city, _changed(day, day.city.firms), day.number)


def _insured(day: Day) -> pa.RecordBatch:
    return people.insured_people_of(day.city, _changed(day, people.insured_count(day.city)) * 2, day.number)


def _changed(day: Day, of: int) -> Ints:
    """Whose rows are sent again on a day."""
    return (day.rows * 7_919 + day.number) % of


def _rainfall(day: Day) -> Columns:
    places = registries.station_places(day.city)
    key, at_ms = day.series(len(places.lon))
    rate = rain(day.city.seed, at_ms, places.lon[key], places.lat[key])
    return {"station": _codes("G", key), "observed_at": moments(at_ms), "rain": (rate / 12).clip(0, 60).round(1)}


def _weather(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(200, least=20))
    temperature = 78 + 9 * np.sin(2 * np.pi * (at_ms % DAY_MS / DAY_MS - 0.1)) + day.dice.bell(1)
    return {
        "station": _codes("G", key),
        "observed_at": moments(at_ms),
        "temperature": temperature.round(1),
        "humidity": (80 - temperature / 4 + 4 * day.dice.bell(4)).clip(5, 100).round(),
        "wind_speed": (6 * day.dice.unit(2)).round(1),
        "pressure": (1_008 + day.dice.bell(3)).round(1),
    }


def _weather_warnings(day: Day) -> Columns:
    hazards = ("rainstorm", "typhoon", "gale", "heat", "fog", "lightning")
    return {
        "warning_id": day.names("A"),
        "issued_at": moments(day.at_ms),
        "ends_at": moments(day.at_ms + 4 * 3_600_000),
        "hazard": pick(hazards, day.dice.below(len(hazards), 1)),
        "level": _level(day, 2),
        "district": pick(day.city.district_names, day.dice.below(len(day.city.district_names), 3)),
    }


def _weather_products(day: Day) -> Columns:
    return {
        "product_id": day.names("P"),
        "issued_at": moments(day.at_ms),
        "field": pick(("observation", "forecast", "climate", "service"), day.rows % 4),
        "class": (day.rows % 26 + 1).astype(np.int8),
        "summary": pick(("多云", "有雷阵雨", "晴间多云", "有大雨"), day.dice.below(4, 1)),
    }


def _water_levels(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(1_000, least=26))
    level = _rhythm(day, key, at_ms, base=2.4, swing=0.3, noise=0.05)
    return {
        "station": _codes("W", key),
        "observed_at": moments(at_ms),
        "level": level.round(2),
        "flow": (level**2 * 3).round(1),
    }


def _water_quality(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(1_000, least=26))
    return {
        "station": _codes("W", key),
        "observed_at": moments(at_ms),
        "ph": (7.2 + 0.3 * day.dice.bell(1)).round(2),
        "dissolved_oxygen": (6.5 + day.dice.bell(2)).clip(0, 20).round(1),
        "ammonia": day.dice.unit(3).round(2),
        "turbidity": (30 * day.dice.unit(4) ** 3).round(1),
    }


def _water_works(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(1_000, least=26) // 13)
    flow = _rhythm(day, key, at_ms, base=9_000, swing=0.2, noise=100)
    return {
        "station": _codes("W", key * 13 + registries.WATER_CLASSES.index("water_works")),
        "observed_at": moments(at_ms),
        "inflow": flow.round(),
        "outflow": (flow * 0.97).round(),
        "chlorine": (0.6 + 0.1 * day.dice.unit(2)).round(2),
        "pressure": (0.4 + 0.02 * day.dice.bell(3)).clip(0, 3).round(3),
    }


def _ocean(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(15, least=4))
    buoy = key % 2 == 1
    # M2, the principal lunar tide: 12 h 25.2 min.
    tide = 1.2 + 0.9 * np.sin(2 * np.pi * at_ms / 44_714_160) + 0.02 * day.dice.bell(1)
    return {
        "station": _codes("O", key),
        "observed_at": moments(at_ms),
        "tide": where(~buoy, pa.array(tide.round(2))),
        "wave_height": where(buoy, pa.array((0.8 + 0.3 * day.dice.unit(2)).round(2))),
        "sea_temperature": (27 + day.dice.bell(3) / 3).round(1),
        "wind_speed": (9 * day.dice.unit(4)).round(1),
    }


def _crossings(day: Day) -> Columns:
    key, at_ms = day.series(2 * len(PORTS))
    return {
        "port": pick(PORTS, key // 2),
        "observed_at": moments(at_ms),
        "direction": pick(("in", "out"), key % 2),
        "people": _counts(_rhythm(day, key, at_ms, base=400, swing=0.9, noise=40)),
    }


def _flights(day: Day) -> Columns:
    return {
        "flight": _codes("ZH", day.rows % 10_000),
        "scheduled_at": moments(day.at_ms // 300_000 * 300_000),
        "direction": pick(("arrival", "departure"), day.rows % 2),
        "status": pick(("planned", "delayed", "done"), day.dice.below(3, 1)),
        "people": _counts(40 + 200 * day.dice.unit(2)),
    }


def _internet(day: Day) -> Columns:
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


def _city_cases(day: Day) -> Columns:
    kinds = ("waste", "road_damage", "street_vendor", "noise", "green", "lighting", "drainage", "other")
    place, house = day.places()
    return {
        "case_id": day.names("K"),
        "reported_at": moments(day.at_ms),
        "kind": pick(kinds, day.dice.below(len(kinds), 1)),
        "furniture_id": where(day.rows % 3 == 0, _codes("F", day.dice.below(day.city.count(200_000, least=200), 2))),
        "street": pick(day.city.street_names, day.city.buildings.places.street[house]),
    } | place


def _fire_alarms(day: Day) -> Columns:
    kinds = ("smoke", "heat", "manual", "sprinkler", "electrical")
    return {
        "alarm_id": day.names("L"),
        "reported_at": moments(day.at_ms),
        "building_code": _houses(day, 1),
        "kind": pick(kinds, day.dice.below(len(kinds), 2)),
        "confirmed": day.dice.unit(3) < 0.02,
    }


def _emissions(day: Day) -> Columns:
    key, at_ms = day.series(6 * day.city.count(500, least=5))
    return {
        "credit_code": day.city.firm_codes(key // 6 * 7 % day.city.firms),
        "observed_at": moments(at_ms),
        "substance": pick(("so2", "nox", "dust", "cod", "ammonia", "voc"), key % 6),
        "concentration": _rhythm(day, key, at_ms, base=20, swing=0.2, noise=3).round(1),
    }


def _hidden_dangers(day: Day) -> Columns:
    """Found, assigned after hours, fixed after days, closed after that: some of them."""
    place, house = day.places()
    found = day.at_ms - 20 * DAY_MS
    state = day.dice.unit(3)
    fixed = found + 86_400_000 + (day.dice.unit(4) * 15 * DAY_MS).astype(np.int64)
    # Far away from the indicator's own dangers: each answers for the building it was found in.
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


def _inspections(day: Day) -> Columns:
    found = _counts(4 * day.dice.unit(2) ** 3).astype(np.int16)
    return {
        "inspection_id": day.names("I"),
        "inspected_at": moments(day.at_ms),
        "credit_code": _firms(day, 1),
        "dangers_found": found,
        "result": pick(("passed", "to_be_fixed"), (found > 0).astype(np.int8)),
    }


def _accidents(day: Day) -> Columns:
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


def _food_inspections(day: Day) -> Columns:
    return {
        "inspection_id": day.names("J"),
        "credit_code": day.city.firm_codes(day.dice.below(max(1, day.city.firms // 20), 1) * 20),
        "inspected_at": moments(day.at_ms),
        "passed": day.dice.unit(2) < 0.93,
    }


def _diseases(day: Day) -> Columns:
    district, disease = np.divmod(day.rows % (10 * len(DISEASES)), len(DISEASES))
    return {
        "district": pick(day.city.district_names, district),
        "disease": pick(DISEASES, disease),
        "reported_on": days((START_MS // DAY_MS + day.number) - day.rows // (10 * len(DISEASES))),
        "cases": _counts(200 * day.dice.unit(1) ** 2),
    }


def _output(day: Day) -> Columns:
    firms = (day.rows + day.number * day.total) % day.city.firms
    return {
        "credit_code": day.city.firm_codes(firms),
        "month": days(np.full(len(firms), 20_605) - 31 * ((day.rows + day.number * day.total) // day.city.firms)),
        "output": (10 ** (5 * day.dice.unit(1))).round(),
        "energy": (10 ** (4 * day.dice.unit(2))).round(),
    }


def _venue_visits(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(800, least=10))
    return {
        "venue_id": _codes("V", key),
        "observed_at": moments(at_ms),
        "people": _counts(_rhythm(day, key, at_ms, base=600, swing=0.95, noise=40)),
    }


def _incidents(day: Day) -> Columns:
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


def _dispatches(day: Day) -> Columns:
    """Two a incident, in the order of the incidents."""
    incident = Day(day.city, "incidents", day.number, day.rows // 2, max(1, day.total // 2))
    return {
        "dispatch_id": day.names("X"),
        "incident_id": incident.names("T"),
        "unit_name": pick(("消防救援一队", "急救中心", "燃气抢修队", "工程抢险队"), day.dice.below(4, 1)),
        "people": _counts(4 + 30 * day.dice.unit(2)),
        "status": pick(("sent", "arrived", "closed"), day.dice.below(3, 3)),
        "dispatched_at": moments(incident.at_ms + 120_000),
    }


def _geological_reports(day: Day) -> Columns:
    place, _ = day.places()
    return {
        "report_id": day.names("G"),
        "point_id": where(day.rows % 2 == 0, _codes("L", day.dice.below(day.city.count(700, least=20), 1))),
        "reported_at": moments(day.at_ms),
        "source": pick(("public", "inspector", "sensor"), day.dice.below(3, 2)),
        "lon": place["lon"],
        "lat": place["lat"],
        "summary": pick(("坡面有裂缝", "墙体倾斜", "有落石", "排水沟堵塞"), day.dice.below(4, 3)),
    }


def _again(source: Callable[[City], Iterator[pa.RecordBatch]]) -> Make:
    """Rows of a registry, sent once more as they are."""

    def make(day: Day) -> pa.RecordBatch:
        rows = _only_batch(source, day.city)
        return rows.take(pa.array(day.rows % rows.num_rows))

    return make


@cache
def _only_batch(source: Callable[[City], Iterator[pa.RecordBatch]], city: City) -> pa.RecordBatch:
    (rows,) = source(city)
    return rows


def _codes(letter: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(letter, strings(digits(numbers + 1, 6)), "")


def _level(day: Day, salt: int) -> pa.Array:
    return pick(("blue", "yellow", "orange", "red"), np.minimum((day.dice.unit(salt) ** 3 * 4).astype(np.int64), 3))


def _houses(day: Day, salt: int) -> pa.Array:
    return day.city.building_codes.take(pa.array(day.dice.below(len(day.city.building_codes), salt)))


def _firms(day: Day, salt: int) -> pa.Array:
    return day.city.firm_codes(day.dice.below(day.city.firms, salt))


@cache
def _cells_in_use(city: City) -> pa.Array:
    """The grid cells with a building, at scale 1 nearly all that people are in."""
    names, _ = grid_cells()
    return names.filter(pc.is_in(names, value_set=city.building_grids.unique()))


def _feed(data_set: str, exchanges: int, rows: int, make: Make, history_rows: int | Callable[[City], int] = 0) -> Feed:
    least = history_rows if callable(history_rows) else lambda city: history_rows
    return Feed(data_set=data_set, exchanges=exchanges, rows=rows, make=make, history_rows=least)


def _cells_by_the_hour(city: City) -> int:
    return 24 * len(_cells_in_use(city))


FEEDS: Final = (
    _feed("readings", 1_311_000, 8, _readings),
    _feed("traffic_flow", 720_000, 4, _traffic),
    _feed("presence", 480_000, 4, _presence, _cells_by_the_hour),
    _feed("power_use", 480_000, 4, _power),
    _feed("payment_activity", 288_000, 4, _payments, _cells_by_the_hour),
    _feed("gas_use", 288_000, 2, _volume(2.5)),
    _feed("water_use", 288_000, 2, _volume(12)),
    _feed("internet_reports", 200_000, 1, _internet),
    _feed("water_levels", 144_000, 1, _water_levels, 3_744),
    _feed("venue_visits", 76_800, 1, _venue_visits),
    _feed("emissions", 72_000, 2, _emissions),
    _feed("residents", 70_000, 1, _residents),
    _feed("insured_people", 70_000, 1, _insured),
    _feed("train_runs", 60_000, 1, _trains),
    _feed("city_cases", 60_000, 1, _city_cases),
    _feed("metro_passages", 57_600, 1, _metro, 2_880),
    _feed("rainfall", 57_600, 1, _rainfall, 5_760),
    _feed("hidden_dangers", 40_000, 1, _hidden_dangers, 400),
    _feed("police_calls", 30_000, 1, _police_calls),
    _feed("legal_persons", 30_000, 1, _legal_persons),
    _feed("enterprise_output", 30_000, 2, _output),
    _feed("water_quality", 24_000, 1, _water_quality),
    _feed("fire_alarms", 20_000, 1, _fire_alarms),
    _feed("construction_works", 20_000, 1, _again(registries.construction_works)),
    _feed("food_inspections", 18_000, 1, _food_inspections),
    _feed("water_works", 14_400, 1, _water_works),
    _feed("safety_inspections", 12_000, 1, _inspections),
    _feed("crossings", 8_640, 2, _crossings),
    _feed("weather_observations", 4_800, 1, _weather),
    _feed("geological_reports", 4_000, 1, _geological_reports),
    _feed("dispatches", 4_000, 1, _dispatches, 80),
    _feed("flights", 3_000, 1, _flights),
    _feed("disease_reports", 3_000, 4, _diseases),
    _feed("weather_products", 2_000, 1, _weather_products),
    _feed("ocean_observations", 2_160, 1, _ocean, 576),
    _feed("incidents", 2_000, 1, _incidents, 40),
    _feed("welfare_homes", 1_000, 1, _again(registries.welfare_homes)),
    _feed("schools", 1_000, 1, _again(registries.schools)),
    _feed("weather_warnings", 500, 1, _weather_warnings, 12),
    _feed("accidents", 500, 1, _accidents, 12),
    _feed("fire_hydrants", 2_000, 1, _again(registries.fire_hydrants)),
)
