"""Kill -9 under load.

Goal: nothing acknowledged is lost, nothing is doubled, both centres end equal, whichever process dies whenever.
Method: a real pair under a steady load of small exchanges; twenty rounds kill one side at a random moment, start it
again after a random pause, and go on; at the end every receipt is held against both ledgers and all digests compared.
"""

import random
import time

from hub.client import HubClient
from simulator.city.readings import readings, sensors
from simulator.drill.checks import acknowledged_once, equal_digests
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

ROUNDS = 20
SEED = 20170082


def test_twenty_rounds_of_kill_9(own_city: CityProcesses) -> None:
    """Both logs are under load, so that each kill hits a leader and a standby at once."""
    rng = random.Random(SEED)
    batches = list(readings(10 * 500, SEED, sensors=sensors(1000, SEED), batch_rows=10))
    with own_city.client() as client:
        client.contract("readings")
        with SteadyLoad(client, "readings", batches, producer="kills", per_s=300) as load:
            for _ in range(ROUNDS):
                centre = rng.choice(client.centres)
                time.sleep(rng.uniform(0.1, 0.8))
                own_city.kill(centre)
                time.sleep(rng.uniform(0.0, 0.5))
                own_city.start(centre)
            time.sleep(1)
        receipts = load.receipts()
        assert len(receipts) > ROUNDS, "the load hardly ran"
        problems = [
            problem
            for centre in client.centres
            for problem in acknowledged_once(client, centre, load.producer, receipts)
        ]
        assert problems + equal_digests(client) == [], f"seed {SEED}"
        _readings_are_as_sent(client, len(receipts) * 10)


def _readings_are_as_sent(client: HubClient, rows: int) -> None:
    for centre in client.centres:
        (found,) = client.query("select count(*) n from readings", centre=centre).table().to_pylist()
        assert found["n"] == rows, centre
