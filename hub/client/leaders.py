"""Who leads each log, as far as any centre has said: the word of the newest epoch counts.

Each centre is asked once for a stream of its word, so that writers learn of a new leader from itself, and at once.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

import grpc

from hub.errors import UnavailableError
from hub.rpc.v1 import operations_pb2 as pb
from hub.rpc.v1 import operations_pb2_grpc as pb_grpc

_RETRY_S: Final = 0.1
_ADDRESS_S_MAX: Final = 2.0


class _StubOf(Protocol):
    def __call__(self, centre: str) -> pb_grpc.OperationsServiceStub: ...


class Leaders:
    """Made in the event loop that uses it."""

    def __init__(self, centres: Iterable[str], stub_of: _StubOf) -> None:
        self._centres = tuple(centres)
        self._stub_of = stub_of
        self._known: dict[str, tuple[int, str]] = {}
        self._flight: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._watches: list[asyncio.Task[None]] = []

    def leader_of(self, log: str, *, after: str = "") -> str:
        """The leader; while no centre has spoken, the one of the log's name first, and the other one `after` it."""
        if log in self._known:
            return self._known[log][1]
        candidates = sorted(self._centres, key=lambda centre: (centre == after, centre != log))
        return candidates[0]

    def other_than(self, centre: str) -> str:
        return next((name for name in self._centres if name != centre), centre)

    def learn(self, log: str, epoch: int, leader: str) -> None:
        if leader in self._centres and epoch > self._known.get(log, (0, ""))[0]:
            self._known[log] = epoch, leader
            self._tell()

    def _learn_address(self, centre: str, flight: str) -> None:
        if self._flight.get(centre) != flight:
            self._flight[centre] = flight
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def elsewhere(self, log: str, centre: str) -> None:
        """Waits until a centre other than `centre` is known to lead."""
        while log not in self._known or self._known[log][1] == centre:
            await self._changed.wait()

    async def flight_address(self, centre: str) -> str:
        """Where a centre serves Flight; waits until it has said so. `watch` must have been called."""
        try:
            async with asyncio.timeout(_ADDRESS_S_MAX):
                while centre not in self._flight:
                    await self._changed.wait()
        except TimeoutError:
            raise UnavailableError(f"{centre} cannot be reached", hint="is the centre running?") from None
        return self._flight[centre]

    def watch(self) -> None:
        """Starts listening, if it has not begun."""
        if not self._watches:
            self._watches = [asyncio.create_task(self._listen(centre)) for centre in self._centres]

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _listen(self, centre: str) -> None:
        while True:
            call = self._stub_of(centre).WatchLeaders(pb.WatchLeadersRequest())
            try:
                async for reply in call:
                    self._learn_address(centre, reply.flight)
                    for one in reply.logs:
                        self.learn(one.log, one.epoch, one.leader)
            except grpc.aio.AioRpcError:
                pass  # It is asked again.
            finally:
                call.cancel()
            await asyncio.sleep(_RETRY_S)
