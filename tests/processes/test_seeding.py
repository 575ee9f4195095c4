"""A centre that lost what it had.

Goal: whatever a centre loses of its disk, and however often it is killed while it gets it back, it ends with the same
as the other one, without anybody's help; nothing acknowledged is lost, and the other one goes on meanwhile.
Method: real processes and files, small limits so that logs are trimmed and hot rows sealed at once; afterwards digests
and counts at both centres, and every exchange of a load.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import start_with_catalogue, until
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from hub.config import CENTRES
from hub.errors import HubError
from simulator.city.readings import readings, sensors
from simulator.drill.checks import accounted_for, equal_digests
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

ROWS = 30_000
LIMITS: dict[str, dict[str, Any]] = {
    "ingest": {"write_wait_ms_max": 1000},
    "replication": {"log_file_bytes_max": 1 << 18},
    "log": {"keep_bytes": 1 << 18},
    "segments": {"rows_max": 10_000},
    "upkeep": {"look_ms": 100, "seal_rows": 2000},
}
READINGS = pa.Table.from_batches(list(readings(ROWS, 1, sensors=sensors(100, 1), batch_rows=ROWS)))
BATCHES = list(readings(200, 2, sensors=sensors(100, 1), batch_rows=10))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcesses]:
    """With segments, a registry, and logs that begin later than they did."""
    with CityProcesses(tmp_path_factory.mktemp("seeding"), limits=LIMITS) as processes:
        start_with_catalogue(processes)
        with processes.client() as client:
            bulk = client.bulk("past")
            for future in [bulk.send("readings", READINGS, sequence=one) for one in (1, 2)]:
                future.result(30)
            with client.producer("sensors") as producer:
                producer.send("sensors", sensors(100, 1)).result(30)
            number = 0
            while begins_at(client, "ops") == 1:
                number += 1
                with client.producer(f"past-{number}", window_max=64) as producer:
                    for batch in READINGS.to_batches(500)[:40]:
                        producer.send("readings", batch)
        yield processes


@pytest.fixture
def client(city: CityProcesses) -> Iterator[HubClient]:
    with city.client() as client:
        yield client


def begins_at(client: HubClient, centre: str) -> int:
    return next(one.first_lsn for one in client.status(centre).logs if one.log == "ops")


def both_in_sync(client: HubClient) -> Callable[[], bool]:
    def look() -> bool:
        try:
            statuses = [client.status(centre) for centre in CENTRES]
        except HubError:
            return False
        return all(log.in_sync == sorted(CENTRES) for status in statuses for log in status.logs)

    return look


def check_same(client: HubClient) -> None:
    until(both_in_sync(client))
    assert equal_digests(client) == []
    lsn = max(one.commit_lsn for one in client.status("ops").logs if one.log == "ops")
    sql = "select count(*), sum(value), (select count(*) from sensors) from readings"
    found = [client.query(sql, centre=centre, at_least={"ops": lsn}).table() for centre in CENTRES]
    assert found[0] == found[1]
    assert found[0].column(0)[0].as_py() > 2 * ROWS


@pytest.mark.parametrize("centre", CENTRES)
def test_a_wiped_centre_comes_back_under_load(city: CityProcesses, client: HubClient, centre: str) -> None:
    """Method: kill and wipe it, leader or standby, while small exchanges go on; it comes back by a snapshot."""
    until(both_in_sync(client))
    with SteadyLoad(client, "readings", BATCHES, producer=f"while {centre} is gone {time.time()}", per_s=50) as load:
        city.kill(centre)
        city.wipe(centre)
        city.start(centre)
        until(both_in_sync(client), 60)
    assert accounted_for(client, load) == []
    assert begins_at(client, centre) > 1
    check_same(client)
    told = city.log_file(centre).read_text(encoding="utf-8")
    assert "snapshot installed" in told


def test_killed_again_and_again_while_it_is_seeded(city: CityProcesses, client: HubClient) -> None:
    """Method: wipe the standby, start it and kill it after growing moments, each of them somewhere in the seeding."""
    city.kill("ecc")
    city.wipe("ecc")
    for moment in range(4):
        city.spawn("ecc")
        time.sleep(0.7 + 0.4 * moment)
        city.kill("ecc")
    city.start("ecc")
    check_same(client)


def test_the_source_dies_while_it_seeds(city: CityProcesses, client: HubClient) -> None:
    """Method: kill the source shortly after the wiped one has begun to ask, start it again."""
    city.kill("ecc")
    city.wipe("ecc")
    city.spawn("ecc")
    time.sleep(1.5)
    city.kill("ops")
    time.sleep(0.5)
    city.start("ops")
    check_same(client)


@pytest.mark.parametrize("loss", ["deleted", "damaged", "truncated"])
def test_a_store_that_is_lost_is_made_anew(city: CityProcesses, client: HubClient, loss: str) -> None:
    """Method: the DuckDB file goes while the centre does not run; a damaged one is kept aside."""
    city.kill("ecc")
    path = city.city.folder("ecc") / "store.duckdb"
    if loss == "deleted":
        path.unlink()
        path.with_name("store.duckdb.wal").unlink(missing_ok=True)
    else:
        data = path.read_bytes()
        path.write_bytes(bytes(8192) + data[8192:] if loss == "damaged" else data[:5000])
    city.start("ecc")
    check_same(client)
    if loss != "deleted":
        for aside in city.city.folder("ecc").glob("damaged-*"):
            aside.unlink()


def test_a_standby_away_too_long_comes_back_by_a_snapshot(tmp_path: Path) -> None:
    """Goal: a standby past the cap is announced, dropped, and comes back. Method: a cap of seconds."""
    small = {"log_file_bytes_max": 1 << 16, "tail_bytes_max": 1 << 16}
    limits = {**LIMITS, "log": {"keep_bytes": 1 << 16, "cap_s": 3.0}, "replication": small}
    with CityProcesses(tmp_path, limits=limits) as city:
        start_with_catalogue(city)
        with city.client() as client:
            city.kill("ecc")
            until(lambda: any(log.standby_lost_in_s > 0 for log in client.status("ops").logs))
            end_lsn = next(log.end_lsn for log in client.status("ops").logs if log.log == "ops")
            with client.producer("meanwhile") as producer:
                for batch in READINGS.to_batches(1000):
                    producer.send("readings", batch)
                    producer.flush()
            until(lambda: begins_at(client, "ops") > end_lsn + 1)
            city.start("ecc")
            until(both_in_sync(client), 60)
            assert begins_at(client, "ecc") > end_lsn
            assert equal_digests(client) == []


def test_backup_and_restore(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Goal: a restored city has what the backup had, in both centres, and goes on; a second backup brings only what is
    new; damage is found. Method: the commands."""
    until(both_in_sync(client))

    def does(*arguments: str, code: int = 0) -> dict[str, object]:
        done = CliRunner().invoke(app, [*arguments, "--json"], env={"CITYHUB_CITY": str(city.path)})
        assert done.exit_code == code, done.output
        return dict(json.loads(done.stdout)) if code in (0, 1) else {}

    folder = tmp_path / "backups"
    first = does("backup", str(folder))
    second = does("backup", str(folder), "--centre", "ops", "--keep", "1")
    assert int(str(first["new_bytes"])) == first["bytes"]
    assert int(str(second["new_bytes"])) < int(str(second["bytes"])) // 2
    assert does("restore", str(folder), "--verify")["problems"] == []
    sql = "select count(*) n, sum(value) s from readings"
    rows = client.query(sql, centre="ops").table()
    does("restore", str(folder), code=2)  # This city is there already.

    with CityProcesses(tmp_path / "restored", limits=LIMITS) as other:
        done = CliRunner().invoke(app, ["restore", str(folder), "--city", str(other.path)])
        assert done.exit_code == 0, done.output
        start_with_catalogue(other)
        with other.client() as there:
            assert equal_digests(there) == []
            for centre in CENTRES:
                assert there.query(sql, centre=centre).table() == rows
            with there.producer("after") as producer:
                assert producer.send("readings", BATCHES[0]).result(10).rows == 10

    victim = max((folder / "segments").glob("*.parquet"), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert does("restore", str(folder), "--verify", code=1)["problems"]
    shutil.rmtree(folder)
