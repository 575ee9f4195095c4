"""What there is to help with: teams, stocks, plans, experts; and the flights of a day."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city.chance import stream
from simulator.city.places import scattered
from simulator.city.plan import City
from simulator.city.registries.hazards import RISK_CATEGORIES, risk_categories
from simulator.city.registries.placing import TODAY, Batches, codes, named, placed, skewed, without
from simulator.city.rows import batch, days, moments, pick

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


def rescue_stations(city: City) -> Batches:
    count, random = city.count(150, least=12), stream(city.seed, "rescue_stations")
    columns = placed(city, scattered(random, count))
    yield batch(
        "rescue_stations",
        {
            "station_id": codes("N", count),
            "name": named(columns["street"], "救援队", count),
            "kind": pick(("fire", "medical", "chemical", "water", "mine", "general"), np.arange(count) % 6),
            "people": random.integers(10, 120, count).astype(np.int32),
            "vehicles": random.integers(1, 20, count).astype(np.int32),
            "phone": strings(digits(755_80_000_000 + np.arange(count), 11)),
        }
        | without(columns, "street"),
    )


def emergency_supplies(city: City) -> Batches:
    depots = city.count(60, least=3)
    items = ("帐篷", "救生衣", "抽水泵", "发电机", "防护服", "沙袋", "饮用水", "药品")
    units = ("顶", "件", "台", "台", "套", "袋", "箱", "箱")
    random = stream(city.seed, "emergency_supplies")
    depot, item = np.divmod(np.arange(depots * len(items)), len(items))
    columns = placed(city, scattered(random, depots))
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


def flights(city: City) -> Batches:
    count, random = city.count(1_000, least=10), stream(city.seed, "flights")
    at_ms = (TODAY * 86_400_000 + random.integers(0, 86_400_000, count)) // 300_000 * 300_000
    yield batch(
        "flights",
        {
            "flight": codes("ZH", count),
            "scheduled_at": moments(at_ms),
            "direction": pick(("arrival", "departure"), np.arange(count) % 2),
            "status": pick(("done", "delayed", "cancelled"), skewed(random, 3, count)),
            "people": random.integers(40, 300, count).astype(np.int32),
        },
    )
