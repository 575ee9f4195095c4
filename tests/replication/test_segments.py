"""Goal: a file with a segment's name has all of its bytes, whatever fails and whenever the power does; what was said to
be durable is; and what does not have its checksum is found out.

Method: small segments on real files. Every call that changes the disk fails in turn, or is the last one before the
power does, over a disk that remembers what was made durable and loses or keeps the rest by chance.
"""

import errno
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import durable, folder_sync, segment_staging
from replication.errors import (
    SegmentBusyError,
    SegmentDamagedError,
    SegmentError,
    SegmentFailedError,
    SegmentFullError,
    SegmentMissingError,
)
from replication.segments import SegmentFiles, is_segment_id, segment_id_of

CALLS = ("pwritev", "fsync", "fdatasync", "rename", "unlink", "ftruncate")
WRITTEN, RECEIVED, DOOMED = (random.Random(seed).randbytes(900) for seed in range(3))
WRITTEN_ID, RECEIVED_ID, DOOMED_ID = (segment_id_of([data]) for data in (WRITTEN, RECEIVED, DOOMED))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_whole(folder: Path) -> None:
    """Nothing partial has a segment's name."""
    for name, data in contents(folder).items():
        if name.endswith(".parquet"):
            assert name == segment_id_of([data]) + ".parquet"


def read(files: SegmentFiles, segment_id: str, offset: int = 0, chunk_bytes: int = 100) -> bytes:
    return b"".join(files.read_chunks(segment_id, offset, chunk_bytes))


def receive(files: SegmentFiles, data: bytes, chunk_bytes: int = 300) -> None:
    with files.receive(segment_id_of([data]), len(data)) as reception:
        for begin in range(reception.received_bytes, len(data), chunk_bytes):
            reception.write(data[begin : begin + chunk_bytes])
        reception.finish()


class Story:
    """What a centre does with its segments; `durable` and `gone` are what it was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.durable: set[str] = set()
        self.gone: set[str] = set()

    def run(self) -> None:
        """Raises SegmentError or OSError where the disk fails; what was done before is then not done again."""
        files = SegmentFiles.open(self.folder)
        if DOOMED_ID not in self.gone:
            files.delete([DOOMED_ID])
            self.gone.add(DOOMED_ID)
        files.write([WRITTEN[:10], WRITTEN[10:]])
        self.durable.add(WRITTEN_ID)
        receive(files, RECEIVED)
        self.durable.add(RECEIVED_ID)

    def check(self) -> SegmentFiles:
        """Opens the folder as it is."""
        check_whole(self.folder)
        files = SegmentFiles.open(self.folder)
        assert files.ids() >= self.durable
        assert not files.ids() & self.gone
        for segment_id in files.ids():
            files.verify(segment_id)
        return files


@pytest.fixture
def story(tmp_path: Path) -> Story:
    files = SegmentFiles.open(tmp_path / "segments")
    files.write([DOOMED])
    with files.receive(RECEIVED_ID, len(RECEIVED)) as reception:
        reception.write(RECEIVED[:200])
    return Story(tmp_path / "segments")


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that are about bytes alone."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@contextmanager
def watched(before: Callable[[str, tuple[object, ...]], None], only: tuple[str, ...] = CALLS) -> Iterator[None]:
    """Calls `before` ahead of each call that changes the disk."""
    with pytest.MonkeyPatch.context() as patch:
        for name in only:
            patch.setattr(os, name, _watched(name, getattr(os, name), before))
        yield


def _watched(
    name: str, real: Callable[..., object], before: Callable[[str, tuple[object, ...]], None]
) -> Callable[..., object]:
    def call(*given: object) -> object:
        before(name, given)
        return real(*given)

    return call


# --- Failing calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_every_failing_call_leaves_nothing_partial(tmp_path: Path, story: Story, number: int) -> None:
    """Goal: an error is a typed one, leaves nothing partial, frees what it took, and does not stop a later attempt.
    Method: let each call that changes the disk fail, one in each run; then mend the disk and run again."""
    before = contents(story.folder)
    for fatal in range(100):
        count = iter(range(100))

        def fail(name: str, _: tuple[object, ...], count: Iterator[int] = count, fatal: int = fatal) -> None:
            if next(count) == fatal:
                raise OSError(number, os.strerror(number))

        folder = tmp_path / str(fatal)
        folder.mkdir()
        for name, data in before.items():
            (folder / name).write_bytes(data)
        trial = Story(folder)
        error = outcome(trial, fail)
        if next(count) <= fatal:  # There was no such call.
            assert fatal > 10
            assert error is None
            return
        if isinstance(error, SegmentError):
            assert isinstance(error, SegmentFullError if number == errno.ENOSPC else SegmentFailedError)
            assert error.definite is (number == errno.ENOSPC)
        elif error is not None:
            assert fatal == 0, "only opening raises an OSError"
        assert not list(folder.glob("*.new"))
        trial.check()
        trial.run()
        assert trial.check().ids() == {WRITTEN_ID, RECEIVED_ID}
    pytest.fail("never ends")


def outcome(story: Story, fail: Callable[[str, tuple[object, ...]], None]) -> Exception | None:
    with watched(fail):
        try:
            story.run()
        except (SegmentError, OSError) as error:
            return error
    return None


def test_a_folder_that_cannot_be_fsynced_takes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a second fsync, which would succeed and prove nothing, is not believed. Method: fail one of the folder."""
    files = SegmentFiles.open(tmp_path)

    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(folder_sync, "sync_directory", fail)
        with pytest.raises(SegmentFailedError):
            files.write([WRITTEN])
    assert not files.holds(WRITTEN_ID)
    for data in (WRITTEN, RECEIVED):
        with pytest.raises(SegmentFailedError, match="Input/output error"):
            files.write([data])
    check_whole(tmp_path)


def test_a_full_disk_gets_its_room_back(tmp_path: Path) -> None:
    """Goal: a segment that does not fit leaves the room to others, also one that was half received.
    Method: no write succeeds any more; then the disk has room again."""
    files = SegmentFiles.open(tmp_path)

    def full(name: str, _: tuple[object, ...]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    reception = files.receive(RECEIVED_ID, len(RECEIVED))
    reception.open()
    reception.write(RECEIVED[:500])
    with watched(full, only=("pwritev",)):
        with pytest.raises(SegmentFullError, match="No space left"):
            files.write([WRITTEN])
        with pytest.raises(SegmentFullError, match="No space left"):
            reception.write(RECEIVED[500:])
    assert contents(tmp_path) == {}
    reception.close()
    receive(files, RECEIVED)
    files.write([WRITTEN])
    assert files.ids() == {WRITTEN_ID, RECEIVED_ID}


# --- Power loss -------------------------------------------------------------------------------------------------------


class PowerLossError(BaseException):
    """No OSError: nothing may catch it."""


class Disk:
    """A folder as a power loss would leave it: names since the folder's last fsync, and bytes since a file's, may be
    there or not, each by itself."""

    def __init__(self, folder: Path, calls_max: int) -> None:
        self.folder = folder
        self.calls_left = calls_max
        self.names = self._visible()
        self.synced = {path.stat().st_ino: path.read_bytes() for path in folder.iterdir()}
        self.removed: dict[int, bytes] = {}

    def before(self, name: str, given: tuple[object, ...]) -> None:
        if self.calls_left == 0:
            raise PowerLossError
        self.calls_left -= 1
        match name, given:
            case "unlink", (Path() as path, *_) if path.exists():
                self.removed[path.stat().st_ino] = path.read_bytes()
            case (("fsync" | "fdatasync"), (int(fd),)):
                path = Path(f"/proc/self/fd/{fd}").readlink()
                if path == self.folder:
                    self.names = self._visible()
                else:
                    self.synced[os.fstat(fd).st_ino] = path.read_bytes()

    def lose_power(self, chance: random.Random) -> None:
        visible, now = self._visible(), {path.stat().st_ino: path.read_bytes() for path in self.folder.iterdir()}
        found = {}
        for name in sorted(visible | self.names):
            inode = chance.choice([visible.get(name), self.names.get(name)])
            if inode is not None:
                found[name] = self._bytes(inode, now.get(inode, self.removed.get(inode, b"")), chance)
        for path in self.folder.iterdir():
            path.unlink()
        for name, data in found.items():
            (self.folder / name).write_bytes(data)

    def _bytes(self, inode: int, now: bytes, chance: random.Random) -> bytes:
        synced = self.synced.get(inode, b"")
        if now == synced:
            return now
        length = chance.randint(len(synced), max(len(now), len(synced)))
        kept = chance.randint(len(synced), length)
        return now[:kept] + bytes(length - kept)  # Blocks that were given to the file and never written.

    def _visible(self) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in self.folder.iterdir()}


@pytest.mark.parametrize("seed", range(4))
def test_power_loss_costs_nothing_that_was_durable(tmp_path: Path, story: Story, seed: int) -> None:
    """Goal: as the file says. Method: the power fails before each call in turn, and once more while what is left is
    taken up; then all goes well."""
    before, chance = contents(story.folder), random.Random(seed)
    for calls_max in range(100):
        folder = tmp_path / str(calls_max)
        folder.mkdir()
        for name, data in before.items():
            (folder / name).write_bytes(data)
        trial = Story(folder)
        lost = play(trial, calls_max, chance)
        if not lost:
            assert calls_max > 10
            return
        trial.check()
        play(trial, chance.randint(0, calls_max), chance)
        trial.check()
        with suppress(SegmentDamagedError):  # The end of what was staged was never on disk: it begins anew.
            trial.run()
        trial.run()
        assert trial.check().ids() == {WRITTEN_ID, RECEIVED_ID}
    pytest.fail("never ends")


def play(story: Story, calls_max: int, chance: random.Random) -> bool:
    """Runs the story on a disk whose power fails after so many calls; whether it did."""
    disk = Disk(story.folder, calls_max)
    try:
        with watched(disk.before), suppress(SegmentDamagedError):
            story.run()
    except PowerLossError:
        disk.lose_power(chance)
        return True
    return False


def test_an_open_fsyncs_what_a_process_that_died_had_renamed(tmp_path: Path) -> None:
    """Goal: `holds` never says what a power loss could undo. Method: watch the fsyncs of an open."""
    SegmentFiles.open(tmp_path).write([WRITTEN])
    synced = []
    with watched(lambda name, given: synced.append(Path(f"/proc/self/fd/{given[0]}").readlink()), only=("fsync",)):
        assert SegmentFiles.open(tmp_path).holds(WRITTEN_ID)
    assert synced == [tmp_path]


# --- Damage -----------------------------------------------------------------------------------------------------------


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("reopen", [False, True])
def test_damage_is_found_and_mended(tmp_path: Path, reopen: bool) -> None:
    """Goal: no damaged segment counts as held once it was read, and a sound one takes its place.
    Method: flip, cut, lengthen, empty and remove a small file, while it is known and before it is looked through."""
    data = WRITTEN[:40]
    files = SegmentFiles.open(tmp_path)
    segment_id, _ = files.write([data])
    path = files.path(segment_id)
    bad = [flipped(data, at) for at in range(40)] + [data[:at] for at in range(40)] + [data + b"x"]
    for number, damage in enumerate(bad):
        path.write_bytes(damage)
        if reopen:
            files = SegmentFiles.open(tmp_path)
        assert files.holds(segment_id)
        with pytest.raises(SegmentDamagedError, match=segment_id) as caught:
            files.verify(segment_id) if number % 2 else read(files, segment_id, offset=min(len(damage), 20))
        assert "its file" in caught.value.reason
        assert not files.holds(segment_id)
        assert segment_id not in files.ids()
        files.write([data]) if number % 3 else receive(files, data)
        files.verify(segment_id)
    path.unlink()
    with pytest.raises(SegmentMissingError, match="its file is gone"):
        files.verify(segment_id)
    assert not files.holds(segment_id)


def test_a_sector_that_cannot_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: what only another copy can mend is called so. Method: reads that fail."""
    files = SegmentFiles.open(tmp_path)
    files.write([WRITTEN])

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        with pytest.raises(SegmentDamagedError, match="cannot be read: Input/output error"):
            files.verify(WRITTEN_ID)
    assert not files.holds(WRITTEN_ID)


def test_the_last_chunk_comes_only_of_a_sound_segment(tmp_path: Path) -> None:
    """Goal: who sends tells damage at the source before all of it is sent. Method: a flip in the first byte."""
    files = SegmentFiles.open(tmp_path)
    files.write([WRITTEN])
    files.path(WRITTEN_ID).write_bytes(flipped(WRITTEN, 0))
    chunks = files.read_chunks(WRITTEN_ID, 300, 200)
    assert [next(chunks), next(chunks)] == [WRITTEN[300:500], WRITTEN[500:700]]
    with pytest.raises(SegmentDamagedError):
        next(chunks)


def test_a_file_that_somebody_cut_is_written_again(tmp_path: Path) -> None:
    """Goal: `write` believes its own books only as far as the length goes. Method: cut, remove."""
    files = SegmentFiles.open(tmp_path)
    files.write([WRITTEN])
    for cut in (True, False):
        path = files.path(WRITTEN_ID)
        path.write_bytes(b"short") if cut else path.unlink()
        files.write([WRITTEN])
        assert read(files, WRITTEN_ID) == WRITTEN


# --- Receiving --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_fsync")
def test_a_reception_goes_on_from_any_offset(tmp_path: Path) -> None:
    """Goal: nothing is received twice. Method: break off after every byte, in one process or in two."""
    files = SegmentFiles.open(tmp_path)
    data = RECEIVED[:60]
    segment_id = segment_id_of([data])
    for first in range(61):
        with files.receive(segment_id, 60) as reception:
            reception.write(data[:first])
            assert not files.holds(segment_id)
        assert files.staged_bytes(segment_id) == first
        if first % 2:
            files = SegmentFiles.open(tmp_path)
        with files.receive(segment_id, 60) as reception:
            assert reception.received_bytes == first
            reception.write(data[first:])
            reception.finish()
        assert read(files, segment_id) == data
        assert files.staged_bytes(segment_id) == 0
        files.delete([segment_id])
        assert contents(tmp_path) == {}


def test_wrong_bytes_are_thrown_away(tmp_path: Path) -> None:
    """Goal: a wrong byte, old or new, never gets a segment's name, and the next reception begins anew.
    Method: a flip in what was staged, a flip in what comes, too many bytes, staged bytes of something longer."""
    files = SegmentFiles.open(tmp_path)
    staged = tmp_path / f"{RECEIVED_ID}.part"
    staged.write_bytes(flipped(RECEIVED[:100], 50))
    with files.receive(RECEIVED_ID, 900) as reception:
        reception.write(RECEIVED[100:])
        with pytest.raises(SegmentDamagedError, match="what came has the checksum"):
            reception.finish()
    assert contents(tmp_path) == {}
    with files.receive(RECEIVED_ID, 900) as reception:
        assert reception.received_bytes == 0
        reception.write(flipped(RECEIVED, 899))
        with pytest.raises(SegmentDamagedError):
            reception.finish()
    with files.receive(RECEIVED_ID, 900) as reception, pytest.raises(SegmentDamagedError, match="more came than 900"):
        reception.write(RECEIVED + b"x")
    assert contents(tmp_path) == {}
    staged.write_bytes(RECEIVED + b"x")
    receive(files, RECEIVED)
    assert files.ids() == {RECEIVED_ID}


def test_one_reception_at_a_time(tmp_path: Path) -> None:
    """Goal: two senders never write into one file, and the end of one reception frees nobody else's.
    Method: receive twice at once; end the first one twice."""
    files = SegmentFiles.open(tmp_path)
    first = files.receive(RECEIVED_ID, 900)
    with pytest.raises(SegmentBusyError):
        files.receive(RECEIVED_ID, 900)
    first.close()
    with files.receive(RECEIVED_ID, 900):
        first.close()
        with pytest.raises(SegmentBusyError):
            files.receive(RECEIVED_ID, 900)
    receive(files, RECEIVED)


def test_old_leftovers_go(tmp_path: Path) -> None:
    """Goal: what nobody goes on with does not stay for ever, and nothing else is touched.
    Method: files of all kinds."""
    now = ["a.parquet.new", "notes.part", f"{WRITTEN_ID}.part", f"{DOOMED_ID}.1.new", f"{DOOMED_ID}.part"]
    for name in now:
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / f"{DOOMED_ID}.part", (1_000, 1_000))
    os.utime(tmp_path / "notes.part", (1_000, 1_000))
    assert SegmentFiles.open(tmp_path, staging_s_max=3600).ids() == frozenset()
    assert set(contents(tmp_path)) == {"a.parquet.new", "notes.part", f"{WRITTEN_ID}.part"}


# --- Writing ----------------------------------------------------------------------------------------------------------


def test_writes_and_reads_any_parts(tmp_path: Path) -> None:
    """Goal: parts, offsets and chunks of any size give the same bytes. Method: a few of each."""
    files = SegmentFiles.open(tmp_path / "new" / "segments")
    parts: list[bytes | memoryview] = [memoryview(WRITTEN)[:1], b"", WRITTEN[1:500], memoryview(WRITTEN)[500:]]
    assert files.write(parts) == (WRITTEN_ID, 900)
    assert files.size(WRITTEN_ID) == 900
    for offset in (0, 1, 450, 899, 900):
        for chunk_bytes in (1, 7, 899, 900, 5_000):
            chunks = list(files.read_chunks(WRITTEN_ID, offset, chunk_bytes))
            assert b"".join(chunks) == WRITTEN[offset:]
            assert all(len(chunk) == chunk_bytes for chunk in chunks[:-1])
    with pytest.raises(SegmentMissingError, match="is not held here"):
        files.size(DOOMED_ID)


def test_many_threads_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: equal segments meet without harm, and one fsync of the folder serves many.
    Method: 8 threads write 40 segments, each of them twice, while the folder's fsync is slow."""
    files = SegmentFiles.open(tmp_path)
    syncs, real = [], durable.sync_directory
    gate = threading.Barrier(8)

    def slow(folder: Path) -> None:
        syncs.append(folder)
        threading.Event().wait(0.01)
        real(folder)

    monkeypatch.setattr(folder_sync, "sync_directory", slow)
    data = [random.Random(seed).randbytes(2_000) for seed in range(40)]

    def work(thread: int) -> None:
        gate.wait()
        for one in (data + data)[thread::8]:
            segment_id, _ = files.write([one])
            assert files.holds(segment_id)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(syncs) < 40
    assert files.ids() == {segment_id_of([one]) for one in data} == SegmentFiles.open(tmp_path).ids()
    check_whole(tmp_path)
    assert len(contents(tmp_path)) == 40


def test_large_files_are_fsynced_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: no fsync has much to do. Method: a small limit, and a count of fsyncs."""
    monkeypatch.setattr(segment_staging, "_SYNC_BYTES", 100)
    files = SegmentFiles.open(tmp_path)
    seen: list[str] = []
    with watched(lambda name, _: seen.append(name), only=("fdatasync",)):
        files.write([WRITTEN[:450], WRITTEN[450:]])
        assert len(seen) == 9
        receive(files, RECEIVED, chunk_bytes=60)
        assert len(seen) == 9 + 7
    assert {read(files, WRITTEN_ID), read(files, RECEIVED_ID)} == {WRITTEN, RECEIVED}


@given(st.lists(st.binary(max_size=20)), st.integers(1, 25))
def test_groups_keep_the_bytes(parts: list[bytes], bytes_max: int) -> None:
    """Goal: cutting and gathering loses nothing. Method: any parts."""
    groups = list(segment_staging._groups(parts, bytes_max))
    assert b"".join(bytes(part) for group in groups for part in group) == b"".join(parts)
    assert all(sum(map(len, group)) == bytes_max for group in groups[:-1])
    assert all(len(part) for group in groups for part in group)


def test_only_ids_become_paths() -> None:
    """Goal: no name from elsewhere leaves the folder. Method: names that are close to ids."""
    assert is_segment_id(WRITTEN_ID)
    for name in ("", "../" + WRITTEN_ID, WRITTEN_ID[:-1], WRITTEN_ID + "0", WRITTEN_ID.upper(), WRITTEN_ID[:-1] + "\n"):
        assert not is_segment_id(name)
