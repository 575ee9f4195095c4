"""What waits in a driver: proposals for their commit, readers for an lsn, ranges of the log for shipping. No I/O."""

import asyncio
from collections import deque

from replication.core.effects import Ship
from replication.core.types import Entry
from replication.errors import ReplicationError


class Proposals:
    """Entries of this leadership that are not committed, in log order. `size_bytes` of all."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Entry, asyncio.Future[None]]] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: Entry) -> asyncio.Future[None]:
        """The future resolves when the entry is committed."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, committed))
        self.size_bytes += entry.size_bytes
        return committed

    def committed(self, lsn: int) -> None:
        while self._waiting and self._waiting[0][0].lsn <= lsn:
            future = self._pop()
            if not future.done():
                future.set_result(None)

    def fail(self, error: ReplicationError) -> None:
        while self._waiting:
            future = self._pop()
            if not future.done():
                future.set_exception(error)

    def _pop(self) -> asyncio.Future[None]:
        entry, future = self._waiting.popleft()
        self.size_bytes -= entry.size_bytes
        return future


class LsnWaiters:
    """Whoever waits for an lsn to be reached."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def wait(self, lsn: int) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lsn, waiter))
        await waiter

    def reached(self, lsn: int) -> None:
        for waited_lsn, waiter in self._waiting:
            if waited_lsn <= lsn and not waiter.done():
                waiter.set_result(None)
        self._waiting = [pair for pair in self._waiting if not pair[1].done()]


class Shipments:
    """The range of the log to ship next, if any."""

    def __init__(self) -> None:
        self._next: Ship | None = None

    def add(self, ship: Ship) -> None:
        """A range that continues the queued one is joined to it; any other replaces it: the leader rewound."""
        queued = self._next
        if queued and queued.through_lsn == ship.after_lsn:
            ship = Ship(after_lsn=queued.after_lsn, through_lsn=ship.through_lsn)
        self._next = ship

    def take(self) -> Ship | None:
        ship, self._next = self._next, None
        return ship

    def put_back(self, ship: Ship, after_lsn: int) -> None:
        """The rest of a range of which only a part fitted into a message, unless the leader rewound meanwhile."""
        if after_lsn < ship.through_lsn and (self._next is None or self._next.after_lsn == ship.through_lsn):
            through_lsn = self._next.through_lsn if self._next else ship.through_lsn
            self._next = Ship(after_lsn=after_lsn, through_lsn=through_lsn)

    def clear(self) -> None:
        self._next = None
