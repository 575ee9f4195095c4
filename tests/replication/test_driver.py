"""The driver over real files and a link in memory.

Goal: what the core decides is carried out: acknowledged means fsynced at both, both apply the same in order, a peer
that comes back catches up, and a full disk is waited out.
Method: two drivers in one event loop, each with its own folder; the link hands messages over and can be cut.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from replication.core.types import Entry, Kind
from replication.errors import LogFullError, NotLeadingError
from replication.limits import ReplicationLimits
from simulator.world.drivers import Centre, cut, join


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Centre, Centre]:
    limits = ReplicationLimits(heartbeat_ms=10, apply_interval_ms=1, ship_bytes_max=4096)
    return Centre("ops", tmp_path / "ops", limits), Centre("ecc", tmp_path / "ecc", limits)


def test_acknowledged_is_on_both_disks_and_applied_at_both(pair: tuple[Centre, Centre]) -> None:
    """Method: 500 entries of varied size are proposed at once; after the last acknowledgement both logs are read."""

    async def scenario() -> None:
        async with pair[0].running() as ops, pair[1].running() as ecc:
            join(ops, ecc)
            proposals = [ops.driver.propose(Kind.ROWS, bytes([n % 251]) * (n * 7)) for n in range(500)]
            await asyncio.wait_for(asyncio.gather(*(future for _, future in proposals)), 20)
            last = proposals[-1][0]
            held = await ecc.disk.read(0, 1 << 30, last)
            assert [entry.hash for entry in held] == [entry.hash for entry in await ops.disk.read(0, 1 << 30, last)]
            for centre in (ops, ecc):
                await asyncio.wait_for(centre.driver.applied(last), 10)
            assert ops.applied == ecc.applied
            assert ops.applied[1:] == [bytes([n % 251]) * (n * 7) for n in range(500)]

    asyncio.run(scenario())


def test_standby_that_comes_back_catches_up(pair: tuple[Centre, Centre]) -> None:
    """Method: the standby stops, 300 entries wait unacknowledged, it starts again from its folder."""

    async def scenario() -> None:
        async with pair[0].running() as ops:
            async with pair[1].running() as ecc:
                join(ops, ecc)
                await asyncio.wait_for(ops.driver.propose(Kind.ROWS, b"before")[1], 10)
                cut(ops, ecc)
            waiting = [ops.driver.propose(Kind.ROWS, b"x" * 500)[1] for _ in range(300)]
            await asyncio.sleep(0.2)
            assert not any(future.done() for future in waiting)
            assert "ecc" in ops.driver.blocked
            async with pair[1].running() as ecc:
                join(ops, ecc)
                await asyncio.wait_for(asyncio.gather(*waiting), 10)
                for centre in (ops, ecc):
                    await asyncio.wait_for(centre.driver.applied(302), 10)
                assert ecc.applied == ops.applied
                assert ops.driver.blocked == ""

    asyncio.run(scenario())


def test_leader_that_comes_back_goes_on(pair: tuple[Centre, Centre]) -> None:
    """Method: the leader stops with entries that its standby never got; after its start they are committed."""

    async def scenario() -> None:
        async with pair[1].running() as ecc:
            async with pair[0].running() as ops:
                join(ops, ecc)
                await asyncio.wait_for(ops.driver.propose(Kind.ROWS, b"one")[1], 10)
                cut(ops, ecc)
                lost = ops.driver.propose(Kind.ROWS, b"two")[1]
                while ops.driver.state.durable_lsn < 3:
                    await asyncio.sleep(0.01)
                assert not lost.done()
            async with pair[0].running() as ops:
                join(ops, ecc)
                await asyncio.wait_for(ops.driver.propose(Kind.ROWS, b"three")[1], 10)
                for centre in (ops, ecc):
                    await asyncio.wait_for(centre.driver.applied(4), 10)
                    assert centre.applied[1:] == [b"one", b"two", b"three"]

    asyncio.run(scenario())


def test_standby_refuses_proposals(pair: tuple[Centre, Centre]) -> None:
    """Goal: only a leader appends. Method: propose at the standby."""

    async def scenario() -> None:
        async with pair[1].running() as ecc:
            with pytest.raises(NotLeadingError, match="led by ops"):
                ecc.driver.propose(Kind.ROWS, b"no")

    asyncio.run(scenario())


def test_full_disk_is_waited_out(pair: tuple[Centre, Centre], monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: nothing accepted is dropped while the disk is full, and the reason is shown. Method: appends fail at
    first, then succeed."""

    async def scenario() -> None:
        async with pair[0].running() as ops, pair[1].running() as ecc:
            join(ops, ecc)
            await asyncio.wait_for(ops.driver.propose(Kind.ROWS, b"before")[1], 10)
            full = asyncio.Event()
            append = ops.disk.append

            async def failing(entries: Sequence[Entry]) -> None:
                if not full.is_set():
                    raise LogFullError("no space left")
                await append(entries)

            monkeypatch.setattr(ops.disk, "append", failing)
            waiting = ops.driver.propose(Kind.ROWS, b"during")[1]
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 0.2)
            assert "no space" in ops.driver.blocked
            full.set()
            await asyncio.wait_for(waiting, 10)
            assert ops.driver.blocked == ""

    asyncio.run(scenario())


def test_window_bounds_what_is_in_flight(tmp_path: Path) -> None:
    """Goal: proposals beyond `flight_bytes_max` wait at the door. Method: no standby, a small window."""

    async def scenario() -> None:
        limits = ReplicationLimits(flight_bytes_max=1000, heartbeat_ms=10)
        async with Centre("ops", tmp_path / "ops", limits).running() as ops:
            ops.driver.propose(Kind.ROWS, b"x" * 2000)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ops.driver.room(), 0.2)

    asyncio.run(scenario())
