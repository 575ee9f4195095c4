"""Questions whether this centre still leads a log, and their answers, in the order they were asked.

A probe is a number that no earlier start of the log counted to, so that an old answer proves nothing new.
"""

import asyncio
from collections import deque


class Proofs:
    """`first` is a random number of 62 bits. Made and used in one event loop."""

    def __init__(self, first: int) -> None:
        self._first = self._newest = first
        self._waiting: deque[tuple[int, asyncio.Future[bool]]] = deque()

    def ask(self) -> tuple[int, asyncio.Future[bool]]:
        """(probe, whether it was proved: False when the configuration changed first)."""
        self._newest += 1
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._newest, answer))
        return self._newest, answer

    def proved(self, probe: int) -> None:
        """An answer to a probe of this start answers all that were asked before it."""
        if probe > self._first:
            while self._waiting and self._waiting[0][0] <= probe:
                self._answer(proved=True)

    def void(self) -> None:
        """The configuration changed: every question must be asked anew."""
        while self._waiting:
            self._answer(proved=False)

    def _answer(self, *, proved: bool) -> None:
        _, answer = self._waiting.popleft()
        if not answer.done():
            answer.set_result(proved)
