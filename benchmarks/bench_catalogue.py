"""A catalogue of 2,847 data sets, as the city's platform counts them, beside the built-in one alone.

The further data sets are variants of the built-in ones under other names, put in force as logged entries. Each
catalogue has a pair of its own; measured after a restart of both centres: until all serve, one status, one query that
reads a handful of rows through views (parse, bind and plan are nearly all of it), and the whole catalogue as a client
fetches it. Ratios are of medians, in one run. Verified: both centres hold every data set, and equal digests.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.bench_exchange import wait_for_catalogue
from benchmarks.harness import Metric, Outcome, metric
from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.client import HubClient
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"data_sets": 120, "repeats": 3, "starts": 1},
    "quick": {"data_sets": 2_847, "repeats": 100, "starts": 3},
    "full": {"data_sets": 2_847, "repeats": 500, "starts": 5},
}
_APPLIED_AT_ONCE: Final = 32
_WAIT_S: Final = 120.0
_QUERY: Final = (
    "select s.name, count(l.level) from water_stations s left join water_levels l using (station) group by all"
)


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    small, few_verified = _measure(folder / "small", [], parameters)
    large, many_verified = _measure(folder / "large", variants(parameters["data_sets"]), parameters)
    metrics = {
        f"{name}_{size}": one for size, found in (("small", small), ("large", large)) for name, one in found.items()
    }
    for name in ("start_s", "status_ms", "query_ms"):
        metrics[f"{name.rpartition('_')[0]}_ratio"] = metric("1", [large[name].value / small[name].value])
    return Outcome(verified=few_verified and many_verified, metrics=metrics)


def variants(data_sets: int) -> list[Contract]:
    """What is to be added to the built-in catalogue so that there are so many."""
    known = [one for one in builtin_contracts().values() if one.home != "each"]
    missing = data_sets - len(builtin_contracts())
    return [
        known[number % len(known)].model_copy(update={"name": f"{known[number % len(known)].name[:50]}_v{number}"})
        for number in range(missing)
    ]


def _measure(folder: Path, more: list[Contract], parameters: dict[str, Any]) -> tuple[dict[str, Metric], bool]:
    folder.mkdir()
    total = len(builtin_contracts()) + len(more)
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            started_s = time.perf_counter()
            with ThreadPoolExecutor(_APPLIED_AT_ONCE) as pool:
                list(pool.map(client.apply_contract, more))
            applied_s = time.perf_counter() - started_s
            _wait_for(client, total)
        starts_s = [_restarted(processes) for _ in range(parameters["starts"])]
        with processes.client() as client:
            _wait_for(client, total)
            repeats = parameters["repeats"]
            metrics = {
                "start_s": metric("s", starts_s),
                "status_ms": metric("ms", _times_ms(lambda: client.status("ops"), repeats)),
                "query_ms": metric("ms", _times_ms(lambda: client.query(_QUERY, centre="ops").table(), repeats)),
                "fetch_ms": metric("ms", _times_ms(lambda: client.contracts(centre="ops"), 5)),
            }
            if more:
                metrics["put_in_force_per_s"] = metric("1/s", [len(more) / applied_s])
            verified = not equal_digests(client)
    return metrics, verified


def _restarted(processes: CityProcesses) -> float:
    for name in ("ecc", "ops"):
        processes.stop(name)
    started_s = time.perf_counter()
    processes.start("ops")
    processes.start("ecc")
    return time.perf_counter() - started_s


def _wait_for(client: HubClient, data_sets: int) -> None:
    deadline_s = time.monotonic() + _WAIT_S
    while any(len(client.contracts(centre=centre)) < data_sets for centre in client.centres):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"there are no {data_sets} data sets in both centres")
        time.sleep(0.2)


def _times_ms(work: Callable[[], object], repeats: int) -> np.ndarray:
    work()
    times = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        work()
        times.append((time.perf_counter() - started_s) * 1_000)
    return np.array(times)
