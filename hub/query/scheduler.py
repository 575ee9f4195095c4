"""Who may run a query now: classes with room for so many at a time, and a bounded queue each.

    ask → Turn, waiting ─ granted → running ─ leave
                       └─ killed, or waited too long ─ leave

Used by the threads of Flight calls and by the event loop alike: a turn is granted through a future.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Final

from hub.config import QueryClassLimits
from hub.errors import BadRequestError, OverloadedError, UnavailableError

_RETRY_S: Final = (0.1, 10.0)
_MEMORY: Final = 0.2  # Weight of the newest query in the mean time that one takes.


class QueryClass(StrEnum):
    """`interactive` answers people, `analysis` may take long, `system` is what the hub asks of itself."""

    INTERACTIVE = "interactive"
    ANALYSIS = "analysis"
    SYSTEM = "system"

    @classmethod
    def of(cls, name: str) -> "QueryClass":
        """Empty stands for interactive. Raises BadRequestError."""
        try:
            return cls(name or cls.INTERACTIVE)
        except ValueError:
            raise BadRequestError(f"there is no class of queries {name!r}", hint=f"one of {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFacts:
    """A query that waits or runs, as operators see it."""

    id: str
    query_class: str
    asked_by: str
    text: str
    running: bool
    waited_s: float
    running_s: float


@dataclass(eq=False, slots=True)
class Turn:
    """A query's place: wait for `granted`, then run, and `leave` whatever became of it."""

    id: str
    query_class: QueryClass
    asked_by: str
    text: str
    _scheduler: "Scheduler"
    asked_s: float
    granted: "Future[None]" = field(default_factory=Future)
    began_s: float | None = None
    stop: Callable[[], None] | None = None
    """What ends it while it runs."""

    def leave(self) -> None:
        """May be called again."""
        self._scheduler.leave(self)

    def late(self) -> OverloadedError:
        """The error of one that waited too long."""
        return self._scheduler.overloaded(self.query_class, "the query waited too long")

    @property
    def wait_s_max(self) -> float:
        return self._scheduler.limits_of(self.query_class).wait_ms_max / 1000


@dataclass(slots=True)
class _Class:
    limits: QueryClassLimits
    waiting: deque[Turn] = field(default_factory=deque)
    running: list[Turn] = field(default_factory=list)
    mean_s: float = 0.0


class Scheduler:
    """`running_max` says how many of a class may run now, given its limits."""

    def __init__(
        self,
        limits: Mapping[QueryClass, QueryClassLimits],
        *,
        centre: str,
        running_max: Callable[[QueryClass, int], int] = lambda _, configured: configured,
    ) -> None:
        self._lock = threading.Lock()
        self._classes = {query_class: _Class(limits[query_class]) for query_class in QueryClass}
        self._running_max = running_max
        self._names = (f"{centre}-{number}" for number in count(1))
        self._people_s = -math.inf

    def limits_of(self, query_class: QueryClass) -> QueryClassLimits:
        return self._classes[query_class].limits

    def ask(self, query_class: QueryClass, text: str, asked_by: str) -> Turn:
        """Raises OverloadedError when the queue is full."""
        with self._lock:
            turn = Turn(next(self._names), query_class, asked_by, text, self, time.monotonic())
            own = self._classes[query_class]
            if query_class is QueryClass.INTERACTIVE:
                self._people_s = turn.asked_s
            if self._room(query_class) > 0 and not own.waiting:
                self._grant(own, turn)
            elif len(own.waiting) < own.limits.queue_max:
                own.waiting.append(turn)
            else:
                raise self.overloaded(query_class, f"{len(own.waiting)} {query_class} queries wait already, the limit")
        return turn

    def people_ask(self, within_s: float) -> bool:
        """Whether an interactive query was asked so short ago, or runs."""
        return bool(self._classes[QueryClass.INTERACTIVE].running) or time.monotonic() - self._people_s < within_s

    def overloaded(self, query_class: QueryClass, why: str) -> OverloadedError:
        own = self._classes[query_class]
        ahead_s = own.mean_s * (len(own.waiting) + 1) / max(1, self._running_max(query_class, own.limits.running_max))
        return OverloadedError(why, retry_s=min(max(ahead_s, _RETRY_S[0]), _RETRY_S[1]))

    def queries(self) -> list[QueryFacts]:
        """What runs and what waits, by class and age."""
        now_s = time.monotonic()
        with self._lock:
            return [
                QueryFacts(
                    id=turn.id,
                    query_class=turn.query_class,
                    asked_by=turn.asked_by,
                    text=turn.text,
                    running=turn.began_s is not None,
                    waited_s=(turn.began_s or now_s) - turn.asked_s,
                    running_s=0.0 if turn.began_s is None else now_s - turn.began_s,
                )
                for own in self._classes.values()
                for turn in (*own.running, *own.waiting)
            ]

    def kill(self, query_id: str) -> bool:
        """Whether there was such a query. It ends in moments, with an error for whoever asked it."""
        with self._lock:
            found = [t for own in self._classes.values() for t in (*own.running, *own.waiting) if t.id == query_id]
        for turn in found:
            with suppress(InvalidStateError):
                turn.granted.set_exception(UnavailableError("the query was killed"))
            if turn.stop is not None:
                turn.stop()
        return bool(found)

    def changed(self) -> None:
        """To be called when `running_max` may say more than before."""
        with self._lock:
            for query_class in QueryClass:
                self._grant_next(query_class)

    def _room(self, query_class: QueryClass) -> int:
        own = self._classes[query_class]
        return self._running_max(query_class, own.limits.running_max) - len(own.running)

    def _grant(self, own: _Class, turn: Turn) -> None:
        turn.began_s = time.monotonic()
        own.running.append(turn)
        with suppress(InvalidStateError):  # It was killed, and leaves soon.
            turn.granted.set_result(None)

    def _grant_next(self, query_class: QueryClass) -> None:
        own = self._classes[query_class]
        while own.waiting and self._room(query_class) > 0:
            self._grant(own, own.waiting.popleft())

    def leave(self, turn: Turn) -> None:
        with self._lock:
            own = self._classes[turn.query_class]
            if turn in own.running:
                own.running.remove(turn)
                took_s = time.monotonic() - (turn.began_s or turn.asked_s)
                own.mean_s += (took_s - own.mean_s) * _MEMORY
            elif turn in own.waiting:
                own.waiting.remove(turn)
            self._grant_next(turn.query_class)
