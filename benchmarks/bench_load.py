"""Agencies' CSV files in GB18030: made into exchanges by the loader, and loaded into both centres.

`prepared_*_rows_per_s`: the file is read, cut, decoded, compared for repeated rows, converted and checked, on one core:
readings have four columns of numbers, buildings twelve, of which half are texts, three of them Chinese.
`loaded_rows_per_s`: readings by what `cityhub load` does, until each row is on disk in both centres;
`applied_rows_per_s` until both answer queries with it. Client and both centres share this machine. Verified: every row
was accepted and is there once at both centres, a second load adds nothing, and digests are equal.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.bench_exchange import process_metrics, usage_of, wait_for_catalogue
from benchmarks.harness import Metric, Outcome, metric
from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.cli.loading import Loaded, load_file
from hub.client import HubClient
from hub.config import CENTRES
from hub.ingest.load import LoadOptions, prepare_file
from simulator.city.readings import readings, sensors
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"readings": 200_000, "buildings": 20_000, "repeats": 1, "seed": 1},
    "quick": {"readings": 5_000_000, "buildings": 1_000_000, "repeats": 5, "seed": 1},
    "full": {"readings": 30_000_000, "buildings": 2_000_000, "repeats": 5, "seed": 1},
}
_BATCH_ROWS: Final = 100_000


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    contracts = builtin_contracts()
    seed, count = parameters["seed"], parameters["readings"]
    all_sensors = sensors(10_000, seed)
    files = {
        "readings": (count, readings(count, seed, sensors=all_sensors, batch_rows=_BATCH_ROWS)),
        "buildings": (parameters["buildings"], _buildings(parameters["buildings"], seed)),
    }
    metrics: dict[str, Metric] = {}
    for name, (rows, batches) in files.items():
        path = folder / f"{name}.csv"
        write_csv(path, contracts[name], batches)
        spent = [_prepare(path, contracts[name], rows) for _ in range(parameters["repeats"])]
        metrics[f"prepared_{name}_rows_per_s"] = metric("1/s", [rows / one for one in spent])
    with CityProcesses(folder / "city") as processes:
        processes.start()
        with processes.client() as client:
            wait_for_catalogue(client)
            before = usage_of(processes)
            begun_s = time.perf_counter()
            loaded = _load(client, folder / "readings.csv")
            loaded_s = time.perf_counter() - begun_s
            counts = [_count(client, centre, loaded) for centre in CENTRES]
            applied_s = time.perf_counter() - begun_s
            after = usage_of(processes)
            again = _load(client, folder / "readings.csv")
            verified = (loaded.accepted, loaded.loaded_before) == (count, 0)
            verified = verified and again.loaded_before == len(again.receipts) == len(loaded.receipts)
            verified = verified and counts == [count] * len(CENTRES) and equal_digests(client) == []
            verified = verified and counts == [_count(client, centre, again) for centre in CENTRES]
    metrics |= {
        "loaded_rows_per_s": metric("1/s", [count / loaded_s]),
        "applied_rows_per_s": metric("1/s", [count / applied_s]),
    }
    return Outcome(verified=verified, metrics=metrics | process_metrics(before, after))


def _buildings(count: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Texts of the kinds and lengths that a register of buildings has."""
    random = np.random.default_rng(seed)
    for begin in range(0, count, _BATCH_ROWS):
        yield _some_buildings(np.arange(begin, min(begin + _BATCH_ROWS, count)), random)


def _some_buildings(numbers: npt.NDArray[np.int64], random: np.random.Generator) -> pa.RecordBatch:
    count, texts = len(numbers), numbers.astype(str)
    districts = np.array(["罗湖区", "福田区", "南山区", "宝安区", "龙岗区"])[numbers % 5]
    streets = np.array(["深南大道", "滨河大道", "红荔路", "新洲路", "北环大道", "笋岗东路"])[
        random.integers(0, 6, count)
    ]
    columns = {
        "building_code": np.char.add("440303", np.char.zfill(texts, 19)),
        "name": np.char.add(np.char.add("深圳大厦", texts), "号楼"),
        "district": districts,
        "address": np.char.add(np.char.add(np.char.add("深圳市", districts), streets), texts),
        "lon": np.round(random.uniform(113.8, 114.5, count), 6),
        "lat": np.round(random.uniform(22.4, 22.8, count), 6),
        "use": np.array(["residential", "office", "commercial", "industrial"])[random.integers(0, 4, count)],
        "structure": np.array(["concrete", "steel", "brick"])[random.integers(0, 3, count)],
        "floors": random.integers(1, 60, count),
        "height": np.round(random.uniform(3, 200, count), 1),
        "floor_area": np.round(random.uniform(100, 90_000, count), 2),
        "built_year": random.integers(1980, 2017, count),
    }
    schema = builtin_contracts()["buildings"].schema
    arrays = [
        pa.array(columns[one.name]).cast(one.type) if one.name in columns else pa.nulls(count, one.type)
        for one in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def write_csv(path: Path, contract: Contract, batches: Iterator[pa.RecordBatch]) -> None:
    """Rows under their Chinese titles, in GB18030, as an agency sends them."""
    titles = [column.title.zh for column in contract.columns]
    plain = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    with path.open("wb") as file:
        file.write((",".join(titles) + "\n").encode("gb18030"))
        for batch in batches:
            sink = pa.BufferOutputStream()
            pacsv.write_csv(batch, sink, plain)
            file.write(sink.getvalue().to_pybytes().decode().encode("gb18030"))


def _prepare(path: Path, contract: Contract, rows: int) -> float:
    """Seconds. Raises AssertionError when a row is not accepted."""
    begun_s = time.perf_counter()
    accepted = sum(part.rows.num_rows for part in prepare_file(path, contract))
    spent_s = time.perf_counter() - begun_s
    assert accepted == rows, f"{path.name}: {accepted} of {rows} rows"
    return spent_s


def _load(client: HubClient, path: Path) -> Loaded:
    return load_file(client, path, client.contract("readings"), LoadOptions())


def _count(client: HubClient, centre: str, loaded: Loaded) -> int:
    position = {loaded.log: max(receipt.lsn for receipt in loaded.receipts)}
    answer = client.query("select count(*) from readings", centre=centre, at_least=position).table()
    return int(answer.column(0)[0].as_py())
