"""A day of the city from its 29 source units, and the checks that each of its rows passes.

`day_minutes`: the day's exchanges, small ones of 1 to 8 rows of 41 data sets, as fast as they go, each on disk in both
centres before its receipt. A smaller scale sends as many fewer exchanges, and its minutes are given for a whole day of
5 million. `validated_rows_per_s`: readings through conform and check, on one core, and residents with their codes
beside them. Client and both centres share this machine. Verified: both centres have every exchange and row once, and
equal digests.
"""

import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from benchmarks.bench_exchange import process_metrics, usage_of, wait_for_catalogue
from benchmarks.harness import Metric, Outcome, metric
from hub.catalogue.load import builtin_contracts
from hub.client import HubClient
from hub.ingest.checks import check, conform
from simulator.city import people, sensing
from simulator.city.plan import EXCHANGES_A_DAY, City
from simulator.city.replay import Replayed, replay_day
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"scale": 0.0002, "checked_rows": 200_000, "repeats": 1},
    "quick": {"scale": 0.02, "checked_rows": 2_000_000, "repeats": 5},
    "full": {"scale": 1.0, "checked_rows": 10_000_000, "repeats": 5},
}
_DAY: Final = 400
_UNITS: Final = 29


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    city = City(parameters["scale"])
    metrics = _validated(parameters["checked_rows"], parameters["repeats"])
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            before = usage_of(processes)
            done = replay_day(processes.addresses, city, day=_DAY)
            after = usage_of(processes)
            verified = _verify(client, city, done)
    minutes = done.seconds / 60 * EXCHANGES_A_DAY / done.exchanges
    metrics |= {
        "day_minutes": metric("min", [minutes]),
        "exchanges_per_s": metric("1/s", [done.exchanges / done.seconds]),
        "rows_per_s": metric("1/s", [done.rows / done.seconds]),
        "ack_latency_ms": metric("ms", done.latencies_ms, quote="p99"),
    }
    return Outcome(verified=verified, metrics=metrics | process_metrics(before, after))


def _validated(rows: int, repeats: int) -> dict[str, Metric]:
    city = City(0.05)
    readings = list(sensing.readings(city, rows))
    residents = list(people.residents(city))
    return {
        "validated_rows_per_s": metric("1/s", _rates("readings", readings, repeats)),
        "validated_residents_per_s": metric("1/s", _rates("residents", residents, repeats)),
    }


def _rates(data_set: str, batches: list[pa.RecordBatch], repeats: int) -> list[float]:
    """Rows a second of one thread, once a repeat."""
    contract = builtin_contracts()[data_set]
    rates = []
    for _ in range(repeats):
        started_s = time.process_time()
        for batch in batches:
            assert not check(contract, conform(contract, batch)).rejected, data_set
        rates.append(sum(batch.num_rows for batch in batches) / (time.process_time() - started_s))
    return rates


def _verify(client: HubClient, city: City, done: Replayed) -> bool:
    ok = done.exchanges == city.exchanges_a_day or city.scale < 1  # A small city has one of each at least.
    ok = ok and len(done.by_agency) == _UNITS and not done.rows_rejected
    sql = "select count(*) n, count(distinct (producer, sequence)) once, sum(rows)::bigint r from exchanges"
    for centre in client.centres:
        (found,) = client.query(sql, centre=centre, at_least=done.position, query_class="analysis").table().to_pylist()
        ok = ok and list(found.values()) == [done.exchanges, done.exchanges, done.rows]
    return ok and not equal_digests(client)
