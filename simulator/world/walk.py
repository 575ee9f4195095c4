"""Random walks through a pair's world: one seed, one schedule.

Each walk weighs its faults anew (swarm testing): one is mostly loss, another mostly crashes, another all at once.
"""

import random
from collections.abc import Callable
from typing import Final

from replication.core.events import Tick
from simulator.world.pair import CENTRES, Pair

_TO_CENTRES: Final[dict[str, Callable[[Pair, random.Random, str], None]]] = {
    "restart": lambda pair, rng, name: pair.crash(name, surviving_writes=rng.randint(0, 3)),
    "persist": lambda pair, rng, name: pair.persist(name, rng.randint(1, 3)),
    "tick": lambda pair, _, name: pair.event(name, Tick()),
    "suspect": lambda pair, _, name: pair.suspect(name),
    "hand over": lambda pair, rng, name: pair.hand_over(name, wanted=rng.random() < 0.7),
    "reconnect": lambda pair, _, name: pair.reconnect(name),
    "read": lambda pair, _, name: pair.read_witness(name),
}
_ACTIONS: Final = ("propose", "first", "any", "lose", "wipe", *_TO_CENTRES)


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
        elif action == "wipe":
            pair.wipe(name)
    elif action != "wipe":
        _TO_CENTRES[action](pair, rng, name)


def _touch_message(pair: Pair, rng: random.Random, action: str) -> None:
    if pair.messages:
        index = 0 if action == "first" else rng.randrange(len(pair.messages))
        if action == "lose":
            pair.lose(index)
        else:
            pair.deliver(index, keep=rng.random() < 0.2)
