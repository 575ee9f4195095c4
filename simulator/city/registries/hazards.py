"""Risk points and major hazard sources."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city.chance import Ints, stream
from simulator.city.plan import City
from simulator.city.registries.placing import TODAY, Batches, at_buildings, codes, named, without
from simulator.city.rows import batch, days, pick

CHEMICALS: Final = (
    ("氯", 5.0),
    ("氨", 10.0),
    ("汽油", 200.0),
    ("液化石油气", 50.0),
    ("甲醇", 500.0),
    ("硝酸铵", 200.0),
)
RISK_CATEGORIES: Final = 264
RISK_GROUPS: Final = (
    *("chemical", "gas", "fire", "building", "construction", "transport", "geology", "water", "crowd", "equipment"),
    *("power", "food"),
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
            "name": named(pick(city.street_names, city.buildings.places.street[seat]), "风险点", count),
            "category": risk_categories().take(pa.array(category)),
            "group": pick(RISK_GROUPS, category % len(RISK_GROUPS)),
            "credit_code": city.firm_codes(firms_of_risk_points(city)),
            "grid_id": city.building_grids.take(pa.array(seat)),
            "reach": random.choice((50, 100, 200, 300, 500, 1_000), count).astype(np.float32),
            "responsible": pick("王李张刘陈杨黄赵", random.integers(0, 8, count)),
        }
        | at_buildings(city, seat),
    )


def firms_of_risk_points(city: City) -> Ints:
    count = city.count(5_201, least=40)
    return np.arange(count) * city.firms // count


def major_hazard_sources(city: City) -> Batches:
    """The first risk points of chemistry and gas."""
    point = hazard_points(city)
    firm = firms_of_risk_points(city)[point]
    columns = at_buildings(city, city.seat_of(firm))
    yield batch(
        "major_hazard_sources",
        {
            "source_id": codes("Z", len(point)),
            "credit_code": city.firm_codes(firm),
            "risk_point_id": codes("Q", city.count(5_201, least=40)).take(pa.array(point)),
            "name": named(columns["street"], "重大危险源", len(point)),
            "filed_on": days(TODAY - stream(city.seed, "filed").integers(30, 1_500, len(point))),
        }
        | without(columns, "street", "building_code"),
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
