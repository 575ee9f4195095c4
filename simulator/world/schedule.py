"""Schedules of faults, drawn from a seed: which kinds are in, how many, how long, under which limits and load.

Each schedule weighs the faults anew (swarm testing): one is mostly cuts, another mostly crashes, another all at once.
Faults come first, then all end, and then both centres must be in sync again and acknowledge writes in time. Of ten
schedules one has only faults that stay below the threshold: nothing may change then; and one has single faults with
time between: writes must resume within the bound after each, and the leader change once at most.
"""

import random
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
from simulator.world.faults import Event, Heal, Load, Restore
from simulator.world.history import History
from simulator.world.kinds import KINDS, MILD, SINGLE, Kind
from simulator.world.world import Pace, World

_FIRST_FAULT_S: Final = 0.5
_NUMBER_BYTES: Final = 30
_EVERY: Final = 10
_SLOW_S: Final = 0.01
_BEATS: Final = 6
_RESUME_S: Final = 0.6
_RECOVERED_S: Final = 2.0
_CONVERGED_S: Final = 7.0  # Of which calls that come late may take five.
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
    events = _drawn(rng, limits, KINDS, count=rng.randint(1, 8), within_s=faults_s)
    healed_s = _FIRST_FAULT_S + faults_s + rng.uniform(0.5, 2.5)
    return _schedule(seed, limits, [*events, (0.0, _load(rng, writes_per_s))], healed_s, (), pace=pace)


def _mild(seed: int, rng: random.Random) -> Schedule:
    """Faults below the threshold."""
    limits = replace(_limits(rng), persist_backlog_bytes_max=64 << 20)  # Else a full standby is taken out, rightly.
    events = _drawn(rng, limits, MILD, count=rng.randint(1, 2), within_s=rng.uniform(1, 6))
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
        fault, silent, changes = SINGLE[rng.choice(tuple(SINGLE))]
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
