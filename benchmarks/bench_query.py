"""Queries: long answers by Flight SQL beside a bare Flight server; people's short questions, alone and while the centre
scans and takes bulk in; how soon the standby shows what was acknowledged.

Client and both centres share this machine. Points are asked by 16 clients, ten questions a second each, of the
registry of sensors by its key. Verified: every answer is right, and every probe found its exchange.
"""

import asyncio
import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import adbc_driver_flightsql.dbapi as flight_sql
import numpy as np
import pyarrow as pa
import pyarrow.flight as fl

from benchmarks.bare_flight import bare_flight
from benchmarks.bench_bulk import make_pool, send_all
from benchmarks.bench_exchange import process_metrics, small_batches, usage_of, wait_for_catalogue
from benchmarks.bench_scan import wait_until_merged
from benchmarks.harness import Outcome, metric
from hub.client import AsyncHubClient, HubClient
from hub.errors import HubError
from hub.ingest.exchange import Receipt
from hub.ingest.sections import Operation
from simulator.city.readings import sensors
from simulator.drill.processes import CityProcesses

_COMMON: Final[dict[str, Any]] = {
    "clients": 16,
    "asked_per_s": 10,
    "exchange_rows": 2_000_000,
    "in_flight": 2,
    "seed": 1,
    "settled_s": 5,
    "loaded_s": 4,
}
SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {
        **_COMMON,
        "settled_s": 1,
        "loaded_s": 2,
        "rows": 500_000,
        "exchange_rows": 250_000,
        "runs": 2,
        "seconds": 1,
        "per_s": 500,
        "keys": 10_000,
    },
    "quick": {**_COMMON, "rows": 2 * 10**7, "runs": 5, "seconds": 10, "per_s": 5000, "keys": 100_000},
    "full": {**_COMMON, "rows": 10**8, "runs": 7, "seconds": 60, "per_s": 5000, "keys": 100_000},
}
_SCAN: Final = "select sensor_id % 1000 g, avg(value) v, stddev(value) s, count(*) n from readings group by g"
_POINT: Final = "select sensor_id, kind, lon, lat, district from sensors where sensor_id = ?"
_STREAMS: Final = 16
_TICK_S: Final = 0.01
_PROBE_S: Final = 0.02
_NICENESS: Final = 10
_ADBC_PER_S: Final = 4  # Each asks; the driver makes five calls of one.


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            _register(client, parameters)
            pool = make_pool(parameters)
            exchanges = parameters["rows"] // parameters["exchange_rows"]
            asyncio.run(send_all(processes.addresses, pool, exchanges, parameters["in_flight"], "first"))
            wait_until_merged(client, parameters["settled_s"])
            before = usage_of(processes)
            ratio, rows_per_s, same = _long_answers(processes, folder, parameters)
            points, right = asyncio.run(_points(processes.addresses, parameters))
            adbc_points, right_by_adbc = _points_by_adbc(processes, parameters)
            busy_points, right_too = asyncio.run(_points_under_load(processes, parameters))
            visible, found = asyncio.run(_visible(processes.addresses, parameters))
            after = usage_of(processes)
    metrics = {
        "ratio_to_flight": metric("1", ratio, quote="p50"),
        "answered_rows_per_s": metric("1/s", rows_per_s, quote="p50"),
        "point_query_ms": metric("ms", points, quote="p99"),
        "point_adbc_ms": metric("ms", adbc_points, quote="p99"),
        "point_under_load_ms": metric("ms", busy_points, quote="p99"),
        "interactive_under_load_ratio": metric("1", [np.percentile(busy_points, 99) / np.percentile(points, 99)]),
        "visible_at_standby_ms": metric("ms", visible, quote="p99"),
    }
    verified = same and right and right_by_adbc and right_too and found
    return Outcome(verified=verified, metrics=metrics | process_metrics(before, after))


def _register(client: HubClient, parameters: dict[str, Any]) -> None:
    """Sensors, for the points."""
    contract = client.contract("sensors")
    rows = pa.Table.from_batches([sensors(parameters["keys"], parameters["seed"])]).cast(contract.schema)
    with client.producer("bench-sensors") as producer:
        sent = [producer.send("sensors", one, operation=Operation.UPSERT) for one in rows.to_batches(10_000)]
        receipts = [one.result() for one in sent]
    for centre in client.centres:
        client.query("select 1", centre=centre, at_least={"ops": receipts[-1].lsn}).table()


# --- Long answers -----------------------------------------------------------------------------------------------------


def _long_answers(
    processes: CityProcesses, folder: Path, parameters: dict[str, Any]
) -> tuple[list[float], list[float], bool]:
    """Our seconds and the bare server's, in turn: ratios and rows a second; whether the rows are as many."""
    uri = f"grpc://{processes.city.centres['ecc'].flight}"
    rows = parameters["rows"] // 2
    ticket = _ticket(uri, f"select observed_at, sensor_id, value, quality from readings limit {rows}")  # noqa: S608
    path = folder / "answer.arrow"
    with fl.connect(uri) as ours:
        answer = ours.do_get(ticket).read_all()
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, answer.schema) as file:
            file.write_table(answer)
        same = answer.num_rows == rows
        del answer
        ratios, per_s = [], []
        with bare_flight(path) as bare_address, fl.connect(f"grpc://{bare_address}") as bare:
            _read(bare, fl.Ticket(b""))
            for _ in range(parameters["runs"]):
                bare_s, bare_rows = _read(bare, fl.Ticket(b""))
                our_s, our_rows = _read(ours, ticket)
                same = same and bare_rows == our_rows == rows
                ratios.append(bare_s / our_s)
                per_s.append(rows / our_s)
    path.unlink()
    return ratios, per_s, same


def _ticket(uri: str, sql: str) -> fl.Ticket:
    """As the driver gets it."""
    with flight_sql.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        (partition, *_), _ = cursor.adbc_execute_partitions(sql)
    return fl.FlightInfo.deserialize(partition).endpoints[0].ticket


def _read(client: fl.FlightClient, ticket: fl.Ticket) -> tuple[float, int]:
    begun_s = time.perf_counter()
    rows = sum(chunk.data.num_rows for chunk in client.do_get(ticket))
    return time.perf_counter() - begun_s, rows


# --- Points -----------------------------------------------------------------------------------------------------------


async def _points(addresses: dict[str, str], parameters: dict[str, Any]) -> tuple[np.ndarray, bool]:
    """Latencies (ms) of questions that come at their time, whether or not those before were answered."""
    latencies: list[float] = []
    wrong: list[int] = []

    async def ask(client: AsyncHubClient, key: int) -> None:
        begun_s = time.perf_counter()
        query = await client.query(_POINT, [key], centre="ops")
        parts = []
        while (part := await query.part()) is not None:
            parts.append(part)
        latencies.append((time.perf_counter() - begun_s) * 1000)
        if pa.ipc.open_stream(b"".join(parts)).read_all()["sensor_id"].to_pylist() != [key]:
            wrong.append(key)

    async def one(number: int) -> None:
        random = np.random.default_rng(number)
        async with AsyncHubClient(addresses) as client, asyncio.TaskGroup() as asked:
            await asyncio.sleep(number / parameters["clients"] / parameters["asked_per_s"])
            async for _ in _ticks(1 / parameters["asked_per_s"], parameters["seconds"]):
                asked.create_task(ask(client, int(random.integers(1, parameters["keys"]))))

    await asyncio.gather(*map(one, range(parameters["clients"])))
    return np.array(latencies), not wrong


async def _ticks(every_s: float, seconds: float) -> AsyncIterator[int]:
    begun_s = time.perf_counter()
    for number in range(int(seconds / every_s)):
        await asyncio.sleep(max(0.0, begun_s + number * every_s - time.perf_counter()))
        yield number


def _points_by_adbc(processes: CityProcesses, parameters: dict[str, Any]) -> tuple[list[float], bool]:
    """The same by the driver: execute and fetch, each client in a thread of its own."""
    uri = f"grpc://{processes.city.centres['ops'].flight}"
    latencies: list[float] = []
    right: list[bool] = []

    def one(number: int) -> None:
        random = np.random.default_rng(number)
        with flight_sql.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
            begun_s = time.perf_counter() + number / parameters["clients"] / _ADBC_PER_S
            for turn in range(int(parameters["seconds"] * _ADBC_PER_S)):
                due_s = begun_s + turn / _ADBC_PER_S
                time.sleep(max(0.0, due_s - time.perf_counter()))
                asked_s = time.perf_counter()
                key = int(random.integers(1, parameters["keys"]))
                cursor.execute(_POINT, (key,))
                right.append(cursor.fetch_arrow_table()["sensor_id"].to_pylist() == [key])
                latencies.append((time.perf_counter() - asked_s) * 1000)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(parameters["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = parameters["clients"] * int(parameters["seconds"] * _ADBC_PER_S)
    return latencies, len(right) == asked and all(right)


async def _points_under_load(processes: CityProcesses, parameters: dict[str, Any]) -> tuple[np.ndarray, bool]:
    """While one analyst scans all rows again and again at the same centre, and bulk comes in without a pause. Both ask
    from processes that give way to others: they would be on machines of their own."""
    context = multiprocessing.get_context("spawn")
    load = [
        context.Process(target=one, args=(processes.addresses, parameters), daemon=True) for one in (_scan, _ingest)
    ]
    for one in load:
        one.start()
    try:
        await asyncio.sleep(parameters["loaded_s"])
        return await _points(processes.addresses, parameters)
    finally:
        for one in load:
            one.terminate()
            one.join()


def _scan(addresses: dict[str, str], parameters: dict[str, Any]) -> None:
    os.nice(_NICENESS)
    with HubClient(addresses) as client:
        while True:
            client.query(_SCAN, centre="ops", query_class="analysis").table()


def _ingest(addresses: dict[str, str], parameters: dict[str, Any]) -> None:
    os.nice(_NICENESS)
    pool = make_pool(parameters)
    for number in itertools.count():
        asyncio.run(send_all(addresses, pool, 8, 2, f"load-{number}"))


# --- How soon the standby shows what was acknowledged -----------------------------------------------------------------


async def _visible(addresses: dict[str, str], parameters: dict[str, Any]) -> tuple[list[float], bool]:
    """From the receipt of an exchange until the standby has answered a query that needs it, ms."""
    batches = small_batches(1, parameters["seed"])
    newest: list[Receipt] = []
    acknowledged = 0

    def note(done: "asyncio.Future[Receipt]") -> None:
        nonlocal acknowledged
        acknowledged += 1
        newest[:] = [done.result()]

    async def stream(client: AsyncHubClient, number: int) -> None:
        owed = 0.0
        async with client.producer(f"seen-{number}", window_max=256) as producer:
            async for _ in _ticks(_TICK_S, parameters["seconds"]):
                owed += parameters["per_s"] * _TICK_S / _STREAMS
                while owed >= 1:
                    owed -= 1
                    (await producer.send("readings", batches[number])).add_done_callback(note)

    latencies: list[float] = []
    failed: list[HubError] = []

    async def probe(client: AsyncHubClient) -> None:
        async for _ in _ticks(_PROBE_S, parameters["seconds"]):
            if newest:
                receipt = newest[0]
                begun_s = time.perf_counter()
                try:
                    answer = await client.query("select 1", centre="ecc", at_least={"ops": receipt.lsn})
                except HubError as error:
                    failed.append(error)
                    continue
                latencies.append((time.perf_counter() - begun_s) * 1000)
                while await answer.part() is not None:
                    pass

    async with AsyncHubClient(addresses) as client, AsyncHubClient(addresses) as other:
        await client.contract("readings")
        await asyncio.gather(probe(other), *(stream(client, number) for number in range(_STREAMS)))
    expected = parameters["per_s"] * parameters["seconds"]
    return latencies, not failed and acknowledged >= 0.98 * expected
