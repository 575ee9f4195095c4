"""The commands with which operators look after the pair.

Goal: each does what it says, shows what it did and when, ends with its documented exit code, and refuses with a reason
what would lose an acknowledged entry.
Method: the command against a real city, as a process of its own where it asks on a terminal; faults are real, and the
city is whole again after each test.
"""

import json
import os
import pty
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from hub.client.producer import newest
from hub.errors import HubError
from hub.ingest.exchange import Receipt
from hub.status import LogStatus
from simulator.city.readings import readings, sensors
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses
from simulator.drill.topology import WITNESS

WAIT_S = 20.0
SUSPECT_S = 1.2


class Operator:
    """Somebody at a shell, 80 columns wide, with a client to look with."""

    def __init__(self, city: CityProcesses, client: HubClient) -> None:
        self.city = city
        self.client = client

    def does(self, *arguments: str) -> tuple[int, str]:
        """(exit code, all that was printed), with nobody to ask."""
        environment = {"CITYHUB_CITY": str(self.city.path), "COLUMNS": "80"}
        done = CliRunner().invoke(app, arguments, env=environment)
        return done.exit_code, done.output

    def does_at_terminal(self, *arguments: str, typed: str) -> tuple[int, str]:
        environment = {**os.environ, "CITYHUB_CITY": str(self.city.path)}
        terminal, other_end = pty.openpty()
        os.write(terminal, f"{typed}\n".encode())
        try:
            done = subprocess.run(
                [sys.executable, "-m", "hub.cli", *arguments],
                stdin=other_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=30,
            )
        finally:
            os.close(other_end)
            os.close(terminal)
        return done.returncode, done.stdout.decode()

    def answered(self, *arguments: str) -> Any:
        """JSON of a command that must succeed."""
        code, printed = self.does(*arguments, "--json")
        assert code == 0, printed
        return json.loads(printed)

    def steps(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        code, printed = self.does(*arguments, "--json")
        return code, [json.loads(line) for line in printed.splitlines()]

    def log(self, centre: str, name: str = "ops") -> LogStatus:
        return next(log for log in self.client.status(centre).logs if log.log == name)

    def until(self, condition: Callable[[], object]) -> None:
        deadline_s, error = time.monotonic() + WAIT_S, ""
        while time.monotonic() < deadline_s:
            try:
                if condition():
                    return
            except HubError as not_now:
                error = str(not_now)
            time.sleep(0.05)
        pytest.fail(f"not so within {WAIT_S:.0f} s; {error}")

    def until_ready(self) -> None:
        """Both in sync, everybody seen."""
        self.until(lambda: self.does("validate")[0] == 0)

    def writes(self, rows: int, seed: int) -> list[Receipt]:
        """One entry a row, each acknowledged before the next is sent."""
        with self.client.producer() as producer:
            batches = readings(rows, seed, sensors=sensors(10, 1), batch_rows=1)
            return [producer.send("readings", batch).result() for batch in batches]


@pytest.fixture
def operator(city: CityProcesses) -> Iterator[Operator]:
    with city.client() as client:
        one = Operator(city, client)
        one.until_ready()
        yield one
        one.until_ready()


def test_validate_and_status_of_a_pair_that_is_well(operator: Operator) -> None:
    """Method: as JSON and at 80 columns; the metrics say the same."""
    found = operator.answered("validate")
    assert found["ready"]
    assert len(found["checks"]) == 37
    assert all(one["ok"] and one["remedy"] for one in found["checks"])
    assert [one["loss"] for one in found["recovery"]] == ["0 records", "0 records"]
    assert "recovery" in operator.answered("status")
    for command in ("validate", "status"):
        code, printed = operator.does(command)
        assert code == 0
        assert max(map(len, printed.splitlines())) <= 80
        assert "about 0.3 s" in printed
        assert "…" not in printed
    address = operator.city.city.centres["ops"].http
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as reply:
        metrics = reply.read().decode()
    for line in ("cityhub_witness_seen 1.0", "cityhub_maintenance 0.0", 'cityhub_log_in_sync{log="ops"} 2.0'):
        assert line in metrics


def test_switchover_there_and_back(operator: Operator) -> None:
    """Method: as JSON lines, again when it is done already, and back in plain words."""
    code, steps = operator.steps("switchover", "ops", "--to", "ecc")
    assert code == 0
    assert [step["done"] for step in steps] == [False, True]
    assert "ecc leads ops in epoch" in steps[-1]["what"]
    assert steps[0]["at_ms"] < steps[1]["at_ms"] < 1000
    code, steps = operator.steps("switchover", "ops", "--to", "ecc")
    assert (code, len(steps)) == (0, 1)
    assert "already" in steps[0]["what"]
    code, printed = operator.does("switchover", "ops", "--to", "ops")
    assert code == 0
    assert "ms  ops leads ops in epoch" in printed
    assert operator.does("switchover", "ops", "--to", "mars")[0] == 2
    assert operator.does("switchover", "mars", "--to", "ops")[0] == 2
    (*_, last) = operator.answered("history")
    assert (last["log"], last["leader"], last["centre"], last["reason"]) == ("ops", "ops", "ecc", "handed over")
    assert 0 < last["after_s"] < WAIT_S
    code, printed = operator.does("history", "--log", "ops")
    assert code == 0
    assert "asked by ecc: handed over" in printed
    assert "log ecc" not in printed


def test_failover_to_a_standby_in_sync_while_the_leader_lives(operator: Operator) -> None:
    """Goal: it is confirmed first, loses nothing, and the old leader becomes the standby by itself. Method: nobody to
    ask, a wrong word on a terminal, the right one."""
    failover = ("failover", "ops", "--to", "ecc")
    code, printed = operator.does(*failover)
    assert code == 2
    assert "nothing is lost" in printed
    assert "--yes" in printed
    assert operator.does_at_terminal(*failover, typed="ecc")[0] == 1
    assert operator.log("ops").role == "leader"
    receipts = operator.writes(5, 1)
    code, printed = operator.does_at_terminal(*failover, typed="ops")
    assert code == 0, printed
    assert "ecc leads ops" in printed
    assert operator.does(*failover)[0] == 0, "it leads already"
    operator.until(lambda: operator.log("ops").in_sync == ["ecc", "ops"])
    assert operator.log("ops").role == "standby"
    assert operator.log("ecc").end_lsn > receipts[-1].lsn
    assert operator.does("switchover", "ops", "--to", "ops")[0] == 0


def test_strong_read(operator: Operator) -> None:
    """Method: each centre, right after a write."""
    for seed, centre in enumerate(("ops", "ecc"), start=10):
        before = _count(operator, centre)
        operator.writes(3, seed)
        assert _count(operator, centre) == before + 3
    assert operator.does("query", "select 1", "--read", "dirty")[0] == 2


def _count(operator: Operator, centre: str) -> int:
    sql = "select count(*) n from readings"
    code, printed = operator.does("query", sql, "--centre", centre, "--read", "strong", "-f", "json")
    assert code == 0, printed
    return int(json.loads(printed)[0]["n"])


def test_a_planned_stop_hands_over_first(operator: Operator) -> None:
    """Method: the leader is told to stop, with the witness there, and in maintenance; writes go on at once."""
    epoch = operator.log("ops").epoch
    assert operator.city.stop("ops") == 0
    led = operator.log("ecc")
    assert (led.role, led.epoch) == ("leader", epoch + 1)
    (change,) = [one for one in operator.answered("history") if one["log"] == "ops" and one["epoch"] == epoch + 1][:1]
    assert change["reason"] == "handed over"
    operator.city.start("ops")
    operator.until_ready()
    assert operator.does("maintenance", "on")[0] == 0
    operator.until(lambda: operator.client.status("ecc").witness.maintenance)
    assert operator.city.stop("ecc") == 0
    assert operator.log("ops").leader == "ecc"
    operator.city.start("ecc")
    assert operator.does("maintenance", "off")[0] == 0
    operator.until_ready()
    assert operator.does("switchover", "ops", "--to", "ops")[0] == 0


def test_maintenance_keeps_roles_until_it_is_over(operator: Operator) -> None:
    """Method: the leader is killed while it is on, longer than the threshold; then it is turned off."""
    assert operator.answered("maintenance", "status") == {"on": False}
    assert operator.answered("maintenance", "on") == {"on": True}
    operator.until(lambda: operator.client.status("ecc").witness.maintenance)
    assert operator.answered("maintenance", "status") == {"on": True}
    code, printed = operator.does("validate")
    assert code == 1
    assert "cityhub maintenance off" in printed
    assert "MAINTENANCE" in operator.does("status")[1]
    operator.city.kill("ops")
    time.sleep(1.5 * SUSPECT_S)
    assert operator.log("ecc").role == "standby"
    assert operator.does("maintenance", "off")[0] == 0
    operator.until(lambda: operator.log("ecc").role == "leader")
    (*_, last) = [one for one in operator.answered("history") if one["log"] == "ops"]
    assert (last["leader"], last["in_sync"], last["centre"]) == ("ecc", ["ecc"], "ecc")
    assert "ops is missing" in last["reason"]
    operator.city.start("ops")
    operator.until_ready()
    assert operator.does("switchover", "ops", "--to", "ops")[0] == 0


def test_a_witness_that_lost_its_files_is_refused_until_it_is_rebuilt(operator: Operator) -> None:
    """Method: killed, wiped and started; then rebuilt from both centres, which one alone may not do."""
    version = operator.log("ops").configuration_version
    operator.city.kill(WITNESS)
    operator.city.wipe(WITNESS)
    operator.city.start(WITNESS)
    operator.until(lambda: "rebuild it" in operator.client.status("ops").witness.problem)
    code, printed = operator.does("status")
    assert code == 0
    assert printed.count("UNOBSERVED") == 2
    code, printed = operator.does("validate")
    assert code == 1
    assert "cityhub witness rebuild" in printed
    code, printed = operator.does("switchover", "ops", "--to", "ecc")
    assert code == 3
    assert "rebuild it" in printed
    code, steps = operator.steps("witness", "rebuild")
    assert code == 0, steps
    assert "generation 2" in steps[-1]["what"]
    operator.until_ready()
    assert operator.log("ops").configuration_version == version
    assert operator.does("switchover", "ops", "--to", "ecc")[0] == 0
    assert operator.does("switchover", "ops", "--to", "ops")[0] == 0


def test_a_stop_without_the_witness_is_bounded(operator: Operator) -> None:
    """Method: the witness is killed; the leader stops all the same, in time, and says what it did not do."""
    operator.city.kill(WITNESS)
    operator.until(lambda: not operator.client.status("ops").witness.seen)
    code, printed = operator.does("witness", "rebuild")
    assert code == 3
    assert "the witness" in printed
    started_s = time.monotonic()
    assert operator.city.stop("ops") == 0
    assert time.monotonic() - started_s < 6
    assert '"not_handed_over": "it is not reached' in operator.city.log_file("ops").read_text(encoding="utf-8")
    assert operator.log("ecc").leader == "ops"
    assert operator.does("witness", "rebuild")[0] == 3
    operator.city.start(WITNESS)
    operator.city.start("ops")


def test_failover_that_loses_entries(own_city: CityProcesses) -> None:
    """Goal: no acknowledged entry is given up without an operator's word, on the record, and what only the old leader
    holds stays there.
    Method: the standby dies, five writes are acknowledged by the leader alone, it dies, the standby comes back."""
    with own_city.client() as client:
        operator = Operator(own_city, client)
        operator.until_ready()
        shared = operator.writes(5, 1)
        own_city.kill("ecc")
        operator.until(lambda: operator.log("ops").in_sync == ["ops"])
        alone = operator.writes(5, 2)
        (recovery, *_) = json.loads(operator.does("validate", "--json")[1])["recovery"]
        assert recovery["reason"] == "ecc is not in sync"
        assert recovery["loss_entries"] >= len(alone)
        time.sleep(0.3)  # The witness hears of it with the next beats.
        own_city.kill("ops")
        own_city.start("ecc")
        operator.until(lambda: "must not lead" in operator.log("ecc").blocked)
        assert operator.log("ecc").role == "standby"
        code, printed = operator.does("failover", "ops", "--to", "ecc")
        assert code == 1
        assert "would be lost" in printed
        assert "--allow-data-loss" in printed
        code, steps = operator.steps("failover", "ops", "--to", "ecc", "--yes")
        assert code == 1
        assert [step["succeeded"] for step in steps] == [False, False]
        assert operator.does("failover", "ops", "--to", "ecc", "--allow-data-loss")[0] == 2, "nobody confirmed it"
        assert operator.log("ecc").role == "standby"
        code, steps = operator.steps("failover", "ops", "--to", "ecc", "--allow-data-loss", "--yes")
        assert code == 0
        assert f"acknowledged entries of ops through {alone[-1].lsn}" in steps[0]["what"]
        assert operator.log("ecc").role == "leader"
        forced = [one for one in operator.answered("history") if one["reason"].startswith("forced by the operator")]
        assert [(one["log"], one["leader"], one["centre"]) for one in forced] == [("ops", "ecc", "ecc")]
        assert steps[0]["what"] in forced[0]["reason"]
        position = newest(operator.writes(3, 3))
        answer = client.query("select count(*) n from readings", centre="ecc", at_least=position)
        assert answer.table().to_pylist() == [{"n": 8}]
        own_city.start("ops")
        operator.until(lambda: "acknowledged and stand here" in operator.log("ops").blocked)
        assert f"entries {shared[-1].lsn + 1} to" in operator.log("ops").blocked
        code, printed = operator.does("validate")
        assert code == 1
        assert "seeded anew" in printed
        operator.until(lambda: operator.log("ops", "ecc").in_sync == ["ecc", "ops"])
        own_city.stop("ops")
        own_city.wipe("ops")
        own_city.start("ops")
        operator.until_ready()
        assert equal_digests(client) == []
