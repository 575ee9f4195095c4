"""The witness of a simulated world: the real `WitnessHost` over a simulated disk and network, and a centre's line to
it.

Streams and calls are as `replication.witness_service` and `replication.witness_client` have them over gRPC: each beat
is answered with a view, news is told at once, and a stream without a view for too long is given up. The witness starts
formed; which witness it is, and whether it is to be trusted, is not modelled.
"""

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from replication.core.types import Configuration
from replication.driver import Driver
from replication.errors import WitnessError, WitnessLostError
from replication.limits import ReplicationLimits
from replication.observation import Beat, Change, View, WitnessIdentity
from replication.ports import Clock
from replication.witness import Decision, Facts
from replication.witness_host import Stream, WitnessHost
from simulator.world.connection import End
from simulator.world.network import Network
from simulator.world.process import Process

WITNESS: Final = "witness"
OBSERVE: Final = "observe"
IDENTITY: Final = WitnessIdentity(id="a simulated witness", generation=1)
_MESSAGE_BYTES: Final = 200
_RECONNECT_MIN_S: Final = 0.05
_RECONNECT_MAX_S: Final = 0.5
_CONNECT_S_MAX: Final = 1.0
_ADDRESS: Final = "{}:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRequest:
    log: str
    configuration: Configuration
    centre: str
    reason: str


class WitnessFiles:
    """What the witness must not forget. `decided` is called after each change has become durable."""

    def __init__(self, facts: Facts, decided: Callable[[Decision], None]) -> None:
        self.facts = facts
        self.decided = decided


class WitnessDisk:
    """Implements `replication.witness_store.WitnessStore` for one process."""

    def __init__(self, files: WitnessFiles, process: Process) -> None:
        self._files = files
        self._process = process

    def load(self) -> Facts:
        return self._files.facts

    def save(self, decision: Decision, *, at_unix_ms: int) -> None:
        self._process.point("before a decision is saved")
        self._files.facts = decision.after
        self._files.decided(decision)
        self._process.point("after a decision is saved")

    def history(self) -> tuple[Change, ...]:
        return ()

    def close(self) -> None:
        pass


class WitnessServer:
    """One process of the witness."""

    def __init__(
        self,
        process: Process,
        files: WitnessFiles,
        network: Network,
        clock: Clock,
        *,
        centres: tuple[str, str],
        limits: ReplicationLimits,
    ) -> None:
        self._process = process
        self._network = network
        self._limits = limits
        self._host: WitnessHost | None = None
        self._make: Callable[[], WitnessHost] = functools.partial(
            WitnessHost,
            WitnessDisk(files, process),
            centres=centres,
            logs=tuple(files.facts.standings),
            limits=limits,
            clock=clock,
            probe=self._probe,
            new_id=lambda: IDENTITY.id,
            unix_ms=lambda: 0,
        )

    async def run(self) -> None:
        self._host = self._make()
        self._process.accept = self._accept
        self._process.answer = self._answer
        await self._host.run()

    async def set_maintenance(self, *, on: bool) -> None:
        if self._host is not None:
            await self._host.set_maintenance(on=on)

    async def _probe(self, address: str) -> bool:
        name = address.partition(":")[0]
        return await self._network.refused(self._process, name, within_s=self._limits.refused_for_ms / 1000)

    def _accept(self, end: End, purpose: str) -> None:
        if purpose == OBSERVE:
            self._process.spawn(self._observe(end))

    async def _observe(self, end: End) -> None:
        assert self._host is not None, "it runs"
        stream = Stream()
        reading = self._process.loop.create_task(self._read(end, stream))
        reading.add_done_callback(lambda _: stream.wake.set())
        try:
            async with asyncio.timeout(self._limits.suspect_after_ms / 1000):
                await stream.wake.wait()
            while not (reading.done() or stream.ended):
                stream.wake.clear()
                end.send(self._host.view_for(stream.centre), _MESSAGE_BYTES)
                await stream.wake.wait()
        except (TimeoutError, ConnectionError):
            pass
        reading.cancel()
        end.close("the stream is over")
        self._host.left(stream)

    async def _read(self, end: End, stream: Stream) -> None:
        assert self._host is not None, "it runs"
        try:
            while True:
                beat = await end.receive()
                assert isinstance(beat, Beat), "centres send beats"
                await self._host.heard(stream, beat)
        except ConnectionError:
            pass

    async def _answer(self, request: object) -> object:
        assert self._host is not None, "it runs"
        match request:
            case ReadRequest():
                return dict(self._host.overview().standings)[request.log]
            case SwapRequest():
                standing, _ = await self._host.compare_and_swap(
                    request.log,
                    request.configuration,
                    identity=IDENTITY,
                    centre=request.centre,
                    reason=request.reason,
                )
                return standing
            case _:
                raise AssertionError(f"no request: {request}")


class WitnessLine:
    """Implements `replication.ports.Witness` for one process of a centre; tells its driver what the witness says."""

    def __init__(
        self, process: Process, network: Network, rng: random.Random, clock: Clock, limits: ReplicationLimits
    ) -> None:
        self._process = process
        self._network = network
        self._rng = rng
        self._clock = clock
        self._limits = limits
        self._beat_wanted = asyncio.Event()
        self._seen = False

    def beat_now(self) -> None:
        self._beat_wanted.set()

    async def configuration(self, log: str) -> Configuration:
        return await self._ask(ReadRequest(log=log))

    async def compare_and_swap(self, log: str, configuration: Configuration, reason: str) -> Configuration:
        return await self._ask(
            SwapRequest(log=log, configuration=configuration, centre=self._process.name, reason=reason)
        )

    async def run(self, driver: Driver) -> None:
        """Keeps the stream open until cancelled."""
        wait_s = _RECONNECT_MIN_S
        while True:
            try:
                within_s = _CONNECT_S_MAX * (0.1 + 0.9 * self._rng.random())
                end = await self._network.connect(self._process, WITNESS, OBSERVE, within_s=within_s)
                await self._converse(end, driver)
            except (ConnectionError, TimeoutError):
                pass
            wait_s = _RECONNECT_MIN_S if self._seen else min(2 * wait_s, _RECONNECT_MAX_S)
            if self._seen:
                self._seen = False
                driver.witness_lost()
            await self._clock.sleep(wait_s)

    async def _converse(self, end: End, driver: Driver) -> None:
        sending = self._process.loop.create_task(self._send(end, driver))
        try:
            while True:
                async with asyncio.timeout(self._limits.suspect_after_ms / 1000):
                    view = await end.receive()
                assert isinstance(view, View), "the witness sends views"
                self._seen = True
                driver.observe(view)
        finally:
            sending.cancel()
            end.close("the stream is over")

    async def _send(self, end: End, driver: Driver) -> None:
        name = self._process.name
        while end.open:
            self._beat_wanted.clear()
            logs = (driver.report(),)
            end.send(Beat(centre=name, address=_ADDRESS.format(name), identity=IDENTITY, logs=logs), _MESSAGE_BYTES)
            try:
                async with asyncio.timeout(self._limits.heartbeat_ms / 1000):
                    await self._beat_wanted.wait()
            except TimeoutError:
                pass

    async def _ask(self, request: ReadRequest | SwapRequest) -> Configuration:
        within_s = self._limits.witness_call_ms_max / 1000
        try:
            standing = await self._network.call(self._process, WITNESS, request, within_s=within_s)
        except (ConnectionError, WitnessError) as error:
            raise WitnessLostError(WITNESS, str(error)) from error
        assert isinstance(standing, Configuration), "the witness answers with what stands"
        return standing
