"""A wiped standby is rebuilt by its leader: alone, and while that takes bulk in.

`ratio_to_copy`: bytes a second from the request for the snapshot until it is installed, over those of a plain copy of
the same files, each read, checksummed, written and fsynced by one process, in the same run. `ingest_ratio`: the rate of
bulk while the standby is rebuilt over that before it was wiped; `loaded_ratio_to_copy` is as the first, meanwhile.
Verified: digests are equal when both are in sync, and every exchange is acknowledged.
"""

import asyncio
import json
import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from xxhash import xxh3_128

from benchmarks.bench_bulk import make_pool, send_all
from benchmarks.bench_exchange import wait_for_catalogue
from benchmarks.harness import Outcome, metric
from benchmarks.noisy import later
from hub.client import AsyncHubClient, HubClient
from hub.config import CENTRES
from hub.errors import HubError
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses, peak_bytes

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"rows": 2_000_000, "exchange_rows": 250_000, "in_flight": 2, "quiet_s": 1.0, "seed": 1},
    "quick": {"rows": 10**8, "exchange_rows": 2_000_000, "in_flight": 2, "quiet_s": 5.0, "seed": 1},
    "full": {"rows": 10**9, "exchange_rows": 2_000_000, "in_flight": 2, "quiet_s": 10.0, "seed": 1},
}
_CHUNK_BYTES: Final = 4 << 20
_WAIT_S_MAX: Final = 900.0
_POLL_S: Final = 0.1


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    pool = make_pool(parameters)
    exchanges = parameters["rows"] // parameters["exchange_rows"]
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            asyncio.run(send_all(processes.addresses, pool, exchanges, 4, "past"))
            peaks = {centre: [peak_bytes(processes.pid(centre)) / 2**20] for centre in CENTRES}
            start_up_s = _restart(processes, client)
            copied_per_s = _copy(processes.city.folder("ops") / "segments", folder / "copy")
            seeded, back_s = _rebuild(processes, client)
            ingest, seeded_loaded, back_loaded_s = asyncio.run(_rebuild_loaded(processes, client, pool, parameters))
            for centre in CENTRES:
                peaks[centre].append(peak_bytes(processes.pid(centre)) / 2**20)
            verified = equal_digests(client) == [] and _rows(client, "ops") == _rows(client, "ecc")
            rows = client.status("ecc").store.segment_rows
    metrics = {
        "ratio_to_copy": metric("1", [seeded / copied_per_s]),
        "seeded_bytes_per_s": metric("B/s", [seeded]),
        "copied_bytes_per_s": metric("B/s", [copied_per_s]),
        "ingest_ratio": metric("1", [ingest[1] / ingest[0]]),
        "loaded_ratio_to_copy": metric("1", [seeded_loaded / copied_per_s]),
        "back_in_sync_s": metric("s", [back_s]),
        "loaded_back_in_sync_s": metric("s", [back_loaded_s]),
        "rows_held": metric("1", [rows]),
        "start_up_s": metric("s", [start_up_s]),
        **{f"peak_memory_mib_{centre}": metric("MiB", peaks[centre], quote="max") for centre in CENTRES},
    }
    return Outcome(verified=verified and rows >= parameters["rows"], metrics=metrics)


def _restart(processes: CityProcesses, client: HubClient) -> float:
    """Seconds until a standby that was killed answers queries again."""
    processes.kill("ecc")
    begun_s = time.perf_counter()
    processes.start("ecc")
    client.query("select max(observed_at) from readings", centre="ecc").table()
    spent_s = time.perf_counter() - begun_s
    _wait_until_in_sync(client)
    return spent_s


def _copy(source: Path, target: Path) -> float:
    """Bytes a second."""
    target.mkdir()
    size = 0
    begun_s = time.perf_counter()
    for path in sorted(source.glob("*.parquet")):
        with suppress(FileNotFoundError):  # It was merged away meanwhile.
            size += _copy_one(path, target / path.name)
    spent_s = time.perf_counter() - begun_s
    for path in target.iterdir():
        path.unlink()
    return size / spent_s


def _rebuild(processes: CityProcesses, client: HubClient) -> tuple[float, float]:
    """Bytes a second of the snapshot, and seconds from the start until in sync."""
    processes.kill("ecc")
    processes.wipe("ecc")
    begun_s = time.monotonic()
    processes.spawn("ecc")
    _wait_until_in_sync(client)
    spent_s = time.monotonic() - begun_s
    seeding_s, size = _seeding(processes.log_file("ecc"))
    return size / seeding_s, spent_s


def _copy_one(source: Path, target: Path) -> int:
    """Its bytes."""
    checksum = xxh3_128()
    with source.open("rb") as read, target.open("wb") as written:
        while data := read.read(_CHUNK_BYTES):
            checksum.update(data)
            written.write(data)
        written.flush()
        os.fsync(written.fileno())
    assert checksum.hexdigest() == source.stem, "a segment is damaged"
    return target.stat().st_size


async def _rebuild_loaded(
    processes: CityProcesses, client: HubClient, pool: list[pa.Table], parameters: dict[str, Any]
) -> tuple[tuple[float, float], float, float]:
    """Rows a second before and while, and as `_rebuild`."""
    acknowledged: list[tuple[float, int]] = []
    ingest = asyncio.create_task(_ingest(processes.addresses, pool, parameters, acknowledged))
    try:
        begun_s = time.monotonic()
        await asyncio.sleep(parameters["quiet_s"])
        quiet_end_s = time.monotonic()
        seeded, back_s = await asyncio.to_thread(_rebuild, processes, client)
        end_s = time.monotonic()
    finally:
        ingest.cancel()
        await asyncio.gather(ingest, return_exceptions=True)
    rates = [
        sum(rows for at_s, rows in acknowledged if low <= at_s < high) / (high - low)
        for low, high in ((begun_s, quiet_end_s), (quiet_end_s, end_s))
    ]
    return (rates[0], rates[1]), seeded, back_s


async def _ingest(
    addresses: dict[str, str], pool: list[pa.Table], parameters: dict[str, Any], acknowledged: list[tuple[float, int]]
) -> None:
    async with AsyncHubClient(addresses) as client:
        contract = await client.contract("readings")
        bulk = client.bulk("meanwhile", in_flight_max=parameters["in_flight"])
        numbers = iter(range(1 << 30))

        async def worker() -> None:
            for number in numbers:
                receipt = await bulk.send(contract, later(pool[number % len(pool)], number), sequence=number + 1)
                acknowledged.append((time.monotonic(), receipt.rows))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(parameters["in_flight"]):
                tasks.create_task(worker())


def _seeding(log_file: Path) -> tuple[float, int]:
    """Seconds from the request until the snapshot is installed, and its bytes, by the centre's own log."""
    times = {}
    size = 0
    for line in log_file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        times[event["event"]] = datetime.fromisoformat(event["timestamp"]).timestamp()
        size = event.get("bytes", size) if event["event"] == "snapshot installed" else size
    return times["snapshot installed"] - times["fetching a snapshot"], size


def _rows(client: HubClient, centre: str) -> int:
    lsn = max(log.commit_lsn for log in client.status("ops").logs if log.log == "ops")
    found = client.query("select count(*) n from readings", centre=centre, at_least={"ops": lsn}).table()
    return int(found.column(0)[0].as_py())


def _wait_until_in_sync(client: HubClient) -> None:
    deadline_s = time.monotonic() + _WAIT_S_MAX
    while time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        try:
            statuses = [client.status(centre) for centre in CENTRES]
        except HubError:
            continue
        if all(log.in_sync == sorted(CENTRES) for status in statuses for log in status.logs):
            return
    raise RuntimeError(f"not in sync within {_WAIT_S_MAX:.0f} s")
