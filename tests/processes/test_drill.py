"""The drills' own means, on real processes.

Goal: what a drill breaks is broken as it says, what it counts is counted right, and it leaves nothing behind.
Method: a city behind proxies that is paused, wiped and left in the middle of all that; a load whose producer gives up.
"""

import socket
import time
from pathlib import Path

import psutil
import pytest

from hub.client import HubClient
from hub.errors import HubError
from simulator.city.readings import readings, sensors
from simulator.drill.checks import accounted_for
from simulator.drill.load import Outcome, SteadyLoad
from simulator.drill.processes import CityProcesses
from simulator.drill.topology import PROCESSES, WITNESS


class BrokenDrillError(Exception):
    pass


def answers(client: HubClient, centre: str) -> bool:
    try:
        return client.status(centre).centre == centre
    except HubError:
        return False


def break_off(city: CityProcesses) -> None:
    """Leaves a city with a process paused, one dead and wiped, and its links cut."""
    with city:
        city.start()
        with city.client() as client:
            city.pause("ops")
            assert city.running("ops")
            assert not answers(client, "ops")
            city.resume("ops")
            deadline_s = time.monotonic() + 10
            while not answers(client, "ops"):
                assert time.monotonic() < deadline_s, "it does not go on"
            city.proxies.isolate("ecc")
            assert not answers(client, "ecc")
        city.kill(WITNESS)
        city.wipe(WITNESS)
        assert not city.running(WITNESS)
        assert not city.city.witness_folder.exists()
        city.pause("ops")
        raise BrokenDrillError


def test_broken_drill_leaves_nothing_behind(tmp_path: Path) -> None:
    """Method: an error in the middle of a drill; no process that knows the folder lives, no port is taken."""
    city = CityProcesses(tmp_path, proxied=True)
    with pytest.raises(BrokenDrillError):
        break_off(city)
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or ())]
    for address in (*city.addresses.values(), *city.proxies.addresses.values()):
        host, _, port = address.partition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))
    assert not any(city.running(name) for name in PROCESSES)


def test_unknown_outcomes_are_told_and_resolved(own_pair: CityProcesses) -> None:
    """Method: the standby dies under a load whose producer gives up after a second, and comes back."""
    batches = list(readings(1_000, 1, sensors=sensors(10, 1), batch_rows=10))
    with own_pair.client() as client:
        with SteadyLoad(client, "readings", batches, producer="hasty", per_s=50, patience_s=1.0) as load:
            time.sleep(1)
            killed_s = time.monotonic()
            own_pair.kill("ecc")
            time.sleep(4)
            own_pair.start("ecc")
            back_s = time.monotonic()
            time.sleep(3)
        assert load.sequences(Outcome.UNKNOWN)
        assert {one.outcome for one in load.exchanges} <= set(Outcome)
        assert 4.0 < load.outage_s(killed_s) < back_s - killed_s + 3
        assert load.outage_s(time.monotonic()) == float("inf")
        with pytest.raises(HubError):
            load.receipts()
        assert accounted_for(client, load) == []
        load.exchanges[0].outcome, load.exchanges[0].receipt = Outcome.REFUSED, None
        assert "refused" in " ".join(accounted_for(client, load)), "the check sees what does not fit"
