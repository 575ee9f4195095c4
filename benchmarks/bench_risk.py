"""The risk score of a city at 1/20 scale, on Ray and in one DuckDB, over more and more readings.

A run is all of it: the files of the standby at one position, the joins of all sources, the score, and its results
back into both centres; Ray has been started before. The same plan runs in one DuckDB with both cores, by turns.
`ratio_to_duckdb`: seconds of the plan there over seconds of the plan on Ray. `NAME_N` is over N readings, NAME alone
over the most. Memory is that of all Ray processes together. Verified: both engines, other partitions and both centres
give the same scores to the last bit.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.bench_exchange import wait_for_catalogue
from benchmarks.harness import Metric, Outcome, metric
from hub.client import HubClient
from hub.config import City as Topology
from hub.risk.jobs import RayEngine
from hub.risk.local import LocalEngine
from hub.risk.run import Worked, record, work_out
from hub.risk.tasks import Engine
from hub.risk.weighing import weights
from simulator.city import sensing
from simulator.city.load import load_city
from simulator.city.plan import START_MS, City
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"scale": 0.0005, "readings": [300_000], "repeats": 1, "parts": 4},
    "quick": {"scale": 0.05, "readings": [10_000_000, 100_000_000], "repeats": 3, "parts": 8},
    "full": {"scale": 0.05, "readings": [10_000_000, 100_000_000, 1_000_000_000], "repeats": 3, "parts": 8},
}
_BULK_ROWS: Final = 2_000_000
_BASE_READINGS: Final = 100_000
_LOOK_S: Final = 0.2


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    metrics: dict[str, Metric] = {}
    verified = True
    with CityProcesses(folder / "city") as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            more = _Readings(client, parameters["scale"])
            with RayEngine(folder / "spill", _quiet) as ray, _RayMemory() as memory:
                local = LocalEngine(folder / "spill", _quiet)
                for readings in parameters["readings"]:
                    position = more.up_to(readings)
                    client.query("select 1", centre="ecc", at_least=position).table()
                    found = _measure(processes.city, client, {"ray": ray, "duckdb": local}, parameters, folder)
                    verified = verified and found.same
                    measured = found.metrics()
                    metrics |= {f"{name}_{readings}": one for name, one in measured.items()} | measured
                metrics["peak_memory_bytes"] = metric("B", [float(memory.peak_bytes)])
            verified = verified and _centres_agree(client)
    return Outcome(verified=verified, metrics=metrics)


class _Readings:
    """A city whose readings grow."""

    def __init__(self, client: HubClient, scale: float) -> None:
        self._client = client
        self._position = load_city(client, City(scale, readings_max=_BASE_READINGS)).position
        self._batches = sensing.readings(City(scale), 1 << 62)
        self._rows = 0
        self._sequence = 0
        self._left = pa.Table.from_batches([next(self._batches)]).slice(0, 0)

    def up_to(self, rows: int) -> dict[str, int]:
        """The position that covers so many readings; the first few are there twice, as a sender might have it."""
        bulk = self._client.bulk("bench-risk")
        while self._rows < rows:
            part = self._next(min(_BULK_ROWS, rows - self._rows))
            self._sequence += 1
            receipt = bulk.send("readings", part, sequence=self._sequence).result()
            self._position[receipt.log] = max(receipt.lsn, self._position.get(receipt.log, 0))
            self._rows += part.num_rows
        return self._position

    def _next(self, rows: int) -> pa.Table:
        waiting = [self._left]
        count = self._left.num_rows
        while count < rows:
            waiting.append(pa.Table.from_batches([next(self._batches)]))
            count += waiting[-1].num_rows
        whole = pa.concat_tables(waiting)
        self._left = whole.slice(rows)
        return whole.slice(0, rows)


class _Found:
    def __init__(self) -> None:
        self.whole_s: list[float] = []
        self.plan_s: dict[str, list[float]] = {"ray": [], "duckdb": []}
        self.same = True

    def metrics(self) -> dict[str, Metric]:
        pairs = zip(self.plan_s["duckdb"], self.plan_s["ray"], strict=True)
        return {
            "seconds": metric("s", self.whole_s),
            "plan_seconds_ray": metric("s", self.plan_s["ray"]),
            "plan_seconds_duckdb": metric("s", self.plan_s["duckdb"]),
            "ratio_to_duckdb": metric("1", [one / other for one, other in pairs]),
        }


def _measure(
    topology: Topology, client: HubClient, engines: dict[str, Engine], parameters: dict[str, Any], folder: Path
) -> _Found:
    found = _Found()
    by = weights()
    first: Worked | None = None
    for repeat in range(parameters["repeats"]):
        for name, engine in engines.items():
            parts = parameters["parts"] + repeat
            started_s = time.perf_counter()
            worked = work_out(
                topology,
                client,
                engine,
                by,
                centre="ecc",
                folder=folder / "extract",
                parts=parts,
                at_ms=START_MS + 86_400_000,
                told=lambda step: None,
            )
            if name == "ray":
                record(client, worked, by, engine.name, parts)
                found.whole_s.append(time.perf_counter() - started_s)
            found.plan_s[name].append(worked.seconds)
            shutil.rmtree(folder / "extract")
            first = first or worked
            found.same = found.same and _equal(first, worked)
    return found


def _equal(one: Worked, other: Worked) -> bool:
    return np.array_equal(one.scores.risk, other.scores.risk) and one.gathered.cells.equals(other.gathered.cells)


def _centres_agree(client: HubClient) -> bool:
    sql = "select risk_point_id, risk, colour from risk_scores order by all"
    answers = [client.query(sql, centre=centre, strong=True).table() for centre in client.centres]
    return bool(answers[0].equals(answers[1])) and answers[0].num_rows > 0


class _RayMemory:
    """Peak resident bytes of Ray's processes: those that this process started and theirs."""

    peak_bytes = 0

    def __enter__(self) -> "_RayMemory":
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self.peak_bytes = max(self.peak_bytes, sum(_ray_bytes()))


def _ray_bytes() -> Iterator[int]:
    """Shared pages (the object store) count once a process that has touched them: an upper bound."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "ray" in " ".join(process.cmdline()[:3]):
                yield process.memory_info().rss


def _quiet(stage: str, done: int, total: int) -> None:
    pass
