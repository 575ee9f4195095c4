"""One life of a simulated process: it runs in a loop of its own, can be paused, and dies at any moment, also in the
middle of what it does."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from simulator.world.loop import ProcessLoop, Timeline

if TYPE_CHECKING:
    from simulator.world.connection import End


class KilledError(BaseException):
    """Unwinds whatever a process was doing when it died."""


class Process:
    """`dies_at` is asked at each named point whether the process dies there. `ended` is called once, at its death,
    with the exception that its main work ended with, or None when it was killed."""

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        bury: ProcessLoop,
        *,
        dies_at: Callable[[str], bool],
        ended: Callable[["Process", BaseException | None], None],
        thread_s: Callable[[], float] = lambda: 0.001,
    ) -> None:
        self.name = name
        self.alive = True
        self.loop = timeline.new_loop(thread_s=thread_s)
        self.ends: list[End] = []
        self.accept: Callable[[End, str], None] | None = None
        self.answer: Callable[[object], Coroutine[Any, Any, object]] | None = None
        self._bury = bury
        self._dies_at = dies_at
        self._ended = ended

    @property
    def listens(self) -> bool:
        """Whether a new connection is taken rather than refused. A paused process has its kernel take it."""
        return self.alive and self.accept is not None

    def start(self, main: Coroutine[Any, Any, None]) -> None:
        """Runs until `main` is done."""
        task = self.loop.create_task(main, name=self.name)
        task.add_done_callback(lambda done: None if done.cancelled() else self.fail(done.exception()))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """More work beside; its exception ends the process, too."""
        task = self.loop.create_task(work)
        task.add_done_callback(_fail_with(self))

    def point(self, name: str) -> None:
        """A place where the process may die: raises KilledError when it does."""
        if not self.alive or self._dies_at(name):
            self.kill()
            raise KilledError(name)

    def kill(self) -> None:
        self.fail(None)

    def fail(self, error: BaseException | None) -> None:
        """Dies, of `error` if there is one."""
        if not self.alive:
            return
        self.alive = False
        self.loop.hold()
        self._ended(self, error)
        self._bury.call_soon(self.loop.close)


def _fail_with(process: Process) -> "Callable[[asyncio.Task[None]], None]":
    def done(task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            process.fail(error)

    return done
