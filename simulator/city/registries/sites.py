"""Where many people are, or go."""

import numpy as np

from simulator.city.chance import stream
from simulator.city.places import scattered
from simulator.city.plan import City
from simulator.city.registries.placing import Batches, codes, in_buildings, named, placed, skewed, without
from simulator.city.rows import batch, pick


def schools(city: City) -> Batches:
    yield from in_buildings(
        city,
        "schools",
        use="school",
        most=2_700,
        columns=lambda random, count: {
            "school_id": codes("S", count),
            "kind": pick(
                ("kindergarten", "primary", "secondary", "university", "vocational"), skewed(random, 5, count)
            ),
            "pupils": random.integers(90, 3_000, count).astype(np.int32),
        },
        word="学校",
    )


def hospitals(city: City) -> Batches:
    yield from in_buildings(
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
    yield from in_buildings(
        city,
        "welfare_homes",
        use="public",
        most=60,
        columns=lambda random, count: {
            "home_id": codes("A", count),
            "kind": pick(("aged", "children", "disabled"), skewed(random, 3, count)),
            "beds": random.integers(20, 600, count).astype(np.int32),
        },
        word="福利院",
    )


def venues(city: City) -> Batches:
    count, random = city.count(800, least=10), stream(city.seed, "venues")
    columns = placed(city, scattered(random, count))
    kinds = ("museum", "theatre", "library", "stadium", "park", "sight", "hotel")
    yield batch(
        "venues",
        {
            "venue_id": codes("V", count),
            "name": named(columns["street"], "文体中心", count),
            "kind": pick(kinds, random.integers(0, len(kinds), count)),
            "capacity": random.integers(100, 60_000, count).astype(np.int32),
        }
        | without(columns, "street"),
    )


def shelters(city: City) -> Batches:
    count, random = city.count(500, least=10), stream(city.seed, "shelters")
    columns = placed(city, scattered(random, count))
    yield batch(
        "shelters",
        {
            "shelter_id": codes("T", count),
            "name": named(columns["street"], "避难场所", count),
            "indoor": np.arange(count) % 3 > 0,
            "capacity": random.integers(50, 5_000, count).astype(np.int32),
        }
        | without(columns, "street"),
    )
