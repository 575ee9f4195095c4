"""A registry of everybody in the city: loading it, changing a part of it, looking one up.

Exchanges of large batches through the log, fsynced in both centres and then applied by both. `look_up_ms` is a client's
query of one row by its key, through gRPC. Verified: the number of people and of those that were changed is right at
both centres, each look-up finds its one row, digests are equal.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.bench_rows import wait_until_applied
from benchmarks.harness import Outcome, metric
from hub.catalogue.contract import Contract
from hub.client import AsyncHubClient, HubClient
from hub.client.producer import newest
from hub.config import CENTRES
from hub.ingest.exchange import Receipt
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses, peak_bytes

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"people": 100_000, "changed": 10_000, "batch_rows": 20_000, "look_ups": 20, "seed": 1},
    "quick": {"people": 2_000_000, "changed": 200_000, "batch_rows": 100_000, "look_ups": 200, "seed": 1},
    "full": {"people": 20_000_000, "changed": 1_000_000, "batch_rows": 100_000, "look_ups": 1000, "seed": 1},
}
_TITLE: Final = {"zh": "人口", "en": "People"}
PEOPLE: Final = Contract.model_validate(
    {
        "name": "people",
        "agency": "public_security",
        "home": "ops",
        "kind": "registry",
        "key": ("person_id",),
        "title": _TITLE,
        "columns": [
            {"name": "person_id", "type": "string", "required": True, "title": _TITLE},
            {"name": "name", "type": "string", "title": _TITLE},
            {"name": "born_on", "type": "date", "title": _TITLE},
            {"name": "building_id", "type": "int64", "title": _TITLE},
            {"name": "status", "type": "int8", "title": _TITLE},
        ],
    }
)


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    with CityProcesses(folder) as processes:
        processes.start()
        with processes.client() as client:
            client.apply_contract(PEOPLE)
        count, changed = parameters["people"], parameters["changed"]
        loaded_s = asyncio.run(_send(processes.addresses, "load", range(count), parameters, status=0))
        step = max(1, count // changed)
        changed_s = asyncio.run(_send(processes.addresses, "change", range(0, count, step), parameters, status=1))
        with processes.client() as client:
            look_ups, verified = _look_up(client, parameters)
            answers = [
                client.query("select count(*) n, sum(status) s from people", centre=centre).table().to_pylist()[0]
                for centre in CENTRES
            ]
            verified = verified and all(one == {"n": count, "s": len(range(0, count, step))} for one in answers)
            verified = verified and equal_digests(client) == []
        peak_mib = peak_bytes(processes.pid("ops")) / 2**20
    metrics = {
        "loaded_rows_per_s": metric("1/s", [count / loaded_s]),
        "upserted_rows_per_s": metric("1/s", [len(range(0, count, step)) / changed_s]),
        "look_up_ms": metric("ms", look_ups, quote="p99"),
        "peak_memory_mib_ops": metric("MiB", [peak_mib]),
    }
    return Outcome(verified=verified, metrics=metrics)


def people(numbers: range, *, status: int) -> pa.RecordBatch:
    """Their identifiers come in no order."""
    counted = np.asarray(numbers, dtype=np.uint64)
    mixed = (counted * np.uint64(0x9E3779B97F4A7C15)) % np.uint64(10**14)  # Distinct for far more than these.
    columns = [
        pa.array(np.char.add("4403", np.char.zfill(mixed.astype(str), 14))),
        pa.array(np.char.add("居民", (counted % np.uint64(1_000_003)).astype(str))),
        pa.array((counted % np.uint64(30_000)).astype(np.int32)).cast(pa.date32()),
        pa.array((counted // np.uint64(30)).astype(np.int64)),
        pa.array(np.full(len(counted), status, np.int8)),
    ]
    return pa.RecordBatch.from_arrays(
        [one.cast(field.type) for one, field in zip(columns, PEOPLE.schema, strict=True)], schema=PEOPLE.schema
    )


async def _send(
    addresses: dict[str, str], name: str, numbers: range, parameters: dict[str, Any], *, status: int
) -> float:
    """Seconds until both centres have applied all."""
    async with AsyncHubClient(addresses) as client:
        await client.contract(PEOPLE.name)
        begun_s = time.perf_counter()
        futures: list[asyncio.Future[Receipt]] = []
        async with client.producer(name, window_max=8) as producer:
            for start in range(0, len(numbers), parameters["batch_rows"]):
                part = numbers[start : start + parameters["batch_rows"]]
                batch = await asyncio.to_thread(people, part, status=status)
                futures.append(await producer.send(PEOPLE.name, batch))
        position = newest([future.result() for future in futures])
        await asyncio.gather(*(wait_until_applied(client, centre, position) for centre in client.centres))
        return time.perf_counter() - begun_s


def _look_up(client: HubClient, parameters: dict[str, Any]) -> tuple[list[float], bool]:
    """Milliseconds, and whether each found its row."""
    rng = np.random.default_rng(parameters["seed"])
    found_all = True
    spent = []
    for number in rng.integers(0, parameters["people"], parameters["look_ups"]).tolist():
        (key,) = people(range(number, number + 1), status=0)["person_id"].to_pylist()
        begun_s = time.perf_counter()
        rows = client.query(f"select * from people where person_id = '{key}'", centre="ecc").table()  # noqa: S608
        spent.append((time.perf_counter() - begun_s) * 1000)
        found_all = found_all and rows.num_rows == 1
    return spent, found_all
