"""The witness over gRPC, and the centres' ends of it.

Goal: what the book decides reaches both centres at once and is durable first; a centre trusts its own witness only.
Method: a real server on a free port and two centres' links in one event loop; files are wiped, put back and restarted.
"""

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from replication.core.types import Configuration
from replication.errors import WitnessLostError, WitnessRefusedError
from replication.limits import ReplicationLimits
from replication.observation import LogReport, View
from replication.probing import refused
from replication.witness_client import CHANNEL_OPTIONS, WitnessLink
from replication.witness_server import serve_witness
from replication.witness_store import SqliteWitnessStore

BOTH = frozenset({"ops", "ecc"})
FIRST = {log: Configuration(version=1, epoch=1, leader=log, in_sync=BOTH) for log in ("ops", "ecc")}
OPS_ALONE = Configuration(version=2, epoch=1, leader="ops", in_sync=frozenset({"ops"}))
ECC_LEADS = Configuration(version=2, epoch=2, leader="ecc", in_sync=frozenset({"ecc"}))
LIMITS = ReplicationLimits(heartbeat_ms=30, suspect_after_ms=600)


class RealClock:
    def now_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Seconds until the condition came."""
    start_s = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
    return time.monotonic() - start_s


class Centre:
    """A link whose observer adopts what it is told, as a driver does."""

    def __init__(self, name: str, folder: Path, witness_address: str) -> None:
        self.name = name
        self.address = f"127.0.0.1:{free_port()}"
        self.configurations = dict(FIRST)
        self.fit = True
        self.views: list[View] = []
        self.lost = 0
        self._path = folder / f"{name}-witness.json"
        self._witness_address = witness_address

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Centre"]:
        async with grpc.aio.insecure_channel(self._witness_address, options=CHANNEL_OPTIONS) as channel:
            self.link = WitnessLink(
                centre=self.name,
                address=self.address,
                witness_address=self._witness_address,
                channel=channel,
                identity_path=self._path,
                report=self.report,
                observers={"all": self},
                clock=RealClock(),
                limits=LIMITS,
            )
            task = asyncio.create_task(self.link.run())
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listens where the centre serves."""
        host, port = self.address.split(":")
        async with await asyncio.start_server(lambda _, writer: writer.close(), host, int(port)):
            yield

    def report(self) -> tuple[LogReport, ...]:
        return tuple(
            LogReport(log=log, configuration=one, end_lsn=0, commit_lsn=0, fit=self.fit)
            for log, one in self.configurations.items()
        )

    def observe(self, view: View) -> None:
        self.views.append(view)
        for log, standing in view.standings:
            if standing.version > self.configurations[log].version:
                self.configurations[log] = standing

    def witness_lost(self) -> None:
        self.lost += 1

    @property
    def seen(self) -> bool:
        return self.link.status.seen

    @property
    def peer_gone(self) -> bool:
        return self.link.peer is not None and self.link.peer.gone


class City:
    """A witness and two centres under one folder."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.path = folder / "witness" / "witness.sqlite"
        self.ops = Centre("ops", folder, self.address)
        self.ecc = Centre("ecc", folder, self.address)

    @asynccontextmanager
    async def witness(self) -> AsyncIterator[None]:
        ready = asyncio.Event()
        store = SqliteWitnessStore.open(self.path, changes_max=100)
        centres = ("ops", "ecc")
        serving = asyncio.create_task(
            serve_witness(
                self.address, store, centres=centres, logs=centres, limits=LIMITS, clock=RealClock(), ready=ready
            )
        )
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            waiting.cancel()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    @asynccontextmanager
    async def formed(self) -> AsyncIterator["City"]:
        """All three, once the witness has met both."""
        async with self.witness(), self.centres():
            await self.met()
            yield self

    @asynccontextmanager
    async def centres(self) -> AsyncIterator[None]:
        async with self.ops.running(), self.ecc.running():
            yield

    async def met(self) -> None:
        await until(lambda: self.ops.seen and self.ecc.seen and self.ops.link.peer is not None)

    def wipe(self) -> None:
        shutil.rmtree(self.path.parent)


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(tmp_path)


# --- Forming --------------------------------------------------------------------------------------------------------


def test_forms_when_both_are_there(city: City) -> None:
    """Goal: no identity before both centres came, the same one at both after. Method: one after the other."""

    async def scenario() -> None:
        async with city.witness(), city.ops.running() as ops:
            await until(lambda: "has not met both" in ops.link.status.problem)
            assert not ops.views
            with pytest.raises(WitnessLostError, match="has not met both"):
                await ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
            with pytest.raises(WitnessLostError, match="has not met both"):
                await ops.link.configuration("ops")
            async with city.ecc.running() as ecc:
                await city.met()
                assert ops.link.status.identity == ecc.link.status.identity is not None
                assert await ops.link.configuration("ecc") == FIRST["ecc"]
                assert [change.reason for change in await ops.link.history()] == ["formed", "formed"]

    asyncio.run(scenario())


def test_health_and_refusal_of_strangers(city: City) -> None:
    """Goal: damaged, oversized and senseless messages end with a status that says so, and the witness serves on."""

    async def scenario() -> None:
        async with city.formed(), grpc.aio.insecure_channel(city.address) as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="replication.rpc.v1.WitnessService")
            )
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            observe = channel.stream_stream("/replication.rpc.v1.WitnessService/Observe")
            read = channel.unary_unary("/replication.rpc.v1.WitnessService/Read")
            stranger = b"\x0a\x04mars\x12\x03a:1"
            for bytes_, code in (
                (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
                (b"x" * 100_000, grpc.StatusCode.RESOURCE_EXHAUSTED),
                (stranger, grpc.StatusCode.FAILED_PRECONDITION),
            ):
                call = observe(iter([bytes_]))
                assert await call.code() is code, (bytes_[:3], await call.details())
            for bytes_, code in (
                (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
                (b"x" * 100_000, grpc.StatusCode.RESOURCE_EXHAUSTED),
                (b"\x0a\x04mars", grpc.StatusCode.FAILED_PRECONDITION),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await read(bytes_)
                assert caught.value.code() is code, (bytes_[:3], caught.value.details())
            assert await city.ops.link.configuration("ops") == FIRST["ops"]

    asyncio.run(scenario())
