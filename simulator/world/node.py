"""A machine of a simulated world with one process after the other on it: what a centre and the witness have in common.

A process that dies by itself is started again after a while, as a supervisor does; one that was killed on purpose
stays down until it is started.
"""

import asyncio
import random
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from replication.limits import ReplicationLimits
from simulator.world.history import Broken, History, Injected
from simulator.world.loop import ProcessLoop, Timeline
from simulator.world.network import Network
from simulator.world.process import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all of a world share. `loop` is the world's own: network, clients and faults run there."""

    timeline: Timeline
    loop: ProcessLoop
    network: Network
    history: History
    limits: ReplicationLimits
    rng: random.Random


class SimulatedClock:
    """Implements `replication.ports.Clock`: runs at `rate`, and may jump ahead."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._true_s = now_s
        self._since_s = now_s()
        self._shown_s = 1000.0
        self._rate = 1.0

    def now_s(self) -> float:
        return self._shown_s + (self._true_s() - self._since_s) * self._rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)

    def set_rate(self, rate: float) -> None:
        self._shown_s, self._since_s = self.now_s(), self._true_s()
        self._rate = rate

    def jump(self, seconds: float) -> None:
        assert seconds >= 0, "a monotonic clock goes back"
        self._shown_s += seconds


class Node(ABC):
    """`expected`: what a process may end with; `fatal`: of these, what an operator must deal with before it starts
    again. `armed`: a named point at which it dies when it gets there for the `armed_after`th time."""

    expected: tuple[type[BaseException], ...] = ()
    fatal: tuple[type[BaseException], ...] = ()

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.clock = SimulatedClock(setting.loop.time)
        self.armed = ""
        self.armed_after = 0
        self.start_s = 0.1
        self.thread_s = 0.001
        self.deaths = 0
        self._setting = setting
        self._machine = setting.network.machines[name]
        self._wanted = True
        self._paused = False
        self._is_new = True

    @property
    def process(self) -> Process | None:
        return self._machine.process

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def powered(self) -> bool:
        return self._machine.power

    def start(self) -> None:
        """Does nothing when it runs already."""
        self._wanted = True
        self._machine.power = True
        if self.process is not None:
            return
        process = Process(
            self.name,
            self._setting.timeline,
            self._setting.loop,
            dies_at=self._dies_at,
            ended=self._ended,
            thread_s=lambda: self.thread_s,
        )
        self._machine.process = process
        self._setting.history.note(self.name, "starts")
        process.start(self._main(process, 0.0 if self._is_new else self.start_s))
        self._is_new = False

    def kill(self, *, power_lost: bool = False) -> None:
        """Stays down until `start`. Without power the machine does not even refuse connections."""
        self._wanted = False
        if power_lost:
            self._machine.power = False
        if self.process is not None:
            self.process.kill()

    def pause(self) -> None:
        if self.process is not None and not self._paused:
            self._paused = True
            self.process.loop.hold()

    def resume(self, *, timers_first: bool = False) -> None:
        if self._paused and self.process is not None:
            self.process.loop.release(timers_first=timers_first)
        self._paused = False

    async def _main(self, process: Process, start_s: float) -> None:
        await asyncio.sleep(start_s)
        await self.main(process)

    @abstractmethod
    async def main(self, process: Process) -> None:
        """What the process does."""

    @abstractmethod
    def lost(self, process: Process, *, power_lost: bool) -> None:
        """The process has died."""

    def _dies_at(self, point: str) -> bool:
        if point != self.armed:
            return False
        self.armed_after -= 1
        if self.armed_after > 0:
            return False
        self.armed = ""
        self._setting.history.add(Injected(kind="crash at a point", text=f"{self.name} dies {point}"))
        return True

    def _ended(self, process: Process, error: BaseException | None) -> None:
        self.deaths += 1
        self._machine.process = None
        self._paused = False
        power_lost = not self._machine.power
        self._setting.network.process_ended(process, power_lost=power_lost)
        stays = self._judge(error)
        self.lost(process, power_lost=power_lost)
        if self._wanted and not stays:
            self._setting.loop.call_later(self.start_s, self._start_again)

    def _start_again(self) -> None:
        if self._wanted:
            self.start()

    def _judge(self, error: BaseException | None) -> bool:
        """Whether the process stays down for what it died of."""
        if error is None:
            self._setting.history.note(self.name, "is dead")
            return False
        reasons = _leaves(error)
        self._setting.history.note(self.name, f"ends: {'; '.join(map(repr, reasons))}")
        if all(isinstance(reason, self.expected) for reason in reasons):
            return any(isinstance(reason, self.fatal) for reason in reasons)
        self._setting.history.add(Broken(who=self.name, text=_text(reasons[0])))
        self._setting.timeline.stop()
        return True


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _text(error: BaseException) -> str:
    """With the place of the last few calls."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return (
        f"{error!r} in {' < '.join(f'{Path(one.filename).name}:{one.lineno} {one.name}' for one in reversed(frames))}"
    )
