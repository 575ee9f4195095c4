"""What stands somewhere and is measured, or measures."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.city.chance import stream
from simulator.city.places import Places, scattered
from simulator.city.plan import USES, City
from simulator.city.registries.placing import Batches, codes, named, placed, skewed, without
from simulator.city.rows import batch, pick

WATER_CLASSES: Final = (
    *("river", "reservoir", "lake", "rain_gauge", "hydrology", "water_quality", "groundwater", "sluice", "pump"),
    *("dike", "water_works", "sewage_works", "drainage"),
)


def water_stations(city: City) -> Batches:
    count, random = city.count(1_000, least=26), stream(city.seed, "water_stations")
    kind = np.arange(count) % len(WATER_CLASSES)
    columns = placed(city, scattered(random, count))
    yield batch(
        "water_stations",
        {
            "station": codes("W", count),
            "class": pick(WATER_CLASSES, kind),
            "name": named(columns["street"], "水务站", count),
            "warning_level": random.uniform(3, 6, count).round(1),
            "capacity": (10 ** random.uniform(4, 8, count)).round(),
        }
        | without(columns, "street"),
    )


def ocean_stations(city: City) -> Batches:
    count, random = city.count(15, least=4), stream(city.seed, "ocean_stations")
    buoy = np.arange(count) % 2
    yield batch(
        "ocean_stations",
        {
            "station": codes("O", count),
            "kind": pick(("tide_gauge", "buoy"), buoy),
            "name": named(pick(("赤湾", "大鹏湾", "大亚湾", "蛇口"), np.arange(count) % 4), "海洋站", count),
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
        {"station": codes("G", count), "name": named(names, "气象站", count), "lon": places.lon, "lat": places.lat},
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
                ("slope", "landslide", "collapse", "debris_flow", "ground_subsidence"), skewed(random, 5, count)
            ),
            "threatened_people": random.integers(0, 400, count).astype(np.int32),
            "warning_rain_1h": random.uniform(25, 60, count).round(),
            "warning_rain_24h": random.uniform(80, 200, count).round(),
        }
        | placed(city, geological_places(city)),
    )


def geological_places(city: City) -> Places:
    return scattered(stream(city.seed, "geological_places"), city.count(700, least=20))


def rail_stations(city: City) -> Batches:
    count, random = city.count(300, least=10), stream(city.seed, "rail_stations")
    columns = placed(city, scattered(random, count))
    yield batch(
        "rail_stations",
        {
            "station": codes("M", count),
            "name": named(columns["street"], "站", count),
            "line": pc.binary_join_element_wise(pc.cast(pa.array(1 + np.arange(count) // 25), pa.string()), "号线", ""),
        }
        | without(columns, "street"),
    )


def base_stations(city: City) -> Batches:
    count, random = city.count(30_000, least=30), stream(city.seed, "base_stations")
    yield batch(
        "base_stations",
        {
            "base_station_id": codes("B", count),
            "backup_power": random.choice((0, 2, 4, 8, 24), count).astype(np.float32),
        }
        | without(placed(city, scattered(random, count)), "street"),
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
