"""Calls that are due at a time unless they are forgotten first: one thread for all, as a timer each costs a thread."""

import threading
import time
from collections.abc import Callable
from typing import Final

_LOOK_S: Final = 0.05


class Deadlines:
    """For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}
        self._some = threading.Event()
        self._thread: threading.Thread | None = None

    def set(self, owner: object, seconds: float, call: Callable[[], None]) -> None:
        """`call` must return at once. One deadline an owner."""
        with self._lock:
            self._due[id(owner)] = time.monotonic() + seconds, call
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="deadlines", daemon=True)
                self._thread.start()
        self._some.set()

    def forget(self, owner: object) -> None:
        with self._lock:
            self._due.pop(id(owner), None)

    def _look(self) -> None:
        while True:
            self._some.wait()
            time.sleep(_LOOK_S)
            now_s = time.monotonic()
            with self._lock:
                late = [key for key, (due_s, _) in self._due.items() if due_s <= now_s]
                for key in late:
                    self._due.pop(key)[1]()
                if not self._due:
                    self._some.clear()
