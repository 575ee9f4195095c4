"""Connections as TCP and gRPC make them: bytes arrive in order or the connection ends, and an end may believe in it
long after the other one is gone.

What is sent into a cut waits, and arrives when the cut is healed in time. An end that has read nothing for
`KEEPALIVE_S` asks, and gives up after `KEEPALIVE_ANSWER_S` more. Dead processes' ends are closed by their kernel;
a machine without power says nothing. What arrives at an end that is closed is answered with a reset.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from simulator.world.process import Process

if TYPE_CHECKING:
    from simulator.world.network import Edge, Network

KEEPALIVE_S: Final = 1.0
KEEPALIVE_ANSWER_S: Final = 2.0
WINDOW_BYTES: Final = 64 << 10


class _Control(Enum):
    PING = 1
    PONG = 2
    END = 3
    RESET = 4


class Pipe:
    """One direction of a connection."""

    def __init__(self, network: "Network", edge: "Edge") -> None:
        self._network = network
        self._edge = edge
        self._under_way: deque[tuple[float, object, int]] = deque()
        self._last_s = 0.0
        self._moving = False
        self._arrive: Callable[[object, int], None] | None = None
        self.unread_bytes = 0

    def lead_to(self, arrive: Callable[[object, int], None]) -> None:
        self._arrive = arrive

    def send(self, message: object, size_bytes: int) -> None:
        self._last_s = max(self._last_s, self._network.now_s + self._edge.transit_s(self._network.rng))
        self._under_way.append((self._last_s, message, size_bytes))
        self.unread_bytes += size_bytes
        if not self._moving:
            self._moving = True
            self._network.at(self._last_s, self._due)

    def resend(self, at_s: float) -> None:
        """The cut is healed."""
        self._network.at(at_s, self._due)

    def _due(self) -> None:
        if self._edge.cut:
            self._edge.waiting.append(self)
            return
        now_s = self._network.now_s
        while self._under_way and self._under_way[0][0] <= now_s:
            _, message, size_bytes = self._under_way.popleft()
            if self._arrive is not None:
                self._arrive(message, size_bytes)
        self._moving = bool(self._under_way)
        if self._moving:
            self._network.at(self._under_way[0][0], self._due)


class End:
    """One process's end of a connection. `place` names the machine that it is on."""

    def __init__(self, process: Process, place: str, outgoing: Pipe, incoming: Pipe, network: "Network") -> None:
        self.process = process
        self.place = place
        self.open = True
        self.reason = ""
        self.other: End | None = None
        self._ended = False
        self._network = network
        self._outgoing = outgoing
        self._incoming = incoming
        self._inbox: deque[tuple[object, int]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._read_s = network.now_s
        incoming.lead_to(self._arrive)
        process.ends.append(self)

    # --- For the process ----------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Starts the keepalive."""
        self.process.loop.call_later(KEEPALIVE_S, self._keepalive)

    def send(self, message: object, size_bytes: int) -> None:
        """Raises ConnectionError."""
        if not self.open:
            raise ConnectionError(self.reason)
        self._outgoing.send(message, size_bytes)

    async def room(self) -> None:
        """Waits until the other side has read enough. Raises ConnectionError."""
        while self.open and self._outgoing.unread_bytes > WINDOW_BYTES:
            writer = self.process.loop.create_future()
            self._writers.append(writer)
            await writer
        if not self.open:
            raise ConnectionError(self.reason)

    async def receive(self) -> object:
        """The next message. Raises ConnectionError when there will be none."""
        while True:
            if self._inbox and self.open:
                message, size_bytes = self._inbox.popleft()
                self._incoming.unread_bytes -= size_bytes
                if self.other is not None:
                    self.other.drained()
                return message
            if self._ended or not self.open:
                self.close(self.reason or "the other side ended it")
                raise ConnectionError(self.reason)
            self._reader = self.process.loop.create_future()
            await self._reader

    def close(self, reason: str) -> None:
        """Ends the connection from here; the other side hears of it, if anything gets through."""
        if self.open:
            self._outgoing.send(_Control.END, 0)
            self._break(reason)

    # --- For the kernel -----------------------------------------------------------------------------------------

    def vanish(self) -> None:
        """The machine lost its power: nobody hears anything."""
        self._break("no power")

    def reset(self) -> None:
        self._break("reset on the way")

    def drained(self) -> None:
        """The other side has read something."""
        if self._writers and self._outgoing.unread_bytes <= WINDOW_BYTES:
            self._wake_writers()

    def _arrive(self, message: object, size_bytes: int) -> None:
        if not self._network.has_power(self.place):
            return
        if not self.open:
            if message not in (_Control.END, _Control.RESET):
                self._outgoing.send(_Control.RESET, 0)
            return
        self._read_s = self._network.now_s
        match message:
            case _Control.PING:
                self.process.loop.call_soon(self._answer)
            case _Control.PONG:
                pass
            case _Control.END:
                self._ended = True
                self._wake_reader()
            case _Control.RESET:
                self._break("reset by the other side")
            case _:
                self._inbox.append((message, size_bytes))
                self._wake_reader()

    def _answer(self) -> None:
        if self.open:
            self._outgoing.send(_Control.PONG, 0)

    def _keepalive(self) -> None:
        if not self.open:
            return
        quiet_until_s = self._read_s + KEEPALIVE_S
        if self._network.now_s < quiet_until_s:
            self.process.loop.call_at(quiet_until_s, self._keepalive)
            return
        self._outgoing.send(_Control.PING, 0)
        self.process.loop.call_later(KEEPALIVE_ANSWER_S, self._expire, self._read_s)

    def _expire(self, read_s: float) -> None:
        if self.open and self._read_s == read_s:
            self.close("keepalive unanswered")
        else:
            self._keepalive()

    def _break(self, reason: str) -> None:
        if not self.open:
            return
        self.open, self.reason = False, reason
        if self in self.process.ends:
            self.process.ends.remove(self)
        self._inbox.clear()
        self.other = None
        self._wake_reader()
        self._wake_writers()

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)


def reset(pipe: Pipe) -> None:
    """Whoever is at the pipe's other side learns that nobody is at this one."""
    pipe.send(_Control.RESET, 0)
