"""Many schedules, over several processes: what was done and what was found."""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from simulator.world.checkers import role_changes
from simulator.world.history import History, Injected, Read, Wrote
from simulator.world.schedule import judged, report

_SEEDS_A_TASK: Final = 20


@dataclass(kw_only=True)
class Tally:
    """Sums over schedules; `faults` by kind, `violation` with its transcript, empty when there was none."""

    schedules: int = 0
    virtual_s: float = 0.0
    elapsed_s: float = 0.0
    acknowledged: int = 0
    reads: int = 0
    role_changes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    violation: str = ""

    @property
    def schedules_per_min(self) -> float:
        return self.schedules / self.elapsed_s * 60 if self.elapsed_s else 0.0

    def add(self, other: "Tally") -> None:
        self.schedules += other.schedules
        self.virtual_s += other.virtual_s
        self.acknowledged += other.acknowledged
        self.reads += other.reads
        self.role_changes += other.role_changes
        self.faults = dict(Counter(self.faults) + Counter(other.faults))
        self.violation = self.violation or other.violation


def run_some(seeds: range) -> Tally:
    """One after the other, until one violates a property."""
    tally = Tally()
    collecting = gc.isenabled()
    gc.disable()  # A world is one heap of cycles: better thrown away as a whole than searched again and again.
    try:
        for seed in seeds:
            history, found = judged(seed)
            tally.add(_tally(history))
            if found:
                tally.violation = report(history, found[0])
                break
    finally:
        if collecting:
            gc.enable()
        gc.collect()
    return tally


def run_all(seeds: range, *, jobs: int, advanced: Callable[[int], None] = lambda count: None) -> Tally:
    """In `jobs` processes, until one finds a violation. `advanced` is told how many more are done."""
    tally = Tally()
    began_s = time.monotonic()
    tasks = [seeds[start : start + _SEEDS_A_TASK] for start in range(0, len(seeds), _SEEDS_A_TASK)]
    for done in _in_processes(tasks, jobs):
        tally.add(done)
        advanced(done.schedules)
        if tally.violation:
            break
    tally.elapsed_s = time.monotonic() - began_s
    return tally


def _in_processes(tasks: list[range], jobs: int) -> Iterator[Tally]:
    if jobs == 1:
        yield from map(run_some, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run_some, tasks)


def _tally(history: History) -> Tally:
    return Tally(
        schedules=1,
        virtual_s=history.records[-1][0],
        acknowledged=sum(one.outcome == "acknowledged" for _, one in history.of(Wrote)),
        reads=sum(1 for _ in history.of(Read)),
        role_changes=role_changes(history),
        faults=dict(Counter(one.kind for _, one in history.of(Injected))),
    )
