"""Goal: a log that begins later, as it was trimmed or goes on after a snapshot, holds all that it says it holds.

Method: logs of many small files; every step of a change of the disk fails once, and what is left is opened.
"""

import asyncio
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replication.codec import make_entry
from replication.core.state import common_prefix, epoch_at
from replication.core.types import ORIGIN, Entry, EntryId, EpochStart, Kind
from replication.disk import FileDisk
from replication.durable import sync_directory
from replication.errors import EntryNotHeldError, LogFailedError
from replication.limits import ReplicationLimits
from replication.log import LogFiles, restart
from replication.log_head import HeadFile
from simulator.world.drivers import Centre, cut, join

FILE_BYTES = 400
COUNT = 40


def chain(count: int, *, after: EntryId = ORIGIN, epoch: int = 1) -> list[Entry]:
    entries = []
    for _ in range(count):
        entries.append(make_entry(after=after, epoch=epoch, kind=Kind.ROWS, payload=b"payload %d" % after.lsn))
        after = entries[-1].id
    return entries


ENTRIES = (first := chain(15)) + chain(COUNT - 15, after=first[-1].id, epoch=3)


def opened(directory: Path) -> LogFiles:
    return LogFiles.open(directory, file_bytes_max=FILE_BYTES)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A log of ENTRIES, closed."""
    log = opened(tmp_path / "log")
    for entry in ENTRIES:
        log.append([entry])
    log.close()
    assert len(list((tmp_path / "log").glob("*.log"))) > 5
    return tmp_path / "log"


def check(log: LogFiles, held: list[Entry]) -> None:
    """It holds exactly these, knows the entry before them, and none before that."""
    before = held[0].lsn - 1
    assert log.first_lsn == held[0].lsn
    assert [one.id for one in log.read(before, 1 << 20)] == [one.id for one in held]
    assert log.id_at(before) == (ENTRIES[before - 1].id if before else ORIGIN)
    assert epoch_at(log.epochs, log.end.lsn) == log.end.epoch
    assert epoch_at(log.epochs, before) == (ENTRIES[before - 1].epoch if before else 0)
    if before > 0:
        with pytest.raises(EntryNotHeldError):
            log.read(before - 1, 1 << 20)


@pytest.mark.parametrize("before_lsn", [0, 1, 2, 9, 15, 16, 17, 30, COUNT, COUNT + 1, 10 * COUNT])
def test_trimmed_logs_go_on(directory: Path, before_lsn: int) -> None:
    """Goal: whole files go, as many as hold nothing from there on, and the last one stays. Method: trim, read, append,
    open again."""
    log = opened(directory)
    gone = log.trim(before_lsn)
    assert 0 <= gone < COUNT
    assert gone < max(1, before_lsn)
    check(log, ENTRIES[gone:])
    assert log.trim(before_lsn) == 0
    more = chain(3, after=log.end, epoch=3)
    log.append(more)
    log.close()
    log = opened(directory)
    check(log, ENTRIES[gone:] + more)
    assert len(list(directory.glob("*.log"))) == len({path.name for path in directory.glob("*.log")})
    log.close()


def test_how_much_to_keep(directory: Path) -> None:
    """Method: whatever is kept, no file more would fit."""
    log = opened(directory)
    sizes = [path.stat().st_size for path in sorted(directory.glob("*.log"))]
    starts = [int(path.stem) for path in sorted(directory.glob("*.log"))]
    for bytes_max in range(0, sum(sizes) + 100, 97):
        place = starts.index(log.lsn_within(bytes_max))
        assert place == len(sizes) - 1 or sum(sizes[place:]) <= bytes_max
        assert place == 0 or sum(sizes[place - 1 :]) > bytes_max
    log.close()


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> Callable[[], bool]:
    """The `number`-th change of the disk fails, and all after it; whether one did."""
    seen = [0]

    def broken(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            seen[0] += 1
            if seen[0] > number:
                raise OSError(5, "gone")
            return real(*args, **options)

        return run

    monkeypatch.setattr(Path, "unlink", broken(Path.unlink))
    monkeypatch.setattr("replication.log.sync_directory", broken(sync_directory))
    monkeypatch.setattr(HeadFile, "write", broken(HeadFile.write))
    monkeypatch.setattr(HeadFile, "sync", broken(HeadFile.sync))
    return lambda: seen[0] > number


def test_trimming_ends_anywhere(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: what a crash leaves of a trim opens, with every entry that should stay."""
    for number in range(12):
        copy = shutil.copytree(directory, directory.parent / str(number))
        log = opened(copy)
        with monkeypatch.context() as patch:
            failed = failing(patch, number)
            try:
                log.trim(20)
            except LogFailedError:
                assert failed()
        again = opened(copy)
        assert again.first_lsn <= 20
        check(again, ENTRIES[again.first_lsn - 1 :])
        again.close()


def test_files_that_come_back_are_removed(directory: Path) -> None:
    """Goal: a removal that the power took back does not matter. Method: put any of the files back, with gaps."""
    before = {path.name: path.read_bytes() for path in directory.glob("*.log")}
    log = opened(directory)
    first_lsn = 1 + log.trim(25)
    log.close()
    gone = sorted(set(before) - {path.name for path in directory.glob("*.log")})
    for returned in ([gone[0]], [gone[-1]], gone[::2], gone):
        for name in returned:
            (directory / name).write_bytes(before[name])
        log = opened(directory)
        check(log, ENTRIES[first_lsn - 1 :])
        log.close()
        assert not {path.name for path in directory.glob("*.log")} & set(gone)


def test_readers_beside_trimming(directory: Path) -> None:
    """Goal: a reader gets right entries or is told that they are gone. Method: threads read while files go."""
    log = opened(directory)
    done = threading.Event()
    problems: list[BaseException] = []

    def read(seed: int) -> None:
        choose = random.Random(seed)
        while not done.is_set():
            after = choose.randrange(COUNT)
            try:
                found = log.read(after, 200)
                assert [one.id for one in found] == [one.id for one in ENTRIES[after : after + len(found)]]
            except EntryNotHeldError:
                assert after < log.first_lsn - 1
            except BaseException as error:
                problems.append(error)
                raise

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for lsn in range(COUNT):
        log.trim(lsn)
    done.set()
    for thread in threads:
        thread.join()
    assert problems == []
    log.close()


@pytest.mark.parametrize("after_lsn", [COUNT, COUNT + 1, COUNT + 1000])
def test_a_log_restarts_after_an_entry_that_it_did_not_hold(directory: Path, after_lsn: int) -> None:
    """Method: with and without a start between, then append and open again."""
    after = EntryId(lsn=after_lsn, epoch=7, hash=b"0123456789abcdef")
    disk = FileDisk.open(directory, file_bytes_max=FILE_BYTES)
    disk.restart(after)
    assert (disk.end, disk.first_lsn, disk.id_now(after_lsn)) == (after, after_lsn + 1, after)
    assert disk.epochs == (EpochStart(epoch=7, first_lsn=after_lsn),)
    disk.close()
    log = opened(directory)
    more = chain(5, after=after, epoch=8)
    for entry in more:
        log.append([entry])
    log.close()
    log = opened(directory)
    assert [one.id for one in log.read(after_lsn, 1 << 20)] == [one.id for one in more]
    assert log.epochs == (EpochStart(epoch=7, first_lsn=after_lsn), EpochStart(epoch=8, first_lsn=after_lsn + 1))
    log.close()


def test_what_a_restarted_log_had_beyond_is_saved(directory: Path) -> None:
    """Goal: a tail that nobody was told of is found again. Method: restart in the middle."""
    disk = FileDisk.open(directory, file_bytes_max=FILE_BYTES)
    disk.restart(EntryId(lsn=30, epoch=9, hash=b"0123456789abcdef"))
    assert disk.end.lsn == 30
    disk.close()
    (saved,) = (directory / "lost-and-found").iterdir()
    assert saved.stat().st_size == sum(entry.size_bytes for entry in ENTRIES[29:])


def test_a_restart_ends_anywhere(directory: Path) -> None:
    """Goal: once the head says so, the log is the new one. Method: the head alone is moved, with all files there, some
    gone, all gone."""
    after = EntryId(lsn=COUNT + 5, epoch=3, hash=b"0123456789abcdef")
    for kept in (0, 1, 3, 100):
        copy = shutil.copytree(directory, directory.parent / str(kept))
        restart(copy, after)
        for path in sorted(copy.glob("*.log"))[kept:]:
            path.unlink()
        log = opened(copy)
        assert (log.end, log.first_lsn) == (after, COUNT + 6)
        log.close()


# --- Two centres ------------------------------------------------------------------------------------------------------


def test_prefix_of_logs_that_begin_later() -> None:
    """Goal: the last entry before a log's beginning counts as held. Method: all ways in which one begins there."""
    whole = (EpochStart(epoch=1, first_lsn=1), EpochStart(epoch=3, first_lsn=16), EpochStart(epoch=4, first_lsn=50))
    for lsn in range(1, 60):
        epoch = epoch_at(whole, lsn)
        begun = (EpochStart(epoch=epoch, first_lsn=lsn),)
        assert common_prefix(whole, 60, begun, lsn) == lsn
        trimmed = (begun[0], *(one for one in whole if one.first_lsn > lsn))
        assert common_prefix(trimmed, 60, begun, lsn) == lsn
        assert common_prefix(trimmed, 60, whole, 60) == 60


def test_a_standby_goes_on_after_a_snapshot(tmp_path: Path) -> None:
    """Goal: a leader without the entries that its standby lacks stays up, its standby hears it, and one that restarts
    after an entry that the leader knows catches up. Method: trim the leader, wipe the standby."""
    limits = ReplicationLimits(heartbeat_ms=10, apply_interval_ms=1, log_file_bytes_max=1000, tail_bytes_max=1000)
    pair = Centre("ops", tmp_path / "ops", limits), Centre("ecc", tmp_path / "ecc", limits)

    async def scenario() -> None:
        async with pair[0].running() as ops:
            async with pair[1].running() as ecc:
                join(ops, ecc)
                for _ in range(20):  # An append never spreads over two files.
                    sent = [ops.driver.propose(Kind.ROWS, b"x" * 100)[1] for _ in range(5)]
                    await asyncio.wait_for(asyncio.gather(*sent), 10)
                for centre in (ops, ecc):
                    await asyncio.wait_for(centre.driver.applied(101), 10)
                cut(ops, ecc)
            assert await ops.disk.trim(90) > 50
            point = ops.disk.id_now(95)
            shutil.rmtree(tmp_path / "ecc")
            pair[1].applied.clear()
            async with pair[1].running() as ecc:
                join(ops, ecc)
                await asyncio.sleep(0.2)
                assert ecc.driver.state.end.lsn == 0
                assert ecc.driver.lag[2] < 0.2  # It hears its leader.
                cut(ops, ecc)
            disk = FileDisk.open(tmp_path / "ecc", file_bytes_max=1000)
            disk.restart(point)
            disk.close()
            pair[1].applied += ops.applied[:95]  # What the snapshot brought.
            async with pair[1].running() as ecc:
                join(ops, ecc)
                _, committed = ops.driver.propose(Kind.ROWS, b"after")
                await asyncio.wait_for(committed, 10)
                await asyncio.wait_for(ecc.driver.applied(102), 10)
                assert ecc.applied == ops.applied

    asyncio.run(scenario())
