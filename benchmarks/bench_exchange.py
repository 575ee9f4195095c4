"""Small exchanges: 10 readings each over 16 streams, closed loop, each on disk in both centres before its receipt.

Client and both centres share this machine. Verified: every acknowledged exchange stands exactly once in the ledger of
both centres, and the number of readings is right at both.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.harness import Metric, Outcome, metric
from hub.catalogue.load import builtin_contracts
from hub.client import AsyncHubClient, AsyncProducer, HubClient
from hub.client.producer import newest
from hub.ingest.exchange import Receipt
from simulator.city.readings import readings, sensors
from simulator.drill.processes import CityProcesses, peak_bytes
from simulator.drill.topology import PROCESSES

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"streams": 4, "in_flight": 8, "rows": 10, "seconds": 2.0, "warm_up_seconds": 0.5, "seed": 1},
    "quick": {"streams": 16, "in_flight": 12, "rows": 10, "seconds": 10.0, "warm_up_seconds": 3.0, "seed": 1},
    "full": {"streams": 16, "in_flight": 12, "rows": 10, "seconds": 60.0, "warm_up_seconds": 5.0, "seed": 1},
}
_BATCHES: Final = 512


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
        batches = small_batches(parameters["rows"], parameters["seed"])
        before = usage_of(processes)
        receipts, latencies_ms, counts = asyncio.run(saturate(processes.addresses, parameters, batches))
        after = usage_of(processes)
        with processes.client() as client:
            verified = _verify(client, receipts, parameters["rows"])
    metrics = {
        "acknowledged_per_s": metric("1/s", counts),
        "ack_latency_ms": metric("ms", latencies_ms, quote="p99"),
    }
    return Outcome(verified=verified, metrics=metrics | process_metrics(before, after))


def small_batches(rows: int, seed: int) -> list[pa.RecordBatch]:
    """Different batches of readings, made before the clock starts."""
    all_sensors = sensors(10_000, seed)
    return list(readings(_BATCHES * rows, seed, sensors=all_sensors, batch_rows=rows))


def wait_for_catalogue(client: HubClient) -> None:
    """The built-in contracts come into force shortly after a new pair's start."""
    deadline_s = time.monotonic() + 30
    wanted = set(builtin_contracts())
    while any(not wanted <= client.contracts(centre=centre).keys() for centre in client.centres):
        if time.monotonic() > deadline_s:
            raise TimeoutError("the catalogue did not come into force")
        time.sleep(0.05)


def process_metrics(before: dict[str, tuple[float, int]], after: dict[str, tuple[float, int]]) -> dict[str, Metric]:
    """CPU seconds spent in between, and peak memory, of each process."""
    found: dict[str, Metric] = {}
    for name, (cpu_s, peak) in after.items():
        found[f"cpu_s_{name}"] = metric("s", [cpu_s - before[name][0]])
        found[f"peak_memory_mib_{name}"] = metric("MiB", [peak / 2**20])
    return found


def usage_of(processes: CityProcesses) -> dict[str, tuple[float, int]]:
    times = psutil.Process().cpu_times()
    own = times.user + times.system, peak_bytes(os.getpid())
    return {"client": own} | {name: processes.usage(name) for name in PROCESSES}


async def saturate(
    addresses: dict[str, str], parameters: dict[str, Any], batches: list[pa.RecordBatch]
) -> tuple[list[Receipt], np.ndarray, np.ndarray]:
    """A closed loop over `streams` producers with `in_flight` exchanges each: receipts, latencies after the warm-up
    (ms), and acknowledgements in each whole second after it."""
    done: list[tuple[float, float, Receipt]] = []
    async with AsyncHubClient(addresses) as client:
        await client.contract("readings")
        start_s = time.perf_counter()
        stop_s = start_s + parameters["warm_up_seconds"] + parameters["seconds"]
        async with asyncio.TaskGroup() as tasks:
            for stream in range(parameters["streams"]):
                producer = client.producer(f"bench-{stream}", window_max=parameters["in_flight"])
                tasks.create_task(_stream(producer, batches, stop_s, done))
    measured = [(sent, got, receipt) for sent, got, receipt in done if got >= start_s + parameters["warm_up_seconds"]]
    seconds = np.array([got - start_s - parameters["warm_up_seconds"] for _, got, _ in measured]).astype(int)
    counts = np.bincount(seconds[seconds < int(parameters["seconds"])], minlength=int(parameters["seconds"]))
    return [receipt for *_, receipt in done], np.array([(got - sent) * 1000 for sent, got, _ in measured]), counts


async def _stream(
    producer: AsyncProducer, batches: list[pa.RecordBatch], stop_s: float, done: list[tuple[float, float, Receipt]]
) -> None:
    def watch(future: "asyncio.Future[Receipt]") -> None:
        sent_s = time.perf_counter()
        future.add_done_callback(lambda done_: done.append((sent_s, time.perf_counter(), done_.result())))

    async with producer:
        number = 0
        while time.perf_counter() < stop_s:
            watch(await producer.send("readings", batches[number % len(batches)]))
            number += 1


def _verify(client: HubClient, receipts: list[Receipt], rows: int) -> bool:
    position = newest(receipts)
    ok = all(receipt.rows == rows and not receipt.duplicate for receipt in receipts)
    sql = (
        "select count(*), count(distinct (producer, sequence)), sum(rows), (select count(*) from readings) "
        "from exchanges where data_set = 'readings'"
    )
    for centre in client.centres:
        (found,) = client.query(sql, centre=centre, at_least=position).table().to_pylist()
        ok = ok and list(found.values()) == [len(receipts), len(receipts), len(receipts) * rows, len(receipts) * rows]
    return ok
