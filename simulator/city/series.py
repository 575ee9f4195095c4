"""Feeds of stations, meters and cells that report at every tick."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city import registries
from simulator.city.day import Columns, Day, Make, cells_in_use, codes_of, rhythm, whole
from simulator.city.readings import KINDS
from simulator.city.rows import DAY_MS, moments, pick, where
from simulator.city.sensing import sensors_of
from simulator.city.weather import rain

PORTS: Final = ("罗湖口岸", "福田口岸", "皇岗口岸", "深圳湾口岸", "文锦渡口岸", "蛇口口岸", "机场口岸", "莲塘口岸")


def readings(day: Day) -> Columns:
    key, at_ms = day.series(day.city.sensors)
    instruments = sensors_of(day.city)
    facts = np.array([(one.base, one.swing / one.base, one.noise) for one in KINDS])[instruments.kind[key]]
    value = rhythm(day, key, at_ms, base=1, swing=0, noise=0) * facts[:, 0] + facts[:, 2] * day.dice.bell(5)
    return {
        "observed_at": moments(at_ms),
        "sensor_id": (key + 1).astype(np.int32),
        "value": np.maximum(value, 0).round(1),
        "quality": np.int8(0) * key,
    }


def traffic_flow(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(10_000, least=50))
    vehicles = rhythm(day, key, at_ms, base=180, swing=0.8, noise=20)
    return {
        "section_id": codes_of("R", key),
        "observed_at": moments(at_ms),
        "vehicles": whole(vehicles),
        "speed": (70 - vehicles / 8).clip(5, 120).round(1),
    }


def power_use(day: Day) -> Columns:
    key, at_ms = day.series(len(day.city.building_codes))
    return {
        "meter_id": codes_of("E", key),
        "observed_at": moments(at_ms),
        "energy": rhythm(day, key, at_ms, base=45, swing=0.5, noise=4).round(2),
    }


def use_of(base: float) -> Make:
    def make(day: Day) -> Columns:
        key, at_ms = day.series(len(day.city.building_codes))
        return {
            "building_code": day.city.building_codes.take(pa.array(key)),
            "observed_at": moments(at_ms),
            "volume": rhythm(day, key, at_ms, base=base, swing=0.6, noise=base / 10).round(2),
        }

    return make


def metro_passages(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(300, least=10))
    entered = rhythm(day, key, at_ms, base=260, swing=0.9, noise=30)
    return {
        "station": codes_of("M", key),
        "observed_at": moments(at_ms),
        "entered": whole(entered),
        "left": whole(entered * 0.97),
    }


def train_runs(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(300, least=10))
    return {
        "train": pc.binary_join_element_wise("D", strings(digits(day.rows, 8)), ""),
        "station": codes_of("M", key),
        "observed_at": moments(at_ms),
        "delay": (day.dice.unit(2) ** 6 * 400).astype(np.int16),
    }


def presence(day: Day) -> Columns:
    cells = cells_in_use(day.city)
    key, at_ms = day.series(len(cells))
    people = rhythm(day, key, at_ms, base=20_000_000 * day.city.scale / len(cells), swing=0.5, noise=3)
    return {"grid_id": cells.take(pa.array(key)), "observed_at": moments(at_ms), "people": whole(people)}


def payment_activity(day: Day) -> Columns:
    cells = cells_in_use(day.city)
    key, at_ms = day.series(len(cells))
    count = rhythm(day, key, at_ms, base=400, swing=0.9, noise=20)
    return {
        "grid_id": cells.take(pa.array(key)),
        "observed_at": moments(at_ms),
        "payments": whole(count),
        "amount": (count * 38.5).round(2),
    }


def rainfall(day: Day) -> Columns:
    places = registries.station_places(day.city)
    key, at_ms = day.series(len(places.lon))
    rate = rain(day.city.seed, at_ms, places.lon[key], places.lat[key])
    return {"station": codes_of("G", key), "observed_at": moments(at_ms), "rain": (rate / 12).clip(0, 60).round(1)}


def weather_observations(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(200, least=20))
    temperature = 78 + 9 * np.sin(2 * np.pi * (at_ms % DAY_MS / DAY_MS - 0.1)) + day.dice.bell(1)
    return {
        "station": codes_of("G", key),
        "observed_at": moments(at_ms),
        "temperature": temperature.round(1),
        "humidity": (80 - temperature / 4 + 4 * day.dice.bell(4)).clip(5, 100).round(),
        "wind_speed": (6 * day.dice.unit(2)).round(1),
        "pressure": (1_008 + day.dice.bell(3)).round(1),
    }


def water_levels(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(1_000, least=26))
    level = rhythm(day, key, at_ms, base=2.4, swing=0.3, noise=0.05)
    return {
        "station": codes_of("W", key),
        "observed_at": moments(at_ms),
        "level": level.round(2),
        "flow": (level**2 * 3).round(1),
    }


def water_quality(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(1_000, least=26))
    return {
        "station": codes_of("W", key),
        "observed_at": moments(at_ms),
        "ph": (7.2 + 0.3 * day.dice.bell(1)).round(2),
        "dissolved_oxygen": (6.5 + day.dice.bell(2)).clip(0, 20).round(1),
        "ammonia": day.dice.unit(3).round(2),
        "turbidity": (30 * day.dice.unit(4) ** 3).round(1),
    }


def water_works(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(1_000, least=26) // 13)
    flow = rhythm(day, key, at_ms, base=9_000, swing=0.2, noise=100)
    return {
        "station": codes_of("W", key * 13 + registries.WATER_CLASSES.index("water_works")),
        "observed_at": moments(at_ms),
        "inflow": flow.round(),
        "outflow": (flow * 0.97).round(),
        "chlorine": (0.6 + 0.1 * day.dice.unit(2)).round(2),
        "pressure": (0.4 + 0.02 * day.dice.bell(3)).clip(0, 3).round(3),
    }


def ocean_observations(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(15, least=4))
    buoy = key % 2 == 1
    # M2, the principal lunar tide: 12 h 25.2 min.
    tide = 1.2 + 0.9 * np.sin(2 * np.pi * at_ms / 44_714_160) + 0.02 * day.dice.bell(1)
    return {
        "station": codes_of("O", key),
        "observed_at": moments(at_ms),
        "tide": where(~buoy, pa.array(tide.round(2))),
        "wave_height": where(buoy, pa.array((0.8 + 0.3 * day.dice.unit(2)).round(2))),
        "sea_temperature": (27 + day.dice.bell(3) / 3).round(1),
        "wind_speed": (9 * day.dice.unit(4)).round(1),
    }


def crossings(day: Day) -> Columns:
    key, at_ms = day.series(2 * len(PORTS))
    return {
        "port": pick(PORTS, key // 2),
        "observed_at": moments(at_ms),
        "direction": pick(("in", "out"), key % 2),
        "people": whole(rhythm(day, key, at_ms, base=400, swing=0.9, noise=40)),
    }


def emissions(day: Day) -> Columns:
    key, at_ms = day.series(6 * day.city.count(500, least=5))
    return {
        "credit_code": day.city.firm_codes(key // 6 * 7 % day.city.firms),
        "observed_at": moments(at_ms),
        "substance": pick(("so2", "nox", "dust", "cod", "ammonia", "voc"), key % 6),
        "concentration": rhythm(day, key, at_ms, base=20, swing=0.2, noise=3).round(1),
    }


def venue_visits(day: Day) -> Columns:
    key, at_ms = day.series(day.city.count(800, least=10))
    return {
        "venue_id": codes_of("V", key),
        "observed_at": moments(at_ms),
        "people": whole(rhythm(day, key, at_ms, base=600, swing=0.95, noise=40)),
    }
