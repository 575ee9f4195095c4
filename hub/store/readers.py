"""Who may still need what was dropped: a file that no view names any more is deleted only after the queries that
began before have ended, and once no standby will ask for it any more. Safe for threads."""

import threading
from collections.abc import Callable, Collection


class Readers:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock = 0
        self._active: set[int] = set()
        self._dropped: dict[str, tuple[int, str, int]] = {}

    def enter(self) -> int:
        """Before a query's snapshot is taken. Returns what `leave` asks for."""
        with self._lock:
            self._clock += 1
            self._active.add(self._clock)
            return self._clock

    def leave(self, ticket: int) -> None:
        """At a query's end; may be called again."""
        with self._lock:
            self._active.discard(ticket)

    def drop(self, names: Collection[str], log: str, lsn: int) -> None:
        """After no new snapshot can need these any more, by an entry of a log through `lsn`."""
        with self._lock:
            self._dropped |= dict.fromkeys(names, (self._clock, log, lsn))

    def free(self, passed: Callable[[str, int], bool]) -> list[str]:
        """Of what was dropped, what no query reads and no standby needs any more; each is told once. `passed` says
        whether the standby of a log holds it through an lsn: before, its entries may still name what was dropped."""
        with self._lock:
            oldest = min(self._active, default=self._clock + 1)
            free = [name for name, (at, log, lsn) in self._dropped.items() if at < oldest and passed(log, lsn)]
            for name in free:
                del self._dropped[name]
            return free

    def dropped(self) -> frozenset[str]:
        """What a query may still read."""
        with self._lock:
            return frozenset(self._dropped)
