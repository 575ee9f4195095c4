"""The rules that must hold, and what happens when one is relaxed.

Goal: the core keeps every acknowledged entry over thousands of random schedules, and each rule that says "must" is
needed: without it the same schedules lose an acknowledged entry.
Method: random walks through the pair's world; for each rule the core is relaxed in that one place and must be caught.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from replication.core import leader, standby
from replication.core.effects import AskWitness
from replication.core.events import Event, Persisted
from replication.core.state import Replica, Step, in_force_after
from simulator.world import pair as world
from simulator.world.walk import walk

SCHEDULES = 2000
ENOUGH_TO_CATCH = 500
LOST = r"acknowledged entry \d+ is not at|entry \d+ differs at"


def test_schedules_keep_every_acknowledged_entry() -> None:
    epochs = [walk(seed).witness.epoch for seed in range(SCHEDULES)]
    assert max(epochs) > 2, "hardly any schedule changed the leader: the walks prove little"


def _caught() -> str:
    """What is found wrong first: an acknowledged entry is missing somewhere, or another stands in its place."""
    for seed in range(ENOUGH_TO_CATCH):
        try:
            walk(seed)
        except AssertionError as error:
            return str(error).partition("\n")[0]
    return ""


def test_acknowledging_without_the_pending_set_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: an entry is acknowledged when it is on in_sync alone, while a request is in flight."""
    monkeypatch.setattr(leader, "members", lambda state: state.configuration.in_sync)
    assert re.match(LOST, _caught())


def test_forgetting_the_pending_set_at_a_restart_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: what was asked for is not on disk before the request leaves."""
    start = world.Pair.start

    def forgetful(self: world.Pair, name: str) -> None:
        self.centres[name].pending = None
        start(self, name)

    monkeypatch.setattr(world.Pair, "start", forgetful)
    assert re.match(LOST, _caught())


def test_giving_a_request_up_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a leader that got no answer takes its request for lost."""
    monkeypatch.setattr(leader, "ask_again", _once_then_give_up(leader.ask_again))
    assert re.match(LOST, _caught())


def _once_then_give_up(ask_again: Callable[[Replica], Step]) -> Callable[[Replica], Step]:
    asked: set[tuple[int, frozenset[str]]] = set()

    def relaxed(state: Replica) -> Step:
        request = (state.configuration.version, state.pending or frozenset())
        if state.pending is not None and request in asked:
            asked.discard(request)
            return replace(state, pending=None), ()
        asked.add(request)
        return ask_again(state)

    return relaxed


def test_promoting_a_standby_that_is_not_in_sync_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: any standby may ask to lead."""

    def anyone(state: Replica) -> Step:
        alone = frozenset({state.centre})
        return state, (AskWitness(configuration=in_force_after(state, alone, leader=state.centre)),)

    monkeypatch.setattr(standby, "ask_to_lead", anyone)
    assert re.match(LOST, _caught())


def test_counting_a_late_fsync_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a completion counts whatever generation it answers."""
    event = world.Pair.event

    def relabelled(self: world.Pair, name: str, what: Event) -> None:
        replica = self.centres[name].replica
        if isinstance(what, Persisted) and replica is not None:
            what = replace(what, generation=replica.generation)
        event(self, name, what)

    monkeypatch.setattr(world.Pair, "event", relabelled)
    assert _caught()
