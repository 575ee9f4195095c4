"""Read-only transactions on the store, each at one exact position.

To begin one costs as much as a short query. So one that ended well is used again while nothing was applied since, for a
fraction of a second: `now()` says when it began.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import duckdb

from hub.store.readers import Readers

_REUSED_S_MAX: Final = 0.25


@dataclass(slots=True, eq=False, kw_only=True)
class Read:
    """A connection within its transaction. `position`: applied lsn by log, as the transaction sees it."""

    cursor: duckdb.DuckDBPyConnection
    memory_bytes_max: int
    position: dict[str, int]
    age: int
    begun_s: float
    ticket: int


class Reads:
    """For any thread."""

    def __init__(self, connect: Callable[[], duckdb.DuckDBPyConnection], readers: Readers) -> None:
        self._connect = connect
        self._readers = readers
        self._lock = threading.Lock()
        self._age = 0
        self._idle: list[Read] = []

    def begin(self, memory_bytes_max: int) -> Read:
        """Each operator of its queries may hold so much memory before it puts rows on disk. Blocking."""
        reusable_s = time.monotonic() - _REUSED_S_MAX
        with self._lock:
            age = self._age
            old = [one for one in self._idle if one.begun_s < reusable_s]
            fitting = (one for one in self._idle if one not in old and one.memory_bytes_max == memory_bytes_max)
            found = next(fitting, None)
            self._idle = [one for one in self._idle if one not in old and one is not found]
        for read in old:
            self._close(read)
        return found or self._begun(memory_bytes_max, age)

    def end(self, read: Read, *, reusable: bool) -> None:
        """`reusable` when nothing went wrong and no answer is open."""
        with self._lock:
            reusable = reusable and read.age == self._age
            if reusable:
                self._idle.append(read)
        if not reusable:
            self._close(read)

    def outdate(self) -> None:
        """What began before this call is not used again. After each commit, and before it, as an open transaction keeps
        it from a checkpoint."""
        with self._lock:
            self._age += 1
            idle, self._idle = self._idle, []
        for read in idle:
            self._close(read)

    def _begun(self, memory_bytes_max: int, age: int) -> Read:
        ticket = self._readers.enter()
        cursor = self._connect()
        try:
            # The first read fixes the snapshot, for this and for all that follow.
            limit = f"set operator_memory_limit = '{memory_bytes_max}B'"
            first = "begin transaction read only; select log, lsn from hub.applied"
            position = dict(cursor.execute(f"{limit}; {first}").fetchall())
        except BaseException:
            cursor.close()
            self._readers.leave(ticket)
            raise
        return Read(
            cursor=cursor,
            memory_bytes_max=memory_bytes_max,
            position=position,
            age=age,
            begun_s=time.monotonic(),
            ticket=ticket,
        )

    def _close(self, read: Read) -> None:
        read.cursor.close()
        self._readers.leave(read.ticket)
