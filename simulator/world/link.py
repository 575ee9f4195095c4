"""A log's link to the peer over simulated connections, as `replication.transport` makes it over gRPC.

Each centre opens a stream to its peer and sends appends on it while it leads; acks come back on the same stream. A
stream that the peer opened counts from its first append on, and takes an older one's place. Streams are reopened for
ever; where new connections are refused a few times, the peer's process is gone.
"""

import asyncio
import random
from typing import Final

from replication.core.messages import Ack, Append
from replication.driver import Driver
from replication.limits import ReplicationLimits
from simulator.world.connection import End
from simulator.world.history import History
from simulator.world.network import Network
from simulator.world.process import Process

REPLICATE: Final = "replicate"
_MESSAGE_BYTES: Final = 100
_RECONNECT_MIN_S: Final = 0.05
_RECONNECT_MAX_S: Final = 0.5
_CONNECT_S_MAX: Final = 1.0


class SimulatedLink:
    """Implements `replication.ports.Link` for one process."""

    def __init__(
        self,
        process: Process,
        peer: str,
        network: Network,
        *,
        rng: random.Random,
        limits: ReplicationLimits,
        history: History,
    ) -> None:
        self._process = process
        self._peer = peer
        self._network = network
        self._rng = rng
        self._limits = limits
        self._history = history
        self._outbound: End | None = None
        self._inbound: End | None = None

    async def send(self, message: Append) -> None:
        end = self._outbound
        if end is None:
            return
        try:
            await end.room()
            end.send(message, _MESSAGE_BYTES + sum(entry.size_bytes for entry in message.entries))
        except ConnectionError:
            pass  # `run` sees the same end of the stream and reconnects.

    def reply(self, message: Ack) -> None:
        if self._inbound is not None and self._inbound.open:
            self._inbound.send(message, _MESSAGE_BYTES)

    async def run(self, driver: Driver) -> None:
        """Keeps the outbound stream open until cancelled."""
        while True:
            end = await self._connected(driver)
            self._outbound = end
            self._history.note(self._process.name, f"is connected to {self._peer}")
            driver.connection(up=True)
            try:
                while True:
                    message = await end.receive()
                    assert isinstance(message, Ack), "acks come back"
                    await driver.receive(message)
            except ConnectionError as error:
                self._history.note(self._process.name, f"is disconnected from {self._peer}: {error}")
                self._outbound = None
                driver.connection(up=False)

    async def serve(self, end: End, driver: Driver) -> None:
        """Serves a stream that the peer opened until it ends."""
        try:
            message = await end.receive()
            if self._inbound is not None:
                self._inbound.close("a newer stream takes its place")
            self._inbound = end
            while True:
                assert isinstance(message, Append), "appends come in"
                await driver.receive(message)
                message = await end.receive()
        except ConnectionError:
            if self._inbound is end:
                self._inbound = None

    async def _connected(self, driver: Driver) -> End:
        wait_s = _RECONNECT_MIN_S
        while True:
            try:
                within_s = _CONNECT_S_MAX * (0.1 + 0.9 * self._rng.random())
                return await self._network.connect(self._process, self._peer, REPLICATE, within_s=within_s)
            except ConnectionError:
                limits = self._limits
                if await self._network.refused(self._process, self._peer, within_s=limits.refused_for_ms / 1000):
                    self._history.note(self._process.name, f"finds {self._peer} gone")
                    driver.gone()
            await asyncio.sleep(wait_s * self._rng.random())
            wait_s = min(2 * wait_s, _RECONNECT_MAX_S)
