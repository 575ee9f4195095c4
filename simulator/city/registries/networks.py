"""Pipes, roads, and what stands along them."""

from typing import Final

import numpy as np
import pyarrow.compute as pc

from simulator.city.chance import stream
from simulator.city.places import Places, scattered
from simulator.city.plan import City
from simulator.city.registries.placing import TODAY, Batches, codes, named, placed, skewed, without
from simulator.city.rows import batch, days, pick

MEDIA: Final = ("gas", "water", "sewage", "rain", "power", "telecom", "heat", "oil")


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
    columns = placed(city, Places(street=pipes.street[:count], lon=pipes.lon[:count], lat=pipes.lat[:count]))
    begins = TODAY - random.integers(0, 500, count)
    yield batch(
        "construction_works",
        {
            "works_id": codes("C", count),
            "name": named(columns["street"], "工程", count),
            "credit_code": city.firm_codes(random.integers(0, city.firms, count)),
            "radius": random.uniform(20, 150, count).round(),
            "begins_on": days(begins),
            "ends_on": days(begins + random.integers(100, 900, count)),
        }
        | without(columns, "street"),
    )


def street_furniture(city: City) -> Batches:
    count, random = city.count(200_000, least=200), stream(city.seed, "street_furniture")
    kinds = ("street_lamp", "manhole_cover", "litter_bin", "bench", "sign", "bollard", "tree", "other")
    columns = placed(city, scattered(random, count))
    yield batch(
        "street_furniture",
        {
            "furniture_id": codes("F", count),
            "kind": pick(kinds, skewed(random, len(kinds), count)),
            "responsible": pc.binary_join_element_wise(columns["street"], "办事处", ""),
        }
        | columns,
    )


def cleaning_sections(city: City) -> Batches:
    count, random = city.count(10_000, least=74), stream(city.seed, "cleaning_sections")
    columns = placed(city, scattered(random, count))
    yield batch(
        "cleaning_sections",
        {
            "section_id": codes("K", count),
            "name": named(columns["street"], "路段", count),
            "grade": random.integers(1, 5, count).astype(np.int8),
            "length": random.uniform(50, 3_000, count).round(),
            "responsible": pc.binary_join_element_wise(columns["district"], "城管局", ""),
        }
        | without(columns, "lon", "lat"),
    )


def road_sections(city: City) -> Batches:
    count, random = city.count(10_000, least=50), stream(city.seed, "road_sections")
    columns = placed(city, scattered(random, count))
    heading, length = random.uniform(0, 2 * np.pi, count), random.uniform(0.002, 0.02, count)
    yield batch(
        "road_sections",
        {
            "section_id": codes("R", count),
            "name": named(columns["street"], "道路", count),
            "district": columns["district"],
            "from_lon": columns["lon"],
            "from_lat": columns["lat"],
            "to_lon": (columns["lon"] + length * np.cos(heading)).round(6),
            "to_lat": (columns["lat"] + length * np.sin(heading)).round(6),
            "lanes": random.integers(2, 9, count).astype(np.int8),
        },
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
        | without(placed(city, scattered(random, count)), "street"),
    )
