"""Kinds of faults, as schedules draw them: any (`KINDS`), below the threshold (`MILD`), and one by one (`SINGLE`)."""

import random
from collections.abc import Callable
from typing import Final

from replication.limits import ReplicationLimits
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
    Jump,
    Kill,
    Lead,
    Mend,
    Pause,
    Reset,
    Resume,
    Stall,
    Start,
    Wipe,
    Worsen,
)
from simulator.world.pair import CENTRES
from simulator.world.witness import WITNESS

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

Kind = Callable[[random.Random, ReplicationLimits, float], list[Event]]
"""From randomness, limits and a time to what happens then and later."""

# --- Any fault ------------------------------------------------------------------------------------------------------


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


KINDS: Final[dict[str, Kind]] = {
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


MILD: Final[dict[str, Kind]] = {
    "short pause": _short_pause,
    "short cut": _short_cut,
    "small delay": _small_delay,
    "one reset": lambda rng, limits, at_s: [(at_s, Reset(*rng.choice(EDGES)))],
    "witness away": _witness_away,
    "disk full": _disk_full,
    "stall": _stall,
}


# --- Single faults --------------------------------------------------------------------------------------------------

SINGLE: Final[dict[str, tuple[tuple[Action, ...], bool, int]]] = {
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
