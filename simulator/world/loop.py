"""Event loops in virtual time: each simulated process has its own, and one timeline runs them all.

Whatever is ready runs first, in the order in which it became ready; then time jumps to the next timer. A loop can be
held, as a paused process is: what becomes due meanwhile waits. A closed loop runs nothing any more.

Work for a thread is done in the loop, after a while: nothing else of the process sees it half done.

Deliberately absent: sockets, threads, signals, and contexts (`contextvars`), which nothing here uses.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_HANDLES_AT_ONCE_MAX: Final = 100_000
_TASKS_LISTED_MIN: Final = 64


class LivelockError(AssertionError):
    """Things go on happening and no time passes."""


class Handle(asyncio.TimerHandle):
    """A callback to be run, soon or later."""

    __slots__ = ()

    def __init__(
        self, loop: "ProcessLoop", callback: Callable[..., object], args: tuple[object, ...], *, when_s: float
    ) -> None:
        self._loop = loop
        self._callback = callback
        self._args = args
        self._when = when_s
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def when(self) -> float:
        return self._when


class Timeline:
    """Virtual time from 0, and all that is to happen."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._timers_made = 0
        self._stopped = False

    def new_loop(self, *, thread_s: Callable[[], float] = lambda: 0.001) -> "ProcessLoop":
        """`thread_s`: how long work in a thread takes."""
        return ProcessLoop(self, thread_s)  # type: ignore[abstract]  # the rest is deliberately absent

    def run(self, until_s: float) -> None:
        """Until then, or until `stop` is called. Raises LivelockError."""
        ready, timers = self._ready, self._timers
        running: ProcessLoop | None = None
        before = events._get_running_loop()
        self._stopped = False
        try:
            while True:
                count = 0
                while ready and not self._stopped:
                    handle = ready.popleft()
                    if handle._cancelled:
                        continue
                    loop: ProcessLoop = handle._loop
                    if loop.held or loop.closed:
                        loop.put_aside(handle)
                        continue
                    if loop is not running:
                        events._set_running_loop(loop)
                        running = loop
                    handle._callback(*handle._args)
                    count += 1
                    if count > _HANDLES_AT_ONCE_MAX:
                        raise LivelockError(f"{count} callbacks and no time passes")
                if self._stopped or not timers or timers[0][0] > until_s:
                    break
                self.now_s, _, handle = heapq.heappop(timers)
                ready.append(handle)
        finally:
            events._set_running_loop(before)
        if not self._stopped:
            self.now_s = max(self.now_s, until_s)

    def stop(self) -> None:
        """Ends `run` after the callback that runs now."""
        self._stopped = True

    def soon(self, handle: Handle) -> None:
        self._ready.append(handle)

    def at(self, handle: Handle) -> None:
        self._timers_made += 1
        heapq.heappush(self._timers, (max(handle._when, self.now_s), self._timers_made, handle))

    def withdraw(self, loop: "ProcessLoop") -> list[Handle]:
        """Takes what is ready on a loop away from it."""
        withdrawn = [handle for handle in self._ready if handle._loop is loop]
        if withdrawn:
            kept = [handle for handle in self._ready if handle._loop is not loop]
            self._ready.clear()
            self._ready.extend(kept)
        return withdrawn


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one simulated process."""

    def __init__(self, timeline: Timeline, thread_s: Callable[[], float]) -> None:
        self._timeline = timeline
        self._thread_s = thread_s
        self.held = False
        self.closed = False
        self._soon: Callable[[Handle], None] = timeline.soon
        self._aside: tuple[list[Handle], list[Handle]] = ([], [])
        self._tasks: list[asyncio.Task[Any]] = []
        self._tasks_listed_max = _TASKS_LISTED_MIN

    # --- For the simulated process ------------------------------------------------------------------------------

    def time(self) -> float:
        return self._timeline.now_s

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> Handle:
        handle = Handle(self, callback, args, when_s=-1.0)
        self._soon(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> Handle:
        return self.call_at(self._timeline.now_s + delay, callback, *args)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> Handle:
        handle = Handle(self, callback, args, when_s=when)
        self._timeline.at(handle)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, Result] | Coroutine[Any, Any, Result],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Result]":
        task: asyncio.Task[Result] = asyncio.Task(coro, loop=self, name=None if name is None else str(name))
        if len(self._tasks) >= self._tasks_listed_max:
            self._tasks = [listed for listed in self._tasks if not listed.done()]
            self._tasks_listed_max = max(_TASKS_LISTED_MIN, 2 * len(self._tasks))
        self._tasks.append(task)
        if self.closed:
            task.cancel()
        return task

    def run_in_executor(
        self,
        executor: object,
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> "asyncio.Future[Result]":
        future: asyncio.Future[Result] = self.create_future()
        self.call_later(self._thread_s(), _work, future, func, args)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.closed

    def is_closed(self) -> bool:
        return self.closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Called for exceptions that nobody asked for, whenever memory is tidied: such a moment is nobody's fault.
        What ends a process is seen by whoever runs it."""

    # --- For the world ------------------------------------------------------------------------------------------

    def put_aside(self, handle: Handle) -> None:
        if self.held:
            self._aside[handle._when >= 0].append(handle)

    def hold(self) -> None:
        self.held = True

    def release(self, *, timers_first: bool) -> None:
        """Whatever waited becomes ready: what was ready already, and timers that have become due."""
        self.held = False
        first, then = (1, 0) if timers_first else (0, 1)
        for handle in (*self._aside[first], *self._aside[then]):
            self._timeline.soon(handle)
        self._aside = ([], [])

    def close(self) -> None:
        """Ends every task at once: virtual time stands still, and what the tasks do on their way out is done."""
        assert not self.closed, "closed twice"
        waiting: deque[Handle] = deque([*self._timeline.withdraw(self), *self._aside[0], *self._aside[1]])
        self._soon = waiting.append
        self.held, self.closed, self._aside = False, True, ([], [])
        running = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for task in self._tasks:
                task.cancel()
            while waiting:
                handle = waiting.popleft()
                if not handle._cancelled:
                    handle._callback(*handle._args)
        finally:
            events._set_running_loop(running)
        assert all(task.done() for task in self._tasks), "a task outlives its process"


def _work(future: "asyncio.Future[Any]", func: Callable[..., Any], args: tuple[object, ...]) -> None:
    if future.cancelled():
        return
    try:
        result = func(*args)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
