"""The rules as an executable model.

Goal: under the rules no order of events loses an acknowledged entry, changes one, or cuts a committed one; and every
rule is needed: without it, a few steps lose one.
Method: visit every state within limits breadth first, walk at random beyond them, and explore again with each rule
relaxed. A violation prints the steps that lead to it.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulator.world.model_search import explore, walk
from simulator.world.model_state import (
    BOTH,
    ECC,
    OPS,
    START,
    BlankUntil,
    Completions,
    Configuration,
    Limits,
    Rules,
    State,
    TailCut,
)

WALKS = 3000
STEPS_MAX = 50
WAY_MAX = 25

CRASHES = Limits()
PLANNED = Limits(planned=True)
WIPED = Limits(wipes_max=1)
FSYNCS = Limits(fsyncs_apart=True)


@pytest.mark.parametrize(
    ("limits", "states_min"),
    [
        pytest.param(PLANNED, 90_000, id="hand-overs"),
        pytest.param(
            Limits(planned=True, wipes_max=1, values_max=1, version_max=5, epoch_max=4),
            140_000,
            id="hand-overs and a wiped disk",
        ),
        pytest.param(replace(FSYNCS, version_max=3), 60_000, id="late fsyncs"),
        pytest.param(
            Limits(planned=True, fsyncs_apart=True, wipes_max=1, values_max=1, version_max=3), 60_000, id="all at once"
        ),
    ],
)
def test_no_state_loses_an_acknowledged_entry(limits: Limits, states_min: int) -> None:
    """Goal: the rules are safe within the limits. Method: visit every state there is."""
    exploration = explore(limits)
    assert exploration.violation is None, str(exploration.violation)
    assert exploration.complete
    assert exploration.states > states_min, "so few states prove little"


def test_no_walk_loses_an_acknowledged_entry() -> None:
    """Goal: the rules are safe beyond the limits of an exploration, too.
    Method: random walks of longer logs and more leaderships, with and without late fsyncs and a wiped disk."""
    ends = []
    for seed in range(WALKS):
        limits = Limits(
            entries_max=5,
            values_max=8,
            version_max=12,
            epoch_max=8,
            planned=True,
            fsyncs_apart=bool(seed & 1),
            wipes_max=seed >> 1 & 1,
        )
        walked = walk(seed, STEPS_MAX, limits)
        assert walked.violation is None, f"seed {seed}: {walked.violation}"
        ends.append(walked.end)
    assert max(end.granted[-1].epoch for end in ends) > 5, "hardly any walk changed the leader"
    assert sum(len(end.acknowledged) > 1 for end in ends) > WALKS / 4, "hardly any walk acknowledged entries"


# --- What a relaxed rule costs --------------------------------------------------------------------------------------

RELAXED = {
    "the witness grants whatever it is asked for": (Rules(witness_compares_versions=False), CRASHES),
    "an entry is acknowledged when it is on in_sync, whatever is pending": (Rules(union_with_pending=False), CRASHES),
    "a standby is asked back in before it holds all that was committed": (Rules(joins_when_caught_up=False), CRASHES),
    "pending is lost at a restart": (Rules(pending_is_durable=False), CRASHES),
    "a leader gives up a request that changes in_sync": (Rules(requests_are_repeated=False), CRASHES),
    "a standby asks to lead that in_sync does not name": (Rules(only_in_sync_promotes=False), CRASHES),
    "an older version is adopted": (Rules(only_newer_is_adopted=False), CRASHES),
    "a configuration is lost at a restart": (Rules(configuration_is_durable=False), CRASHES),
    "an append of an older epoch is received": (Rules(older_appends_are_refused=False), PLANNED),
    "an ack of an older epoch counts": (Rules(older_acks_are_refused=False), WIPED),
    "a divergent tail is kept": (Rules(tail_cut=TailCut.NEVER), CRASHES),
    "a tail is cut before another entry takes its place": (Rules(tail_cut=TailCut.AT_ONCE), FSYNCS),
    "a standby acks what the leader has not shipped": (Rules(only_verified_is_acked=False), CRASHES),
    "a leader ships what is not durable": (Rules(only_durable_is_shipped=False), FSYNCS),
    "a late completion of another epoch counts": (Rules(completions=Completions.ANY), FSYNCS),
    "a late completion of a tail that was cut counts": (Rules(completions=Completions.OF_THIS_EPOCH), FSYNCS),
    "a leader hands over to a standby outside in_sync": (Rules(hands_over_within_in_sync=False), PLANNED),
    "a leader resigns to a standby outside in_sync": (Rules(resigns_to_in_sync=False), PLANNED),
    "a wiped centre starts with the first configuration": (Rules(blank_asks_witness=False), WIPED),
    "a wiped centre goes on as if it were not": (Rules(blank_until=BlankUntil.STARTED), WIPED),
    "a wiped centre counts again once outside in_sync": (Rules(blank_until=BlankUntil.NOT_IN_SYNC), WIPED),
    "a wiped centre counts again in any later epoch": (Rules(blank_until=BlankUntil.NEXT_EPOCH), WIPED),
}


@pytest.mark.parametrize(("rules", "limits"), RELAXED.values(), ids=RELAXED)
def test_a_relaxed_rule_loses(rules: Rules, limits: Limits) -> None:
    """Goal: no rule can be spared. Method: explore without it until an acknowledged or committed entry is lost."""
    lost = explore(limits, rules).violation
    assert lost is not None, "nothing is lost: the rule is not needed, or the model too small"
    assert lost.sentence.startswith(("acknowledged entry", "committed entry")), str(lost)
    assert len(lost.steps) <= WAY_MAX, str(lost)


# --- Hand-over ------------------------------------------------------------------------------------------------------

ABANDONED = START._replace(requests=frozenset({Configuration(version=2, epoch=2, leader=ECC, in_sync=BOTH)}))


def test_giving_a_hand_over_up_is_safe() -> None:
    """Goal: a leader may forget that it asked to hand over and go on, since the request changes no set.
    Method: start with such a request under way and a leader that knows nothing of it, and visit every state; once
    more, to see that the request is indeed granted after the leader acknowledged more entries."""
    exploration = explore(CRASHES, start=ABANDONED)
    assert exploration.violation is None, str(exploration.violation)
    assert exploration.complete

    assert explore(CRASHES, start=ABANDONED, wrong=_granted_late).violation is not None


def _granted_late(state: State) -> str:
    late = state.granted[-1] in ABANDONED.requests and (1, OPS) in state.acknowledgers
    return "granted after the leader went on" if late else ""


# --- What must be possible ------------------------------------------------------------------------------------------


def _both_acknowledged(state: State) -> bool:
    return {centre for _, centre in state.acknowledgers} == {OPS, ECC}


def _taken_back(state: State) -> bool:
    known = all(copy.configuration == state.granted[-1] for copy in state.copies)
    return known and state.granted[-1].version == 3 and state.granted[-1].in_sync == BOTH and bool(state.acknowledged)


def _leads_again(state: State) -> bool:
    return {(1, OPS), (3, OPS)} <= state.acknowledgers


def _healed_after_a_wipe(state: State) -> bool:
    whole = all(copy.log and not copy.blank for copy in state.copies)
    return state.wipes == 1 and whole and state.granted[-1].in_sync == BOTH


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (CRASHES, _both_acknowledged),
        (CRASHES, _taken_back),
        (PLANNED, _leads_again),
        (WIPED, _healed_after_a_wipe),
    ],
)
def test_the_model_reaches(limits: Limits, wanted: Callable[[State], bool]) -> None:
    """Goal: the model is not safe for want of events. Method: look for states that the protocol is for."""
    assert explore(limits, wrong=lambda state: "reached" if wanted(state) else "").violation is not None
