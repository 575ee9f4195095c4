"""Goal: a power loss at any moment costs no entry that `append` returned for, and never stops the log from opening.

Method: the log runs over a disk that remembers, for every 64-byte sector, what was last made durable. The power fails
before each call that changes the disk, in turn; then every sector and every name that was not synced is lost or kept
by chance. Also at times while it recovers from the first loss. Calls to Python's file objects are not seen.
"""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from replication.codec import make_entry
from replication.core.types import ORIGIN, Entry, Kind
from replication.errors import LogFailedError
from replication.log import LogFiles

SECTOR_BYTES = 64
FILE_BYTES_MAX = 500


class PowerLossError(BaseException):
    """No OSError: nothing may catch it."""


class Disk:
    """What a folder holds, as the program sees it (the real files) and as a power loss would leave it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, calls_max: int) -> None:
        self.folder = folder
        self.calls_left = calls_max
        self.durable = {path.name: path.read_bytes() for path in folder.glob("*")}
        self.durable_names = set(self.durable)
        self.dirty: dict[str, set[int]] = {}
        self.removed: dict[str, bytes] = {}
        self.fsync_fails = False
        for name in ("pwritev", "pwrite", "ftruncate", "unlink", "fsync", "fdatasync"):
            patch.setattr(os, name, self._counted(getattr(os, name), getattr(self, f"_{name}")))

    def lose_power(self, chance: random.Random) -> None:
        """Turns the folder into what the disk holds when the power is back."""
        visible = {path.name: path.read_bytes() for path in self.folder.glob("*")}
        for name in sorted(self.durable_names | set(visible)):
            if (name not in visible or name not in self.durable_names) and chance.random() < 0.5:
                (self.folder / name).unlink(missing_ok=True)
                continue
            new, old = visible.get(name, self.removed.get(name, b"")), self.durable.get(name, b"")
            (self.folder / name).write_bytes(self._mixed(name, old, new, chance))

    def _mixed(self, name: str, old: bytes, new: bytes, chance: random.Random) -> bytes:
        data = bytearray(len(chance.choice([old, new])))
        for begin in range(0, len(data), SECTOR_BYTES):
            lost = begin in self.dirty.get(name, ()) and chance.random() < 0.5
            source = old if lost or begin >= len(new) else new
            sector = source[begin : begin + SECTOR_BYTES]
            data[begin : begin + len(sector)] = sector[: len(data) - begin]
        return bytes(data)

    def _counted(self, real: Callable[..., int], seen: Callable[..., None]) -> Callable[..., int]:
        def call(*arguments: object, **options: object) -> int:
            if self.calls_left == 0:
                raise PowerLossError
            self.calls_left -= 1
            seen(*arguments)
            return real(*arguments, **options)

        return call

    def _write(self, fd: int, size: int, offset: int) -> None:
        first = offset // SECTOR_BYTES * SECTOR_BYTES
        self.dirty.setdefault(name_of(fd), set()).update(range(first, offset + size, SECTOR_BYTES))

    def _pwritev(self, fd: int, parts: Sequence[bytes | memoryview], offset: int) -> None:
        self._write(fd, sum(map(len, parts)), offset)

    def _pwrite(self, fd: int, data: bytes, offset: int) -> None:
        self._write(fd, len(data), offset)

    def _ftruncate(self, fd: int, size: int) -> None:
        self._write(fd, max(0, os.fstat(fd).st_size - size), size)

    def _unlink(self, path: Path) -> None:
        self.removed[path.name] = path.read_bytes()

    def _fsync(self, fd: int) -> None:
        name = name_of(fd)
        if name == self.folder.name:
            self.durable_names = {path.name for path in self.folder.glob("*")}
            self.durable = {name: data for name, data in self.durable.items() if name in self.durable_names}
            return
        dirty = self.dirty.pop(name, set())
        if self.fsync_fails:  # The kernel calls the pages clean all the same.
            raise OSError(5, "Input/output error")
        path = self.folder / name
        new, old = path.read_bytes() if path.exists() else b"", self.durable.get(name, b"")
        kept = bytearray(old.ljust(len(new), b"\0")[: len(new)])
        for begin in dirty:
            kept[begin : begin + SECTOR_BYTES] = new[begin : begin + SECTOR_BYTES]
        self.durable[name] = bytes(kept)

    _fdatasync = _fsync


def name_of(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name


def close_all(folder: Path) -> None:
    """Closes what a process that died has left open in the folder."""
    for link in list(Path("/proc/self/fd").iterdir()):
        if link.is_symlink() and link.readlink().is_relative_to(folder):
            os.close(int(link.name))


class Story:
    """A log's life: what must be on disk at each moment, and what may be."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.must: list[Entry] = []
        self.may: list[Entry] = []
        self.epoch = 0

    def tell(self) -> None:
        """Opens the log, appends, rolls over, cuts within a file and over files, and opens it again."""
        for _ in range(2):
            log = LogFiles.open(self.folder, file_bytes_max=FILE_BYTES_MAX)
            for _ in range(self.chance.randint(4, 9)):
                self.append(log, self.chance.randint(1, 3))
            self.truncate(log, self.chance.randint(len(self.must) // 4, len(self.must)))
            for _ in range(self.chance.randint(0, 2)):
                self.append(log, self.chance.randint(1, 3))
            log.close()

    def append(self, log: LogFiles, count: int) -> None:
        self.epoch += 1
        after = self.must[-1].id if self.must else ORIGIN
        entries = []
        for _ in range(count):
            payload = bytes([self.epoch]) * self.chance.randint(0, 120)
            entries.append(make_entry(after=after, epoch=self.epoch, kind=Kind.ROWS, payload=payload))
            after = entries[-1].id
        self.may = self.must + entries
        log.append(entries)
        self.must = self.may

    def truncate(self, log: LogFiles, after_lsn: int) -> None:
        self.must = self.must[:after_lsn]
        log.truncate(after_lsn, None)
        self.may = self.must

    def check(self) -> None:
        """Opens the log: it holds what it must, and nothing but what it may. Takes over what it holds."""
        log = LogFiles.open(self.folder, file_bytes_max=FILE_BYTES_MAX)
        found = log.read(0, 1 << 20)
        assert found[: len(self.must)] == self.must
        assert found == self.may[: len(found)]
        self.must = self.may = found
        self.append(log, 3)
        log.close()
        log = LogFiles.open(self.folder, file_bytes_max=FILE_BYTES_MAX)
        assert log.recovered_tail is None
        assert log.read(0, 1 << 20) == self.must
        log.close()


def cut_off(story: Story, work: Callable[[], object], calls: int, chance: random.Random) -> bool:
    """Does the work until the power fails before the call of that number; False when it ended first."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(story.folder, patch, calls)
        try:
            work()
        except PowerLossError:
            patch.undo()
            close_all(story.folder)
            disk.lose_power(chance)
            return True
    return False


@pytest.mark.parametrize("seed", range(8))
def test_power_loss_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Goal and method: as above. Every second time, recovery is itself cut off at a random call."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: None)  # Durable is what `Disk` says.
    for calls in range(1000):
        chance = random.Random(seed * 1000 + calls)
        folder = tmp_path / str(calls)
        folder.mkdir()
        story = Story(folder, seed)
        if not cut_off(story, story.tell, calls, chance):
            break
        if calls % 2:
            recover = lambda: LogFiles.open(folder, file_bytes_max=FILE_BYTES_MAX).close()  # noqa: E731, B023
            cut_off(story, recover, chance.randint(0, 8), chance)
        story.check()
    assert 40 < calls < 1000


@pytest.mark.parametrize("seed", range(20))
def test_power_loss_after_a_failed_fsync(tmp_path: Path, seed: int) -> None:
    """Goal: what recovery shows after a failed fsync is on the disk, although the kernel calls those pages clean.
    Method: fail the fsync of an append, open the log again, and lose the power."""
    story = Story(tmp_path, seed)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(tmp_path, patch, 10_000)
        log = LogFiles.open(tmp_path, file_bytes_max=FILE_BYTES_MAX)
        story.append(log, 1)
        disk.fsync_fails = True
        with pytest.raises(LogFailedError):
            story.append(log, 4)
        disk.fsync_fails = False
        log.close()
        log = LogFiles.open(tmp_path, file_bytes_max=FILE_BYTES_MAX)
        story.must = log.read(0, 1 << 20)
        assert story.must == story.may
        log.close()
        patch.undo()
        disk.lose_power(random.Random(seed))
    story.check()
