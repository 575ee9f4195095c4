"""The witness over gRPC, and the centres' ends of it.

Goal: what the book decides reaches both centres at once and is durable first; a centre trusts its own witness only.
Method: a real server on a free port and two centres' links in one event loop; files are wiped, put back and restarted.
"""

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from replication.core.types import Configuration
from replication.errors import WitnessDamagedError, WitnessLostError, WitnessRefusedError
from replication.limits import ReplicationLimits
from replication.observation import Change, LogReport, View, WitnessIdentity
from replication.probing import refused
from replication.witness import Decision, Facts
from replication.witness_client import CHANNEL_OPTIONS, WitnessLink
from replication.witness_server import serve_witness
from replication.witness_store import SqliteWitnessStore, WitnessStore

BOTH = frozenset({"ops", "ecc"})
FIRST = {log: Configuration(version=1, epoch=1, leader=log, in_sync=BOTH) for log in ("ops", "ecc")}
OPS_ALONE = Configuration(version=2, epoch=1, leader="ops", in_sync=frozenset({"ops"}))
ECC_LEADS = Configuration(version=2, epoch=2, leader="ecc", in_sync=frozenset({"ecc"}))
LIMITS = ReplicationLimits(heartbeat_ms=30, suspect_after_ms=600, witness_call_ms_max=400)
SLOW_BEATS = replace(LIMITS, heartbeat_ms=3000, suspect_after_ms=9000)  # What comes sooner was pushed.


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

    def __init__(self, name: str, folder: Path, witness_address: str, limits: ReplicationLimits) -> None:
        self.name = name
        self.address = f"127.0.0.1:{free_port()}"
        self.configurations = dict(FIRST)
        self.fit = True
        self.views: list[View] = []
        self.lost = 0
        self._path = folder / f"{name}-witness.json"
        self._witness_address = witness_address
        self._limits = limits

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
                limits=self._limits,
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

    def __init__(self, folder: Path, limits: ReplicationLimits = LIMITS) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.path = folder / "witness" / "witness.sqlite"
        self.ops = Centre("ops", folder, self.address, limits)
        self.ecc = Centre("ecc", folder, self.address, limits)
        self._limits = limits

    @asynccontextmanager
    async def witness(self, store: WitnessStore | None = None) -> AsyncIterator["asyncio.Task[None]"]:
        ready = asyncio.Event()
        centres = ("ops", "ecc")
        serving = asyncio.create_task(
            serve_witness(
                self.address,
                store or self.store(),
                centres=centres,
                logs=centres,
                limits=self._limits,
                clock=RealClock(),
                ready=ready,
            )
        )
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        try:
            yield serving
        finally:
            waiting.cancel()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def store(self) -> SqliteWitnessStore:
        return SqliteWitnessStore.open(self.path, changes_max=100)

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
        await until(lambda: all(one.seen and one.link.peer is not None for one in (self.ops, self.ecc)))

    async def refuse(self, said: str) -> None:
        """Waits until both centres object."""
        await until(lambda: all(said in one.link.status.problem for one in (self.ops, self.ecc)))

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
            observe: Any = channel.stream_stream("/replication.rpc.v1.WitnessService/Observe")
            read: Any = channel.unary_unary("/replication.rpc.v1.WitnessService/Read")
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


# --- Compare-and-swap -----------------------------------------------------------------------------------------------


def test_one_of_two_wins(city: City) -> None:
    """Goal: exactly one of two requests for the same version is granted, and both learn which.
    Method: leader and standby ask at the same time, forty times over."""

    async def scenario() -> None:
        async with city.formed():
            for version in range(2, 42):
                epoch = city.ops.configurations["ops"].epoch
                alone = replace(OPS_ALONE, version=version, epoch=epoch, leader=city.ops.configurations["ops"].leader)
                alone = replace(alone, in_sync=frozenset({alone.leader}))
                leads = replace(ECC_LEADS, version=version, epoch=epoch + 1)
                first, second = await asyncio.gather(
                    city.ops.link.compare_and_swap("ops", alone, "alone"),
                    city.ecc.link.compare_and_swap("ops", leads, "leads"),
                )
                assert first == second
                assert first in (alone, leads)
                assert await city.ops.link.configuration("ops") == first
                await until(lambda stands=first: city.ops.configurations["ops"] == stands)  # type: ignore[misc]
            changes = [change for change in await city.ecc.link.history() if change.log == "ops"]
            assert [change.configuration.version for change in changes] == list(range(1, 42))
            assert all(change.centre == {"alone": "ops", "leads": "ecc"}[change.reason] for change in changes[1:])

    asyncio.run(scenario())


def test_a_caller_that_goes_away_leaves_the_witness_whole(city: City) -> None:
    """Goal: a request whose answer nobody waits for is decided as a whole or not at all.
    Method: callers are cancelled at many moments; after each, the next version follows the one that stands."""

    async def scenario() -> None:
        async with city.formed():
            for step in range(20):
                standing = await city.ops.link.configuration("ops")
                wanted = replace(OPS_ALONE, version=standing.version + 1)
                asking = asyncio.create_task(city.ops.link.compare_and_swap("ops", wanted, "cancelled"))
                await asyncio.sleep(step * 0.0002)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            standing = await city.ops.link.configuration("ops")
            wanted = replace(OPS_ALONE, version=standing.version + 1)
            assert await city.ops.link.compare_and_swap("ops", wanted, "kept") == wanted

    asyncio.run(scenario())


def test_changes_are_pushed(tmp_path: Path) -> None:
    """Goal: what the other centre must know does not wait for its beat. Method: three seconds between two beats."""

    async def scenario() -> None:
        async with City(tmp_path, SLOW_BEATS).formed() as city:
            ops, ecc = city.ops, city.ecc
            await ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
            assert await until(lambda: ecc.configurations["ops"] == OPS_ALONE) < 0.3
            await ops.link.set_maintenance(on=True)
            assert await until(lambda: ecc.link.status.maintenance and ops.link.status.maintenance) < 0.3
            ops.fit = False
            ops.link.beat_now()
            assert await until(lambda: ecc.link.peer is not None and not ecc.link.peer.logs[0].fit) < 0.3

    asyncio.run(scenario())


# --- How the centres are --------------------------------------------------------------------------------------------


def test_gone_when_connections_are_refused(tmp_path: Path) -> None:
    """Goal: the peer of a process that ended knows within 300 ms, and knows as soon when it is back.
    Method: a centre's stream ends, and nobody listens at its address; beats are three seconds apart."""

    async def scenario() -> None:
        city = City(tmp_path, SLOW_BEATS)
        async with city.witness(), city.ops.running() as ops:
            async with city.ecc.running():
                await city.met()
                assert not ops.peer_gone
            assert await until(lambda: ops.peer_gone) < 0.3
            async with city.ecc.running():
                assert await until(lambda: not ops.peer_gone) < 0.3

    asyncio.run(scenario())


def test_silent_is_not_gone(city: City) -> None:
    """Goal: a centre whose stream ended and whose address still accepts is silent only.
    Method: someone listens there."""

    async def scenario() -> None:
        async with city.witness(), city.ops.running() as ops, city.ecc.serving():
            async with city.ecc.running():
                await city.met()
            await until(lambda: ops.link.peer is not None and ops.link.peer.silent_ms > 300)
            assert not ops.peer_gone

    asyncio.run(scenario())


def test_probing() -> None:
    """Goal: refused is told from accepted, closed in between, unanswered and unusable. Method: each of them once."""

    async def scenario() -> None:
        address = f"127.0.0.1:{free_port()}"
        assert await refused(address, times=3, within_ms=120)
        assert await refused(f"localhost:{address.split(':')[1]}", times=3, within_ms=120)
        server = await asyncio.start_server(lambda _, writer: writer.close(), *address.split(":"))
        async with server:
            assert not await refused(address, times=3, within_ms=120)
            probing = asyncio.create_task(refused(address, times=3, within_ms=120))
            await asyncio.sleep(0.01)
        assert await probing
        for unusable in ("127.0.0.1:99999", "no-such-host.invalid:1", "nothing"):
            assert not await refused(unusable, times=3, within_ms=120)

    asyncio.run(scenario())


def test_witness_that_does_not_answer(city: City) -> None:
    """Goal: calls end in time, and the observers learn that the witness is lost.
    Method: after a good start, a server at its address takes every call and never answers."""

    async def mute(request: object, context: object) -> None:
        await asyncio.sleep(60)

    async def scenario() -> None:
        server = grpc.aio.server()
        calls: dict[str, Any] = {
            "Observe": grpc.stream_stream_rpc_method_handler(mute),
            "CompareAndSwap": grpc.unary_unary_rpc_method_handler(mute),
        }
        handler = grpc.method_handlers_generic_handler("replication.rpc.v1.WitnessService", calls)
        server.add_generic_rpc_handlers((handler,))
        async with city.centres():
            async with city.witness():
                await city.met()
            await until(lambda: city.ops.lost == 1)
            server.add_insecure_port(city.address)
            await server.start()
            await until(lambda: "in time" in city.ops.link.status.problem)
            start_s = time.monotonic()
            with pytest.raises(WitnessLostError, match="deadline") as caught:
                await city.ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
            assert time.monotonic() - start_s < 1
            assert not caught.value.definite
            assert city.ops.lost == 1
            assert city.ops.link.peer is None
            await server.stop(0)

    asyncio.run(scenario())


# --- Which witness it is --------------------------------------------------------------------------------------------


def test_restarted_witness_goes_on(city: City) -> None:
    """Goal: facts outlive the process; both centres are back within a second. Method: stop and start."""

    async def scenario() -> None:
        async with city.centres():
            async with city.witness():
                await city.met()
                await city.ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
                await city.ecc.link.set_maintenance(on=True)
                identity = city.ops.link.status.identity
            await until(lambda: city.ops.lost == city.ecc.lost == 1)
            await asyncio.sleep(0.6)
            async with city.witness():
                assert await until(lambda: city.ops.seen and city.ecc.seen) < 1
                assert city.ops.link.status.identity == identity
                assert city.ops.link.status.maintenance
                assert await city.ecc.link.configuration("ops") == OPS_ALONE
                newest = (await city.ecc.link.history())[-1]
                assert (newest.configuration, newest.centre, newest.reason) == (OPS_ALONE, "ops", "alone")
                assert abs(newest.at_unix_ms / 1000 - time.time()) < 60

    asyncio.run(scenario())


def test_wiped_witness_waits_to_be_rebuilt(city: City) -> None:
    """Goal: an empty witness says nothing to centres that know one; rebuilt, it goes on above all that was given."""

    async def scenario() -> None:
        async with city.centres():
            async with city.witness():
                await city.met()
                await city.ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
                await until(lambda: city.ecc.configurations["ops"] == OPS_ALONE)
                before = city.ops.link.status.identity
                assert before is not None
            city.wipe()
            async with city.witness():
                await city.refuse("rebuild it")
                views = len(city.ops.views)
                with pytest.raises(WitnessLostError, match="rebuild it"):
                    await city.ops.link.compare_and_swap("ecc", replace(FIRST["ecc"], version=2), "again")
                with pytest.raises(WitnessLostError, match="rebuild it"):
                    await city.ops.link.configuration("ecc")
                with pytest.raises(WitnessRefusedError, match="not a successor of version 2"):
                    await city.ops.link.rebuild(FIRST, before.generation)
                assert len(city.ops.views) == views
                rebuilt = await city.ops.link.rebuild(city.ops.configurations, before.generation)
                await until(lambda: city.ops.seen and city.ecc.seen)
                now = city.ecc.link.status.identity
                assert now == rebuilt.identity == city.ops.link.status.identity
                assert now is not None
                assert (now.id != before.id, now.generation) == (True, before.generation + 1)
                again = replace(OPS_ALONE, version=3)
                assert await city.ops.link.compare_and_swap("ops", again, "goes on") == again

    asyncio.run(scenario())


def test_other_witness_is_refused(city: City) -> None:
    """Goal: a witness of another city, or an older generation, is never listened to. Method: its file is put in place
    of the known one's."""

    async def scenario() -> None:
        async with city.centres():
            async with city.witness():
                await city.met()
            city.wipe()
            stranger = Facts(identity=WitnessIdentity(id="stranger", generation=1), standings=FIRST)
            store = city.store()
            store.save(Decision(before=Facts(), after=stranger, centre="", reason="formed"), at_unix_ms=0)
            async with city.witness(store):
                await city.refuse("refused: another witness")
                views = len(city.ops.views)
                await asyncio.sleep(0.2)
                assert len(city.ops.views) == views
                with pytest.raises(WitnessLostError, match="another witness"):
                    await city.ops.link.compare_and_swap("ops", OPS_ALONE, "alone")

    asyncio.run(scenario())


def test_old_copy_of_its_files_is_found_out(city: City) -> None:
    """Goal: a witness put back to an earlier time is refused by those who know more, and grants nothing to those who
    know as little. Method: its file is saved, a change is made that one centre does not learn, and the file put back.
    """

    async def scenario() -> None:
        saved = city.path.with_suffix(".saved")
        async with city.ops.running() as ops:
            async with city.ecc.running(), city.witness():
                await city.met()
            shutil.copy(city.path, saved)
            async with city.witness():
                await until(lambda: ops.seen)
                await ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
            shutil.copy(saved, city.path)
            async with city.witness(), city.ecc.running() as ecc:
                await until(lambda: "refused: its version" in ops.link.status.problem)
                await until(lambda: ecc.seen)
                with pytest.raises(WitnessLostError, match="rebuild it"):
                    await ecc.link.compare_and_swap("ops", ECC_LEADS, "leads")
                await ops.link.rebuild(ops.configurations, 1)
                await until(lambda: ops.seen and ecc.configurations["ops"] == OPS_ALONE)

    asyncio.run(scenario())


# --- Its disk -------------------------------------------------------------------------------------------------------


class FailingStore:
    """A store that fails as it is told."""

    def __init__(self, store: SqliteWitnessStore) -> None:
        self._store = store
        self.error: Exception | None = None

    def load(self) -> Facts:
        return self._store.load()

    def save(self, decision: Decision, *, at_unix_ms: int) -> None:
        if self.error is not None:
            raise self.error
        self._store.save(decision, at_unix_ms=at_unix_ms)

    def history(self) -> tuple[Change, ...]:
        return self._store.history()

    def close(self) -> None:
        self._store.close()


def test_full_disk_changes_nothing_and_failed_disk_ends_the_witness(city: City) -> None:
    """Goal: nothing is granted that is not saved; the witness outlives a full disk, and ends on a failing one."""

    async def scenario() -> None:
        store = FailingStore(city.store())
        async with city.centres(), city.witness(store) as serving:
            await city.met()
            store.error = WitnessRefusedError("there is no space left")
            with pytest.raises(WitnessLostError, match="no space left"):
                await city.ops.link.compare_and_swap("ops", OPS_ALONE, "alone")
            assert await city.ops.link.configuration("ops") == FIRST["ops"]
            store.error = None
            assert await city.ops.link.compare_and_swap("ops", OPS_ALONE, "alone") == OPS_ALONE
            store.error = WitnessDamagedError(city.path, "I/O error")
            with pytest.raises(WitnessLostError):
                await city.ops.link.compare_and_swap("ecc", replace(FIRST["ecc"], version=2), "alone")
            with pytest.raises(WitnessDamagedError):
                await serving

    asyncio.run(scenario())


def test_address_that_is_taken(city: City) -> None:
    """Method: a second witness with files of its own at the same address."""

    async def scenario() -> None:
        async with city.witness():
            city.path = city.path.with_name("other.sqlite")
            async with city.witness() as second:
                with pytest.raises(OSError, match="cannot be bound"):
                    await second

    asyncio.run(scenario())
