"""The risk score over two real centres.

Goal: a run counts what lies near each point as brute force does; the engine, the number of partitions, exchanges that
come in meanwhile, killed workers and a failover change nothing; results are equal at both centres, once; the commands
show them.
Method: a small synthetic city, loaded once; engines that do something in the middle of a run.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from conftest import start_with_catalogue, until
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from hub.ingest.sections import Operation
from hub.risk.jobs import RayEngine
from hub.risk.local import LocalEngine
from hub.risk.run import Worked, record, work_out
from hub.risk.tasks import Engine, Task
from hub.risk.weighing import weights
from simulator.city import people, registries
from simulator.city.load import load_city
from simulator.city.places import distance_m
from simulator.city.plan import START_MS, City
from simulator.city.rows import DAY_MS
from simulator.drill.processes import CityProcesses

PLAN = City(0.0005, readings_max=300_000)
AT_MS = START_MS + DAY_MS


def quiet(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcesses]:
    with CityProcesses(tmp_path_factory.mktemp("city")) as processes:
        start_with_catalogue(processes)
        with processes.client() as client:
            position = load_city(client, PLAN).position
            client.query("select 1", centre="ecc", at_least=position).table()
        yield processes


@pytest.fixture
def client(city: CityProcesses) -> Iterator[HubClient]:
    with city.client() as made:
        yield made


def worked(city: CityProcesses, client: HubClient, engine: Engine, folder: Path, *, parts: int = 3) -> Worked:
    return work_out(
        city.city,
        client,
        engine,
        weights(),
        centre="ecc",
        folder=folder / "extract",
        parts=parts,
        at_ms=AT_MS,
        told=lambda step: None,
    )


def same(one: Worked, other: Worked) -> bool:
    facts = all(np.array_equal(values, other.gathered.facts[name]) for name, values in one.gathered.facts.items())
    scores = np.array_equal(one.scores.risk, other.scores.risk) and one.gathered.points.equals(other.gathered.points)
    return facts and scores and one.gathered.cells.equals(other.gathered.cells)


class Interrupted:
    """An engine during whose stage something happens, once."""

    name = "local"

    def __init__(self, folder: Path, stage: str, happens: Callable[[], None]) -> None:
        self._engine = LocalEngine(folder / "spill", quiet)
        self._stage = stage
        self._happens = happens

    def share(self, table: pa.Table) -> pa.Table:
        return table

    def run(self, stage: str, tasks: Sequence[Task]) -> list[pa.Table]:
        if stage == self._stage:
            self._happens()
        return self._engine.run(stage, tasks)


@pytest.fixture(scope="module")
def reference(city: CityProcesses, tmp_path_factory: pytest.TempPathFactory) -> Worked:
    folder = tmp_path_factory.mktemp("reference")
    with city.client() as client:
        found = worked(city, client, LocalEngine(folder / "spill", quiet), folder, parts=1)
    assert not list((folder / "extract").glob("*.parquet")), "the extract is removed"
    return found


def test_what_lies_near_is_counted_as_by_brute_force(reference: Worked) -> None:
    """Method: great-circle distances from every point to every building, and sums over the plan's people."""
    made = PLAN.buildings.places
    persons = np.arange(PLAN.people)
    home = PLAN.home_of(persons)[~people.is_homeless(persons)]
    residents = np.bincount(home, minlength=len(made.lon))
    (points,) = registries.risk_points(PLAN)
    assert points["risk_point_id"].equals(reference.gathered.points["risk_point_id"].combine_chunks())
    for place, (lon, lat, reach) in enumerate(
        zip(points["lon"].to_pylist(), points["lat"].to_pylist(), points["reach"].to_pylist(), strict=True)
    ):
        away = distance_m(made.lon, made.lat, lon, lat)
        assert np.abs(away - reach).min() > 0.01, "a building on the edge would prove nothing"
        near = away <= reach
        assert reference.gathered.facts["buildings"][place] == near.sum()
        assert reference.gathered.facts["residents"][place] == residents[near].sum()
    assert reference.gathered.cells["residents"].to_numpy().sum() == len(home)
    assert reference.gathered.facts["anomalies"].max() >= 0


def test_the_planted_leak_is_seen(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Goal: a risk point beside the leaking sensor has an hour beyond normal, one beside none has none.
    Method: two points more, scored, and taken away again."""
    contract = client.contract("risk_points")
    (sensors,) = client.query("select lon, lat from sensors where sensor_id = 1", strong=True).table().to_pylist()
    row = dict.fromkeys(contract.schema.names) | {
        "name": "旁边",
        "category": "gas_01",
        "group": "gas",
        "district": "南山区",
        "street": "西丽街道",
        "reach": 50,
    }
    rows = [
        {**row, "risk_point_id": "beside", **sensors},
        {**row, "risk_point_id": "far", "lon": 115.4, "lat": 22.25},
    ]
    with client.producer(log="ops") as producer:
        receipt = producer.send("risk_points", pa.RecordBatch.from_pylist(rows, schema=contract.schema)).result()
    client.query("select 1", centre="ecc", at_least={"ops": receipt.lsn}).table()
    found = worked(city, client, LocalEngine(tmp_path / "spill", quiet), tmp_path)
    ids = found.gathered.points["risk_point_id"].to_pylist()
    anomalies = dict(zip(ids, found.gathered.facts["anomalies"].tolist(), strict=True))
    assert anomalies["beside"] >= 1
    assert anomalies["far"] == 0
    hazard = dict(zip(ids, found.scores.hazard.tolist(), strict=True))
    assert hazard["beside"] > hazard["far"]
    with client.producer(log="ops") as producer:
        keys = pa.RecordBatch.from_pydict({"risk_point_id": ["beside", "far"]}, schema=contract.key_schema)
        receipt = producer.send("risk_points", keys, operation=Operation.DELETE).result()
    client.query("select 1", centre="ecc", at_least={"ops": receipt.lsn}).table()


@pytest.mark.parametrize("parts", [2, 7])
def test_partitions_change_nothing(
    city: CityProcesses, client: HubClient, reference: Worked, tmp_path: Path, parts: int
) -> None:
    assert same(worked(city, client, LocalEngine(tmp_path / "spill", quiet), tmp_path, parts=parts), reference)


def test_what_comes_in_meanwhile_changes_nothing(
    city: CityProcesses, client: HubClient, reference: Worked, tmp_path: Path
) -> None:
    """Goal: the position is pinned. Method: half of the people move out in the middle of a run."""

    def move() -> None:
        rows = people.residents_of(PLAN, np.arange(PLAN.people // 2))
        gone = rows.set_column(
            rows.schema.names.index("building_code"), "building_code", pa.nulls(rows.num_rows, pa.string())
        )
        with client.producer(log="ops") as producer:
            receipt = producer.send("residents", gone).result()
        client.query("select 1", centre="ecc", at_least={"ops": receipt.lsn}).table()

    found = worked(city, client, Interrupted(tmp_path, "residents", move), tmp_path)
    assert same(found, reference)
    later = worked(city, client, LocalEngine(tmp_path / "spill", quiet), tmp_path)
    assert later.extract.position["ops"] > found.extract.position["ops"]
    assert later.gathered.cells["residents"].to_numpy().sum() < reference.gathered.cells["residents"].to_numpy().sum()
    with client.producer(log="ops") as producer:
        receipt = producer.send("residents", people.residents_of(PLAN, np.arange(PLAN.people // 2))).result()
    client.query("select 1", centre="ecc", at_least={"ops": receipt.lsn}).table()


def test_ray_and_workers_that_are_killed(
    city: CityProcesses, client: HubClient, reference: Worked, tmp_path: Path
) -> None:
    """Goal: the same scores on Ray, and with its workers killed while they work. Method: -9 to whatever runs a task,
    while tasks of a second each are under way; then a run."""
    slow = [
        Task(sql=f"select {number} as n, count(*) as c from range(120_000_000) t(i) where i % 7 = {number}")
        for number in range(4)
    ]
    with RayEngine(tmp_path / "spill", quiet) as engine:
        killed: list[int] = []
        ended = threading.Event()

        def kill() -> None:
            while not ended.wait(0.05) and len(killed) < 2:
                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        if process.name().startswith("ray::_run") and len(killed) < 2:
                            process.kill()
                            killed.append(process.pid)

        killer = threading.Thread(target=kill)
        killer.start()
        answers = engine.run("slow", slow)
        ended.set()
        killer.join()
        assert killed
        assert [table.to_pylist() for table in answers] == [
            [{"n": number, "c": len(range(number, 120_000_000, 7))}] for number in range(4)
        ]
        assert same(worked(city, client, engine, tmp_path, parts=5), reference)


def test_a_run_goes_on_over_a_failover_and_is_recorded_once(
    city: CityProcesses, client: HubClient, reference: Worked, tmp_path: Path
) -> None:
    """Method: -9 to the leader of log ops while the standby's files are read; the run is recorded, and once more."""
    found = worked(city, client, Interrupted(tmp_path, "presence", lambda: city.kill("ops")), tmp_path)
    assert same(found, reference)
    until(lambda: all(log.role == "leader" for log in client.status("ecc").logs))
    position = record(client, found, weights(), "local", 3)
    city.start("ops")
    again = record(client, found, weights(), "local", 3)
    assert again == position, "a run that is sent again adds nothing"
    until(lambda: all(log.in_sync == ["ecc", "ops"] for log in client.status("ecc").logs))
    sql = "select run_id, risk_point_id, risk, colour from risk_scores where run_id = $run_id order by 2"
    for centre in client.centres:
        table = client.query(sql, {"run_id": found.run_id}, centre=centre, at_least=position).table()
        assert table["risk"].to_pylist() == reference.scores.risk.tolist()


def cityhub(city: CityProcesses, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["risk", *words, "--city", str(city.path), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.stderr


def test_the_commands(city: CityProcesses, client: HubClient, reference: Worked) -> None:
    """Goal: run, top and explain show one and the same; changes of colour are told from run to run."""
    for _ in range(2):
        done = cityhub(city, "run", "--engine", "local", "--at", "2026-06-02", "--centre", "ecc")
        for centre in client.centres:
            client.query("select 1", centre=centre, at_least=done["position"]).table()
    assert sum(done["colours"].values()) == done["points"] == len(reference.scores.risk)
    ten = cityhub(city, "top", "-n", "10")
    assert [row["risk"] for row in ten] == sorted(reference.scores.risk.tolist(), reverse=True)[:10]
    assert all(row["previous_colour"] == row["colour"] for row in ten), "the run before saw the same"
    point = cityhub(city, "explain", ten[0]["risk_point_id"])
    assert point["risk"] == ten[0]["risk"]
    assert point["inputs"]["residents"] >= 0
    assert "has no risk point 'nobody'" in cityhub(city, "explain", "nobody", code=2)
    reds = cityhub(city, "top", "--colour", "red")
    assert {row["colour"] for row in reds} <= {"red"}
    dry = cityhub(city, "run", "--engine", "local", "--at", "2026-06-02", "--dry-run")
    assert dry["position"] == {}
    assert "no weights of version 77" in cityhub(city, "run", "--weights-version", "77", code=2)
