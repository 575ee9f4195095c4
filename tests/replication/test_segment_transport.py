"""Goal: a segment arrives whole and durable, whatever happens to the streams, or the caller learns what is wrong.

Method: real gRPC servers and channels in one event loop, real files. Streams are broken by servers that stop and by
servicers that misbehave; bytes are changed at the source, on the way and where they were staged.
"""

import asyncio
import errno
import gc
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from replication.errors import (
    SegmentDamagedError,
    SegmentFailedError,
    SegmentFullError,
    SegmentMissingError,
    SegmentTransferError,
)
from replication.limits import ReplicationLimits
from replication.rpc.v1 import segments_pb2 as pb
from replication.rpc.v1 import segments_pb2_grpc as pb_grpc
from replication.segment_transport import SegmentBuffer, SegmentPeer, SegmentServicer, add_to_server
from replication.segments import SegmentFiles, segment_id_of
from replication.transport import CHANNEL_OPTIONS

CHUNK_BYTES = 1000
LIMITS = ReplicationLimits(segment_chunk_bytes_max=CHUNK_BYTES, segment_step_ms_max=2000, segment_stuck_ms_max=4000)
HASTY = replace(LIMITS, segment_step_ms_max=100, segment_stuck_ms_max=300)
DATA = random.Random(1).randbytes(10_500)
ID = segment_id_of([DATA])


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(limited())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Centre:
    """Serves its segments; counts what comes in, and may be told to misbehave."""

    def __init__(self, folder: Path, limits: ReplicationLimits = LIMITS) -> None:
        self.files = SegmentFiles.open(folder)
        self.address = f"127.0.0.1:{free_port()}"
        self.limits = limits

    @asynccontextmanager
    async def serving(self, kind: type[SegmentServicer] = SegmentServicer) -> AsyncIterator[grpc.aio.Server]:
        server = grpc.aio.server(options=(*CHANNEL_OPTIONS, ("grpc.so_reuseport", 0)))
        servicer = kind(self.files, limits=self.limits)
        add_to_server(servicer, server)
        server.add_insecure_port(self.address)
        await server.start()
        try:
            yield server
        finally:
            await server.stop(0)
            servicer.close()

    @asynccontextmanager
    async def asked(self, limits: ReplicationLimits = LIMITS) -> AsyncIterator[SegmentPeer]:
        async with grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            peer = SegmentPeer(channel, limits=limits)
            try:
                yield peer
            finally:
                peer.close()


class Source(SegmentBuffer):
    """Counts the bytes that are asked for; `before_chunk` is called with the offset of each chunk."""

    def __init__(self, data: bytes, before_chunk: Callable[[int], None] = lambda offset: None) -> None:
        super().__init__(data)
        self.offsets: list[int] = []
        self.sent_bytes = 0
        self.before_chunk = before_chunk

    def read_chunks(self, segment_id: str, offset: int, chunk_bytes: int) -> Generator[bytes, None, None]:
        self.offsets.append(offset)
        for chunk in super().read_chunks(segment_id, offset, chunk_bytes):
            self.before_chunk(offset)
            yield chunk
            offset += len(chunk)
            self.sent_bytes += len(chunk)


@pytest.fixture
def ecc(tmp_path: Path) -> Centre:
    return Centre(tmp_path / "ecc")


@pytest.fixture
def ours(tmp_path: Path) -> SegmentFiles:
    return SegmentFiles.open(tmp_path / "ops")


def read(files: SegmentFiles, segment_id: str = ID) -> bytes:
    return b"".join(files.read_chunks(segment_id, 0, 4096))


# --- As it should be --------------------------------------------------------------------------------------------------


def test_push_fetch_missing(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: a segment gets to the other centre and back, from memory and from files, and is not sent twice.
    Method: push, push again, look, fetch, fetch again."""

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked() as peer:
            source = Source(DATA)
            assert await peer.missing([ID, "0" * 32]) == {ID, "0" * 32}
            await peer.push(ID, source)
            assert read(ecc.files) == DATA
            assert await peer.missing([ID, "0" * 32]) == {"0" * 32}
            assert await peer.missing([]) == frozenset()
            await peer.push(ID, source)
            assert source.offsets == [0]
            await peer.fetch(ID, ours)
            assert read(ours) == DATA
            ecc.files.delete([ID])
            await peer.fetch(ID, ours)  # Held here: the peer is not asked.
            await peer.push(ID, ours)
            assert read(ecc.files) == DATA

    run(scenario)


def test_many_at_once(tmp_path: Path, ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: transfers go on side by side, as many as the limit says and not more, in both directions.
    Method: 30 segments each way; a source that counts how many are read at once."""
    out = [random.Random(seed).randbytes(3_000) for seed in range(30)]
    back = [random.Random(seed).randbytes(3_000) for seed in range(100, 130)]
    for data in back:
        ecc.files.write([data])
    now: set[str] = set()
    most = 0

    class Counting(Source):
        def read_chunks(self, segment_id: str, offset: int, chunk_bytes: int) -> Generator[bytes, None, None]:
            nonlocal most
            now.add(segment_id)
            most = max(most, len(now))
            yield from super().read_chunks(segment_id, offset, chunk_bytes)
            now.remove(segment_id)

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked() as peer:
            await asyncio.gather(
                *(peer.push(segment_id_of([data]), Counting(data)) for data in out),
                *(peer.fetch(segment_id_of([data]), ours) for data in back),
            )

    run(scenario)
    assert 2 <= most <= LIMITS.segment_transfers_max
    assert ours.ids() == {segment_id_of([data]) for data in back}
    assert ecc.files.ids() == ours.ids() | {segment_id_of([data]) for data in out}


def test_one_segment_pushed_by_two_at_once(ecc: Centre) -> None:
    """Goal: two senders of one segment both end well. Method: two peers, and a source that is slow."""

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked() as one, ecc.asked() as other:
            slow = Source(DATA, lambda offset: time.sleep(0.01))
            await asyncio.gather(one.push(ID, slow), other.push(ID, Source(DATA)))
        assert read(ecc.files) == DATA

    run(scenario)


def test_a_large_segment_takes_little_memory(tmp_path: Path, ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: memory is bounded by chunks, not by the segment. Method: 96 MiB each way, with the process's size."""
    data = random.Random(2).randbytes(1 << 20) * 96
    segment_id, _ = ours.write([data])
    del data
    gc.collect()
    ecc.limits = ReplicationLimits()
    most = 0

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked(ecc.limits) as peer:
            watching = asyncio.create_task(watch())
            await peer.push(segment_id, ours)
            ours.delete([segment_id])
            await peer.fetch(segment_id, ours)
            watching.cancel()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, resident_bytes())
            await asyncio.sleep(0.002)

    before = resident_bytes()
    run(scenario)
    assert ours.size(segment_id) == 96 << 20
    assert most - before < 64 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- Streams that break -----------------------------------------------------------------------------------------------


def test_a_push_goes_on_where_it_broke_off(ecc: Centre) -> None:
    """Goal: what arrived is not sent twice. Method: the server stops in the middle, twice, and comes back."""
    source = Source(DATA)

    async def scenario() -> None:
        async with ecc.asked() as peer:
            pushing = asyncio.create_task(peer.push(ID, source))
            for stop_at in (3_000, 7_000):
                async with ecc.serving():
                    while ecc.files.staged_bytes(ID) < stop_at:
                        await asyncio.sleep(0.001)
            async with ecc.serving():
                await pushing
        assert read(ecc.files) == DATA

    source.before_chunk = lambda offset: time.sleep(0.02)
    run(scenario)
    assert source.offsets[0] == 0
    assert len(source.offsets) == 3
    assert source.offsets == sorted(source.offsets)
    assert source.offsets[1] >= 3_000
    assert source.offsets[2] >= 7_000


def test_a_fetch_goes_on_where_it_broke_off(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: what arrived is not fetched twice, not even by a process that begins anew.
    Method: a servicer that ends each stream after three chunks; the fetch is given up once and asked for again."""
    ecc.files.write([DATA])
    offsets: list[int] = []

    class Short(SegmentServicer):
        async def Fetch(self, request: pb.FetchRequest, context: Any) -> None:  # noqa: N802  # the schema's name
            offsets.append(request.offset)
            size = self._files.size(request.id)
            await context.write(pb.FetchReply(head=pb.Head(size_bytes=size, offset=request.offset)))
            chunks = self._files.read_chunks(request.id, request.offset, CHUNK_BYTES)
            for _, chunk in zip(range(3), chunks, strict=False):
                await context.write(pb.FetchReply(chunk=chunk))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no more today")

    async def scenario() -> None:
        async with ecc.serving(Short), ecc.asked() as peer:
            fetching = asyncio.create_task(peer.fetch(ID, ours))
            while ours.staged_bytes(ID) < 3_000:
                await asyncio.sleep(0.001)
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            await peer.fetch(ID, SegmentFiles.open(ours.path(ID).parent))

    run(scenario)
    assert read(SegmentFiles.open(ours.path(ID).parent)) == DATA
    assert offsets == sorted(offsets)
    assert len(set(offsets)) == 4


def test_a_peer_that_is_away_is_waited_for_and_given_up(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: a start of the peer is bridged, and its absence is told in time. Method: no server, then a late one."""

    async def scenario() -> None:
        async with ecc.asked(HASTY) as peer:
            for call in (peer.push(ID, Source(DATA)), peer.fetch(ID, ours), peer.missing([ID])):
                started_s = time.monotonic()
                with pytest.raises(SegmentTransferError, match=r"no progress for 0.3 s: unavailable") as caught:
                    await call
                assert 0.3 <= time.monotonic() - started_s < 2.5
                assert not caught.value.definite
        async with ecc.asked() as peer:
            pushing = asyncio.create_task(peer.push(ID, Source(DATA)))
            await asyncio.sleep(0.3)
            async with ecc.serving():
                await pushing

    run(scenario)


def test_a_peer_that_stalls_is_given_up(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: no step waits for ever. Method: a servicer that answers nothing."""

    class Silent(SegmentServicer):
        async def Push(self, requests: Any, context: Any) -> None:  # noqa: N802  # the schema's name
            await asyncio.sleep(60)

        async def Fetch(self, request: Any, context: Any) -> None:  # noqa: N802  # the schema's name
            await asyncio.sleep(60)

    async def scenario() -> None:
        async with ecc.serving(Silent), ecc.asked(HASTY) as peer:
            for call in (peer.push(ID, Source(DATA)), peer.fetch(ID, ours)):
                with pytest.raises(SegmentTransferError, match=r"a step took longer than 0.1 s"):
                    await call

    run(scenario)


def test_a_sender_that_stalls_frees_its_place(tmp_path: Path) -> None:
    """Goal: a sender that falls silent blocks nobody. Method: one place, a stream that sends an offer and no chunk."""
    ecc = Centre(tmp_path / "ecc", replace(HASTY, segment_transfers_max=1))

    async def scenario() -> None:
        async with ecc.serving(), grpc.aio.insecure_channel(ecc.address) as channel, ecc.asked() as peer:
            call = pb_grpc.SegmentServiceStub(channel).Push()
            await call.write(pb.PushRequest(offer=pb.Offer(id=ID, size_bytes=len(DATA))))
            assert (await call.read()).WhichOneof("answer") == "resume_at"
            await peer.push(ID, Source(DATA))
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    run(scenario)


def test_a_cancelled_transfer_leaves_its_reception_free(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: whenever a transfer is cancelled, the next one goes on. Method: cancel at many moments, in both roles."""
    ecc.files.write([DATA])

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked() as peer:
            for after_ms in range(0, 20, 2):
                for pushes in (True, False):
                    ecc.files.delete([ID]) if pushes else ecc.files.write([DATA])
                    task = asyncio.create_task(peer.push(ID, Source(DATA)) if pushes else peer.fetch(ID, ours))
                    await asyncio.sleep(after_ms / 1000)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                ours.delete([ID])
            ecc.files.delete([ID])
            await peer.push(ID, Source(DATA))
            await peer.fetch(ID, ours)
        assert read(ours) == read(ecc.files) == DATA

    run(scenario)


# --- Bytes that are wrong ---------------------------------------------------------------------------------------------


def test_damage_at_the_source_is_told(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: what no sending again can mend ends at once, and leaves nothing to go on with.
    Method: fetch a damaged segment, one that is gone, and push a damaged one."""
    ecc.files.write([DATA])
    ecc.files.path(ID).write_bytes(DATA[:-1] + b"?")
    ours.write([DATA])

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked() as peer:
            ours.path(ID).write_bytes(b"?" + DATA[1:])
            with pytest.raises(SegmentDamagedError, match="its file"):
                ours.verify(ID)
            with pytest.raises(SegmentDamagedError, match=r"the other centre: .* do not have its checksum"):
                await peer.fetch(ID, ours)
            assert ours.staged_bytes(ID) == 0
            with pytest.raises(SegmentMissingError, match="the other centre: is not held here"):
                await peer.fetch(ID, ours)
            ours.write([DATA])
            ours.path(ID).write_bytes(b"?" + DATA[1:])
            with pytest.raises(SegmentDamagedError, match=r"segment .* the bytes of its file"):
                await peer.push(ID, ours)
            assert not ecc.files.holds(ID)
            await peer.push(ID, Source(DATA))  # Begins with the wrong bytes that were staged, and then anew.
            assert read(ecc.files) == DATA

    run(scenario)


def test_damage_on_the_way_is_sent_again(ecc: Centre, ours: SegmentFiles) -> None:
    """Goal: an accident is mended, what is wrong every time is told. Method: sources that lie once, and always."""

    class Lying(SegmentBuffer):
        lies = 1

        def read_chunks(self, segment_id: str, offset: int, chunk_bytes: int) -> Generator[bytes, None, None]:
            self.lies -= 1
            lie = self.lies >= 0
            for chunk in super().read_chunks(segment_id, offset, chunk_bytes):
                yield bytes(len(chunk)) if lie else chunk

    class LyingServicer(SegmentServicer):
        async def Fetch(self, request: pb.FetchRequest, context: Any) -> None:  # noqa: N802  # the schema's name
            await context.write(pb.FetchReply(head=pb.Head(size_bytes=len(DATA), offset=request.offset)))
            for chunk in lying.read_chunks(request.id, request.offset, CHUNK_BYTES):
                await context.write(pb.FetchReply(chunk=chunk))

    lying = Lying(DATA)

    async def scenario() -> None:
        async with ecc.serving(LyingServicer), ecc.asked() as peer:
            await peer.push(ID, lying)
            assert read(ecc.files) == DATA
            lying.lies = 1
            await peer.fetch(ID, ours)
            assert read(ours) == DATA
            for files in (ecc.files, ours):
                lying.lies = 99
                files.delete([ID])
                with pytest.raises(SegmentDamagedError, match=r"what came has the checksum"):
                    await (peer.fetch(ID, ours) if files is ours else peer.push(ID, lying))
                assert lying.lies == 96
                assert files.staged_bytes(ID) == 0

    run(scenario)


def test_a_full_or_failing_disk_at_the_peer_is_told(ecc: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: what the peer's disk cannot do is told at once, as what it is. Method: writes and fsyncs that fail."""

    def failing(number: int) -> Callable[..., int]:
        def fail(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        return fail

    async def scenario() -> None:
        async with ecc.serving(), ecc.asked() as peer:
            with monkeypatch.context() as patch:
                patch.setattr(os, "pwritev", failing(errno.ENOSPC))
                with pytest.raises(SegmentFullError, match=r"the other centre: .*No space left"):
                    await peer.push(ID, Source(DATA))
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", failing(errno.EIO))
                with pytest.raises(SegmentFailedError, match=r"the other centre: .*Input/output error"):
                    await peer.push(ID, Source(DATA))
            assert ecc.files.staged_bytes(ID) == 0
            await peer.push(ID, Source(DATA))

    run(scenario)


# --- Requests that are wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requests", "details"),
    [
        ([pb.PushRequest(offer=pb.Offer(id="../" + ID, size_bytes=1))], "an id has 32 hexadecimal digits"),
        ([pb.PushRequest(offer=pb.Offer(id=ID, size_bytes=0))], "a segment of no bytes is offered"),
        ([pb.PushRequest(chunk=b"x")], "an id has 32 hexadecimal digits"),
        ([], "the stream ended before the segment did"),
        ([pb.PushRequest(offer=pb.Offer(id=ID, size_bytes=9))], "the stream ended before the segment did"),
        ([pb.PushRequest(offer=pb.Offer(id=ID, size_bytes=9)), pb.PushRequest()], "a chunk has 1 to 1000 bytes"),
        (
            [pb.PushRequest(offer=pb.Offer(id=ID, size_bytes=5000)), pb.PushRequest(chunk=bytes(1001))],
            "a chunk has 1 to 1000 bytes",
        ),
    ],
)
def test_senseless_pushes_are_refused(ecc: Centre, requests: list[pb.PushRequest], details: str) -> None:
    """Goal: nothing from elsewhere becomes a path or a file. Method: streams that no client of ours sends."""

    async def scenario() -> None:
        async with ecc.serving(), grpc.aio.insecure_channel(ecc.address) as channel:
            call = pb_grpc.SegmentServiceStub(channel).Push()
            for request in requests:
                await call.write(request)
            await call.done_writing()
            with suppress(grpc.aio.AioRpcError):  # A call's end is known once all that came was read.
                while await call.read() is not grpc.aio.EOF:
                    pass
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert await call.details() == details
            fetch = pb_grpc.SegmentServiceStub(channel).Fetch(pb.FetchRequest(id="/etc/passwd"))
            assert await fetch.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert not ecc.files.ids()

    run(scenario)


def test_a_peer_of_an_older_release_is_told_apart(ecc: Centre) -> None:
    """Goal: nobody waits for what cannot come. Method: a server without the service."""

    async def scenario() -> None:
        server = grpc.aio.server()
        server.add_insecure_port(ecc.address)
        await server.start()
        async with ecc.asked() as peer:
            with pytest.raises(SegmentTransferError, match="does not serve segments"):
                await peer.push(ID, Source(DATA))
        await server.stop(0)

    run(scenario)
