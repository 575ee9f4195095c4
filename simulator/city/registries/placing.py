"""Codes, places and names that registries have in common."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city.chance import Ints, stream
from simulator.city.places import Places
from simulator.city.plan import USES, City
from simulator.city.rows import batch, pick

Batches = Iterator[pa.RecordBatch]
TODAY: Final = 20_605  # 2026-06-01 counted from 1970.


def codes(letter: str, count: int, *, first: int = 1) -> pa.Array:
    return pc.binary_join_element_wise(letter, strings(digits(np.arange(first, first + count), 6)), "")


def placed(city: City, places: Places) -> dict[str, Any]:
    return {
        "district": pick(city.district_names, places.district),
        "street": pick(city.street_names, places.street),
        "lon": places.lon,
        "lat": places.lat,
    }


def named(street: pa.Array, word: str, count: int) -> pa.Array:
    numbers = pc.cast(pa.array(np.arange(1, count + 1)), pa.string())
    return pc.binary_join_element_wise(street, numbers, word, "")


def without(columns: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values for name, values in columns.items() if name not in names}


def skewed(random: np.random.Generator, kinds: int, count: int) -> Ints:
    """Indices of kinds of which each is half as frequent as the one before."""
    weights = 0.5 ** np.arange(kinds)
    return random.choice(kinds, count, p=weights / weights.sum())


def at_buildings(city: City, houses: Ints) -> dict[str, Any]:
    places = city.buildings.places
    there = Places(street=places.street[houses], lon=places.lon[houses], lat=places.lat[houses])
    return placed(city, there) | {"building_code": city.building_codes.take(pa.array(houses))}


def in_buildings(city: City, data_set: str, *, use: str, most: int, columns: Any, word: str) -> Batches:
    """Institutions in the first buildings of a use."""
    houses = np.flatnonzero(city.buildings.use == USES.index(use))[: city.count(most)]
    at = at_buildings(city, houses)
    made = columns(stream(city.seed, data_set), len(houses))
    yield batch(data_set, made | {"name": named(at["street"], word, len(houses))} | without(at, "street"))
