"""Scans through a centre's view, beside plain DuckDB on the same files.

Both with two threads, in turn, so that what else runs meets both; `ratio_to_duckdb` is plain time over the view's, each
the middle one, after the segments were merged. Verified: both answers are equal.
"""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any, Final

import duckdb

from benchmarks.bench_bulk import make_pool, send_all
from benchmarks.bench_exchange import process_metrics, usage_of, wait_for_catalogue
from benchmarks.harness import Outcome, metric
from hub.client import HubClient
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"rows": 2_000_000, "exchange_rows": 250_000, "in_flight": 3, "runs": 2, "settled_s": 3, "seed": 1},
    "quick": {"rows": 10**8, "exchange_rows": 2_000_000, "in_flight": 4, "runs": 5, "settled_s": 10, "seed": 1},
    "full": {"rows": 10**9, "exchange_rows": 2_000_000, "in_flight": 4, "runs": 5, "settled_s": 10, "seed": 1},
}
_THREADS: Final = 2
_SQL: Final = {
    "group_by": "select sensor_id % 100 g, avg(value) v, count(*) n from {rows} group by g order by g",
    "hour": "select count(*) n, avg(value) v from {rows} "
    "where observed_at >= timestamp '2017-04-12 00:05:00' and observed_at < timestamp '2017-04-12 00:10:00'",
}
_MERGED_S_MAX: Final = 600.0


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    pool = make_pool(parameters)
    exchanges = parameters["rows"] // parameters["exchange_rows"]
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            asyncio.run(send_all(processes.addresses, pool, exchanges, parameters["in_flight"], "bulk"))
            del pool
            segments = processes.city.folder("ops") / "segments"
            wait_until_merged(client, parameters["settled_s"])
            before = usage_of(processes)
            found, verified = _compare(client, segments, parameters["runs"])
            after = usage_of(processes)
            store = client.status("ops").store
    metrics = {
        "ratio_to_duckdb": metric("1", [found["group_by"][0] / found["group_by"][1]]),
        "scanned_rows_per_s": metric("1/s", [store.segment_rows / found["group_by"][1]]),
        "span_of_time_ms": metric("ms", [found["hour"][1] * 1000]),
        "span_of_time_ratio": metric("1", [found["hour"][0] / found["hour"][1]]),
        "segments": metric("1", [store.segments]),
    }
    return Outcome(verified=verified, metrics=metrics | process_metrics(before, after))


def _compare(client: HubClient, segments: Path, runs: int) -> tuple[dict[str, tuple[float, float]], bool]:
    """Seconds by query, of plain DuckDB and of the view; and whether the answers are the same."""
    held = client.query("select count(*) n from readings", centre="ops").table().column(0)[0].as_py()
    plain = duckdb.connect(config={"threads": str(_THREADS)})
    found, same = {}, held > 0
    for name, sql in _SQL.items():
        plain_s, view_s = [], []
        for _ in range(runs):
            begun_s = time.perf_counter()
            expected = plain.sql(sql.format(rows=f"read_parquet('{segments}/*.parquet')")).to_arrow_table()
            plain_s.append(time.perf_counter() - begun_s)
            begun_s = time.perf_counter()
            answer = client.query(sql.format(rows="readings"), centre="ops").table()
            view_s.append(time.perf_counter() - begun_s)
            counts = [answer["n"].to_pylist(), expected["n"].to_pylist()]
            same = same and counts[0] == counts[1] and answer.num_rows == expected.num_rows
        found[name] = statistics.median(plain_s), statistics.median(view_s)
    plain.close()
    return found, same


def wait_until_merged(client: HubClient, settled_s: int) -> None:
    deadline_s = time.monotonic() + _MERGED_S_MAX
    settled = 0
    seen = -1
    while settled < settled_s and time.monotonic() < deadline_s:
        time.sleep(1.0)
        now = client.status("ops").store.segments
        settled = settled + 1 if now == seen else 0
        seen = now
