"""Carries out what the witness's book decides: one event loop, one thread for the disk, no protobuf.

decide → save (fsynced) → adopt → tell. One decision at a time; a caller that goes away does not stop it half-way.
A disk that fails ends the witness: started again, it knows what is there.
"""

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from replication.core.types import Configuration
from replication.errors import WitnessRefusedError
from replication.limits import ReplicationLimits
from replication.observation import Beat, Change, View, WitnessIdentity
from replication.ports import Clock
from replication.witness import Decision, WitnessBook
from replication.witness_store import WitnessStore

_ADDRESS: Final = re.compile(r"[^\s:]{1,255}:\d{1,5}")


@dataclass(slots=True, eq=False)
class Stream:
    """A centre's open stream. `wake` is set when there is a view to send, or the stream is to end (`ended`)."""

    centre: str = ""
    address: str = ""
    ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        self.ended = True
        self.wake.set()


class WitnessHost:
    """`probe(address)` tells whether nobody listens there; `unix_ms` is the time of day, for the history only."""

    def __init__(
        self,
        store: WitnessStore,
        *,
        centres: tuple[str, str],
        logs: tuple[str, ...],
        limits: ReplicationLimits,
        clock: Clock,
        probe: Callable[[str], Awaitable[bool]],
        new_id: Callable[[], str],
        unix_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._clock = clock
        self._beat_s = limits.heartbeat_ms / 1000
        self._probe = probe
        self._unix_ms = unix_ms
        self._book = WitnessBook(
            store.load(),
            centres=centres,
            logs=logs,
            heartbeat_ms=limits.heartbeat_ms,
            new_id=new_id,
            now_s=clock.now_s(),
        )
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="witness disk")
        self._deciding = asyncio.Lock()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._streams: dict[str, Stream] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._settling: set[asyncio.Task[bool]] = set()
        self._closing = False
        self._logger = structlog.get_logger()

    async def run(self) -> None:
        """Until cancelled. Raises what the store raised when it failed."""
        while not self._failed.done():
            self._book.tick(self._clock.now_s())
            await self._clock.sleep(self._beat_s)
        self._failed.result()

    def end_streams(self) -> None:
        """Lets every centre go; to be followed by `close`."""
        self._closing = True
        for stream in self._streams.values():
            stream.end()

    async def close(self) -> None:
        self._closing = True
        tasks = [*self._probes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._settling, return_exceptions=True)
        self._disk.shutdown()
        self._store.close()
        if self._failed.done():
            self._failed.exception()  # Whoever did not run us knows it from the calls that failed.

    # --- Streams of the centres ---------------------------------------------------------------------------------

    async def heard(self, stream: Stream, beat: Beat) -> None:
        """A beat came on a stream. Raises WitnessRefusedError."""
        if stream.ended:
            return
        if stream.centre not in ("", beat.centre):
            raise WitnessRefusedError(f"a stream of {stream.centre} reports about {beat.centre}")
        if not _ADDRESS.fullmatch(beat.address):
            raise WitnessRefusedError("a beat's address must be host:port")
        news = self._book.heard(beat, self._clock.now_s())
        self._take(stream, beat)
        if news:
            self._wake(self._book.peer_of(beat.centre))
        if self._book.facts.identity is None:
            await self._settle(self._book.form)
        stream.wake.set()

    def left(self, stream: Stream) -> None:
        """A stream ended: is the centre's process gone?"""
        if self._streams.get(stream.centre) is not stream:
            return
        del self._streams[stream.centre]
        self._book.disconnected(stream.centre)
        self._wake(self._book.peer_of(stream.centre))
        if not self._closing:
            self._logger.info("centre left", centre=stream.centre)
            self._probes[stream.centre] = asyncio.create_task(self._look(stream.centre, stream.address))

    def view_for(self, centre: str) -> View:
        """As of now. Raises WitnessRefusedError for a name that is no centre's."""
        return self._book.view_for(centre, self._clock.now_s())

    def overview(self) -> View:
        return self._book.overview

    def _take(self, stream: Stream, beat: Beat) -> None:
        stream.centre, stream.address = beat.centre, beat.address
        older = self._streams.get(beat.centre)
        if older is stream:
            return
        if older is not None:
            older.end()
        self._streams[beat.centre] = stream
        if probe := self._probes.pop(beat.centre, None):
            probe.cancel()
        self._logger.info("centre heard", centre=beat.centre, address=beat.address)

    async def _look(self, centre: str, address: str) -> None:
        """Looks again until it is gone or a beat cancels this: a dying process may take connections for a while."""
        while not await self._probe(address):
            await self._clock.sleep(self._beat_s)
        if self._book.gone(centre):
            self._logger.info("centre gone", centre=centre, address=address)
            self._wake(self._book.peer_of(centre))

    def _wake(self, centre: str) -> None:
        if stream := self._streams.get(centre):
            stream.wake.set()

    # --- Decisions ----------------------------------------------------------------------------------------------

    async def compare_and_swap(
        self, log: str, configuration: Configuration, *, identity: WitnessIdentity, centre: str, reason: str
    ) -> tuple[Configuration, bool]:
        """(the configuration that stands then, whether it is the one asked for). Raises WitnessError."""
        granted = await self._settle(
            lambda: self._book.compare_and_swap(log, configuration, identity=identity, centre=centre, reason=reason)
        )
        # When granted: not what stands by now, which a later request may have changed.
        return (configuration if granted else self._book.facts.standings[log]), granted

    async def set_maintenance(self, *, on: bool) -> None:
        """Raises WitnessError."""
        await self._settle(lambda: self._book.set_maintenance(on=on))

    async def rebuild(self, standings: Mapping[str, Configuration], generation: int) -> None:
        """Raises WitnessError."""
        await self._settle(lambda: self._book.rebuild(standings, generation))

    async def history(self) -> tuple[Change, ...]:
        """Raises WitnessDamagedError."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, self._store.history)

    async def _settle(self, decide: Callable[[], Decision | None]) -> bool:
        """Whether there was something to decide."""
        task = asyncio.create_task(self._decide_and_save(decide))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return await asyncio.shield(task)

    async def _decide_and_save(self, decide: Callable[[], Decision | None]) -> bool:
        async with self._deciding:
            if self._failed.done():
                self._failed.result()
            decision = decide()
            if decision is None:
                return False
            save = functools.partial(self._store.save, decision, at_unix_ms=self._unix_ms())
            try:
                await asyncio.get_running_loop().run_in_executor(self._disk, save)
            except WitnessRefusedError:
                raise  # Nothing was written: the book is still right.
            except Exception as error:
                self._failed.set_exception(error)
                raise
            self._book.adopt(decision)
        self._logger.info("decided", reason=decision.reason, centre=decision.centre, changed=_text(decision))
        for stream in self._streams.values():
            stream.wake.set()
        return True


def _text(decision: Decision) -> dict[str, str]:
    return {
        log: f"version {one.version}, epoch {one.epoch}, {one.leader} leads, in_sync {'+'.join(sorted(one.in_sync))}"
        for log, one in decision.changed.items()
    }
