"""One run of the score: files of a centre at one position → engine → scores → exchanges to the hub.

    extract (pinned) → gather → score → rows → risk_scores, risk_rollups, risk_cells → risk_runs, last

A run is known by its id, which position, moment, weights and engine decide; its exchanges have that as producer: a run
that is sent again, after any failure, adds nothing. Whoever reads takes the newest row of `risk_runs`: its scores are
all there by then.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hub.client import HubClient
from hub.client.producer import newest
from hub.config import City
from hub.ingest.exchange import Receipt
from hub.risk.extract import Extract, extracted
from hub.risk.files import DATA_SETS
from hub.risk.gathering import Gathered, gather
from hub.risk.results import cell_rows, rollup_rows, run_row, score_rows
from hub.risk.score import Scores, score
from hub.risk.tasks import Engine
from hub.risk.weighing import Weights

_EXCHANGE_ROWS: Final = 2_000
_LOG: Final = "ecc"
NEWEST_RUN: Final = "select run_id from risk_runs order by scored_at desc, finished_at desc, run_id desc limit 1"
BEFORE: Final = (
    "select s.risk_point_id, s.colour from risk_scores s "
    "where s.run_id = (select run_id from risk_runs where run_id <> $run_id "
    "order by scored_at desc, finished_at desc, run_id desc limit 1)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """A run before it is recorded."""

    run_id: str
    extract: Extract
    gathered: Gathered
    scores: Scores
    seconds: float


def work_out(
    city: City,
    client: HubClient,
    engine: Engine,
    by: Weights,
    *,
    centre: str,
    folder: Path,
    parts: int,
    at_ms: int | None,
    told: Callable[[str], None],
) -> Worked:
    """Scores every risk point as the centre's files have it. Raises HubError."""
    contracts = {name: client.contract(name) for name in DATA_SETS}

    async def run() -> Worked:
        async with extracted(city, centre, DATA_SETS, folder, told=lambda step: told(step.at)) as extract:
            started_s = time.perf_counter()
            gathered = await asyncio.to_thread(
                gather, extract, contracts, engine, by, parts=parts, at_ms=at_ms, told=told
            )
            scores = score(gathered.facts, gathered.points["group"].to_pylist(), by)
            seconds = time.perf_counter() - started_s
        run_id = _run_id(extract.position, gathered.at_ms, by.version, engine.name)
        return Worked(run_id=run_id, extract=extract, gathered=gathered, scores=scores, seconds=seconds)

    return asyncio.run(run())


def record(client: HubClient, worked: Worked, by: Weights, engine: str, parts: int) -> dict[str, int]:
    """Sends the results to the hub; returns the position that covers them. Raises HubError."""
    run_id, gathered, scores = worked.run_id, worked.gathered, worked.scores
    asked = client.query(BEFORE, {"run_id": run_id}, strong=True).table()
    before = dict(zip(asked["risk_point_id"].to_pylist(), asked["colour"].to_pylist(), strict=True))
    contract = client.contract
    parts_of_run = {
        "risk_scores": score_rows(run_id, gathered, scores, by, before, contract("risk_scores")),
        "risk_rollups": rollup_rows(run_id, gathered, scores, contract("risk_rollups")),
        "risk_cells": cell_rows(run_id, gathered, scores, contract("risk_cells")),
    }
    last = run_row(
        contract("risk_runs"),
        run_id=run_id,
        scored_at=gathered.at_ms,
        finished_at=int(datetime.now(UTC).timestamp() * 1_000),
        weights_version=by.version,
        position_ops=worked.extract.position.get("ops", 0),
        position_ecc=worked.extract.position.get("ecc", 0),
        engine=engine,
        partitions=parts,
        points=gathered.points.num_rows,
        seconds=worked.seconds,
    )
    outcomes: list[Future[Receipt]] = []
    with client.producer(run_id, log=_LOG) as producer:
        for data_set, rows in parts_of_run.items():
            for first in range(0, rows.num_rows, _EXCHANGE_ROWS):
                outcomes.append(producer.send(data_set, rows.slice(first, _EXCHANGE_ROWS)))
        producer.flush()
        outcomes.append(producer.send("risk_runs", last))
    return newest(outcome.result() for outcome in outcomes)


def _run_id(position: dict[str, int], at_ms: int, version: int, engine: str) -> str:
    facts: Any = (sorted(position.items()), at_ms, version, engine)
    moment = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"risk-{moment:%Y%m%dT%H%M}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"
