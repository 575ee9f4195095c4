"""Goal: at a real pair a planted leak becomes one alert that is taken and closed in order, each record once, whatever
centre dies meanwhile.

Method: a small synthetic city with a leak at 62 %LEL from 09:00 to 09:10 on its first day, and a storm; passes by the
command in this process, by several times; people who take and close; kills.
"""

import json
import signal
import subprocess
import sys
import threading
from typing import Any, Final

import pyarrow as pa
import pytest
from conftest import until
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from simulator.city.contents import contents
from simulator.city.load import load_city
from simulator.city.plan import City
from simulator.city.sensing import LEAK_MS, LEAK_VALUE
from simulator.drill.processes import CityProcesses

PLAN: Final = City(0.0002)
LEAK: Final = "sensor:1:20260601T090000.000:red"
LEAK_S: Final = LEAK_MS // 1000
CENTRES: Final = ("ops", "ecc")


def warn(city: CityProcesses, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["warn", *words, "--city", str(city.path), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.stderr


def passed(city: CityProcesses, since: str, to: str) -> tuple[set[str], set[str]]:
    """Keys that were sent, and closed."""
    done = warn(city, "run", "--since", f"2026-06-01T{since}", "--until", f"2026-06-01T{to}")
    return {one["alert_id"] for one in done["sent"]}, {one["alert_id"] for one in done["closed"]}


def records(client: HubClient, centre: str | None = None) -> list[dict[str, Any]]:
    sql = "select * from alerts order by alert_id, case state when 'sent' then 1 when 'taken' then 2 else 3 end"
    rows: list[dict[str, Any]] = client.query(sql, centre=centre, strong=True).table().to_pylist()
    return rows


@pytest.fixture(scope="module")
def loaded(city: CityProcesses) -> CityProcesses:
    with city.client() as client:
        load_city(client, PLAN)
    return city


class Watcher:
    """Collects (alert, state) in a thread of its own."""

    def __init__(self, city: CityProcesses) -> None:
        self.seen: list[tuple[str, str]] = []
        self.begun = threading.Event()
        self._stream = city.client().watch_alerts(centre="ops")
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        for alerts, _ in self._stream:
            self.begun.set()
            self.seen += [(one.alert_id, one.state) for one in alerts]


def test_the_leak_is_one_alert_from_its_begin_to_its_end(loaded: CityProcesses, client: HubClient) -> None:
    """Method: a pass that ends amid the leak, the same again, people, and one that sees the end of it."""
    watcher = Watcher(loaded)
    assert watcher.begun.wait(20)
    dry = warn(loaded, "run", "--since", "2026-06-01T08:00", "--until", "2026-06-01T09:05", "--dry-run")
    assert LEAK in {one["alert_id"] for one in dry["sent"]}
    assert records(client) == []
    sent, _ = passed(loaded, "08:00", "08:50")
    assert "gas_leak" not in {one["category"] for one in records(client)}
    assert sent, "it rains"
    sent, closed = passed(loaded, "08:50", "09:05")
    assert {key for key in sent if key.startswith("sensor:1:")} == {LEAK}
    assert not closed & {LEAK}
    assert passed(loaded, "08:50", "09:05") == (set(), set())
    (row,) = (one for one in records(client) if one["category"] == "gas_leak")
    assert (row["alert_id"], row["state"], row["level"], row["by"]) == (LEAK, "sent", "red", "cityhub")
    evidence = json.loads(row["evidence"])
    assert evidence["rows"][-1] == {"observed_at": "2026-06-01T09:00:00.000Z", "value": LEAK_VALUE}
    assert (evidence["sensor_id"], evidence["threshold"], evidence["unit"]) == (1, 50.0, "%LEL")
    assert evidence["baseline"] is None, "the first day has nothing before it"
    assert evidence["position"].startswith("ecc=")
    until(lambda: (LEAK, "sent") in watcher.seen)

    assert "take it first" in warn(loaded, "close", LEAK, "--by", "王", code=4)
    assert warn(loaded, "take", LEAK, "--by", "王")["state"] == "taken"
    assert warn(loaded, "take", LEAK, "--by", "王")["state"] == "taken", "asked again after a lost answer"
    assert "is taken by 王" in warn(loaded, "take", LEAK, "--by", "李", code=4)

    _, closed = passed(loaded, "09:05", "09:30")
    assert LEAK not in closed, "it is quiet for twenty minutes only"
    _, closed = passed(loaded, "09:30", "10:00")
    assert LEAK in closed
    assert "cannot be taken" in warn(loaded, "take", LEAK, "--by", "李", code=4)
    assert "cannot be closed" in warn(loaded, "close", LEAK, "--by", "李", code=4)
    mine = [one for one in records(client) if one["alert_id"] == LEAK]
    assert [(one["state"], one["by"]) for one in mine] == [("sent", "cityhub"), ("taken", "王"), ("closed", "cityhub")]
    assert (mine[2]["at"] - mine[0]["at"]).total_seconds() == LEAK_S - 10 + 1800
    until(lambda: [state for key, state in watcher.seen if key == LEAK] == ["sent", "taken", "closed"])


def test_a_day_in_one_pass_is_the_day_in_parts(loaded: CityProcesses, client: HubClient) -> None:
    """Method: the morning went by in passes; all of it once more finds nothing new. The storm is seen."""
    for part in (("10:00", "11:00"), ("11:00", "12:00")):
        passed(loaded, *part)
    before = records(client)
    dry = warn(loaded, "run", "--since", "2026-06-01T08:00", "--until", "2026-06-01T12:00", "--dry-run")
    assert (dry["sent"], dry["closed"]) == ([], [])
    assert records(client) == before
    storm = [one for one in before if one["category"] == "geological_hazard" and one["state"] == "sent"]
    assert {"orange", "red"} <= {one["level"] for one in storm}
    for one in storm:
        evidence = json.loads(one["evidence"])
        share = max(evidence[f"rain_{span}"] / evidence[f"warning_rain_{span}"] for span in ("1h", "24h"))
        assert share == pytest.approx(evidence["share"], abs=0.001)
        assert {"blue": 0.7, "yellow": 0.85, "orange": 1.0, "red": 1.5}[one["level"]] <= share
    states: dict[str, list[str]] = {}
    for row in before:
        states.setdefault(row["alert_id"], []).append(row["state"])
    assert {tuple(one) for one in states.values()} <= {("sent",), ("sent", "closed"), ("sent", "taken", "closed")}
    listed = warn(loaded, "list")
    assert {one["alert_id"]: one["state"] for one in listed} == {key: one[-1] for key, one in states.items()}


def test_the_last_pass_is_remembered(loaded: CityProcesses) -> None:
    """Method: a pass without a time begins where the last one ended, and goes to the newest reading."""
    newest = warn(loaded, "run", "--dry-run", "--since", "2026-06-04T10:00")
    assert newest["until"] == "2026-06-04T11:11:14.901Z"
    warn(loaded, "run", "--since", "2026-06-01T12:00", "--until", "2026-06-01T14:07")
    assert warn(loaded, "run", "--dry-run")["since"] == "2026-06-01T14:00:00.000Z"


def test_who_is_called(loaded: CityProcesses, client: HubClient) -> None:
    """Method: for the leak; the plan's experts of that hazard, and the nearest stations by another formula."""
    found = warn(loaded, "call", LEAK)
    assert found["experts"]
    assert all("gas_leak" in one["hazards"] for one in found["experts"])
    assert found["experts"][0]["available"]
    sql = (
        "select station_id from rescue_stations r, sensors s where sensor_id = 1 and r.kind in ('fire', 'chemical') "
        "order by power(r.lat - s.lat, 2) + power((r.lon - s.lon) * cos(radians(s.lat)), 2) limit 3"
    )
    nearest = [row["station_id"] for row in client.query(sql).table().to_pylist()]
    assert [one["station_id"] for one in found["stations"]] == nearest
    assert "there is no alert" in warn(loaded, "call", "nonsense", code=4)


def test_each_record_is_there_once_over_a_kill(own_city: CityProcesses) -> None:
    """Method: kill -9 of the centre that leads the alerts between passes and between states; each is asked for again at
    the other centre, and once more when the killed one is back."""
    leak = sensors_and_leak()
    with own_city.client() as client:
        for data_set, rows in leak.items():
            with client.producer() as producer:
                for first in range(0, rows.num_rows, 20_000):
                    producer.send(data_set, rows.slice(first, 20_000)).result()
        assert passed(own_city, "08:55", "09:05") == ({LEAK}, set())
        own_city.kill("ecc")
        assert passed(own_city, "08:55", "09:05") == (set(), set())
        warn(own_city, "take", LEAK, "--by", "王")
        own_city.start("ecc")
        until(lambda: all(sorted(log.in_sync) == sorted(CENTRES) for log in client.status("ops").logs))
        own_city.kill("ops")
        assert warn(own_city, "take", LEAK, "--by", "王")["by"] == "王"
        assert passed(own_city, "09:00", "09:45") == (set(), {LEAK})
        own_city.start("ops")
        assert passed(own_city, "08:55", "09:45") == (set(), set())
        for centre in CENTRES:
            assert [one["state"] for one in records(client, centre)] == ["sent", "taken", "closed"]
            sql = "select count(*) n from exchanges where data_set = 'alerts' and rows > 0"
            assert client.query(sql, centre=centre, strong=True).table().to_pylist() == [{"n": 3}]
        lsn, digests = client.verify_log("ecc")
        assert lsn
        assert digests["ops"] == digests["ecc"]


def test_watch_goes_on_over_a_failover_and_stops_when_told(own_city: CityProcesses) -> None:
    """Method: the command as a process of its own, a pass a second; the leak comes in after the centre that leads the
    alerts was killed; Ctrl-C."""
    leak = sensors_and_leak()
    command = [sys.executable, "-m", "hub.cli", "warn", "watch", "--every", "1", "--city", str(own_city.path)]
    with (
        own_city.client() as client,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch,
    ):
        try:
            assert watch.stderr is not None
            assert watch.stdout is not None
            assert b"nothing new" in watch.stderr.readline()
            own_city.kill("ecc")
            for data_set, rows in leak.items():
                with client.producer() as producer:
                    producer.send(data_set, rows).result()
            told = b""
            while b"sent by cityhub" not in told:
                told = watch.stdout.readline()
                assert told, watch.stderr.read()
            assert "red sent by cityhub: gas sensor 1 reads 62 %LEL" in told.decode()
            watch.send_signal(signal.SIGINT)
            _, told = watch.communicate(timeout=30)
            assert watch.returncode == 130
            assert b"Traceback" not in told
        finally:
            watch.kill()


def sensors_and_leak() -> dict[str, pa.RecordBatch]:
    """The first sensor of the city, and its readings around the leak."""
    found: dict[str, pa.RecordBatch] = {}
    for data_set, rows in contents(PLAN):
        if data_set == "sensors":
            found[data_set] = rows.slice(0, 1)
        if data_set == "readings":
            at = pa.compute.hour(rows["observed_at"])
            kept = rows.filter(
                pa.compute.and_(pa.compute.equal(rows["sensor_id"], 1), pa.compute.is_in(at, pa.array([8, 9])))
            )
            found[data_set] = kept if data_set not in found else pa.concat_batches([found[data_set], kept])
            if rows["observed_at"][0].as_py().hour >= 10:
                return found
    raise AssertionError("the city has a day of readings")
