"""Random walks through a pair's world: one seed, one schedule.

Each walk weighs its faults anew (swarm testing): one is mostly loss, another mostly crashes, another all at once.
"""

import random
from typing import Final

from replication.core.events import Connected, Disconnected, Tick
from simulator.world.pair import CENTRES, Pair

_ACTIONS: Final = ("propose", "persist", "first", "any", "lose", "tick", "suspect", "restart", "reconnect", "read")


def walk(seed: int, *, steps: int = 120) -> Pair:
    """Walks, checking every state; then heals, and checks that the pair converged. Raises AssertionError with the
    transcript of what happened."""
    rng = random.Random(seed)
    pair = Pair(window_entries_max=rng.choice((1, 2, 4)))
    weights = [rng.random() ** 2 for _ in _ACTIONS]
    for _ in range(steps):
        _act(pair, rng, rng.choices(_ACTIONS, weights)[0], rng.choice(CENTRES))
        pair.check()
    pair.heal()
    pair.check()
    pair.check_converged()
    return pair


def _act(pair: Pair, rng: random.Random, action: str, name: str) -> None:
    if action == "propose":
        pair.propose(rng.randint(1, 3))
    elif action in ("first", "any", "lose"):
        _touch_message(pair, rng, action)
    elif pair.centres[name].replica is None:
        if action == "restart":
            pair.start(name)
    elif action == "restart":
        pair.crash(name, surviving_writes=rng.randint(0, 3))
    elif action == "persist":
        pair.persist(name, rng.randint(1, 3))
    elif action == "tick":
        pair.event(name, Tick())
    elif action == "suspect":
        pair.suspect(name)
    elif action == "reconnect":
        pair.event(name, Disconnected())
        pair.event(name, Connected())
    else:
        pair.read_witness(name)


def _touch_message(pair: Pair, rng: random.Random, action: str) -> None:
    if pair.messages:
        index = 0 if action == "first" else rng.randrange(len(pair.messages))
        if action == "lose":
            pair.lose(index)
        else:
            pair.deliver(index, keep=rng.random() < 0.2)
