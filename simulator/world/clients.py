"""Clients: they write unique payloads at a steady rate, whatever becomes of the ones before, follow the leader, and
read strongly.

A write that was certainly refused is tried again, at whoever is said to lead or at the other centre, until its time is
up. One whose outcome is unknown is left alone. While no write is acknowledged, new ones try both centres in turn.
Clients reach a centre whenever a process listens there.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from simulator.world.history import History, Wrote
from simulator.world.loop import ProcessLoop
from simulator.world.process import Process

_WAY_S: Final = 0.0005
_RETRY_S: Final = 0.02
_RETRIES_FOR_S: Final = 2.0
_PATIENCE_S: Final = 3.0
_DOUBT_S: Final = 0.3


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """A write, or a strong read when there is no payload. `floor_lsn`: acknowledged before it began. `answer(outcome,
    lsn, leader)` is called where it is served, with the outcome "acknowledged", "refused" or "unknown"."""

    number: int
    payload: bytes
    began_s: float
    floor_lsn: int
    target: str
    answer: Callable[[str, int, str], None]
    over: bool = False


class Server(Protocol):
    """A centre as clients see it. `write` and `read` are called in its process."""

    name: str

    @property
    def process(self) -> Process | None: ...

    def write(self, request: Request) -> None: ...

    def read(self, request: Request) -> None: ...


class Clients:
    """`acknowledged_lsn` is the highest lsn that anybody was told by now. `newest_acknowledged_s`: when the newest of
    the acknowledged writes began; `newest_answered_s`: likewise of strong reads."""

    def __init__(
        self,
        loop: ProcessLoop,
        rng: random.Random,
        history: History,
        centres: Mapping[str, Server],
        acknowledged_lsn: Callable[[], int],
    ) -> None:
        self.newest_acknowledged_s = self.newest_answered_s = -1.0
        self._loop = loop
        self._rng = rng
        self._history = history
        self._centres = centres
        self._acknowledged_lsn = acknowledged_lsn
        self._leader = next(iter(centres))
        self._told_s = loop.time()
        self._made = 0
        self._open = 0
        self._loads = 0

    @property
    def waiting(self) -> int:
        """Requests that are not over."""
        return self._open

    def load(self, *, writes_per_s: float, reads_per_s: float, payload_bytes: int = 0) -> None:
        """From now on; takes the place of the load before."""
        self._loads += 1
        self._payload_bytes = payload_bytes
        if writes_per_s:
            self._loop.call_soon(self._write, self._loads, 1 / writes_per_s)
        if reads_per_s:
            self._loop.call_soon(self._read, self._loads, 1 / reads_per_s)

    # --- Making requests ----------------------------------------------------------------------------------------

    def _write(self, load: int, pause_s: float) -> None:
        if load == self._loads:
            self._made += 1
            payload = f"write {self._made} ".encode().ljust(self._payload_bytes, b".")
            if self._loop.time() - self._told_s > _DOUBT_S:
                self._leader = self._other(self._leader)
            self._begin(payload, self._leader)
            self._loop.call_later(pause_s, self._write, load, pause_s)

    def _read(self, load: int, pause_s: float) -> None:
        if load == self._loads:
            self._made += 1
            self._begin(b"", self._rng.choice(tuple(self._centres)))
            self._loop.call_later(pause_s, self._read, load, pause_s)

    def _begin(self, payload: bytes, target: str) -> None:
        request = Request(
            number=self._made,
            payload=payload,
            began_s=self._loop.time(),
            floor_lsn=self._acknowledged_lsn(),
            target=target,
            answer=lambda outcome, lsn, leader: self._answer(request, outcome, lsn, leader),
        )
        self._open += 1
        self._loop.call_later(_PATIENCE_S, self._end, request, "unknown", 0)
        self._loop.call_later(_WAY_S, self._arrive, request)

    def _arrive(self, request: Request) -> None:
        centre = self._centres[request.target]
        process = centre.process
        if process is None or not process.listens:
            self._answer(request, "refused", 0, "")
        elif request.payload:
            process.loop.call_soon(centre.write, request)
        else:
            process.loop.call_soon(centre.read, request)

    # --- What becomes of them -----------------------------------------------------------------------------------

    def _answer(self, request: Request, outcome: str, lsn: int, leader: str) -> None:
        self._loop.call_later(_WAY_S, self._told, request, outcome, lsn, leader)

    def _told(self, request: Request, outcome: str, lsn: int, leader: str) -> None:
        if request.over:
            return
        tries_s = self._loop.time() - request.began_s
        if outcome != "refused" or not request.payload or tries_s > _RETRIES_FOR_S:
            self._end(request, outcome, lsn)
            return
        request.target = leader or self._other(request.target)
        self._loop.call_later(_RETRY_S, self._arrive, request)

    def _end(self, request: Request, outcome: str, lsn: int) -> None:
        if request.over:
            return
        request.over = True
        self._open -= 1
        if not request.payload:
            if outcome == "acknowledged":
                self.newest_answered_s = max(self.newest_answered_s, request.began_s)
            return
        self._history.add(Wrote(payload=request.payload, outcome=outcome, lsn=lsn, began_s=request.began_s))
        if outcome == "acknowledged":
            self.newest_acknowledged_s = max(self.newest_acknowledged_s, request.began_s)
            self._leader = request.target
            self._told_s = self._loop.time()

    def _other(self, name: str) -> str:
        return next(other for other in self._centres if other != name)
