"""Two real drivers of one log in one event loop, over real files and a link in memory that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from replication.core.messages import Ack, Append
from replication.core.state import recover
from replication.core.types import Configuration, Entry
from replication.disk import FileDisk
from replication.driver import Driver
from replication.limits import ReplicationLimits

CONFIGURATION = Configuration(version=1, epoch=1, leader="ops", in_sync=frozenset({"ops", "ecc"}))


class RealClock:
    """The clock of the running event loop."""

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FixedWitness:
    """Implements `replication.ports.Witness` where roles are fixed: one configuration, for ever."""

    async def configuration(self, log: str) -> Configuration:
        return CONFIGURATION

    async def compare_and_swap(self, log: str, configuration: Configuration, reason: str) -> Configuration:
        return CONFIGURATION


class MemoryLink:
    """Hands messages to the other driver through a queue; when cut, drops them."""

    def __init__(self) -> None:
        self.peer: Driver | None = None
        self._acks: asyncio.Queue[Ack] = asyncio.Queue()

    async def send(self, message: Append) -> None:
        if self.peer is not None:
            await self.peer.receive(message)

    def reply(self, message: Ack) -> None:
        self._acks.put_nowait(message)

    async def run(self) -> None:
        while True:
            ack = await self._acks.get()
            if self.peer is not None:
                await self.peer.receive(ack)


@dataclass
class Centre:
    """One centre: stopped or running, with what it has applied so far."""

    name: str
    folder: Path
    limits: ReplicationLimits
    applied: list[bytes] = field(default_factory=list)
    blank: bool = False  # At the next start: its disk was lost.

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Centre"]:
        self.disk = FileDisk.open(self.folder, file_bytes_max=self.limits.log_file_bytes_max)
        self.link = MemoryLink()
        replica = recover(
            log="ops",
            centre=self.name,
            peer="ecc" if self.name == "ops" else "ops",
            configuration=CONFIGURATION,
            pending=None,
            end=self.disk.end,
            epochs=self.disk.epochs,
            applied_lsn=len(self.applied),
            ship_window_entries_max=8,
            blank=self.blank,
        )
        self.driver = Driver(
            replica,
            disk=self.disk,
            link=self.link,
            clock=RealClock(),
            witness=FixedWitness(),
            apply=self.apply,
            limits=self.limits,
        )
        tasks = [asyncio.create_task(self.driver.run()), asyncio.create_task(self.link.run())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.disk.close()

    async def apply(self, log: str, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert entry.lsn == len(self.applied) + 1, "applied out of order"
            self.applied.append(bytes(entry.payload))


def join(left: Centre, right: Centre) -> None:
    """Connects two running centres."""
    left.link.peer, right.link.peer = right.driver, left.driver
    left.driver.connection(up=True)
    right.driver.connection(up=True)


def cut(left: Centre, right: Centre) -> None:
    """Loses all messages between them until they are joined again."""
    left.link.peer = right.link.peer = None
    left.driver.connection(up=False)
    right.driver.connection(up=False)
