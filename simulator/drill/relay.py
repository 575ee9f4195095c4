"""What carries the bytes of an edge: lanes, one a direction, and relays, one a connection.

A cut lane is a dropped cable. Nothing is read from it and nothing written to it, so what was sent waits in the socket
buffers of the kernel until they are full, as what TCP has to send again would; ends and resets of connections wait
with it. No byte is dropped: a stream goes on after the cut, unless its ends gave up meanwhile. What is held is bounded
by the buffers, and by `_QUEUE_BYTES_MAX` a lane and connection.

A slow lane first passes bytes at the link's rate, which all its connections share, then holds them for the delay;
their order stays. A reset overtakes what is on its way.
"""

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

_READ_BYTES: Final = 64 << 10
_QUEUE_BYTES_MAX: Final = 4 << 20
_SLICES_PER_S: Final = 50  # A slow link is read in parts of this fraction of a second.
_RESET: Final = struct.pack("ii", 1, 0)  # Linger for no time: a close sends RST.


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with an edge; as it is made, nothing. `out` is from source to target. Delays are one way each."""

    cut_out: bool = False
    cut_in: bool = False
    refused: bool = False
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_bytes_per_s: float | None = None

    @property
    def cut(self) -> bool:
        return self.cut_out or self.cut_in


class Condition:
    """The fault of an edge, and who waits for another one. Belongs to one event loop."""

    def __init__(self) -> None:
        self.fault = Fault()
        self._changed = asyncio.Event()

    def set(self, fault: Fault) -> None:
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float | None = None) -> None:
        """Returns when the fault was set again or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()


class Lane:
    """One direction of an edge."""

    def __init__(self, condition: Condition, *, out: bool) -> None:
        self.condition = condition
        self._out = out
        self._free_s = 0.0

    @property
    def cut(self) -> bool:
        fault = self.condition.fault
        return fault.cut_out if self._out else fault.cut_in

    async def opened(self) -> None:
        while self.cut:
            await self.condition.changed()

    async def turn(self) -> int:
        """Waits until bytes may enter; how many. The caller reads them before it awaits anything."""
        while True:
            await self.opened()
            rate = self.condition.fault.rate_bytes_per_s
            if rate is None:
                return _READ_BYTES
            wait_s = self._free_s - asyncio.get_running_loop().time()
            if wait_s <= 0:
                return max(1, min(_READ_BYTES, int(rate / _SLICES_PER_S)))
            await self.condition.changed(wait_s)

    def entered(self, size_bytes: int) -> None:
        """The link is taken for as long as these bytes need."""
        rate = self.condition.fault.rate_bytes_per_s
        if rate is not None:
            self._free_s = max(self._free_s, asyncio.get_running_loop().time()) + size_bytes / rate

    async def delayed(self, entered_s: float, luck: float) -> None:
        """Waits until what entered then comes out. `luck`: its share of the jitter, 0 to 1."""
        while True:
            fault = self.condition.fault
            due_s = entered_s + (fault.delay_ms + luck * fault.jitter_ms) / 1000
            wait_s = due_s - asyncio.get_running_loop().time()
            if wait_s <= 0:
                return
            await self.condition.changed(wait_s)

    @property
    def instant(self) -> bool:
        return not (self.condition.fault.delay_ms or self.condition.fault.jitter_ms)


async def relay(
    source: socket.socket, target: socket.socket, out: Lane, back: Lane, target_ended: Callable[[], Awaitable[None]]
) -> None:
    """Carries bytes both ways until both ends have ended, or one broke: then the other is reset. Closes both.

    `target_ended` is awaited before the source learns that the target ended or broke.
    """
    there = _Pump(source, target, out, back)
    here = _Pump(target, source, back, out)
    there.receiver_broke = here.sender_ended = target_ended
    try:
        async with asyncio.TaskGroup() as tasks:
            for pump in (there, here):
                tasks.create_task(pump.read())
                tasks.create_task(pump.write())
    except BaseException as error:
        for one in (source, target):
            reset(one)
        if not isinstance(error, ExceptionGroup) or error.split(OSError)[1] is not None:
            raise
    else:
        for one in (source, target):
            one.close()


class _Pump:
    """Moves bytes from one socket to the other through a lane. `back` is the lane the other way: by it the sender
    learns that the receiver broke."""

    def __init__(self, sender: socket.socket, receiver: socket.socket, lane: Lane, back: Lane) -> None:
        self._sender = sender
        self._receiver = receiver
        self._lane = lane
        self._back = back
        self._queue: deque[tuple[float, float, bytes]] = deque()  # What is being written stays at its head.
        self._queue_bytes = 0
        self._moved = asyncio.Event()
        self.sender_ended: Callable[[], Awaitable[None]] = _nothing
        self.receiver_broke: Callable[[], Awaitable[None]] = _nothing

    async def read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await self._received():
                if not self._queue and self._lane.instant:  # The common case needs no other task.
                    with suppress(OSError):  # It broke: `write` finds that, too, and says so.
                        data = data[self._sent(data) :]
                if data:
                    self._put(loop.time(), data)
                while self._queue_bytes > _QUEUE_BYTES_MAX:
                    self._moved.clear()
                    await self._moved.wait()
        except OSError:
            await self.sender_ended()
            await self._lane.opened()
            raise
        await self.sender_ended()
        self._put(loop.time(), b"")

    async def write(self) -> None:
        while True:
            while not self._queue:
                self._moved.clear()
                await self._moved.wait()
            entered_s, luck, data = self._queue[0]
            await self._lane.delayed(entered_s, luck)
            if not data:
                await self._lane.opened()
                with suppress(OSError):  # It broke: what is read from it says so.
                    self._receiver.shutdown(socket.SHUT_WR)
                return
            await self._send(data)
            self._queue.popleft()
            self._queue_bytes -= len(data)
            self._moved.set()

    def _put(self, entered_s: float, data: bytes) -> None:
        self._queue.append((entered_s, random.random(), data))
        self._queue_bytes += len(data)
        self._moved.set()

    async def _received(self) -> bytes:
        while True:
            size = await self._lane.turn()
            try:
                data = self._sender.recv(size)
            except BlockingIOError:
                await _readable(self._sender)
            else:
                self._lane.entered(len(data))
                return data

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            await self._lane.opened()
            try:
                sent = self._sent(rest)
            except OSError:
                await self.receiver_broke()
                await self._back.opened()
                raise
            rest = rest[sent:]
            if not sent:
                await _writable(self._receiver)

    def _sent(self, data: bytes | memoryview) -> int:
        """How many bytes the receiver's socket took at once."""
        try:
            return self._receiver.send(data)
        except BlockingIOError:
            return 0


def reset(one: socket.socket) -> None:
    """Closes a socket so that its peer sees RST."""
    if one.fileno() >= 0:
        with suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        one.close()


async def _nothing() -> None:
    pass


async def _readable(one: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await _ready(one.fileno(), loop.add_reader, loop.remove_reader)


async def _writable(one: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await _ready(one.fileno(), loop.add_writer, loop.remove_writer)


async def _ready(descriptor: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.get_running_loop().create_future()
    add(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(descriptor)
