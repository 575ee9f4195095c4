"""The deterministic world: the real core, driver, suspicion and witness host under faults drawn from seeds.

Goal: nothing acknowledged is lost, no stale leader is believed, roles change when they must and only then, and after
any faults the centres converge by themselves.
Method: thousands of schedules, each judged by all checkers; written scenarios for what has a number or an order; and
for every checker a history that it must find wrong, for every rule that says "must" a core without it.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from replication.core import leader, standby, state, step
from replication.core.effects import AskWitness
from replication.core.state import Leader, Replica, Step, in_force_after
from replication.core.types import Configuration, EntryId
from replication.driver import Driver
from replication.errors import NotLeadingError
from replication.limits import ReplicationLimits
from replication.suspicion import Suspicion
from simulator.world.campaign import run_all
from simulator.world.checkers import (
    LIVENESS,
    SAFETY,
    Check,
    acknowledged_entries_survive,
    at_most_one_change_of_leader_a_fault,
    clients_were_told_the_truth,
    configurations_never_go_back,
    converges_after_healing,
    converges_within,
    cut_tails_were_never_acknowledged,
    findings,
    in_sync_at,
    leaders_change,
    logs_end_as_acknowledged,
    logs_stay_small,
    longest_pause_s,
    no_acknowledgement_alone_before_the_grant,
    no_change_of_configuration,
    nothing_applied_is_cut,
    nothing_breaks,
    nothing_changes_once_converged,
    one_chain,
    one_leader_per_epoch,
    queues_stay_bounded,
    role_changes,
    strong_reads_go_on_after_healing,
    strong_reads_miss_nothing,
    writes_go_on_after_healing,
    writes_resume,
)
from simulator.world.faults import (
    Cut,
    Damage,
    DiskFull,
    Event,
    HandOver,
    Heal,
    Kill,
    Load,
    Maintenance,
    Mend,
    Pause,
    Resume,
    Stall,
    Start,
    Worsen,
    at_s,
)
from simulator.world.history import (
    Applied,
    Broken,
    Committed,
    Converged,
    Copy,
    Ended,
    Granted,
    Halted,
    History,
    Injected,
    Noted,
    Read,
    Record,
    Saved,
    Wrote,
)
from simulator.world.history import (
    Cut as CutTail,
)
from simulator.world.schedule import judged, schedule
from simulator.world.witness import WITNESS
from simulator.world.world import Pace, World

SCHEDULES: Final = 2000
PROCESSES: Final = 2
ENOUGH_TO_CATCH: Final = 800
LIMITS: Final = ReplicationLimits()
SILENT_S: Final = (LIMITS.suspect_after_ms + 6 * LIMITS.heartbeat_ms) / 1000
GONE_S: Final = 0.6
AT_ONCE: Final = Pace(start_s=0.02)
LOAD: Final = at_s(0, Load(writes_per_s=50, reads_per_s=2))


def play(*events: Event, until_s: float = 40, seed: int = 1, limits: ReplicationLimits = LIMITS) -> History:
    """Plays a scenario, and holds it to all that every history must keep."""
    history = World(seed, limits=limits).run(LOAD, *events, until_s=until_s)
    found = findings(history, (*SAFETY, *LIVENESS))
    assert not found, f"{found[0].text}\n{history.transcript(found[0].at_s)}"
    return history


def must(check: Check, history: History) -> None:
    found = check(history)
    assert not found, f"{found[0].text}\n{history.transcript(found[0].at_s)}"


def acknowledged_by(history: History, centre: str, *, from_s: float = 0, until_s: float = float("inf")) -> int:
    return sum(one.centre == centre and from_s <= when_s < until_s for when_s, one in history.of(Committed))


def standing(history: History) -> Configuration:
    return next(one.standing for _, one in history.of(Ended))


# --- Schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_schedules_keep_every_property() -> None:
    """Goal: safety and liveness under any mix of faults. Method: random schedules, half on each core; what they did is
    looked at, too: they would prove little without failovers and every kind of fault."""
    tally = run_all(range(SCHEDULES), jobs=PROCESSES)
    assert not tally.violation, tally.violation
    assert tally.schedules == SCHEDULES
    assert tally.role_changes > SCHEDULES / 5
    assert len(tally.faults) >= 18
    assert tally.reads > SCHEDULES


@pytest.mark.parametrize("seed", [3, 8, 9, 71])
def test_a_seed_is_one_history(seed: int) -> None:
    """Goal: a failure can be looked at again. Method: the same seed twice, and another one."""
    first, second = schedule(seed).run(), schedule(seed).run()
    assert first.digest() == second.digest()
    assert schedule(seed + 100).run().digest() != first.digest()


@pytest.mark.parametrize("hashing", ["1", "2"])
def test_a_seed_is_one_history_in_any_process(hashing: str) -> None:
    """Method: the command line in a process with other hashes of strings, against this one."""
    shown = subprocess.run(
        [sys.executable, "-m", "simulator.world", "--seed", "71"],
        env={**os.environ, "PYTHONHASHSEED": hashing},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == schedule(71).run().transcript() + "\n"


def test_command_line_counts_what_it_did() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "simulator.world", "--seeds", "0..30", "--jobs", "1", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    counted = json.loads(shown.stdout)
    assert counted["schedules"] == 30
    assert counted["violation"] == ""
    assert counted["acknowledged"] > 100
    assert sum(counted["faults"].values()) > 30


def test_a_violation_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: whoever sees a failure can look at it again. Method: a core that loses entries; the campaign stops at the
    seed that shows it, with property, seed, command and transcript."""
    monkeypatch.setattr(leader, "_joins", lambda state, role: False)
    tally = run_all(range(40), jobs=1)
    assert tally.schedules < 40
    first, second, *transcript = tally.violation.splitlines()
    assert first.startswith(converges_after_healing.__name__)
    assert f"python -m simulator.world --seed {tally.schedules - 1}" in second
    assert len(transcript) > 10


# --- Processes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_killed_leader_is_replaced_at_once(seed: int) -> None:
    """Goal: a process that is gone needs no time-out. Method: kill -9 under load."""
    history = play(at_s(2, Kill("ops")), at_s(5, Heal()), seed=seed)
    must(writes_resume(2, 2 + GONE_S), history)
    assert standing(history).epoch == 2
    assert acknowledged_by(history, "ecc", from_s=2, until_s=5) > 100


@pytest.mark.parametrize("seed", range(5))
def test_leader_without_power_is_replaced_after_the_threshold(seed: int) -> None:
    """Method: the machine is off: it refuses nothing, it is just silent."""
    history = play(at_s(2, Kill("ops", power=True)), at_s(6, Heal()), seed=seed)
    must(writes_resume(2, 2 + SILENT_S), history)
    assert role_changes(history) == 1


@pytest.mark.parametrize("name", ["ops", "ecc", WITNESS])
@pytest.mark.parametrize("timers_first", [True, False])
def test_short_pause_changes_nothing(name: str, *, timers_first: bool) -> None:
    """Goal: below the threshold nobody is suspected. Method: a pause of two thirds of it, of each process; afterwards
    it finds its timers or its messages first."""
    pause_s = LIMITS.suspect_after_ms / 1000 * 2 / 3
    history = play(
        at_s(2, Pause(name)), at_s(2 + pause_s, Resume(name, timers_first=timers_first)), at_s(5, Heal()), seed=4
    )
    must(no_change_of_configuration, history)


@pytest.mark.parametrize("timers_first", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_long_pause_fences_the_old_leader(seed: int, *, timers_first: bool) -> None:
    """Goal: a leader that was away too long acknowledges nothing and proves nothing when it goes on, and steps down.
    Method: a pause of three thresholds under load and strong reads at both."""
    history = play(at_s(2, Pause("ops")), at_s(6, Resume("ops", timers_first=timers_first)), at_s(8, Heal()), seed=seed)
    must(writes_resume(2, 2 + SILENT_S), history)
    assert role_changes(history) == 1
    assert acknowledged_by(history, "ops", from_s=2 + SILENT_S) == 0
    assert not any(one.centre == "ops" for when_s, one in history.of(Read) if when_s > 2 + SILENT_S)


def test_old_leader_refuses_after_a_double_failure() -> None:
    """Goal: the leader dies, its successor goes on alone and dies: what it alone holds must not be lost. Method: the
    old leader returns; it must not acknowledge or read anything until the successor is back."""
    history = play(
        at_s(2, Kill("ops")), at_s(5, Kill("ecc")), at_s(6, Start("ops")), at_s(10, Start("ecc")), at_s(12, Heal())
    )
    assert acknowledged_by(history, "ecc", from_s=2, until_s=5) > 100
    assert acknowledged_by(history, "ops", from_s=2) == 0
    assert not any(5 < when_s < 10 for when_s, _ in history.of(Read))
    assert standing(history).leader == "ecc"


def test_witness_that_is_dead_changes_nothing() -> None:
    """Goal: the pair serves on without it. Method: it is dead for four seconds; nobody waits any longer for that."""
    history = play(at_s(2, Kill(WITNESS)), at_s(6, Heal()))
    must(no_change_of_configuration, history)
    assert longest_pause_s(history, from_s=1, until_s=6) < 0.1


def test_nobody_takes_over_without_the_witness() -> None:
    """Goal: two of three gone is no time to choose. Method: the witness dies, then the leader: no write is acknowledged
    until one of them is back, and none is lost."""
    history = play(at_s(2, Kill(WITNESS)), at_s(3, Kill("ops")), at_s(8, Start("ops")), at_s(10, Heal()))
    assert not list(history.of(Granted))
    assert not any(3.1 < when_s < 8 for when_s, _ in history.of(Committed))


# --- Links ----------------------------------------------------------------------------------------------------------

EDGES: Final = [("ops", "ecc"), ("ops", WITNESS), ("ecc", WITNESS)]


@pytest.mark.parametrize("seed", range(3))
def test_link_between_the_centres_cut_lets_the_leader_win(seed: int) -> None:
    """Method: cut just this link, longer than any time-out, then connect it again."""
    history = play(at_s(2, Cut("ops", "ecc")), at_s(9, Heal()), seed=seed)
    must(writes_resume(2, 2 + SILENT_S), history)
    must(leaders_change(0), history)
    assert [one.configuration.in_sync for _, one in history.of(Granted)] == [{"ops"}, {"ops", "ecc"}]


@pytest.mark.parametrize(("source", "target"), [*EDGES, *((target, source) for source, target in EDGES)])
@pytest.mark.parametrize("one_way", [True, False])
def test_any_edge_may_be_cut(source: str, target: str, *, one_way: bool) -> None:
    """Goal: one edge, whole or one way, costs at most the standby, never the leader. Method: each for six seconds."""
    history = play(at_s(2, Cut(source, target, one_way=one_way)), at_s(8, Heal()))
    must(writes_resume(2, 2 + SILENT_S), history)
    must(leaders_change(0), history)
    if WITNESS in (source, target):
        must(no_change_of_configuration, history)


def test_isolated_leader_is_replaced_and_fenced() -> None:
    """Method: the leader loses both links and keeps its clients."""
    history = play(at_s(2, Cut("ops", "ecc")), at_s(2, Cut("ops", WITNESS)), at_s(8, Heal()))
    must(writes_resume(2, 2 + SILENT_S), history)
    assert acknowledged_by(history, "ops", from_s=2.1) == 0
    assert role_changes(history) == 1


# --- Operators and hold-down ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_hand_over_under_load_loses_nothing_and_is_quick(seed: int) -> None:
    """Goal: a planned change costs no write and little time. Method: hand over there and back, once asked for twice;
    every write must be acknowledged."""
    history = play(
        at_s(2, HandOver()), at_s(2, HandOver()), at_s(4, HandOver()), at_s(6, Heal()), seed=seed, until_s=20
    )
    assert role_changes(history) == 2
    assert {one.outcome for _, one in history.of(Wrote)} == {"acknowledged"}
    assert longest_pause_s(history, from_s=1, until_s=6) < 0.25


def test_hand_over_to_a_dead_standby_is_called_off() -> None:
    """Method: the standby's machine is off when the operator asks; the leader goes on, and so do writes."""
    history = play(at_s(2, Kill("ecc", power=True)), at_s(2.1, HandOver()), at_s(8, Heal()))
    must(leaders_change(0), history)
    assert acknowledged_by(history, "ops", from_s=5, until_s=8) > 50


@pytest.mark.parametrize("seed", range(4))
def test_hand_over_that_was_called_off_is_not_asked_for_any_more(seed: int) -> None:
    """Goal: what an operator was told stays so. Method: the witness has no power until the hand-over was called off,
    while a request still waits for its time-out; then it is back, and nothing changes."""
    called_off_s = 2 + LIMITS.hand_over_ms_max / 1000
    history = World(seed, pace=AT_ONCE).run(
        LOAD,
        at_s(1, Kill(WITNESS, power=True)),
        at_s(2, HandOver()),
        at_s(called_off_s + 0.02, Start(WITNESS)),
        at_s(7, Heal()),
        until_s=40,
    )
    assert findings(history, (*SAFETY, *LIVENESS)) == []
    must(no_change_of_configuration, history)


def test_nobody_is_suspected_during_maintenance() -> None:
    """Goal: planned work on a leader changes no role until maintenance is over. Method: switch it on, kill the leader,
    switch it off three seconds later."""
    history = play(at_s(1, Maintenance(on=True)), at_s(2, Kill("ops")), at_s(5, Maintenance(on=False)), at_s(8, Heal()))
    assert [when_s > 5 for when_s, one in history.of(Granted) if one.configuration.epoch == 2][:1] == [True]
    must(writes_resume(5, 5 + GONE_S), history)


def test_roles_do_not_flap() -> None:
    """Goal: after a change of leader silence makes no other one at once. Method: the leader is isolated and comes back;
    then its successor is paused. Only when the hold-down is over does it change back."""
    limits = replace(LIMITS, hold_down_ms=8000)
    history = play(
        at_s(2, Cut("ops", "ecc")),
        at_s(2, Cut("ops", WITNESS)),
        at_s(4, Mend("ops", "ecc")),
        at_s(4, Mend("ops", WITNESS)),
        at_s(7, Pause("ecc")),
        at_s(14, Resume("ecc")),
        at_s(16, Heal()),
        limits=limits,
    )
    changes_s = [when_s for when_s, one in history.of(Granted) if one.configuration.epoch in (2, 3)]
    leaders = [one.configuration.leader for _, one in history.of(Granted)]
    assert leaders[0] == "ecc"
    assert leaders[-1] == "ops"
    first_s = changes_s[0]
    second_s = next(when_s for when_s, one in history.of(Granted) if one.configuration.epoch == 3)
    assert second_s - first_s >= 8


# --- Disks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ops", "ecc"])
def test_full_disk_is_waited_out(name: str) -> None:
    """Goal: writes wait while either disk is full, and nobody is taken for missing. Method: full for two seconds, with
    room in memory for little, so that what comes in is held up."""
    limits = replace(LIMITS, persist_backlog_bytes_max=1000 if name == "ops" else 64 << 20)
    history = play(at_s(2, DiskFull(name)), at_s(4, DiskFull(name, full=False)), at_s(6, Heal()), limits=limits)
    must(no_change_of_configuration, history)
    assert not any(2.1 < when_s < 4 for when_s, _ in history.of(Committed))
    assert acknowledged_by(history, "ops", from_s=4, until_s=6) > 10


@pytest.mark.parametrize("name", ["ops", "ecc"])
def test_damaged_disk_is_refused_and_seeded_anew(name: str) -> None:
    """Goal: a copy that lost something durable does not serve; wiped, it comes back through the log. Method: damage it
    while its process is down; start it (it refuses), and once more as its operator does."""
    history = play(
        at_s(2, Kill(name)), at_s(2.5, Damage(name)), at_s(3, Start(name)), at_s(6, Heal()), until_s=40, seed=2
    )
    texts = [one.text for _, one in history.of(Noted) if one.who == name]
    assert "is wiped by its operator" in texts
    assert standing(history).in_sync == {"ops", "ecc"}


@pytest.mark.parametrize("seed", range(4))
def test_leader_that_starts_again_reads_what_it_acknowledged(seed: int) -> None:
    """Goal: its store may be behind what it acknowledged, a strong read may not. Method: applying is slow; the leader
    is killed and back at once, in its epoch; the way to its standby is slow, so that reads come before any answer."""
    history = World(seed, pace=AT_ONCE).run(
        at_s(0, Load(writes_per_s=50, reads_per_s=50)),
        at_s(0.5, Stall("ops", 0.0, apply_s=1.5)),
        at_s(2.9, Worsen(source="ops", target="ecc", delay_s=0.2)),
        at_s(3, Kill("ops")),
        at_s(3, Start("ops")),
        at_s(7, Heal()),
        until_s=40,
    )
    assert findings(history, (*SAFETY, *LIVENESS)) == []
    assert role_changes(history) == 0
    assert any(one.began_s > 3 for _, one in history.of(Read))


@pytest.mark.parametrize("seed", range(4))
def test_leader_that_starts_again_takes_nobody_back_too_early(seed: int) -> None:
    """Goal: its standby is in sync again only when it holds what the leader acknowledged alone before its start.
    Method: applying is slow; the leader is alone, then both start at once, and the leader's disk is full."""
    history = World(seed, pace=AT_ONCE).run(
        at_s(0, Load(writes_per_s=10)),
        at_s(0.5, Stall("ops", 0.0, apply_s=1.5)),
        at_s(3.5, Kill("ecc")),
        at_s(4, Kill("ops")),
        at_s(4, DiskFull("ops")),
        at_s(4, Start("ops")),
        at_s(4, Start("ecc")),
        at_s(4, Stall("ecc", 0.05)),
        at_s(8, Heal()),
        until_s=40,
    )
    assert findings(history, (*SAFETY, *LIVENESS)) == []
    assert acknowledged_by(history, "ops", from_s=3.5, until_s=4) > 2


def test_leader_that_is_alone_can_be_read_after_a_start() -> None:
    """Goal: what it acknowledged before is read, even if nobody writes any more. Method: the standby is dead, the
    leader is killed with a store that is behind and starts again; only reads come."""
    history = World(1, pace=AT_ONCE).run(
        at_s(0, Load(writes_per_s=50)),
        at_s(0.5, Stall("ops", 0.0, apply_s=1.5)),
        at_s(2, Kill("ecc")),
        at_s(4, Load(reads_per_s=10)),
        at_s(4.1, Kill("ops")),
        at_s(4.2, Start("ops")),
        at_s(9, Heal()),
        until_s=40,
    )
    assert findings(history, (*SAFETY, *LIVENESS)) == []
    assert any(4.2 < when_s < 9 and one.seen_lsn > 150 for when_s, one in history.of(Read))


# --- Rules that must hold -------------------------------------------------------------------------------------------


def caught() -> str:
    """What the schedules find wrong first."""
    for seed in range(ENOUGH_TO_CATCH):
        _, found = judged(seed)
        if found:
            return found[0].text
    return ""


def test_acknowledging_without_the_pending_set_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: an entry is acknowledged when it is on in_sync alone, while a request is in flight."""
    monkeypatch.setattr(leader, "members", lambda state: state.configuration.in_sync)
    assert caught().startswith(acknowledged_entries_survive.__name__)


def test_forgetting_the_pending_set_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: what was asked for is not on disk before the request leaves."""
    recover = state.recover

    def forgetful(**found: Any) -> Replica:
        return recover(**{**found, "pending": None})

    monkeypatch.setattr("simulator.world.centre.recover", forgetful)
    assert caught().startswith(acknowledged_entries_survive.__name__)


def test_giving_a_request_up_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a leader that got no answer takes its request for lost."""
    ask_again = leader.ask_again
    asked: set[tuple[int, frozenset[str]]] = set()

    def relaxed(state: Replica) -> Step:
        request = (state.configuration.version, state.pending or frozenset())
        if state.pending is not None and request in asked:
            asked.discard(request)
            return replace(state, pending=None), ()
        asked.add(request)
        return ask_again(state)

    monkeypatch.setattr(leader, "ask_again", relaxed)
    assert caught().startswith(acknowledged_entries_survive.__name__)


def test_promoting_a_standby_that_is_not_in_sync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: any standby may ask to lead."""

    def anyone(state: Replica) -> Step:
        alone = frozenset({state.centre})
        return state, (AskWitness(configuration=in_force_after(state, alone, leader=state.centre)),)

    monkeypatch.setattr(standby, "ask_to_lead", anyone)
    assert caught().startswith(acknowledged_entries_survive.__name__)


def test_forgetting_what_was_acknowledged_before_a_start_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a leader counts as acknowledged only what its store has applied."""
    role_in = state.role_in

    def forgetful(configuration: Configuration, centre: str, durable_lsn: int) -> Any:
        role = role_in(configuration, centre, durable_lsn)
        return replace(role, inherited_lsn=0) if isinstance(role, Leader) else role

    monkeypatch.setattr(state, "role_in", forgetful)
    monkeypatch.setattr(step, "role_in", forgetful)
    assert caught()


def test_reading_without_a_proof_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: whoever believes that it leads answers strong reads."""

    async def believing(driver: Driver) -> int:
        if not driver.leads:
            raise NotLeadingError(driver.state.log, driver.state.configuration.leader)
        return driver.state.commit_lsn

    monkeypatch.setattr(Driver, "prove", believing)
    assert caught().startswith(strong_reads_miss_nothing.__name__)


def test_applying_before_the_commit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a standby applies whatever is durable."""
    commit = standby._commit
    monkeypatch.setattr(
        standby, "_commit", lambda state, role: commit(state, replace(role, leader_commit_lsn=state.end.lsn))
    )
    assert caught().startswith(nothing_applied_is_cut.__name__)


def test_suspecting_by_one_channel_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a standby that misses its leader does not ask what the witness hears."""
    monkeypatch.setattr(Suspicion, "at_witness", lambda self, now_s: ("whatever it says", False))
    assert caught().startswith(leaders_change.__name__)


def test_never_taking_the_standby_back_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxed: a leader stays alone for ever."""
    monkeypatch.setattr(leader, "_joins", lambda state, role: False)
    assert caught().startswith(converges_after_healing.__name__)


# --- Checkers that are not blind ------------------------------------------------------------------------------------


def sound() -> History:
    """A history with everything in it, with which nothing is wrong."""
    events = (at_s(2, Kill("ops")), at_s(3, Heal()))
    return World(5).run(LOAD, *events, until_s=30)


def edited(edit: Callable[[Any], Any], kind: type[Record], which: int = -1) -> History:
    """The sound history with one record of a kind replaced; None takes it out."""
    history = sound()
    places = [index for index, (_, record) in enumerate(history.records) if isinstance(record, kind)]
    when_s, record = history.records[places[which]]
    after = edit(record)
    history.records[places[which] : places[which] + 1] = [] if after is None else [(when_s, after)]
    return history


def with_record(record: Record) -> History:
    history = sound()
    history.records.insert(-1, (history.records[-1][0], record))
    return history


def without(kind: type[Wrote | Read], *, began_from_s: float) -> History:
    history = sound()
    history.records = [
        (when_s, record)
        for when_s, record in history.records
        if not (isinstance(record, kind) and record.began_s >= began_from_s)
    ]
    return history


def other(entry: EntryId) -> EntryId:
    return replace(entry, hash=bytes(random.Random(1).randbytes(16)))


def shorter(copy: Copy) -> Copy:
    return replace(copy, log=copy.log[:-3])


def uneven(ended: Ended) -> Ended:
    return replace(ended, copies=(ended.copies[0], shorter(ended.copies[1])))


def restless() -> History:
    """Its last change of configuration comes once more after it has converged."""
    return with_record(list(sound().of(Granted))[-1][1])


def swollen(ended: Ended) -> Ended:
    return replace(
        ended, copies=tuple(replace(one, log_bytes=1 << 30, backlog_bytes_peak=1 << 30) for one in ended.copies)
    )


def spoilt(entries: tuple[EntryId, ...]) -> tuple[EntryId, ...]:
    return (*entries[:-1], other(entries[-1]))


STRANGER: Final = EntryId(lsn=3, epoch=1, hash=b"s" * 16)
BLIND: Final[list[tuple[Check, Callable[[], History]]]] = [
    (nothing_breaks, lambda: with_record(Broken(who="ops", text="an assertion"))),
    (nothing_breaks, lambda: with_record(Halted(centre="ops", reason="a hash differs"))),
    (
        acknowledged_entries_survive,
        lambda: edited(lambda one: replace(one, held=tuple((name, None) for name, _ in one.held)), Committed, 40),
    ),
    (
        acknowledged_entries_survive,
        lambda: edited(lambda one: replace(one, held=(("ops", STRANGER), ("ecc", STRANGER))), Granted, 1),
    ),
    (one_chain, lambda: edited(lambda one: replace(one, entries=(replace(one.entries[0], lsn=9),)), Committed, 30)),
    (one_chain, lambda: edited(lambda one: None, Committed, 30)),
    (logs_end_as_acknowledged, lambda: edited(lambda one: replace(one, copies=tuple(map(shorter, one.copies))), Ended)),
    (one_leader_per_epoch, lambda: edited(lambda one: replace(one, centre="ecc"), Committed, 20)),
    (
        one_leader_per_epoch,
        lambda: edited(lambda one: replace(one, configuration=replace(one.configuration, version=9)), Granted, 1),
    ),
    (
        configurations_never_go_back,
        lambda: edited(lambda one: replace(one, configuration=replace(one.configuration, version=1)), Saved),
    ),
    (
        no_acknowledgement_alone_before_the_grant,
        lambda: edited(lambda one: replace(one, held=(("ops", one.entries[-1]), ("ecc", None))), Committed, 30),
    ),
    (nothing_applied_is_cut, lambda: edited(lambda one: replace(one, entries=spoilt(one.entries)), Applied, 20)),
    (nothing_applied_is_cut, lambda: with_record(CutTail(centre="ops", entries=(STRANGER,), applied_lsn=3))),
    (
        cut_tails_were_never_acknowledged,
        lambda: edited(lambda one: CutTail(centre=one.centre, entries=one.entries, applied_lsn=0), Applied, which=10),
    ),
    (strong_reads_miss_nothing, lambda: edited(lambda one: replace(one, seen_lsn=one.floor_lsn - 1), Read, 1)),
    (clients_were_told_the_truth, lambda: edited(lambda one: replace(one, outcome="refused"), Wrote, 10)),
    (clients_were_told_the_truth, lambda: edited(lambda one: replace(one, payload=b"never written"), Wrote, 10)),
    (converges_after_healing, lambda: edited(lambda one: replace(one, unhealed=("a link",)), Ended)),
    (converges_after_healing, lambda: edited(uneven, Ended)),
    (writes_go_on_after_healing, lambda: without(Wrote, began_from_s=3)),
    (strong_reads_go_on_after_healing, lambda: without(Read, began_from_s=3)),
    (at_most_one_change_of_leader_a_fault, lambda: edited(lambda one: None, Injected)),
    (nothing_changes_once_converged, restless),
    (logs_stay_small, lambda: edited(swollen, Ended)),
    (queues_stay_bounded(LIMITS, 100), lambda: edited(swollen, Ended)),
    (converges_within(0.01), sound),
    (converges_within(0.1), lambda: edited(lambda one: None, Converged)),
    (in_sync_at(2.9), sound),
    (leaders_change(0), sound),
    (no_change_of_configuration, sound),
    (writes_resume(2, 2.01), sound),
]


@pytest.mark.parametrize(("check", "history"), BLIND, ids=lambda value: getattr(value, "__name__", ""))
def test_no_checker_is_blind(check: Check, history: Callable[[], History]) -> None:
    """Goal: each property is really looked at. Method: a history that is sound but for one record."""
    assert check(history())


def test_the_sound_history_is_sound() -> None:
    assert findings(sound(), (*SAFETY, *LIVENESS)) == []


def test_every_checker_is_tried() -> None:
    """Goal: a new property gets its own trial. Method: compare the lists."""
    assert {check.__name__ for check in (*SAFETY, *LIVENESS)} <= {check.__name__ for check, _ in BLIND}
