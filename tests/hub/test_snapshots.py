"""Goal: whatever fails while a snapshot is installed, the next try makes it good, and nothing between passes for whole.

Method: every step that changes a name, a head or a log fails once; what is left is looked at, then installed anew.
"""

import asyncio
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hub.catalogue.load import builtin_contracts, contract_to_json
from hub.config import StoreLimits, UpkeepLimits
from hub.ingest.sections import Operation, Section, encode_sections
from hub.rpc.v1.snapshot_pb2 import TakeSnapshotRequest
from hub.segments.encoder import encode
from hub.segments.payloads import SEGMENTS, descriptors_to_rows
from hub.service.snapshots import SnapshotServicer
from hub.snapshots import install as install_module
from hub.snapshots.description import Snapshot, SnapshotError, snapshot_from_json, snapshot_to_json
from hub.snapshots.install import STORE_NAME, install
from hub.snapshots.take import Snapshots, take
from hub.store.store import LOGS, Store
from hub.upkeep.repair import Keeper
from replication.codec import make_entry
from replication.core.types import ORIGIN, Entry, Kind
from replication.disk import FileDisk
from replication.errors import LogError
from replication.segments import SegmentFiles
from simulator.city.readings import readings, sensors

LIMITS = StoreLimits(threads=1)
STEPS_MAX = 40
ROWS = 500


def entries(files: SegmentFiles) -> list[Entry]:
    """A contract, hot rows, a segment."""
    known = builtin_contracts()["readings"]
    (rows,) = readings(ROWS, 1, sensors=sensors(10, 1), batch_rows=ROWS)
    made = encode(known, rows, origin="test")
    files.write([memoryview(made.buffer)])
    hot = Section(data_set="readings", operation=Operation.APPEND, contract_version=1, rows=rows)
    named = Section(
        data_set=SEGMENTS, operation=Operation.APPEND, contract_version=1, rows=descriptors_to_rows([made.descriptor])
    )
    found: list[Entry] = []
    for kind, payload in (
        (Kind.CONTRACT, contract_to_json(known).encode()),
        (Kind.ROWS, encode_sections([hot])),
        (Kind.SEGMENTS, encode_sections([named])),
    ):
        found.append(make_entry(after=found[-1].id if found else ORIGIN, epoch=3, kind=kind, payload=payload))
    return found


def opened(folder: Path, files: SegmentFiles) -> Store:
    return Store.open(folder / STORE_NAME, files, memory_bytes_max=256 << 20, threads=1, temp_bytes_max=1 << 30)


def disks_of(folder: Path) -> dict[str, FileDisk]:
    return {log: FileDisk.open(folder / "log" / log, file_bytes_max=1 << 20) for log in LOGS}


@pytest.fixture
def source(tmp_path: Path) -> tuple[SegmentFiles, Snapshot, list[Entry]]:
    files = SegmentFiles.open(tmp_path / "source" / "segments")
    written = entries(files)
    store = opened(tmp_path / "source", files)
    store.apply("ops", written)
    snapshot = take(
        store, files, centre="ops", id_at=lambda log, lsn: written[lsn - 1].id if lsn else ORIGIN, told=lambda at: None
    )
    store.close()
    return files, snapshot, written


def failing(patch: pytest.MonkeyPatch, number: int) -> Callable[[], bool]:
    """The `number`-th step fails, and all after it; whether one did."""
    seen = [0]

    def broken(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            seen[0] += 1
            if seen[0] > number:
                raise OSError(5, "gone")
            return real(*args, **options)

        return run

    patch.setattr(Path, "unlink", broken(Path.unlink))
    patch.setattr(Path, "rename", broken(Path.rename))
    patch.setattr(install_module, "sync_directory", broken(install_module.sync_directory))  # type: ignore[attr-defined]
    patch.setattr("replication.log.sync_directory", broken(lambda path: None))
    patch.setattr("replication.log_head.HeadFile.sync", broken(lambda head: None))
    return lambda: seen[0] > number


def test_an_installation_ends_anywhere(
    tmp_path: Path, source: tuple[SegmentFiles, Snapshot, list[Entry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: after a failure there is the old store with the logs as they were, or none; the next try succeeds."""
    files, snapshot, written = source
    old = tmp_path / "old"
    other = opened(old, SegmentFiles.open(old / "segments"))
    other.close()
    failures = 0
    for number in range(STEPS_MAX):
        folder = shutil.copytree(old, tmp_path / str(number))
        held = SegmentFiles.open(folder / "segments")
        for one in snapshot.sizes_bytes:
            held.write([files.path(one).read_bytes()])
        disks = disks_of(folder)
        with monkeypatch.context() as patch:
            failed = failing(patch, number)
            try:
                install(folder, snapshot, held, disks, LIMITS)
            except (OSError, LogError):
                failures += 1
            done = not failed()
        for disk in disks.values():
            with suppress(OSError):  # Its files may be closed already.
                disk.close()
        if not done and (folder / STORE_NAME).exists():
            store = opened(folder, held)
            applied = store.applied()["ops"]
            store.close()
            disks = disks_of(folder)
            assert applied == 0 or disks["ops"].first_lsn == applied + 1  # The old one, or all of the new one.
            for disk in disks.values():
                disk.close()
        disks = disks_of(folder)
        install(folder, snapshot, held, disks, LIMITS)
        assert disks["ops"].end == written[-1].id
        for disk in disks.values():
            disk.close()
        store = opened(folder, held)
        assert store.applied() == {"ops": 3, "ecc": 0}
        assert store.cursor().execute("select count(*) from readings").fetchall() == [(2 * ROWS,)]
        store.close()
        shutil.rmtree(folder)
        if done:
            break
    assert done, "more steps than were tried"
    assert failures > 3


def test_what_describes_no_snapshot_is_refused(source: tuple[SegmentFiles, Snapshot, list[Entry]]) -> None:
    """Method: there and back, then cut, another format, something else."""
    text = snapshot_to_json(source[1])
    assert snapshot_from_json(text) == source[1]
    for bad in (text[:100], text.replace('"format": 1', '"format": 2'), "{}", "[]"):
        with pytest.raises(SnapshotError):
            snapshot_from_json(bad)


class _Needs:
    """A store and arrivals that need no segment."""

    def manifest(self) -> "_Needs":
        return self

    def ids(self) -> frozenset[str]:
        return frozenset()

    named = ids


def test_what_a_snapshot_names_stays_while_it_is_taken(tmp_path: Path) -> None:
    """Goal: a segment that is merged away while a snapshot reads the tables can still be fetched.
    Method: it is dropped in the middle of the taking; another one, which the snapshot does not name, with it."""
    files = SegmentFiles.open(tmp_path)
    named, other = (files.write([memoryview(content)])[0] for content in (b"named", b"other"))
    snapshots, begun = Snapshots(), asyncio.Event()

    async def run() -> None:
        loop, may_end = asyncio.get_running_loop(), threading.Event()

        def taken(told: Callable[[str], None], data_sets: Sequence[str]) -> Snapshot:
            loop.call_soon_threadsafe(begun.set)
            assert may_end.wait(10)
            return Snapshot(
                centre="ops", taken_at="", position={}, tables=(), segments=(named,), sizes_bytes={named: 5}
            )

        needs: Any = _Needs()
        keeper = Keeper(
            needs, files, needs, needs, snapshots, reopen=needs, passed=lambda log, lsn: True, limits=UpkeepLimits()
        )
        servicer = SnapshotServicer(snapshots, taken, keeper.drop)
        context: Any = None

        async def take_one() -> str:
            async for reply in servicer.Take(TakeSnapshotRequest(by="test"), context):
                return reply.key
            return ""

        taking = asyncio.create_task(take_one())
        await begun.wait()
        dropping = asyncio.create_task(keeper.drop([named, other]))
        await asyncio.sleep(0.05)
        may_end.set()
        assert await taking
        await dropping

    asyncio.run(run())
    assert files.holds(named)
    assert not files.holds(other)
