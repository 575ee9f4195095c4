"""Schedules of faults, drawn from a seed: which kinds are in, how many, how long, under which limits and load.

Each schedule weighs the faults anew (swarm testing): one is mostly cuts, another mostly crashes, another all at once.
Faults come first, then all end, and then both centres must be in sync again and acknowledge writes in time. Of ten
schedules one has only faults that stay below the threshold: nothing may change then; and one has single faults with
time between: writes must resume within the bound after each, and the leader change once at most.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from replication.limits import ReplicationLimits
from simulator.world.checkers import (
    LIVENESS,
    SAFETY,
    Check,
    Finding,
    converges_within,
    findings,
    in_sync_at,
    leaders_change,
    no_change_of_configuration,
    queues_stay_bounded,
    writes_resume,
)
from simulator.world.faults import (
    LEADER,
    STANDBY,
    Action,
    CrashAt,
    Cut,
    Damage,
    DiskFull,
    Drift,
    Event,
    FailFsync,
    HandOver,
    Heal,
    Jump,
    Kill,
    Lead,
    Load,
    Mend,
    Pause,
    Reset,
    Restore,
    Resume,
    Stall,
    Start,
    Wipe,
    Worsen,
)
from simulator.world.history import History
from simulator.world.pair import CENTRES
from simulator.world.witness import WITNESS
from simulator.world.world import Pace, World

NODES: Final = (*CENTRES, WITNESS)
EDGES: Final = (("ops", "ecc"), ("ops", WITNESS), ("ecc", WITNESS))
CENTRE_POINTS: Final = (
    "before a write",
    "before an fsync's end",
    "after an fsync",
    "before a truncation",
    "after a truncation",
    "before a configuration is saved",
    "after a configuration is saved",
    "before an apply",
    "after an apply",
)
WITNESS_POINTS: Final = ("before a decision is saved", "after a decision is saved")
_FIRST_FAULT_S: Final = 0.5
_NUMBER_BYTES: Final = 30
_EVERY: Final = 10
_SLOW_S: Final = 0.01
_BEATS: Final = 6
_RESUME_S: Final = 0.6
_RECOVERED_S: Final = 2.0
_CONVERGED_S: Final = 5.0
_AT_REST_S: Final = 5.0
_CALM_S: Final = 3.0
_CALM_OF_TEN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a seed stands for."""

    seed: int
    limits: ReplicationLimits
    pace: Pace
    events: tuple[Event, ...]
    until_s: float
    calm_s: float
    checks: tuple[Check, ...]

    def run(self) -> History:
        world = World(self.seed, limits=self.limits, pace=self.pace, calm_s=self.calm_s)
        return world.run(*self.events, until_s=self.until_s)


def schedule(seed: int) -> Schedule:
    rng = random.Random(f"schedule {seed}")
    match seed % _EVERY:
        case 8:
            return _serial(seed, rng)
        case 9:
            return _mild(seed, rng)
        case _:
            return _swarm(seed, rng)


def _swarm(seed: int, rng: random.Random) -> Schedule:
    """Any faults, at most about one a second, one on top of the other."""
    limits, pace, faults_s = _limits(rng), _pace(rng), rng.uniform(1, 5)
    writes_per_s = rng.choice((3, 10, 30))
    if max(pace.way_s, pace.write_s) > _SLOW_S:  # More than the load must be possible, else nothing ever catches up.
        writes_per_s = min(writes_per_s, 10)
        limits = replace(limits, ship_window_entries_max=max(4, limits.ship_window_entries_max))
    if pace.apply_s > _SLOW_S:
        limits = replace(limits, apply_bytes_max=16 << 20)
    events = _drawn(rng, limits, _KINDS, count=rng.randint(1, 8), within_s=faults_s)
    healed_s = _FIRST_FAULT_S + faults_s + rng.uniform(0.5, 2.5)
    return _schedule(seed, limits, [*events, (0.0, _load(rng, writes_per_s))], healed_s, (), pace=pace)


def _mild(seed: int, rng: random.Random) -> Schedule:
    """Faults below the threshold."""
    limits = replace(_limits(rng), persist_backlog_bytes_max=64 << 20)  # Else a full standby is taken out, rightly.
    events = _drawn(rng, limits, _MILD, count=rng.randint(1, 2), within_s=rng.uniform(1, 6))
    healed_s = max(when_s for when_s, _ in events) + 1
    return _schedule(
        seed, limits, [*events, (0.0, _load(rng, rng.choice((3, 10, 30))))], healed_s, (no_change_of_configuration,)
    )


def _serial(seed: int, rng: random.Random) -> Schedule:
    """One fault after the other, each of the leader, the standby, the witness or a link, with time to recover: writes
    resume within the bound each time, and both are in sync before the next one."""
    limits = replace(_limits(rng), hold_down_ms=rng.choice((500, 2000)))
    silent_s = (limits.suspect_after_ms + _BEATS * limits.heartbeat_ms) / 1000
    events: list[Event] = [(0.0, Load(writes_per_s=20, reads_per_s=1))]
    checks: list[Check] = []
    changes_max, at_s = 0, _FIRST_FAULT_S
    for _ in range(rng.randint(1, 3)):
        at_s += rng.random()
        fault, silent, changes = _SINGLE[rng.choice(tuple(_SINGLE))]
        bound_s = _RESUME_S + (silent_s if silent else 0)
        restored_s = at_s + bound_s + rng.random()
        events += [*((at_s, action) for action in fault), (restored_s, Restore())]
        checks += [in_sync_at(at_s), writes_resume(at_s, at_s + bound_s)]
        changes_max += changes
        at_s = restored_s + limits.hold_down_ms / 1000 + _RECOVERED_S
    return _schedule(seed, limits, events, at_s, (*checks, leaders_change(changes_max)))


def _drawn(
    rng: random.Random, limits: ReplicationLimits, kinds: "dict[str, Kind]", *, count: int, within_s: float
) -> list[Event]:
    chosen = rng.sample(tuple(kinds), rng.randint(1, len(kinds)))
    weights = [rng.random() ** 2 for _ in chosen]
    drawn = [kinds[rng.choices(chosen, weights)[0]] for _ in range(count)]
    return [event for kind in drawn for event in kind(rng, limits, _FIRST_FAULT_S + within_s * rng.random())]


def _schedule(
    seed: int,
    limits: ReplicationLimits,
    events: list[Event],
    healed_s: float,
    checks: tuple[Check, ...],
    *,
    pace: Pace | None = None,
) -> Schedule:
    before = sorted((event for event in events if event[0] < healed_s), key=lambda event: event[0])
    payload_bytes_max = max(action.payload_bytes for _, action in events if isinstance(action, Load)) + _NUMBER_BYTES
    always = (*SAFETY, queues_stay_bounded(limits, payload_bytes_max))
    return Schedule(
        seed=seed,
        limits=limits,
        pace=pace or Pace(),
        events=(*before, (healed_s, Heal())),
        until_s=healed_s + _CONVERGED_S + _AT_REST_S,
        calm_s=_CALM_S if seed % _EVERY < _CALM_OF_TEN else 0.0,
        checks=(*always, *checks, *LIVENESS, converges_within(_CONVERGED_S)),
    )


def _limits(rng: random.Random) -> ReplicationLimits:
    apply_bytes_max, apply_interval_ms = rng.choice(((400, 5), (16 << 20, 10), (16 << 20, 100)))
    return ReplicationLimits(
        heartbeat_ms=100,
        suspect_after_ms=rng.choice((800, 1200)),
        hold_down_ms=rng.choice((500, 2000, 5000)),
        ship_window_entries_max=rng.choice((1, 4, 64)),
        ship_bytes_max=rng.choice((300, 4 << 20)),
        tail_bytes_max=rng.choice((600, 64 << 20)),
        flight_bytes_max=rng.choice((2000, 64 << 20)),
        persist_backlog_bytes_max=rng.choice((1000, 64 << 20)),
        apply_bytes_max=apply_bytes_max,
        apply_interval_ms=apply_interval_ms,
        disk_retry_ms=rng.choice((100, 500)),
    )


def _pace(rng: random.Random) -> Pace:
    """Slow parts widen the windows in which a fault can do harm."""
    return Pace(
        way_s=rng.choice((0.002, 0.002, 0.05)),
        write_s=rng.choice((0.003, 0.003, 0.05)),
        apply_s=rng.choice((0.003, 0.003, 0.3)),
        decide_s=rng.choice((0.003, 0.003, 0.2)),
        start_s=rng.choice((0.1, 0.5)),
    )


def _load(rng: random.Random, writes_per_s: float) -> Load:
    return Load(writes_per_s=writes_per_s, reads_per_s=rng.choice((0, 1, 5)), payload_bytes=rng.choice((0, 200)))


# --- Kinds of faults ------------------------------------------------------------------------------------------------

Kind = Callable[[random.Random, ReplicationLimits, float], list[Event]]


def _kill(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(NODES)
    return [(at_s, Kill(name, power=rng.random() < 0.3)), (at_s + rng.uniform(0.1, 4), Start(name))]


def _kill_both(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    """In either order; the second one perhaps after it has taken over, and back in either order."""
    first, second = rng.sample(CENTRES, 2)
    second_s = at_s + rng.choice((rng.uniform(0, 0.2), rng.uniform(1, 3)))
    back = [first, second] if rng.random() < 0.5 else [second, first]
    return [
        (at_s, Kill(first, power=rng.random() < 0.3)),
        (second_s, Kill(second, power=rng.random() < 0.3)),
        (second_s + rng.uniform(0.05, 1), Start(back[0])),
        (second_s + rng.uniform(1, 3), Start(back[1])),
    ]


def _crash_loop(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(NODES)
    events: list[Event] = []
    for _ in range(rng.randint(2, 5)):
        events += [(at_s, Kill(name)), (at_s + rng.uniform(0.05, 0.3), Start(name))]
        at_s = events[-1][0] + rng.uniform(0.1, 1)
    return events


def _crash_at(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice((*CENTRES, *NODES))
    point = rng.choice(WITNESS_POINTS if name == WITNESS else CENTRE_POINTS)
    return [(at_s, CrashAt(name, point, rng.randint(1, 4)))]


def _pause(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(NODES)
    seconds = limits.suspect_after_ms / 1000 * rng.choice((rng.uniform(0.1, 0.9), rng.uniform(1, 3)))
    return [(at_s, Pause(name)), (at_s + seconds, Resume(name, timers_first=rng.random() < 0.5))]


def _cut(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    ends = rng.sample(rng.choice(EDGES), 2)
    return [
        (at_s, Cut(ends[0], ends[1], one_way=rng.random() < 0.5)),
        (at_s + rng.uniform(0.1, 4.5), Mend(ends[0], ends[1])),
    ]


def _isolate(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(NODES)
    back_s = at_s + rng.uniform(0.1, 4.5)
    return [
        event
        for other in NODES
        if other != name
        for event in ((at_s, Cut(name, other)), (back_s + rng.uniform(0, 0.5), Mend(name, other)))
    ]


def _flap(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    source, target = rng.choice(EDGES)
    events: list[Event] = []
    for _ in range(rng.randint(3, 8)):
        events += [(at_s, Cut(source, target)), (at_s + rng.uniform(0.02, 0.6), Mend(source, target))]
        at_s = events[-1][0] + rng.uniform(0.02, 0.6)
    return events


def _reset(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    source, target = rng.choice(EDGES)
    return [(at_s + rng.uniform(0, 0.5) * turn, Reset(source, target)) for turn in range(rng.randint(1, 4))]


def _worsen(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    source, target = rng.sample(rng.choice(EDGES), 2)
    worse = Worsen(
        source=source,
        target=target,
        delay_s=rng.choice((0.0, rng.uniform(0, 0.3))),
        jitter_s=rng.choice((0.0, rng.uniform(0, 0.3))),
        loss=rng.choice((0.0, rng.uniform(0, 0.4))),
        late=rng.choice((0.0, rng.uniform(0, 0.8))),
    )
    return [(at_s, worse), (at_s + rng.uniform(0.5, 5), Worsen(source=source, target=target))]


def _late(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    """Requests of a centre to the witness, or its answers, come seconds late and twice."""
    source, target = rng.sample((rng.choice(CENTRES), WITNESS), 2)
    return [
        (at_s, Worsen(source=source, target=target, late=rng.uniform(0.2, 1))),
        (at_s + rng.uniform(0.5, 5), Worsen(source=source, target=target)),
    ]


def _request_under_way(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    """A centre asks the witness for a change, and dies or is reconnected before the request arrives."""
    name = rng.choice(CENTRES)
    asked_s = at_s + limits.suspect_after_ms / 1000 + rng.uniform(0, 0.3)
    events: list[Event] = [
        (at_s, Worsen(source=name, target=WITNESS, late=1.0)),
        (at_s, Cut("ops", "ecc")),
        (asked_s + rng.uniform(0, 0.3), Mend("ops", "ecc")),
        (asked_s + rng.uniform(1, 3), Worsen(source=name, target=WITNESS)),
    ]
    if rng.random() < 0.7:
        died_s = asked_s + rng.uniform(0, 0.3)
        events += [(died_s, Kill(name)), (died_s + rng.uniform(0.01, 0.3), Start(name))]
    return events


def _return_under_way(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    """A leader that is alone asks its peer back in, and dies before the request arrives; back, it is alone again."""
    name = rng.choice(CENTRES)
    alone_s = at_s + limits.suspect_after_ms / 1000 + rng.uniform(0.2, 0.5)
    died_s = alone_s + rng.uniform(0.1, 1)
    return [
        (at_s, Cut("ops", "ecc")),
        (alone_s, Worsen(source=name, target=WITNESS, late=1.0)),
        (alone_s, Mend("ops", "ecc")),
        (died_s, Kill(name)),
        (died_s, Cut("ops", "ecc")),
        (died_s + rng.uniform(0.01, 0.2), Start(name)),
        (died_s + rng.uniform(0.3, 3), Mend("ops", "ecc")),
        (died_s + rng.uniform(0.3, 3), Worsen(source=name, target=WITNESS)),
    ]


def _disk_full(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(CENTRES)
    return [(at_s, DiskFull(name)), (at_s + rng.uniform(0.1, 3), DiskFull(name, full=False))]


def _stall(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(CENTRES)
    stall = Stall(name, rng.choice((0.0, rng.uniform(0.01, 0.8))), apply_s=rng.choice((0.0, rng.uniform(0, 0.8))))
    return [(at_s, stall), (at_s + rng.uniform(0.2, 3), Stall(name, 0.0))]


def _fail_fsync(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    return [(at_s, FailFsync(rng.choice(CENTRES)))]


def _lose_disk(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(CENTRES)
    lost_s = at_s + rng.uniform(0.05, 2)
    loss = rng.choice((Damage(name), Wipe(name)))
    back_s = lost_s + rng.uniform(0.01, 1)
    return [(at_s, Kill(name)), (lost_s, loss), (back_s, Start(name)), (back_s + rng.uniform(0.2, 1), Start(name))]


def _clock(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(NODES)
    if rng.random() < 0.5:
        return [(at_s, Jump(name, rng.uniform(0, 5)))]
    return [(at_s, Drift(name, rng.uniform(0.8, 1.25))), (at_s + rng.uniform(0.5, 5), Drift(name, 1.0))]


def _hand_over(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    again_s = at_s + rng.choice((0.0, rng.uniform(0, 0.1), rng.uniform(0.1, 2)))
    return [(at_s, HandOver()), (again_s, HandOver())] if rng.random() < 0.5 else [(at_s, HandOver())]


def _lead(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    return [(at_s, Lead(rng.choice(CENTRES)))]


_KINDS: Final[dict[str, Kind]] = {
    "kill": _kill,
    "kill both": _kill_both,
    "crash loop": _crash_loop,
    "crash at a point": _crash_at,
    "pause": _pause,
    "cut": _cut,
    "isolate": _isolate,
    "flap": _flap,
    "reset": _reset,
    "worsen": _worsen,
    "late": _late,
    "request under way": _request_under_way,
    "return under way": _return_under_way,
    "disk full": _disk_full,
    "stall": _stall,
    "fail fsync": _fail_fsync,
    "lose disk": _lose_disk,
    "clock": _clock,
    "hand over": _hand_over,
    "lead": _lead,
}


# --- Faults below the threshold -------------------------------------------------------------------------------------


def _short_pause(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    name = rng.choice(NODES)
    seconds = limits.suspect_after_ms / 1000 * rng.uniform(0.05, 0.4)
    return [(at_s, Pause(name)), (at_s + seconds, Resume(name, timers_first=rng.random() < 0.5))]


def _short_cut(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    ends = rng.sample(rng.choice(EDGES), 2)
    seconds = limits.suspect_after_ms / 1000 * rng.uniform(0.05, 0.2)
    return [(at_s, Cut(ends[0], ends[1], one_way=rng.random() < 0.5)), (at_s + seconds, Mend(ends[0], ends[1]))]


def _small_delay(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    source, target = rng.sample(rng.choice(EDGES), 2)
    worse = Worsen(source=source, target=target, delay_s=rng.uniform(0, 0.05), jitter_s=rng.uniform(0, 0.05))
    return [(at_s, worse), (at_s + rng.uniform(0.5, 2), Worsen(source=source, target=target))]


def _witness_away(rng: random.Random, limits: ReplicationLimits, at_s: float) -> list[Event]:
    return [(at_s, Kill(WITNESS)), (at_s + rng.uniform(0.1, 3), Start(WITNESS))]


_MILD: Final[dict[str, Kind]] = {
    "short pause": _short_pause,
    "short cut": _short_cut,
    "small delay": _small_delay,
    "one reset": lambda rng, limits, at_s: [(at_s, Reset(*rng.choice(EDGES)))],
    "witness away": _witness_away,
    "disk full": _disk_full,
    "stall": _stall,
}


# --- Single faults --------------------------------------------------------------------------------------------------

_SINGLE: Final[dict[str, tuple[tuple[Action, ...], bool, int]]] = {
    "leader killed": ((Kill(LEADER),), False, 1),
    "leader without power": ((Kill(LEADER, power=True),), True, 1),
    "leader paused": ((Pause(LEADER),), True, 1),
    "leader isolated": ((Cut(LEADER, STANDBY), Cut(LEADER, WITNESS)), True, 1),
    "leader's fsync fails": ((FailFsync(LEADER),), False, 1),
    "leader's clock ahead": ((Jump(LEADER, 5),), False, 0),
    "leader cut off from the witness": ((Cut(LEADER, WITNESS),), False, 0),
    "leader not heard by the witness": ((Cut(LEADER, WITNESS, one_way=True),), False, 0),
    "leader deaf to the witness": ((Cut(WITNESS, LEADER, one_way=True),), False, 0),
    "centres' connections reset": ((Reset(LEADER, STANDBY),), False, 0),
    "centres cut off from each other": ((Cut(LEADER, STANDBY),), True, 0),
    "leader not heard by its standby": ((Cut(LEADER, STANDBY, one_way=True),), True, 0),
    "leader deaf to its standby": ((Cut(STANDBY, LEADER, one_way=True),), True, 0),
    "standby killed": ((Kill(STANDBY),), False, 0),
    "standby without power": ((Kill(STANDBY, power=True),), True, 0),
    "standby paused": ((Pause(STANDBY),), True, 0),
    "standby isolated": ((Cut(STANDBY, LEADER), Cut(STANDBY, WITNESS)), True, 0),
    "standby cut off from the witness": ((Cut(STANDBY, WITNESS),), False, 0),
    "standby's fsync fails": ((FailFsync(STANDBY),), False, 0),
    "standby's clock ahead": ((Jump(STANDBY, 5),), False, 0),
    "witness killed": ((Kill(WITNESS),), False, 0),
    "witness without power": ((Kill(WITNESS, power=True),), False, 0),
    "witness paused": ((Pause(WITNESS),), False, 0),
    "handed over": ((HandOver(),), False, 1),
}
"""What happens, whether it shows only as silence, and how often the leader may change."""


# --- Running --------------------------------------------------------------------------------------------------------


def judged(seed: int) -> tuple[History, list[Finding]]:
    """Runs the seed's schedule, and holds it to all that it must keep."""
    planned = schedule(seed)
    history = planned.run()
    return history, findings(history, planned.checks)


def report(history: History, finding: Finding) -> str:
    return (
        f"{finding.text}\nseed {history.seed}, {finding.at_s:.4f} s; again: python -m simulator.world --seed "
        f"{history.seed}\n{history.transcript(finding.at_s)}"
    )
