"""The triangle of links: two centres and a witness, each direction of each edge with faults of its own.

Connections are `simulator.world.connection`'s. A call is one request and one answer, either of which may be lost,
doubled, or come seconds late. Whether a connection is refused is the kernel's to say: a paused process refuses nothing,
a machine without power says nothing at all.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from replication.errors import ReplicationError
from simulator.world.connection import End, Pipe, reset
from simulator.world.loop import ProcessLoop
from simulator.world.process import Process

_RETRANSMIT_S: Final = 0.2
_RESENT_WITHIN_S: Final = 0.3
_LATE_S_MAX: Final = 3.0
_REFUSED_TRIES: Final = 3
_REFUSED_PAUSE_S: Final = 0.03


@dataclass(kw_only=True)
class Edge:
    """One direction. A message takes `base_s` and, when something is wrong, `delay_s` more. `loss`: share of messages
    that must be sent again; `late`: share of calls that come seconds late or twice; `waiting`, `kept`: what a cut
    holds up. Times in seconds."""

    base_s: float = 0.001
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    late: float = 0.0
    cut: bool = False
    waiting: list[Pipe] = field(default_factory=list)
    kept: list[Callable[[], None]] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        return bool(self.cut or self.waiting or self.kept or self.loss or self.late or self.jitter_s or self.delay_s)

    def heal(self) -> None:
        """All but a cut, which is mended by the network."""
        self.delay_s = self.jitter_s = self.loss = self.late = 0.0

    def transit_s(self, rng: random.Random) -> float:
        seconds = self.base_s + self.delay_s + self.jitter_s * rng.random()
        if self.loss:
            again_s = _RETRANSMIT_S
            while rng.random() < self.loss and again_s < 2:
                seconds += again_s
                again_s *= 2
        return seconds


@dataclass(kw_only=True)
class Machine:
    """Where a process runs, or none at the moment."""

    process: Process | None = None
    power: bool = True


class Network:
    def __init__(self, loop: ProcessLoop, rng: random.Random, names: tuple[str, ...]) -> None:
        self.rng = rng
        self.machines: Mapping[str, Machine] = {name: Machine() for name in names}
        self.edges = {(left, right): Edge() for left in names for right in names if left != right}
        self.calls_under_way = dict.fromkeys(names, 0)
        self._loop = loop

    @property
    def now_s(self) -> float:
        return self._loop.time()

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        self._loop.call_at(when_s, action)

    def has_power(self, name: str) -> bool:
        return self.machines[name].power

    # --- Faults -------------------------------------------------------------------------------------------------

    def cut(self, source: str, target: str) -> None:
        self.edges[source, target].cut = True

    def mend(self, source: str, target: str) -> None:
        """What waited is sent again."""
        edge = self.edges[source, target]
        if not edge.cut:
            return
        edge.cut = False
        waiting, kept, edge.waiting, edge.kept = edge.waiting, edge.kept, [], []
        for pipe in waiting:
            pipe.resend(self.now_s + _RESENT_WITHIN_S * self.rng.random())
        for arrive in kept:
            self.at(self.now_s + _LATE_S_MAX * self.rng.random(), arrive)

    def reset(self, left: str, right: str) -> None:
        """Ends all connections between two nodes, as a router that forgot them does: both sides learn of it at once."""
        process = self.machines[left].process
        for end in list(process.ends) if process is not None else []:
            if end.other is not None and end.other.place == right:
                end.other.reset()
                end.reset()

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """The kernel closes what the process had open."""
        for end in list(process.ends):
            if power_lost:
                end.vanish()
            else:
                end.close("its process ended")

    # --- Connections --------------------------------------------------------------------------------------------

    async def connect(self, process: Process, target: str, purpose: str, *, within_s: float) -> End:
        """Opens a connection. Raises ConnectionError when it is refused or takes too long."""
        answer: asyncio.Future[End] = process.loop.create_future()
        timer = process.loop.call_later(within_s, _fail, answer, ConnectionError("no answer in time"))
        self._carry(process.name, target, lambda: self._knock(process, target, purpose, answer))
        try:
            return await answer
        finally:
            timer.cancel()

    def _knock(self, process: Process, target: str, purpose: str, answer: "asyncio.Future[End]") -> None:
        machine = self.machines[target]
        if not machine.power:
            return
        listener = machine.process
        if listener is None or not listener.listens:
            refusal = ConnectionRefusedError(f"{target} refuses")
            self._carry(target, process.name, lambda: _fail(answer, refusal))
        else:
            listener.loop.call_soon(self._accept, listener, process, purpose, answer)

    def _accept(self, listener: Process, process: Process, purpose: str, answer: "asyncio.Future[End]") -> None:
        there = Pipe(self, self.edges[process.name, listener.name])
        back = Pipe(self, self.edges[listener.name, process.name])
        here = End(listener, listener.name, back, there, self)
        here.watch()
        assert listener.accept is not None, "it listens"
        listener.accept(here, purpose)
        self._carry(listener.name, process.name, lambda: self._open(process, answer, here, there, back))

    def _open(self, process: Process, answer: "asyncio.Future[End]", other: End, there: Pipe, back: Pipe) -> None:
        if not process.alive or answer.done():
            if self.has_power(process.name):
                reset(there)
            return
        end = End(process, process.name, there, back, self)
        end.watch()
        end.other, other.other = other, end
        answer.set_result(end)

    async def refused(self, process: Process, target: str, *, within_s: float) -> bool:
        """Whether nobody listens there, as `replication.probing` finds out."""
        until_s = self.now_s + within_s
        for _ in range(_REFUSED_TRIES):
            try:
                end = await self.connect(process, target, "probe", within_s=until_s - self.now_s)
            except ConnectionRefusedError:
                pass
            except ConnectionError:
                return False
            else:
                end.close("probed")
                return False
            await asyncio.sleep(_REFUSED_PAUSE_S)
        return True

    # --- Calls --------------------------------------------------------------------------------------------------

    async def call(self, process: Process, target: str, request: object, *, within_s: float) -> object:
        """One request, one answer. Raises ConnectionError, or what the other side raised: it may have been carried
        out all the same, now or later."""
        answer: asyncio.Future[object] = process.loop.create_future()
        timer = process.loop.call_later(within_s, _fail, answer, ConnectionError("no answer in time"))
        source = process.name
        for _ in range(self._copies(source, target)):
            self.calls_under_way[source] += 1
            self._carry(source, target, lambda: self._serve(source, target, request, answer), call=True)
        try:
            return await answer
        finally:
            timer.cancel()

    def _serve(self, source: str, target: str, request: object, answer: "asyncio.Future[object]") -> None:
        machine = self.machines[target]
        server = machine.process
        if server is not None and server.listens and machine.power:
            assert server.answer is not None, "it serves calls"
            task = server.loop.create_task(server.answer(request))
            task.add_done_callback(lambda done: self._reply(source, server, done, answer))
            return
        self.calls_under_way[source] -= 1
        if machine.power:
            refusal = ConnectionRefusedError(f"{target} refuses")
            self._carry(target, source, lambda: _fail(answer, refusal))

    def _reply(
        self, source: str, server: Process, done: "asyncio.Task[object]", answer: "asyncio.Future[object]"
    ) -> None:
        self.calls_under_way[source] -= 1
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._carry(server.name, source, lambda: _answer(answer, done.result()), call=True)
        elif isinstance(error, ReplicationError):
            self._carry(server.name, source, lambda: _fail(answer, error), call=True)
        else:
            server.fail(error)

    def _copies(self, source: str, target: str) -> int:
        edge = self.edges[source, target]
        return 2 if edge.late and self.rng.random() < edge.late else 1

    def _carry(self, source: str, target: str, arrive: Callable[[], None], *, call: bool = False) -> None:
        edge = self.edges[source, target]
        seconds = edge.transit_s(self.rng)
        if call and edge.late and self.rng.random() < edge.late:
            seconds += _LATE_S_MAX * self.rng.random()
        self.at(self.now_s + seconds, lambda: self._arrive(edge, arrive, call=call))

    @staticmethod
    def _arrive(edge: Edge, arrive: Callable[[], None], *, call: bool) -> None:
        if not edge.cut:
            arrive()
        elif call:  # May come when the cut is mended, long after anybody waits for it.
            edge.kept.append(arrive)


def _fail(answer: "asyncio.Future[End] | asyncio.Future[object]", error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _answer(answer: "asyncio.Future[object]", result: object) -> None:
    if not answer.done():
        answer.set_result(result)
