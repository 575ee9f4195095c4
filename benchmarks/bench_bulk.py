"""Bulk ingest: noisy readings as Arrow from one client, encoded by the leader, on disk in both centres before each
receipt. Client and both centres share this machine.

`floor_rows_per_s`: the same rows encoded the same way by one process, written and fsynced by it and by another one,
without any protocol, in the same run. `small_latency_ratio`: p99 of small exchanges beside the bulk over their p99
alone. Verified: rows and a sum are the same at both centres and as sent, digests are equal, every small exchange stands
once.
"""

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.bench_exchange import process_metrics, small_batches, usage_of, wait_for_catalogue
from benchmarks.harness import Outcome, metric
from benchmarks.noisy import later, noisy_readings
from hub.catalogue.load import builtin_contracts
from hub.client import AsyncHubClient, HubClient
from hub.segments.encoder import encode
from hub.segments.encodings import choose_encodings
from simulator.drill.checks import accounted_for
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"rows": 2_000_000, "exchange_rows": 500_000, "in_flight": 3, "small_per_s": 50, "quiet_s": 1, "seed": 1},
    "quick": {"rows": 10**8, "exchange_rows": 2_000_000, "in_flight": 4, "small_per_s": 200, "quiet_s": 9, "seed": 1},
    "full": {"rows": 10**9, "exchange_rows": 2_000_000, "in_flight": 4, "small_per_s": 200, "quiet_s": 30, "seed": 1},
}  # fmt: skip
_POOL: Final = 6
_FLOOR_SHARE: Final = 0.25  # Of the rows: enough to be steady.
_ENCODERS: Final = 3
_YEAR_MS: Final = 365 * 86_400_000


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    pool = make_pool(parameters)
    exchanges = parameters["rows"] // parameters["exchange_rows"]
    floor = _floor(pool, max(_POOL, int(exchanges * _FLOOR_SHARE)), folder / "floor")
    with CityProcesses(folder / "city") as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            quiet, quiet_problems = _small(client, "quiet", parameters, lambda: time.sleep(parameters["quiet_s"]))
            before = usage_of(processes)
            spent_s = asyncio.run(send_all(processes.addresses, pool, exchanges, parameters["in_flight"], "bulk"))
            after = usage_of(processes)
            verified = _verify(client, pool, exchanges)
            store = client.status("ops").store
            bytes_per_row = store.segment_bytes / max(1, store.segment_rows)
            beside, beside_problems = _beside(client, processes.addresses, parameters)
    rows_per_s = exchanges * parameters["exchange_rows"] / spent_s
    metrics = {
        "replicated_rows_per_s": metric("1/s", [rows_per_s]),
        "floor_rows_per_s": metric("1/s", [floor]),
        "ratio_to_floor": metric("1", [rows_per_s / floor]),
        "bytes_per_row": metric("B", [bytes_per_row]),
        "small_quiet_ms": metric("ms", quiet, quote="p99"),
        "small_beside_bulk_ms": metric("ms", beside, quote="p99"),
        "small_latency_ratio": metric("1", [np.percentile(beside, 99) / np.percentile(quiet, 99)]),
    }
    return Outcome(
        verified=verified and not quiet_problems and not beside_problems,
        metrics=metrics | process_metrics(before, after),
    )


def make_pool(parameters: dict[str, Any]) -> list[pa.Table]:
    """Made before the clock starts, and sent again and again, later each time."""
    return [noisy_readings(parameters["exchange_rows"], parameters["seed"] + number) for number in range(_POOL)]


async def send_all(addresses: dict[str, str], pool: list[pa.Table], exchanges: int, in_flight: int, name: str) -> float:
    """Seconds until every exchange is acknowledged."""
    async with AsyncHubClient(addresses) as client:
        contract = await client.contract("readings")
        bulk = client.bulk(name, in_flight_max=in_flight)
        numbers = iter(range(exchanges))

        async def worker() -> None:
            for number in numbers:
                await bulk.send(contract, later(pool[number % len(pool)], number), sequence=number + 1)

        begun_s = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(worker())
        return time.perf_counter() - begun_s


def _verify(client: HubClient, pool: list[pa.Table], exchanges: int) -> bool:
    counts = [sum(1 for number in range(exchanges) if number % len(pool) == place) for place in range(len(pool))]
    rows = sum(count * table.num_rows for count, table in zip(counts, pool, strict=True))
    quality = sum(count * pc.sum(table["quality"]).as_py() for count, table in zip(counts, pool, strict=True))
    lsn, digests = client.verify_log("ops")
    sql = "select count(*) n, sum(quality) q from readings where observed_at >= timestamp '2017-01-01'"
    found = [
        client.query(sql, centre=centre, at_least={"ops": lsn}).table().to_pylist()[0] for centre in client.centres
    ]
    return digests["ops"] == digests["ecc"] and all((one["n"], one["q"]) == (rows, quality) for one in found)


# --- Small exchanges beside it ----------------------------------------------------------------------------------------


def _small(
    client: HubClient, name: str, parameters: dict[str, Any], meanwhile: Callable[[], None]
) -> tuple[list[float], list[str]]:
    """Milliseconds of small exchanges while something goes on, and what is wrong with them."""
    batches = [_earlier(batch) for batch in small_batches(10, parameters["seed"])]
    with SteadyLoad(client, "readings", batches, producer=name, per_s=parameters["small_per_s"]) as load:
        meanwhile()
    latencies = [(one.acknowledged_s - one.sent_s) * 1000 for one in load.exchanges if one.acknowledged_s is not None]
    return latencies, accounted_for(client, load)


def _earlier(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Of another year, to be told from the bulk."""
    times = pa.array(batch["observed_at"].cast(pa.int64()).to_numpy() - _YEAR_MS, pa.timestamp("ms"))
    return batch.set_column(0, batch.schema.field(0), times)


def _beside(client: HubClient, addresses: dict[str, str], parameters: dict[str, Any]) -> tuple[list[float], list[str]]:
    """Small exchanges while a process of its own sends bulk, as an agency would."""
    spawn = multiprocessing.get_context("spawn")
    ready, go = spawn.Event(), spawn.Event()
    sending = spawn.Process(target=_send_for, args=(addresses, parameters, ready, go))
    sending.start()
    ready.wait()

    def meanwhile() -> None:
        go.set()
        sending.join()

    return _small(client, "beside", parameters, meanwhile)


def _send_for(addresses: dict[str, str], parameters: dict[str, Any], ready: Event, go: Event) -> None:
    pool = make_pool(parameters)
    ready.set()
    go.wait()
    deadline_s = time.monotonic() + parameters["quiet_s"]
    turn = 0
    while time.monotonic() < deadline_s:
        turn += 1
        asyncio.run(send_all(addresses, pool, 2 * _POOL, parameters["in_flight"], f"beside-{turn}"))


# --- The floor --------------------------------------------------------------------------------------------------------


def _floor(pool: list[pa.Table], segments: int, folder: Path) -> float:
    """Rows a second."""
    folder.mkdir(parents=True)
    contract = builtin_contracts()["readings"]
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=_write_all, args=(theirs, folder / "other"))
    other.start()
    turn = threading.Lock()
    encodings = choose_encodings(pool[0])

    def one(number: int) -> int:
        rows = pool[number % len(pool)]
        segment = encode(contract, rows, origin=str(number), encodings=encodings)
        data = memoryview(segment.buffer)
        with turn:  # The other process writes while this one does.
            ours.send_bytes(data)
        _write(folder / f"own-{number}", data)
        return int(rows.num_rows)

    begun_s = time.perf_counter()
    with ThreadPoolExecutor(_ENCODERS) as threads:
        rows = sum(threads.map(one, range(segments)))
    ours.send_bytes(b"")
    ours.recv_bytes()
    spent_s = time.perf_counter() - begun_s
    other.join()
    for path in folder.iterdir():
        path.unlink()
    return rows / spent_s


def _write_all(incoming: Connection, stem: Path) -> None:
    number = 0
    while data := incoming.recv_bytes():
        _write(stem.with_name(f"{stem.name}-{number}"), data)
        number += 1
    incoming.send_bytes(b"done")


def _write(path: Path, data: bytes | memoryview) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
