"""Who may still need what was dropped: a file that no view names any more is deleted only after the queries that
began before have ended. Safe for threads."""

import threading
from collections.abc import Collection


class Readers:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock = 0
        self._active: set[int] = set()
        self._dropped: dict[str, int] = {}

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

    def drop(self, names: Collection[str]) -> None:
        """After no new snapshot can need these any more."""
        with self._lock:
            self._dropped |= dict.fromkeys(names, self._clock)

    def free(self) -> list[str]:
        """Of what was dropped, what no query reads any more; each is told once."""
        with self._lock:
            oldest = min(self._active, default=self._clock + 1)
            free = [name for name, at in self._dropped.items() if at < oldest]
            for name in free:
                del self._dropped[name]
            return free

    def dropped(self) -> frozenset[str]:
        """What a query may still read."""
        with self._lock:
            return frozenset(self._dropped)
