"""All that the city holds before its days go on: every data set that agencies fill, in an order that links can follow.

registries → the feeds' day 0 → readings, until there are as many records as the scale asks for
"""

from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa

from hub.catalogue.contract import Kind
from hub.catalogue.load import builtin_contracts
from simulator.city import people, registries, sensing
from simulator.city.day import Feed
from simulator.city.feeds import FEEDS
from simulator.city.plan import City

CHUNK_ROWS: Final = 500_000

REGISTRIES: Final[dict[str, Callable[[City], Iterator[pa.RecordBatch]]]] = {
    "districts": registries.district_rows,
    "streets": registries.street_rows,
    "grid_cells": registries.grid_rows,
    "buildings": registries.building_rows,
    "residents": people.residents,
    "legal_persons": people.legal_persons,
    "insured_people": people.insured_people,
    "food_businesses": people.food_businesses,
    "sensors": sensing.sensors,
    "weather_stations": registries.weather_stations,
    "water_stations": registries.water_stations,
    "ocean_stations": registries.ocean_stations,
    "geological_points": registries.geological_points,
    "pipelines": registries.pipelines,
    "construction_works": registries.construction_works,
    "street_furniture": registries.street_furniture,
    "cleaning_sections": registries.cleaning_sections,
    "road_sections": registries.road_sections,
    "rail_stations": registries.rail_stations,
    "schools": registries.schools,
    "hospitals": registries.hospitals,
    "welfare_homes": registries.welfare_homes,
    "venues": registries.venues,
    "shelters": registries.shelters,
    "rescue_stations": registries.rescue_stations,
    "fire_hydrants": registries.fire_hydrants,
    "base_stations": registries.base_stations,
    "power_meters": registries.power_meters,
    "emergency_supplies": registries.emergency_supplies,
    "emergency_plans": registries.emergency_plans,
    "experts": registries.experts,
    "risk_points": registries.risk_points,
    "major_hazard_sources": registries.major_hazard_sources,
    "hazardous_chemicals": registries.hazardous_chemicals,
}
HISTORY: Final = tuple(feed for feed in FEEDS if feed.data_set not in (*REGISTRIES, "readings"))


def contents(city: City) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(data set, rows) until the city has its records; rows of one data set follow each other."""
    rows = 0
    for data_set, source in REGISTRIES.items():
        for part in source(city):
            rows += part.num_rows
            yield data_set, part
    for feed in HISTORY:
        for part in day_of(city, feed, 0):
            rows += part.num_rows
            yield feed.data_set, part
    for part in sensing.readings(city, min(city.readings_max, max(0, city.records - rows))):
        yield "readings", part


def day_of(city: City, feed: Feed, day: int) -> Iterator[pa.RecordBatch]:
    total = feed.rows_of(city, day)
    for first in range(0, total, CHUNK_ROWS):
        yield feed.batch(city, day, first, min(first + CHUNK_ROWS, total))


def is_event(data_set: str) -> bool:
    return builtin_contracts()[data_set].kind is Kind.EVENT
