"""The smaller registries: places, stations, networks, people to call. A function a data set; each yields one batch.

Codes of things are a letter and the number of the thing: `W00012`. What stands in a building has its place and code.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city.chance import Ints, stream
from simulator.city.places import Places, districts, grid_cells, scattered, streets
from simulator.city.plan import USES, City
from simulator.city.rows import batch, days, moments, pick

Batches = Iterator[pa.RecordBatch]

TODAY: Final = 20_605  # 2026-06-01 counted from 1970.
WATER_CLASSES: Final = (
    *("river", "reservoir", "lake", "rain_gauge", "hydrology", "water_quality", "groundwater", "sluice", "pump"),
    *("dike", "water_works", "sewage_works", "drainage"),
)
MEDIA: Final = ("gas", "water", "sewage", "rain", "power", "telecom", "heat", "oil")
CHEMICALS: Final = (
    ("氯", 5.0),
    ("氨", 10.0),
    ("汽油", 200.0),
    ("液化石油气", 50.0),
    ("甲醇", 500.0),
    ("硝酸铵", 200.0),
)
RISK_GROUPS: Final = (
    *("chemical", "gas", "fire", "building", "construction", "transport", "geology", "water", "crowd", "equipment"),
    *("power", "food"),
)
RISK_CATEGORIES: Final = 264
_FIELDS: Final = (
    *("chemistry", "fire", "structures", "geology", "hydrology", "weather", "medicine", "gas", "electricity"),
    *("transport", "ocean", "radiation"),
)
_HAZARDS: Final = dict(
    zip(
        _FIELDS,
        (
            "toxic_leak;explosion",
            "fire;explosion",
            "collapse;earthquake",
            "landslide;collapse",
            "flood;drought",
            "typhoon;rainstorm",
            "epidemic;poisoning",
            "gas_leak;explosion",
            "power_cut;fire",
            "traffic;tunnel",
            "storm_surge;oil_spill",
            "radiation",
        ),
        strict=True,
    )
)
EXPERTS: Final = 417


def codes(letter: str, count: int, *, first: int = 1) -> pa.Array:
    return pc.binary_join_element_wise(letter, strings(digits(np.arange(first, first + count), 6)), "")


def water_stations(city: City) -> Batches:
    count, random = city.count(1_000, least=26), stream(city.seed, "water_stations")
    kind = np.arange(count) % len(WATER_CLASSES)
    columns = _placed(city, scattered(random, count))
    yield batch(
        "water_stations",
        {
            "station": codes("W", count),
            "class": pick(WATER_CLASSES, kind),
            "name": _named(columns["street"], "水务站", count),
            "warning_level": random.uniform(3, 6, count).round(1),
            "capacity": (10 ** random.uniform(4, 8, count)).round(),
        }
        | _without(columns, "street"),
    )


def ocean_stations(city: City) -> Batches:
    count, random = city.count(15, least=4), stream(city.seed, "ocean_stations")
    buoy = np.arange(count) % 2
    yield batch(
        "ocean_stations",
        {
            "station": codes("O", count),
            "kind": pick(("tide_gauge", "buoy"), buoy),
            "name": _named(pick(("赤湾", "大鹏湾", "大亚湾", "蛇口"), np.arange(count) % 4), "海洋站", count),
            "lon": random.uniform(113.8, 114.7, count).round(4),
            "lat": np.where(buoy, random.uniform(22.1, 22.4, count), random.uniform(22.45, 22.55, count)).round(4),
        },
    )


def weather_stations(city: City) -> Batches:
    places = station_places(city)
    names = pc.take(city.street_names, pa.array(places.street))
    count = len(places.lon)
    yield batch(
        "weather_stations",
        {"station": codes("G", count), "name": _named(names, "气象站", count), "lon": places.lon, "lat": places.lat},
    )


def station_places(city: City) -> Places:
    """Where the weather stations stand."""
    return scattered(stream(city.seed, "weather_stations"), city.count(200, least=20))


def geological_points(city: City) -> Batches:
    count, random = city.count(700, least=20), stream(city.seed, "geological_points")
    yield batch(
        "geological_points",
        {
            "point_id": codes("L", count),
            "kind": pick(
                ("slope", "landslide", "collapse", "debris_flow", "ground_subsidence"), _skewed(random, 5, count)
            ),
            "threatened_people": random.integers(0, 400, count).astype(np.int32),
            "warning_rain_1h": random.uniform(25, 60, count).round(),
            "warning_rain_24h": random.uniform(80, 200, count).round(),
        }
        | _placed(city, geological_places(city)),
    )


def geological_places(city: City) -> Places:
    return scattered(stream(city.seed, "geological_places"), city.count(700, least=20))


def pipeline_places(city: City) -> Places:
    """Where each pipeline begins."""
    return scattered(stream(city.seed, "pipeline_places"), city.count(300_000, least=200))


def pipelines(city: City) -> Batches:
    places, random = pipeline_places(city), stream(city.seed, "pipelines")
    count = len(places.lon)
    medium = random.choice(len(MEDIA), count, p=(0.2, 0.3, 0.15, 0.15, 0.1, 0.08, 0.01, 0.01))
    heading, length = random.uniform(0, 2 * np.pi, count), random.uniform(0.0002, 0.002, count)
    yield batch(
        "pipelines",
        {
            "pipeline_id": codes("P", count),
            "medium": pick(MEDIA, medium),
            "owner": pick(("深圳燃气", "深圳水务", "深圳供电", "深圳电信"), medium % 4),
            "district": pick(city.district_names, places.district),
            "from_lon": places.lon,
            "from_lat": places.lat,
            "to_lon": (places.lon + length * np.cos(heading)).round(6),
            "to_lat": (places.lat + length * np.sin(heading)).round(6),
            "diameter": random.choice((100, 200, 300, 400, 600, 800, 1_200), count).astype(np.float32),
            "depth": random.uniform(0.6, 6, count).round(1),
            "pressure": np.where(medium == 0, random.choice((0.1, 0.4, 1.6), count), 0.3),
            "material": pick(("steel", "cast_iron", "pe", "concrete"), random.integers(0, 4, count)),
            "laid_year": random.integers(1_985, 2_026, count).astype(np.int16),
            "submitted_on": days(TODAY - random.integers(1, 2_000, count)),
        },
    )


def construction_works(city: City) -> Batches:
    count, random = city.count(3_000, least=20), stream(city.seed, "construction_works")
    pipes = pipeline_places(city)  # Each site opens the ground of a pipeline.
    columns = _placed(city, Places(street=pipes.street[:count], lon=pipes.lon[:count], lat=pipes.lat[:count]))
    begins = TODAY - random.integers(0, 500, count)
    yield batch(
        "construction_works",
        {
            "works_id": codes("C", count),
            "name": _named(columns["street"], "工程", count),
            "credit_code": city.firm_codes(random.integers(0, city.firms, count)),
            "radius": random.uniform(20, 150, count).round(),
            "begins_on": days(begins),
            "ends_on": days(begins + random.integers(100, 900, count)),
        }
        | _without(columns, "street"),
    )


def street_furniture(city: City) -> Batches:
    count, random = city.count(200_000, least=200), stream(city.seed, "street_furniture")
    kinds = ("street_lamp", "manhole_cover", "litter_bin", "bench", "sign", "bollard", "tree", "other")
    columns = _placed(city, scattered(random, count))
    yield batch(
        "street_furniture",
        {
            "furniture_id": codes("F", count),
            "kind": pick(kinds, _skewed(random, len(kinds), count)),
            "responsible": pc.binary_join_element_wise(columns["street"], "办事处", ""),
        }
        | columns,
    )


def cleaning_sections(city: City) -> Batches:
    count, random = city.count(10_000, least=74), stream(city.seed, "cleaning_sections")
    columns = _placed(city, scattered(random, count))
    yield batch(
        "cleaning_sections",
        {
            "section_id": codes("K", count),
            "name": _named(columns["street"], "路段", count),
            "grade": random.integers(1, 5, count).astype(np.int8),
            "length": random.uniform(50, 3_000, count).round(),
            "responsible": pc.binary_join_element_wise(columns["district"], "城管局", ""),
        }
        | _without(columns, "lon", "lat"),
    )


def road_sections(city: City) -> Batches:
    count, random = city.count(10_000, least=50), stream(city.seed, "road_sections")
    columns = _placed(city, scattered(random, count))
    heading, length = random.uniform(0, 2 * np.pi, count), random.uniform(0.002, 0.02, count)
    yield batch(
        "road_sections",
        {
            "section_id": codes("R", count),
            "name": _named(columns["street"], "道路", count),
            "district": columns["district"],
            "from_lon": columns["lon"],
            "from_lat": columns["lat"],
            "to_lon": (columns["lon"] + length * np.cos(heading)).round(6),
            "to_lat": (columns["lat"] + length * np.sin(heading)).round(6),
            "lanes": random.integers(2, 9, count).astype(np.int8),
        },
    )


def rail_stations(city: City) -> Batches:
    count, random = city.count(300, least=10), stream(city.seed, "rail_stations")
    columns = _placed(city, scattered(random, count))
    yield batch(
        "rail_stations",
        {
            "station": codes("M", count),
            "name": _named(columns["street"], "站", count),
            "line": pc.binary_join_element_wise(pc.cast(pa.array(1 + np.arange(count) // 25), pa.string()), "号线", ""),
        }
        | _without(columns, "street"),
    )


def schools(city: City) -> Batches:
    yield from _in_buildings(
        city,
        "schools",
        use="school",
        most=2_700,
        columns=lambda random, count: {
            "school_id": codes("S", count),
            "kind": pick(
                ("kindergarten", "primary", "secondary", "university", "vocational"), _skewed(random, 5, count)
            ),
            "pupils": random.integers(90, 3_000, count).astype(np.int32),
        },
        word="学校",
    )


def hospitals(city: City) -> Batches:
    yield from _in_buildings(
        city,
        "hospitals",
        use="hospital",
        most=150,
        columns=lambda random, count: {
            "hospital_id": codes("H", count),
            "beds": random.integers(30, 2_500, count).astype(np.int32),
            "emergency": np.arange(count) % 2 == 0,
        },
        word="医院",
    )


def welfare_homes(city: City) -> Batches:
    yield from _in_buildings(
        city,
        "welfare_homes",
        use="public",
        most=60,
        columns=lambda random, count: {
            "home_id": codes("A", count),
            "kind": pick(("aged", "children", "disabled"), _skewed(random, 3, count)),
            "beds": random.integers(20, 600, count).astype(np.int32),
        },
        word="福利院",
    )


def venues(city: City) -> Batches:
    count, random = city.count(800, least=10), stream(city.seed, "venues")
    columns = _placed(city, scattered(random, count))
    kinds = ("museum", "theatre", "library", "stadium", "park", "sight", "hotel")
    yield batch(
        "venues",
        {
            "venue_id": codes("V", count),
            "name": _named(columns["street"], "文体中心", count),
            "kind": pick(kinds, random.integers(0, len(kinds), count)),
            "capacity": random.integers(100, 60_000, count).astype(np.int32),
        }
        | _without(columns, "street"),
    )


def shelters(city: City) -> Batches:
    count, random = city.count(500, least=10), stream(city.seed, "shelters")
    columns = _placed(city, scattered(random, count))
    yield batch(
        "shelters",
        {
            "shelter_id": codes("T", count),
            "name": _named(columns["street"], "避难场所", count),
            "indoor": np.arange(count) % 3 > 0,
            "capacity": random.integers(50, 5_000, count).astype(np.int32),
        }
        | _without(columns, "street"),
    )


def rescue_stations(city: City) -> Batches:
    count, random = city.count(150, least=12), stream(city.seed, "rescue_stations")
    columns = _placed(city, scattered(random, count))
    yield batch(
        "rescue_stations",
        {
            "station_id": codes("N", count),
            "name": _named(columns["street"], "救援队", count),
            "kind": pick(("fire", "medical", "chemical", "water", "mine", "general"), np.arange(count) % 6),
            "people": random.integers(10, 120, count).astype(np.int32),
            "vehicles": random.integers(1, 20, count).astype(np.int32),
            "phone": strings(digits(755_80_000_000 + np.arange(count), 11)),
        }
        | _without(columns, "street"),
    )


def fire_hydrants(city: City) -> Batches:
    count, random = city.count(60_000, least=60), stream(city.seed, "fire_hydrants")
    yield batch(
        "fire_hydrants",
        {
            "hydrant_id": codes("Y", count),
            "pressure": random.normal(0.3, 0.06, count).clip(0, 1).round(2),
            "checked_on": days(TODAY - random.integers(1, 400, count)),
        }
        | _without(_placed(city, scattered(random, count)), "street"),
    )


def base_stations(city: City) -> Batches:
    count, random = city.count(30_000, least=30), stream(city.seed, "base_stations")
    yield batch(
        "base_stations",
        {
            "base_station_id": codes("B", count),
            "backup_power": random.choice((0, 2, 4, 8, 24), count).astype(np.float32),
        }
        | _without(_placed(city, scattered(random, count)), "street"),
    )


def power_meters(city: City) -> Batches:
    """One meter a building; those of hospitals are critical."""
    count = len(city.building_codes)
    yield batch(
        "power_meters",
        {
            "meter_id": codes("E", count),
            "building_code": city.building_codes,
            "critical": city.buildings.use == USES.index("hospital"),
        },
    )


def emergency_supplies(city: City) -> Batches:
    depots = city.count(60, least=3)
    items = ("帐篷", "救生衣", "抽水泵", "发电机", "防护服", "沙袋", "饮用水", "药品")
    units = ("顶", "件", "台", "台", "套", "袋", "箱", "箱")
    random = stream(city.seed, "emergency_supplies")
    depot, item = np.divmod(np.arange(depots * len(items)), len(items))
    columns = _placed(city, scattered(random, depots))
    yield batch(
        "emergency_supplies",
        {
            "depot_id": codes("D", depots).take(pa.array(depot)),
            "item": pick(items, item),
            "quantity": random.integers(5, 5_000, len(item)).astype(np.float64),
            "unit": pick(units, item),
            "district": columns["district"].take(pa.array(depot)),
            "lon": columns["lon"][depot],
            "lat": columns["lat"][depot],
        },
    )


def emergency_plans(city: City) -> Batches:
    count, random = RISK_CATEGORIES // 4, stream(city.seed, "emergency_plans")
    issued = TODAY - random.integers(100, 2_000, count)
    yield batch(
        "emergency_plans",
        {
            "plan_id": codes("J", count),
            "title": pc.binary_join_element_wise(risk_categories().slice(0, count), "应急预案", ""),
            "category": risk_categories().slice(0, count),
            "issued_on": days(issued),
            "rehearsed_on": days(issued + random.integers(0, 100, count)),
        },
    )


def experts(city: City) -> Batches:
    random = stream(city.seed, "experts")
    field = np.arange(EXPERTS) % len(_FIELDS)
    yield batch(
        "experts",
        {
            "expert_id": codes("X", EXPERTS),
            "name": pc.binary_join_element_wise(
                pick("王李张刘陈杨黄赵", random.integers(0, 8, EXPERTS)), "专家", codes("", EXPERTS), ""
            ),
            "field": pick(_FIELDS, field),
            "hazards": pick(tuple(_HAZARDS.values()), field),
            "organisation": pick(
                ("深圳大学", "南方科技大学", "市消防支队", "市地质局"), random.integers(0, 4, EXPERTS)
            ),
            "phone": strings(digits(13_800_000_000 + np.arange(EXPERTS), 11)),
            "available": random.random(EXPERTS) < 0.85,
        },
    )


def risk_categories() -> pa.Array:
    """The 264 categories: a group and a number."""
    number = np.arange(RISK_CATEGORIES)
    group = pick(RISK_GROUPS, number % len(RISK_GROUPS))
    return pc.binary_join_element_wise(group, strings(digits(number // len(RISK_GROUPS) + 1, 2)), "_")


def risk_points(city: City) -> Batches:
    count, random = city.count(5_201, least=40), stream(city.seed, "risk_points")
    seat = city.seat_of(firms_of_risk_points(city))
    category = np.arange(count) % RISK_CATEGORIES
    yield batch(
        "risk_points",
        {
            "risk_point_id": codes("Q", count),
            "name": _named(pick(city.street_names, city.buildings.places.street[seat]), "风险点", count),
            "category": risk_categories().take(pa.array(category)),
            "group": pick(RISK_GROUPS, category % len(RISK_GROUPS)),
            "credit_code": city.firm_codes(firms_of_risk_points(city)),
            "grid_id": city.building_grids.take(pa.array(seat)),
            "reach": random.choice((50, 100, 200, 300, 500, 1_000), count).astype(np.float32),
            "responsible": pick("王李张刘陈杨黄赵", random.integers(0, 8, count)),
        }
        | _at_buildings(city, seat),
    )


def firms_of_risk_points(city: City) -> Ints:
    count = city.count(5_201, least=40)
    return np.arange(count) * city.firms // count


def major_hazard_sources(city: City) -> Batches:
    """The first risk points of chemistry and gas."""
    point = hazard_points(city)
    firm = firms_of_risk_points(city)[point]
    columns = _at_buildings(city, city.seat_of(firm))
    yield batch(
        "major_hazard_sources",
        {
            "source_id": codes("Z", len(point)),
            "credit_code": city.firm_codes(firm),
            "risk_point_id": codes("Q", city.count(5_201, least=40)).take(pa.array(point)),
            "name": _named(columns["street"], "重大危险源", len(point)),
            "filed_on": days(TODAY - stream(city.seed, "filed").integers(30, 1_500, len(point))),
        }
        | _without(columns, "street", "building_code"),
    )


def hazard_points(city: City) -> Ints:
    """The risk points that are major hazard sources."""
    points = np.arange(city.count(5_201, least=40))
    return points[points % RISK_CATEGORIES % len(RISK_GROUPS) < 2][: city.count(120, least=6)]


def hazardous_chemicals(city: City) -> Batches:
    sources, random = len(hazard_points(city)), stream(city.seed, "hazardous_chemicals")
    source, which = np.divmod(np.arange(sources * 3), 3)
    chemical = (source + 2 * which) % len(CHEMICALS)
    critical = np.array([amount for _, amount in CHEMICALS])[chemical]
    yield batch(
        "hazardous_chemicals",
        {
            "source_id": codes("Z", sources).take(pa.array(source)),
            "chemical": pick([name for name, _ in CHEMICALS], chemical),
            "quantity": (critical * random.uniform(0.1, 8, len(source))).round(1),
            "critical_quantity": critical,
        },
    )


def district_rows(city: City) -> Batches:
    inside = [one.outline.representative_point() for one in districts()]
    yield batch(
        "districts",
        {
            "district": city.district_names,
            "division_code": strings(digits(city.divisions, 6)),
            "name_en": pa.array([one.name_en for one in districts()]),
            "lon": np.array([point.x for point in inside]).round(6),
            "lat": np.array([point.y for point in inside]).round(6),
            "area": np.array([one.outline.area * 111.2 * 102.7 for one in districts()]).round(1),
        },
    )


def street_rows(city: City) -> Batches:
    offices = streets()
    yield batch(
        "streets",
        {
            "district": pick(city.district_names, offices.district),
            "street": city.street_names,
            "lon": offices.lon.round(6),
            "lat": offices.lat.round(6),
        },
    )


def grid_rows(city: City) -> Batches:
    names, centres = grid_cells()
    yield batch("grid_cells", {"grid_id": names} | _placed(city, centres))


def building_rows(city: City) -> Batches:
    made = city.buildings
    count = len(made.use)
    yield batch(
        "buildings",
        {
            "building_code": city.building_codes,
            "name": _named(pick(city.street_names, made.places.street), "号楼", count),
            "address": _named(
                pc.binary_join_element_wise(
                    pick(city.district_names, made.places.district), pick(city.street_names, made.places.street), ""
                ),
                "号",
                count,
            ),
            "use": pick(USES, made.use),
            "structure": pick(("concrete", "steel", "brick_concrete"), made.structure),
            "floors": made.floors.astype(np.int16),
            "height": made.height,
            "floor_area": made.floor_area,
            "built_year": made.built_year.astype(np.int16),
        }
        | _without(_placed(city, made.places), "street"),
    )


def flights(city: City) -> Batches:
    count, random = city.count(1_000, least=10), stream(city.seed, "flights")
    at_ms = (TODAY * 86_400_000 + random.integers(0, 86_400_000, count)) // 300_000 * 300_000
    yield batch(
        "flights",
        {
            "flight": codes("ZH", count),
            "scheduled_at": moments(at_ms),
            "direction": pick(("arrival", "departure"), np.arange(count) % 2),
            "status": pick(("done", "delayed", "cancelled"), _skewed(random, 3, count)),
            "people": random.integers(40, 300, count).astype(np.int32),
        },
    )


def _in_buildings(city: City, data_set: str, *, use: str, most: int, columns: Any, word: str) -> Batches:
    """Institutions in the first buildings of a use."""
    houses = np.flatnonzero(city.buildings.use == USES.index(use))[: city.count(most)]
    at = _at_buildings(city, houses)
    made = columns(stream(city.seed, data_set), len(houses))
    yield batch(data_set, made | {"name": _named(at["street"], word, len(houses))} | _without(at, "street"))


def _at_buildings(city: City, houses: Ints) -> dict[str, Any]:
    places = city.buildings.places
    there = Places(street=places.street[houses], lon=places.lon[houses], lat=places.lat[houses])
    return _placed(city, there) | {"building_code": city.building_codes.take(pa.array(houses))}


def _placed(city: City, places: Places) -> dict[str, Any]:
    return {
        "district": pick(city.district_names, places.district),
        "street": pick(city.street_names, places.street),
        "lon": places.lon,
        "lat": places.lat,
    }


def _named(street: pa.Array, word: str, count: int) -> pa.Array:
    numbers = pc.cast(pa.array(np.arange(1, count + 1)), pa.string())
    return pc.binary_join_element_wise(street, numbers, word, "")


def _without(columns: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values for name, values in columns.items() if name not in names}


def _skewed(random: np.random.Generator, kinds: int, count: int) -> Ints:
    """Indices of kinds of which each is half as frequent as the one before."""
    weights = 0.5 ** np.arange(kinds)
    return random.choice(kinds, count, p=weights / weights.sum())
