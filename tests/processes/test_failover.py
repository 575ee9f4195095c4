"""Failover on real processes.

Goal: whatever one fault does to a centre, the witness or a link, no acknowledged exchange is lost or doubled, every
unknown one has one outcome, writes go on at a leader that may lead, and the centres end equal and in sync on their own.
Method: a real city under a steady load, each fault for real (kill -9, SIGSTOP, cut links through the fault proxy); then
healed, and every exchange is held against both ledgers.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.client import HubClient
from hub.config import CENTRES
from hub.errors import HubError, UnavailableError
from hub.status import LogStatus
from simulator.city.readings import readings, sensors
from simulator.drill.checks import accounted_for, equal_digests
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses
from simulator.drill.topology import WITNESS

PER_S = 200.0
WAIT_S = 30.0
SUSPECT_S = 1.2
BATCHES = list(readings(5_000, 1, sensors=sensors(100, 1), batch_rows=10))


class Drill:
    """A city, a client, and a load on the log `ops`."""

    def __init__(self, city: CityProcesses, client: HubClient, load: SteadyLoad) -> None:
        self.city = city
        self.client = client
        self.load = load

    def log(self, centre: str, name: str = "ops") -> LogStatus:
        return next(log for log in self.client.status(centre).logs if log.log == name)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline_s, error = time.monotonic() + WAIT_S, ""
        while time.monotonic() < deadline_s:
            try:
                if condition():
                    return
            except HubError as not_now:
                error = str(not_now)
            time.sleep(0.05)
        pytest.fail(f"not so within {WAIT_S:.0f} s; {error}")

    def leads(self, centre: str) -> None:
        self.until(lambda: self.log(centre).role == "leader")

    def both_in_sync(self) -> None:
        """Of both logs: a second fault before that would be a double failure."""
        self.until(
            lambda: all(self.log(centre, name).in_sync == sorted(CENTRES) for centre in CENTRES for name in CENTRES)
        )

    def writes_go_on(self) -> None:
        before = self.load.acknowledged
        self.until(lambda: self.load.acknowledged > before + 20)

    def versions(self) -> list[int]:
        return [self.log("ops", name).configuration_version for name in CENTRES]


@contextmanager
def drill(folder: Path, *, proxied: bool = False) -> Iterator[Drill]:
    """Ends healed: both centres in sync, all exchanges accounted for, all data sets equal."""
    with CityProcesses(folder, proxied=proxied) as city:
        city.start()
        with city.client() as client:
            wait_for_catalogue(client)
            with SteadyLoad(client, "readings", BATCHES, producer="load", per_s=PER_S) as load:
                run = Drill(city, client, load)
                run.both_in_sync()
                run.writes_go_on()
                yield run
                run.writes_go_on()
                run.both_in_sync()
            assert accounted_for(client, load) == []
            assert equal_digests(client) == []
        if proxied:
            assert city.proxies.all_healed


def wait_for_catalogue(client: HubClient) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while any("readings" not in client.contracts(centre=centre) for centre in CENTRES):
        assert time.monotonic() < deadline_s, "no catalogue"
        time.sleep(0.05)


def test_leader_killed_under_load(tmp_path: Path) -> None:
    """Method: kill -9; the other centre leads within moments, the old leader comes back as its standby; then the same
    in the other direction."""
    with drill(tmp_path) as run:
        for old, new in (("ops", "ecc"), ("ecc", "ops")):
            killed_s = time.monotonic()
            run.city.kill(old)
            run.leads(new)
            run.writes_go_on()
            assert run.load.outage_s(killed_s) < SUSPECT_S, "a process that is gone needs no time of silence"
            assert run.log(new).in_sync == [new]
            run.city.start(old)
            run.both_in_sync()
            assert run.log(old).role == "standby"


def test_leader_paused_longer_and_shorter(tmp_path: Path) -> None:
    """Method: SIGSTOP. Shorter than the threshold nothing changes; longer, the other centre leads, and the old leader
    finds itself deposed when it goes on."""
    with drill(tmp_path) as run:
        before = run.versions()
        run.city.pause("ops")
        time.sleep(SUSPECT_S / 3)
        run.city.resume("ops")
        run.writes_go_on()
        time.sleep(SUSPECT_S)
        assert run.versions() == before
        run.city.pause("ops")
        time.sleep(SUSPECT_S * 2)
        assert run.log("ecc").role == "leader"
        run.city.resume("ops")
        run.both_in_sync()
        assert run.log("ops").role == "standby"
        assert run.log("ops").epoch == 2


def test_standby_killed_and_paused(tmp_path: Path) -> None:
    """Method: the leader goes on alone and takes the standby back, each time with few changes of configuration."""
    with drill(tmp_path) as run:
        run.city.kill("ecc")
        run.until(lambda: run.log("ops").in_sync == ["ops"])
        run.writes_go_on()
        run.city.start("ecc")
        run.both_in_sync()
        run.city.pause("ecc")
        run.until(lambda: run.log("ops").in_sync == ["ops"])
        run.writes_go_on()
        run.city.resume("ecc")
        run.both_in_sync()
        assert run.log("ops").configuration_version == 5
        assert run.log("ops").epoch == 1


def test_witness_killed_and_restored(tmp_path: Path) -> None:
    """Method: without the witness writes go on and no role can change; a standby's death then stops writes, reads go
    on; the witness back, the leader goes on alone."""
    with drill(tmp_path) as run:
        run.city.kill(WITNESS)
        run.until(lambda: not run.client.status("ops").witness.seen)
        run.writes_go_on()
        run.city.kill("ecc")
        time.sleep(2 * SUSPECT_S)
        assert run.log("ops").in_sync == sorted(CENTRES)
        assert "cannot be reached" in run.log("ops").blocked
        assert run.client.query("select count(*) n from readings").table().num_rows == 1
        run.city.start(WITNESS)
        run.until(lambda: run.log("ops").in_sync == ["ops"])
        run.writes_go_on()
        run.city.start("ecc")


def test_leader_dies_while_the_witness_is_down(tmp_path: Path) -> None:
    """Goal: a witness that starts again misses a leader that it never heard. Method: witness and leader are killed;
    the witness comes back, and the standby leads."""
    with drill(tmp_path) as run:
        run.city.kill(WITNESS)
        run.city.kill("ops")
        time.sleep(SUSPECT_S)
        assert run.log("ecc").role == "standby"
        run.city.start(WITNESS)
        run.leads("ecc")
        run.writes_go_on()
        run.city.start("ops")


@pytest.mark.parametrize("order", [("ops", "ecc"), ("ecc", "ops")])
def test_both_killed_and_restarted(tmp_path: Path, order: tuple[str, str]) -> None:
    """Method: both die at once, and come back one after the other."""
    with drill(tmp_path) as run:
        for centre in CENTRES:
            run.city.kill(centre)
        for centre in order:
            run.city.start(centre)
        run.both_in_sync()


def test_old_leader_refuses_after_its_successor_died_alone(tmp_path: Path) -> None:
    """Method: ops leads and dies, ecc leads alone and dies; ops comes back and must not lead, and says why; with ecc
    back everything is there."""
    with drill(tmp_path) as run:
        run.city.kill("ops")
        run.leads("ecc")
        run.writes_go_on()
        run.city.kill("ecc")
        run.city.start("ops")
        run.until(lambda: "must not lead" in run.log("ops").blocked)
        acknowledged = run.load.acknowledged
        time.sleep(2 * SUSPECT_S)
        assert run.log("ops").role == "standby"
        assert run.load.acknowledged == acknowledged
        run.city.start("ecc")
        run.leads("ecc")


def test_lost_disk_of_each_role(tmp_path: Path) -> None:
    """Goal: a centre whose disk was replaced leads nothing until it holds everything again. Method: the standby of the
    log, then its leader, is killed, wiped and started at once."""
    with drill(tmp_path) as run:
        run.city.kill("ecc")
        run.city.wipe("ecc")
        run.city.start("ecc")
        run.both_in_sync()
        assert run.log("ops").role == "leader"
        run.city.kill("ops")
        run.city.wipe("ops")
        run.city.start("ops")
        run.leads("ecc")
        run.both_in_sync()


EDGES = [("ops", "ecc"), ("ops", WITNESS), ("ecc", WITNESS)]


def test_each_edge_cut(tmp_path: Path) -> None:
    """Goal: with one edge of the triangle cut, in full or one way, the leader goes on leading. Method: each cut for
    longer than the threshold under load, then healed."""
    with drill(tmp_path, proxied=True) as run:
        for one, other in EDGES:
            for source, target, one_way in ((one, other, False), (one, other, True), (other, one, True)):
                run.city.proxies.cut(source, target, one_way=one_way)
                time.sleep(1.5 * SUSPECT_S)
                run.writes_go_on()
                assert (run.log("ops").role, run.log("ops").epoch) == ("leader", 1), (source, target, one_way)
                run.city.proxies.heal()
                run.both_in_sync()
        assert run.log("ops").configuration_version <= 1 + 2 * 3, "only the cuts between the centres change in_sync"


def test_isolated_leader_is_followed_and_cannot_read_strongly(tmp_path: Path) -> None:
    """Method: the leader is cut from its peer and the witness, not from clients; the other centre leads, clients
    follow, and the old leader refuses strong reads while it still believes that it leads."""
    with drill(tmp_path, proxied=True) as run:
        run.city.proxies.isolate("ops", clients=False)
        run.leads("ecc")
        run.writes_go_on()
        assert run.log("ops").role == "leader"
        with pytest.raises(UnavailableError, match="cannot prove"):
            run.client.query("select count(*) from readings", centre="ops", strong=True)
        run.city.proxies.heal()
        run.both_in_sync()
        assert run.log("ops").role == "standby"
