"""Rows in large batches through the log: each batch on disk in both centres before its receipt, then applied by both.

Client and both centres share this machine. `rows_per_s` counts to the last receipt, `applied_rows_per_s` until both
stores hold every row. Verified: rows and sums are the same at both centres and as sent, and the digests are equal.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from benchmarks.bench_exchange import process_metrics, usage_of, wait_for_catalogue
from benchmarks.harness import Outcome, metric
from hub.client import AsyncHubClient
from hub.client.producer import newest
from hub.ingest.exchange import Receipt
from simulator.city.readings import readings, sensors
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"rows": 400_000, "batch_rows": 50_000, "streams": 2, "in_flight": 4, "seed": 1},
    "quick": {"rows": 20_000_000, "batch_rows": 50_000, "streams": 2, "in_flight": 8, "seed": 1},
    "full": {"rows": 100_000_000, "batch_rows": 50_000, "streams": 2, "in_flight": 8, "seed": 1},
}
_POOL_BATCHES: Final = 40  # Made before the clock starts and sent again and again.


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            before = usage_of(processes)
            sent_rows, quality_sum, sent_s, applied_s = asyncio.run(_load(processes.addresses, parameters))
            after = usage_of(processes)
            verified = True
            for centre in client.centres:
                (row,) = (
                    client.query("select count(*) n, sum(quality) q from readings", centre=centre).table().to_pylist()
                )
                verified = verified and (row["n"], row["q"]) == (sent_rows, quality_sum)
            _, digests = client.verify_log("ops")
            verified = verified and digests["ops"] == digests["ecc"]
        log_bytes = sum(path.stat().st_size for path in folder.glob("data/ops/log/ops/*.log"))
    metrics = {
        "rows_per_s": metric("1/s", [sent_rows / sent_s]),
        "applied_rows_per_s": metric("1/s", [sent_rows / applied_s]),
        "log_bytes_per_row": metric("B", [log_bytes / sent_rows]),
    }
    return Outcome(verified=verified, metrics=metrics | process_metrics(before, after))


async def _load(addresses: dict[str, str], parameters: dict[str, Any]) -> tuple[int, int, float, float]:
    """(rows sent, sum of their quality, seconds to the last receipt, seconds until both centres applied all)."""
    batch_rows = parameters["batch_rows"]
    all_sensors = sensors(10_000, parameters["seed"])
    count = parameters["rows"] // batch_rows
    pool_rows = min(_POOL_BATCHES, count) * batch_rows
    pool = list(readings(pool_rows, parameters["seed"], sensors=all_sensors, batch_rows=batch_rows))
    sums = [pc.sum(batch["quality"]).as_py() for batch in pool]
    async with AsyncHubClient(addresses) as client:
        await client.contract("readings")
        start_s = time.perf_counter()
        futures: list[asyncio.Future[Receipt]] = []

        async def stream(number: int) -> None:
            async with client.producer(f"rows-{number}", window_max=parameters["in_flight"]) as producer:
                for index in range(number, count, parameters["streams"]):
                    futures.append(await producer.send("readings", pool[index % len(pool)]))

        async with asyncio.TaskGroup() as tasks:
            for number in range(parameters["streams"]):
                tasks.create_task(stream(number))
        receipts = [future.result() for future in futures]
        sent_s = time.perf_counter() - start_s
        await asyncio.gather(*(wait_until_applied(client, centre, newest(receipts)) for centre in client.centres))
        applied_s = time.perf_counter() - start_s
    return count * batch_rows, sum(sums[index % len(pool)] for index in range(count)), sent_s, applied_s


async def wait_until_applied(client: AsyncHubClient, centre: str, position: dict[str, int]) -> None:
    while True:
        status = await client.status(centre)
        if all(log.applied_lsn >= position.get(log.log, 0) for log in status.logs):
            return
        await asyncio.sleep(0.05)
