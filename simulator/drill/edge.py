"""One edge of the city: a listener that stands in for the process behind it, and the connections made through it.

The source must see of the target what it would see without the edge. So the edge listens only while the target does:
an idle connection to it tells when its process is gone, and from then on it is tried every `_RETRY_S`. While the edge
is cut it listens all the same: then a silent target and one that is gone must look alike.

Connections that are made while the edge is cut, in whichever direction, are accepted by the kernel, get nothing, and
reach the target once the edge is whole again, as the SYN that is sent again would.
"""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final

from simulator.drill.relay import Condition, Fault, Lane, relay, reset

_RETRY_S: Final = 0.02
_BACKLOG: Final = 512
_READ_BYTES: Final = 64 << 10


class Edge:
    """From `listen` to `target`, each (host, port). Made and used in one event loop.

    `start` raises OSError when the port cannot be had. Errors that end a task of the edge are kept in `errors`.
    """

    def __init__(self, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self._listen = listen
        self._target = target
        self._condition = Condition()
        self._out = Lane(self._condition, out=True)
        self._back = Lane(self._condition, out=False)
        self._listener: socket.socket | None = None
        self._target_up = False
        self._connections: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self.errors: list[BaseException] = []

    @property
    def fault(self) -> Fault:
        return self._condition.fault

    @property
    def listening(self) -> bool:
        return self._listener is not None

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        await self.look()
        self._watching = self._task(self._watch())

    async def stop(self) -> None:
        assert self._watching is not None
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._reset_all()
        self._close()

    async def set(self, fault: Fault) -> None:
        """Puts another fault in force."""
        self._condition.set(fault)
        self._mirror()
        if fault.refused:
            await self._reset_all()

    async def look(self) -> None:
        """Finds out whether the target listens, and does likewise."""
        if (one := await self._connected()) is not None:
            one.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            one = await self._connected()
            if one is not None:
                with one, suppress(OSError):
                    while await loop.sock_recv(one, _READ_BYTES):
                        pass
            await asyncio.sleep(_RETRY_S)

    async def _connected(self) -> socket.socket | None:
        """A new connection to the target, or None when it is gone."""
        one = _socket()
        try:
            try:
                await asyncio.get_running_loop().sock_connect(one, self._target)
                self._target_up = True
            except OSError:
                self._target_up = False
            self._mirror()
        except BaseException:
            one.close()
            raise
        if self._target_up:
            return one
        one.close()
        return None

    def _mirror(self) -> None:
        listens = not self.fault.refused and (self._target_up or self.fault.cut)
        if listens and self._listener is None:
            self._open()
        elif not listens:
            self._close()

    def _open(self) -> None:
        listener = _socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Past connections are no obstacle.
            listener.bind(self._listen)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)
        self._listener = listener

    def _close(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                source, _ = listener.accept()
                source.setblocking(False)
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = self._task(self._join(source))
                self._connections.add(task)
                task.add_done_callback(partial(self._left, source))

    async def _join(self, source: socket.socket) -> None:
        while self.fault.cut:
            await self._condition.changed()
        target = await self._connected()
        if target is not None:
            await relay(source, target, self._out, self._back, self.look)

    def _left(self, source: socket.socket, task: "asyncio.Task[None]") -> None:
        self._connections.discard(task)
        reset(source)  # Unless it ended in order, or the task was cancelled before its first step.

    async def _reset_all(self) -> None:
        tasks = tuple(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)


def _socket() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one
