"""Goal: a log on disk keeps what it said was durable, and says so when it cannot.

Method: small logs on real files, damaged at every byte; a plain list as the model of what they should hold.
"""

import errno
import os
import random
import resource
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from replication.codec import decode_entries, encode_entries, make_entry
from replication.core.types import ORIGIN, Entry, EntryId, EpochStart, Kind
from replication.durable import checked
from replication.errors import EntryNotHeldError, LogDamagedError, LogFailedError, LogFullError
from replication.log import LogFiles
from replication.log_file import FILE_HEADER_BYTES

FIRST = "00000000000000000001.log"
MARK = range(56, 64)
"""Bytes of a file's header that may be lost: they only say once more what the head says."""


def chain(count: int, *, after: EntryId = ORIGIN, epoch: int = 1, size_bytes: int = 6) -> list[Entry]:
    """Entries that follow `after`, with payloads free of zero bytes."""
    entries = []
    for _ in range(count):
        payload = bytes(1 + (after.lsn * 31 + n) % 255 for n in range(size_bytes))
        entries.append(make_entry(after=after, epoch=epoch, kind=Kind.ROWS, payload=payload))
        after = entries[-1].id
    return entries


def boundaries(entries: Sequence[Entry]) -> list[int]:
    """Where each entry of a file begins, and the last one ends."""
    return list(accumulate((entry.size_bytes for entry in entries), initial=FILE_HEADER_BYTES))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def lay_out(directory: Path, files: dict[str, bytes]) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return directory


def held(log: LogFiles) -> list[Entry]:
    return log.read(log.first_lsn - 1, 1 << 30)


def check_goes_on(directory: Path, expected: Sequence[Entry], **options: int) -> None:
    """Opens a log, appends to it, and opens it again: both times it holds what it should."""
    log = LogFiles.open(directory, **options)
    assert held(log) == list(expected)
    end = expected[-1].id if expected else ORIGIN
    assert log.end == end
    more = chain(2, after=end, epoch=9, size_bytes=3)
    log.append(more)
    log.close()
    again = LogFiles.open(directory, **options)
    assert again.recovered_tail is None
    assert held(again) == [*expected, *more]
    again.close()


def first_difference(good: bytes, bad: bytes) -> int:
    """First byte outside of the mark that is wrong or missing, or where `good` ends."""
    wrong = (at for at, (one, other) in enumerate(zip(good, bad, strict=False)) if one != other and at not in MARK)
    return next(wrong, min(len(good), len(bad)))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def zeroed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(len(data) - at)


def scrambled(data: bytes, at: int) -> bytes:
    return data[:at] + random.Random(at).randbytes(len(data) - at)


def cut(data: bytes, at: int) -> bytes:
    return data[:at]


DAMAGES = [flipped, zeroed, scrambled, cut]
Damage = Callable[[bytes, int], bytes]


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that are about bytes alone and open thousands of logs."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], None]]:
    """`fail(call, number)` makes every later call of that name in `os` raise; `fail(call, 0)` mends it."""
    real: dict[str, object] = {}

    def patch(call: str, number: int) -> None:
        def raise_error(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        real.setdefault(call, getattr(os, call))
        monkeypatch.setattr(os, call, raise_error if number else real[call])

    yield patch
    for call in real:
        patch(call, 0)


ENTRIES = chain(6)
DURABLE = 3
"""Of the six entries, three are durable; the others were written, and the fsync of them failed."""


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a log that stopped between the write and the fsync of its last three entries."""
    directory = tmp_path_factory.mktemp("torn")
    log = LogFiles.open(directory)
    log.append(ENTRIES[:2])
    log.append(ENTRIES[2:DURABLE])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda fd: os.fsync(1 << 30))  # Such a file is not open.
        with pytest.raises(LogFailedError):
            log.append(ENTRIES[DURABLE:])
    log.close()
    return contents(directory)


# --- Damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("damage", DAMAGES)
def test_torn_tail_is_cut(tmp_path: Path, torn: dict[str, bytes], damage: Damage) -> None:
    """Goal: damage past the head costs nothing that was durable. Method: damage at every byte after the head."""
    bounds = boundaries(ENTRIES)
    for at in range(bounds[DURABLE], bounds[-1]):
        bad = damage(torn[FIRST], at)
        first_bad = first_difference(torn[FIRST], bad)
        whole = sum(bound <= first_bad for bound in bounds) - 1
        directory = lay_out(tmp_path / "log", {**torn, FIRST: bad})
        log = LogFiles.open(directory)
        log.close()
        if len(bad) == bounds[whole]:
            assert log.recovered_tail is None
        else:
            assert log.recovered_tail is not None
            assert log.recovered_tail.file == directory / FIRST
            assert log.recovered_tail.offset == bounds[whole]
            assert log.recovered_tail.from_lsn == whole + 1
            assert log.recovered_tail.bytes_cut == len(bad) - bounds[whole]
        check_goes_on(directory, ENTRIES[:whole])


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_before_the_head_is_refused(tmp_path: Path, torn: dict[str, bytes], damage: Damage) -> None:
    """Goal: nothing durable is lost silently. Method: damage at every byte up to the head."""
    bounds = boundaries(ENTRIES)
    for at in range(bounds[DURABLE]):
        bad = damage(torn[FIRST], at)
        directory = lay_out(tmp_path / "log", {**torn, FIRST: bad})
        first_bad = first_difference(torn[FIRST], bad)
        if first_bad == len(torn[FIRST]):
            assert at in MARK
            check_goes_on(directory, ENTRIES)
            continue
        with pytest.raises(LogDamagedError) as caught:
            LogFiles.open(directory)
        assert caught.value.file == directory / FIRST
        assert caught.value.offset == max([0, *(bound for bound in bounds if bound <= first_bad)])
        assert caught.value.lsn == max(1, sum(bound <= first_bad for bound in bounds))
        assert f"{FIRST} is damaged at byte {caught.value.offset}" in str(caught.value)


@pytest.mark.usefixtures("no_fsync")
def test_tail_without_damage_is_kept(tmp_path: Path, torn: dict[str, bytes]) -> None:
    """Goal: whole entries past the head are accepted, and durable before they are shown.
    Method: open the log whose fsync failed; the tail must be written again before the fsync."""
    directory = lay_out(tmp_path / "log", torn)
    calls: list[tuple[str, int]] = []
    real = os.pwritev

    def write(fd: int, parts: Sequence[bytes | memoryview], offset: int) -> int:
        calls.append(("write", offset))
        return real(fd, parts, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: calls.append(("fsync", 0)))
        patch.setattr(os, "pwritev", write)
        LogFiles.open(directory).close()
    assert calls[:2] == [("write", boundaries(ENTRIES)[DURABLE]), ("fsync", 0)]
    check_goes_on(directory, ENTRIES)


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_head_loses_nothing(tmp_path: Path, torn: dict[str, bytes], damage: Damage) -> None:
    """Goal: the head is not needed to read the log. Method: damage at every byte of the head; then remove it."""
    heads = [damage(torn["head"], at) for at in range(len(torn["head"]))]
    for head in [head for head in heads if head != torn["head"]]:
        check_goes_on(lay_out(tmp_path / "log", {**torn, "head": head}), ENTRIES)
    check_goes_on(lay_out(tmp_path / "log", {FIRST: torn[FIRST]}), ENTRIES)


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_head_a_hole_is_damage(tmp_path: Path, torn: dict[str, bytes], damage: Damage) -> None:
    """Goal: where nobody knows what was durable, nothing is cut that good entries follow.
    Method: no head, no mark, and damage at every byte of the entries."""
    bounds = boundaries(ENTRIES)
    for at in range(FILE_HEADER_BYTES, bounds[-1]):
        bad = damage(zeroed(torn[FIRST][:64], MARK.start) + torn[FIRST][64:], at)
        first_bad = first_difference(torn[FIRST], bad)
        whole = sum(bound <= first_bad for bound in bounds) - 1
        directory = lay_out(tmp_path / "log", {FIRST: bad})
        if damage is flipped and whole < len(ENTRIES) - 1:
            with pytest.raises(LogDamagedError, match="good entries follow") as caught:
                LogFiles.open(directory)
            assert caught.value.offset == bounds[whole]
        else:
            check_goes_on(directory, ENTRIES[:whole])


@pytest.mark.usefixtures("no_fsync")
def test_stale_head_is_made_good_by_the_mark(tmp_path: Path) -> None:
    """Goal: a power loss that takes the head back does not open durable entries to being cut.
    Method: put an old head beside a log of three appends, and damage each entry that the mark covers."""
    log = LogFiles.open(tmp_path / "log")
    old = contents(tmp_path / "log")["head"]
    for entry in ENTRIES:
        log.append([entry])
    files = {**contents(tmp_path / "log"), "head": old}
    log.close()
    for at in range(FILE_HEADER_BYTES, len(files[FIRST])):
        directory = lay_out(tmp_path / "copy", {**files, FIRST: flipped(files[FIRST], at)})
        with pytest.raises(LogDamagedError):
            LogFiles.open(directory)
    check_goes_on(lay_out(tmp_path / "copy", files), ENTRIES)


def test_head_is_durable_when_a_file_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: after a power loss, the head still names the last file, so that its loss would show.
    Method: note what each fsync of head and folder made durable; then open a copy with that head and no last file."""
    durable: list[bytes] = []
    synced: list[Path] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.append(Path(f"/proc/self/fd/{fd}").readlink())
        if synced[-1] == tmp_path / "log" / "head":
            durable.append(synced[-1].read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    log = LogFiles.open(tmp_path / "log", file_bytes_max=SMALL)
    assert durable[-1] == contents(tmp_path / "log")["head"]
    assert synced[-2:] == [tmp_path / "log" / "head", tmp_path / "log"]
    for entry in ENTRIES:
        log.append([entry])
        files = {**contents(tmp_path / "log"), "head": durable[-1]}
        last = max(name for name in files if name != "head")
        check_goes_on(lay_out(tmp_path / "copy", files), ENTRIES[: entry.lsn])
        del files[last]
        with pytest.raises(LogDamagedError, match="file is missing"):
            LogFiles.open(lay_out(tmp_path / "copy", files))
    log.close()
    assert durable[-1] == contents(tmp_path / "log")["head"]


def test_head_of_another_chain_is_refused(tmp_path: Path) -> None:
    """Goal: files of one log and the head of another do not pass. Method: same length, other entries."""
    ours, other = tmp_path / "ours", tmp_path / "other"
    for directory, epoch in ((ours, 1), (other, 2)):
        log = LogFiles.open(directory)
        log.append(chain(3, epoch=epoch))
        log.close()
    shutil.copy(other / "head", ours / "head")
    with pytest.raises(LogDamagedError, match="not the entry that the head names") as caught:
        LogFiles.open(ours)
    assert caught.value.lsn == 3


# --- Several files --------------------------------------------------------------------------------------------------

EPOCHS = (
    EpochStart(epoch=1, first_lsn=1),
    EpochStart(epoch=4, first_lsn=8),
    EpochStart(epoch=5, first_lsn=13),
)
SMALL = 150
"""A file of this size is full with two entries of 70 bytes."""


def long_chain() -> list[Entry]:
    entries = chain(7)
    entries += chain(5, after=entries[-1].id, epoch=4)
    return entries + chain(3, after=entries[-1].id, epoch=5)


MANY = long_chain()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a log of 15 entries, two in a file, with epochs 1, 4 and 5."""
    directory = tmp_path_factory.mktemp("many")
    log = LogFiles.open(directory, file_bytes_max=SMALL)
    for entry in MANY:
        log.append([entry])
    log.close()
    return contents(directory)


def name_of(lsn: int) -> str:
    return f"{lsn:020}.log"


def test_rolls_over_and_reopens(tmp_path: Path, many: dict[str, bytes]) -> None:
    """Goal: a log of many files is one log. Method: roll over, close, open, compare everything shown."""
    assert sorted(many) == [*(name_of(lsn) for lsn in range(1, 16, 2)), "head"]
    log = LogFiles.open(lay_out(tmp_path / "log", many), file_bytes_max=SMALL)
    assert log.first_lsn == 1
    assert log.end == MANY[-1].id
    assert log.epochs == EPOCHS
    assert log.size_bytes == sum(len(data) for name, data in many.items() if name != "head")
    assert held(log) == MANY
    assert [log.id_at(lsn) for lsn in range(16)] == [ORIGIN, *(entry.id for entry in MANY)]
    log.close()
    check_goes_on(tmp_path / "log", MANY, file_bytes_max=SMALL)


def test_reads_across_files_within_limits(tmp_path: Path, many: dict[str, bytes]) -> None:
    """Goal: a read gives what fits, one entry at least. Method: every start, limits below and above each boundary."""
    log = LogFiles.open(lay_out(tmp_path / "log", many), file_bytes_max=SMALL)
    for after_lsn in range(17):
        for bytes_max in (0, 1, 69, 70, 71, 139, 140, 210, 5 * 70, 1 << 20):
            for through_lsn in (None, 0, 1, 5, 15, 99):
                wanted = MANY[after_lsn : len(MANY) if through_lsn is None else through_lsn]
                fitting = wanted[: max(1, bytes_max // 70)]
                assert log.read(after_lsn, bytes_max, through_lsn) == fitting
    log.close()


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    """Goal: a log begins at the origin. Method: open a folder that does not exist, twice."""
    for _ in range(2):
        log = LogFiles.open(tmp_path / "of" / "ops")
        assert (log.end, log.first_lsn, log.epochs, log.read(0, 100)) == (ORIGIN, 1, (), [])
        assert log.size_bytes == FILE_HEADER_BYTES
        log.append([])
        log.close()


def test_lsns_outside_are_refused(tmp_path: Path) -> None:
    """Goal: an lsn that is not held is an error with facts. Method: one after the end."""
    log = LogFiles.open(tmp_path)
    log.append(ENTRIES)
    with pytest.raises(EntryNotHeldError, match="entry 7 is not in the log, which holds 1 to 6"):
        log.id_at(7)
    log.close()


@pytest.mark.parametrize("broken", [ENTRIES[1:2], [ENTRIES[0], ENTRIES[2]], chain(1, after=EntryId(lsn=0, epoch=2))])
def test_entries_that_do_not_follow_are_our_bug(tmp_path: Path, broken: list[Entry]) -> None:
    """Goal: the chain cannot be broken from above. Method: wrong lsn, gap, falling epoch."""
    log = LogFiles.open(tmp_path)
    if broken[0].lsn == 1 and broken[0].epoch == 1 and len(broken) == 1:
        log.append(chain(1, epoch=3))
    with pytest.raises(AssertionError):
        log.append(broken)
    log.close()


@pytest.mark.parametrize("lsn", range(1, 16, 2))
def test_missing_file_is_refused(tmp_path: Path, many: dict[str, bytes], lsn: int) -> None:
    """Goal: no file may be missing. Method: remove the first, each in the middle, the last."""
    directory = lay_out(tmp_path / "log", {name: data for name, data in many.items() if name != name_of(lsn)})
    with pytest.raises(LogDamagedError, match="file is missing") as caught:
        LogFiles.open(directory, file_bytes_max=SMALL)
    assert (caught.value.file, caught.value.offset, caught.value.lsn) == (directory / name_of(lsn), 0, lsn)


def test_all_files_missing_is_refused(tmp_path: Path, many: dict[str, bytes]) -> None:
    """Goal: a log does not begin anew over a head that says otherwise. Method: leave the head alone."""
    with pytest.raises(LogDamagedError, match="file is missing"):
        LogFiles.open(lay_out(tmp_path / "log", {"head": many["head"]}))


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_an_older_file(tmp_path: Path, many: dict[str, bytes], damage: Damage) -> None:
    """Goal: damage far before the head is found at open or when it is read, at its place.
    Method: damage at every byte of a file in the middle."""
    name, held_there = name_of(5), MANY[4:6]
    bounds = boundaries(held_there)
    for at in range(len(many[name])):
        bad = damage(many[name], at)
        first_bad = first_difference(many[name], bad)
        directory = lay_out(tmp_path / "log", {**many, name: bad})
        if first_bad == len(many[name]):
            assert at in MARK
            check_goes_on(directory, MANY, file_bytes_max=SMALL)
            continue
        with pytest.raises(LogDamagedError) as caught:  # noqa: PT012 - either call may find it
            log = LogFiles.open(directory, file_bytes_max=SMALL)
            try:
                assert log.read(0, 1 << 20, 4) == MANY[:4]
                assert log.read(6, 1 << 20) == MANY[6:]
                held(log)
            finally:
                log.close()
        assert caught.value.file == directory / name
        assert caught.value.offset == max([0, *(bound for bound in bounds if bound <= first_bad)])


@pytest.mark.usefixtures("no_fsync")
def test_bytes_added_to_an_older_file_are_refused(tmp_path: Path, many: dict[str, bytes]) -> None:
    """Goal: an older file ends where it ended. Method: add a byte, and an entry that would follow."""
    for extra in (b"x", encode_entries(chain(1, after=MANY[5].id))):
        directory = lay_out(tmp_path / "log", {**many, name_of(5): many[name_of(5)] + extra})
        with pytest.raises(LogDamagedError) as caught:
            LogFiles.open(directory)
        assert caught.value.file.name in (name_of(5), name_of(7))


@pytest.mark.usefixtures("no_fsync")
def test_file_that_was_being_created_is_removed(tmp_path: Path, many: dict[str, bytes]) -> None:
    """Goal: a crash while a file is begun costs nothing. Method: a next file of every length up to its header."""
    log = LogFiles.open(lay_out(tmp_path / "log", many), file_bytes_max=SMALL)
    log.append(chain(1, after=MANY[-1].id, epoch=5))
    before = contents(tmp_path / "log")
    log.append(chain(1, after=log.end, epoch=5))
    created = contents(tmp_path / "log")[name_of(17)][: MARK.start] + checked(bytes(4))
    entries = held(log)[:16]
    log.close()
    for size in range(FILE_HEADER_BYTES + 1):
        directory = lay_out(tmp_path / "copy", {**before, name_of(17): created[:size]})
        check_goes_on(directory, entries, file_bytes_max=SMALL)
        check_goes_on(lay_out(tmp_path / "copy", {FIRST: many[FIRST][:size]} if size < 64 else {}), [])


def test_last_file_with_a_bad_header_is_kept_without_a_head(tmp_path: Path, many: dict[str, bytes]) -> None:
    """Goal: a file of entries is never taken for one that was being created. Method: no head, bad header."""
    files = {name: data for name, data in many.items() if name != "head"}
    directory = lay_out(tmp_path / "log", {**files, name_of(15): flipped(files[name_of(15)], 0)})
    with pytest.raises(LogDamagedError, match="no log file magic"):
        LogFiles.open(directory, file_bytes_max=SMALL)
    assert (directory / name_of(15)).exists()


# --- Truncation -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("after_lsn", range(16))
def test_truncates_across_files(tmp_path: Path, many: dict[str, bytes], after_lsn: int) -> None:
    """Goal: a tail is cut, and saved before. Method: cut after each entry, before and after a reopening."""
    for opened_before in (False, True):
        directory = lay_out(tmp_path / "log", many)
        log = LogFiles.open(directory, file_bytes_max=SMALL)
        assert not opened_before or held(log)
        saved = tmp_path / "lost-and-found" / f"{opened_before}.entries"
        assert log.truncate(after_lsn, saved) == len(MANY) - after_lsn
        assert held(log) == MANY[:after_lsn]
        assert log.end == (MANY[after_lsn - 1].id if after_lsn else ORIGIN)
        assert log.epochs == tuple(start for start in EPOCHS if start.first_lsn <= after_lsn)
        if after_lsn < len(MANY):
            assert list(decode_entries(saved.read_bytes())) == MANY[after_lsn:]
        else:
            assert not saved.exists()
        other = chain(4, after=log.end, epoch=7)
        log.append(other[:1])
        log.close()
        again = LogFiles.open(directory, file_bytes_max=SMALL)
        again.append(other[1:])
        assert held(again) == [*MANY[:after_lsn], *other]
        again.close()


def test_files_are_removed_one_by_one(tmp_path: Path, many: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a crash while files are removed leaves no gap between them. Method: note removals and fsyncs of the
    folder, in order."""
    folder = lay_out(tmp_path / "log", many)
    log = LogFiles.open(folder, file_bytes_max=SMALL)
    calls: list[str] = []
    unlink, fsync = os.unlink, os.fsync

    def note_unlink(path: Path) -> None:
        calls.append(path.name)
        unlink(path)

    def note_fsync(fd: int) -> None:
        fsync(fd)
        if Path(f"/proc/self/fd/{fd}").readlink() == folder:
            calls.append("synced")

    monkeypatch.setattr(os, "unlink", note_unlink)
    monkeypatch.setattr(os, "fsync", note_fsync)
    log.truncate(7, None)
    log.close()
    assert calls == [name_of(15), "synced", name_of(13), "synced", name_of(11), "synced", name_of(9), "synced"]


def test_tail_is_durable_before_it_is_cut(tmp_path: Path, fail: Callable[[str, int], None]) -> None:
    """Goal: nothing is cut that could not be saved. Method: fail the fsync of the saved tail, with a full disk and
    with an I/O error."""
    log = LogFiles.open(tmp_path / "log")
    log.append(ENTRIES)
    fail("fsync", errno.ENOSPC)
    with pytest.raises(LogFullError):
        log.truncate(2, tmp_path / "tail")
    assert held(log) == ENTRIES
    fail("fsync", errno.EIO)
    with pytest.raises(LogFailedError):
        log.truncate(2, tmp_path / "tail")
    fail("fsync", 0)
    log.close()
    assert not (tmp_path / "tail").exists()
    check_goes_on(tmp_path / "log", ENTRIES)


# --- A disk that is full or fails -----------------------------------------------------------------------------------


def test_full_disk_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a full disk refuses entries and the log goes on. Method: a write that takes half and then raises."""
    log = LogFiles.open(tmp_path)
    log.append(ENTRIES[:2])
    real = os.pwritev
    taken: list[int] = []

    def take_half(fd: int, parts: Sequence[bytes | memoryview], offset: int) -> int:
        if taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken.append(real(fd, [b"".join(parts)[:100]], offset))
        return taken[0]

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", take_half)
        with pytest.raises(LogFullError, match="No space left on device") as caught:
            log.append(ENTRIES[2:])
    assert caught.value.definite
    assert taken == [100]
    assert (log.end, held(log)) == (ENTRIES[1].id, ENTRIES[:2])
    assert (tmp_path / FIRST).stat().st_size == boundaries(ENTRIES)[2]
    log.append(ENTRIES[2:])
    log.close()
    check_goes_on(tmp_path, ENTRIES)


def test_full_disk_for_real(tmp_path: Path) -> None:
    """Goal: as above, with the kernel's own partial write. Method: a limit on the size of files."""
    log = LogFiles.open(tmp_path)
    log.append(ENTRIES[:1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = chain(3, after=log.end, size_bytes=1 << 20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, limits[1]))
    try:
        with pytest.raises(LogFullError, match="File too large"):
            log.append(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / FIRST).stat().st_size == boundaries(ENTRIES)[1]
    log.append(large)
    assert held(log) == [ENTRIES[0], *large]
    log.close()


def test_full_disk_while_a_file_is_begun(tmp_path: Path, fail: Callable[[str, int], None]) -> None:
    """Goal: a full disk at a roll-over leaves no file behind. Method: fail the new file's creation and writing."""
    log = LogFiles.open(tmp_path, file_bytes_max=SMALL)
    log.append(MANY[:2])
    for call in ("open", "pwritev", "fsync"):
        fail(call, errno.ENOSPC)
        with pytest.raises(LogFullError):
            log.append(MANY[2:4])
        fail(call, 0)
        assert sorted(contents(tmp_path)) == [FIRST, "head"]
    log.append(MANY[2:4])
    assert held(log) == MANY[:4]
    log.close()


@pytest.mark.parametrize(
    ("call", "number"),
    [("fdatasync", errno.EIO), ("fdatasync", errno.ENOSPC), ("pwritev", errno.EIO), ("pwrite", errno.EIO)],
)
def test_failed_disk_ends_the_log(tmp_path: Path, fail: Callable[[str, int], None], call: str, number: int) -> None:
    """Goal: after a failed write or fsync nothing more is promised. Method: fail once, then mend the disk."""
    log = LogFiles.open(tmp_path)
    log.append(ENTRIES[:2])
    fail(call, number)
    with pytest.raises(LogFailedError, match=os.strerror(number)) as caught:
        log.append(ENTRIES[2:4])
    assert not caught.value.definite
    fail(call, 0)
    for _ in range(2):
        with pytest.raises(LogFailedError):
            log.append(ENTRIES[2:4])
        with pytest.raises(LogFailedError):
            log.truncate(1, None)
    assert held(log)[:2] == ENTRIES[:2]
    log.close()
    again = LogFiles.open(tmp_path)
    assert held(again) in (ENTRIES[:2], ENTRIES[:4])
    again.close()


def test_many_parts_and_partial_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a group is written whole however the kernel takes it. Method: more parts than one call may have, and a
    disk that takes a random number of bytes a call; some payloads are empty."""
    entries = chain(1500, size_bytes=0)
    entries += chain(30, after=entries[-1].id, size_bytes=1000)
    real, chance = os.pwritev, random.Random(4)

    def take_some(fd: int, parts: Sequence[bytes | memoryview], offset: int) -> int:
        return real(fd, [b"".join(parts)[: chance.randint(1, 20_000)]], offset)

    for directory in (tmp_path / "whole", tmp_path / "partial"):
        log = LogFiles.open(directory)
        log.append(entries)
        assert held(log) == entries
        log.close()
        monkeypatch.setattr(os, "pwritev", take_some)
    assert contents(tmp_path / "whole") == contents(tmp_path / "partial")


# --- Threads --------------------------------------------------------------------------------------------------------


def test_reading_does_not_wait_for_the_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a slow disk delays no reader, and shows nothing before it is durable. Method: an fsync that hangs."""
    log = LogFiles.open(tmp_path)
    log.append(ENTRIES[:2])
    reached, go_on = threading.Event(), threading.Event()

    def hang(_: int) -> None:
        reached.set()
        assert go_on.wait(30)

    monkeypatch.setattr(os, "fdatasync", hang)
    writer = threading.Thread(target=log.append, args=(ENTRIES[2:],))
    writer.start()
    assert reached.wait(30)
    shown = held(log), log.end, log.id_at(2), log.size_bytes
    go_on.set()
    writer.join(30)
    assert shown == (ENTRIES[:2], ENTRIES[1].id, ENTRIES[1].id, boundaries(ENTRIES)[2])
    assert held(log) == ENTRIES
    log.close()


@pytest.mark.usefixtures("no_fsync")
def test_readers_beside_append_and_truncate(tmp_path: Path) -> None:
    """Goal: what readers see is always a chain, and never cut below what stays. Method: three readers, some of them
    on files that are not indexed yet, beside a writer that appends and at times cuts its tail."""
    log = LogFiles.open(tmp_path, file_bytes_max=2000)
    log.append(chain(200))
    log.close()
    log = LogFiles.open(tmp_path, file_bytes_max=2000)
    done = threading.Event()
    troubles: list[BaseException] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not done.is_set():
                after_lsn = chance.randint(0, 300)
                entries = log.read(after_lsn, chance.randint(0, 5000))
                assert [entry.lsn for entry in entries] == list(range(after_lsn + 1, after_lsn + 1 + len(entries)))
                assert entries or after_lsn >= 200
                assert log.id_at(chance.randint(0, 200)).epoch <= 1
        except BaseException as trouble:
            troubles.append(trouble)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    chance = random.Random(9)
    for epoch in range(2, 300):
        log.append(chain(chance.randint(1, 20), after=log.end, epoch=epoch))
        if log.end.lsn > 280:
            log.truncate(chance.randint(200, 280), None)
    done.set()
    for reader in readers:
        reader.join(30)
    log.close()
    assert not troubles


# --- Against a model ------------------------------------------------------------------------------------------------


class LogAgainstList(RuleBasedStateMachine):
    """The log beside a plain list of entries."""

    @initialize(file_bytes_max=st.sampled_from([1, 300, 2000]))
    def begin(self, file_bytes_max: int) -> None:
        self.directory = Path(mkdtemp(prefix="log-"))
        self.file_bytes_max = file_bytes_max
        self.model: list[Entry] = []
        self.epoch = 1
        self.log = LogFiles.open(self.directory, file_bytes_max=file_bytes_max)

    @rule(count=st.integers(0, 5), size_bytes=st.integers(0, 200), rise=st.integers(0, 2))
    def append(self, count: int, size_bytes: int, rise: int) -> None:
        self.epoch += rise
        entries = chain(count, after=self.log.end, epoch=self.epoch, size_bytes=size_bytes)
        self.log.append(entries)
        self.model += entries

    @precondition(lambda self: self.model)
    @rule(data=st.data(), save=st.booleans())
    def truncate(self, data: st.DataObject, save: bool) -> None:
        after_lsn = data.draw(st.integers(0, len(self.model)))
        save_to = self.directory / "tail" if save else None
        assert self.log.truncate(after_lsn, save_to) == len(self.model) - after_lsn
        if save_to and after_lsn < len(self.model):
            assert save_to.read_bytes() == encode_entries(self.model[after_lsn:])
        del self.model[after_lsn:]

    @rule(closed=st.booleans(), head_lost=st.booleans())
    def reopen(self, closed: bool, head_lost: bool) -> None:
        old = self.log
        if closed:
            old.close()
        if head_lost:
            (self.directory / "head").unlink()
        self.log = LogFiles.open(self.directory, file_bytes_max=self.file_bytes_max)
        assert self.log.recovered_tail is None
        if not closed:
            old.close()

    @rule(data=st.data(), bytes_max=st.integers(0, 2000))
    def read(self, data: st.DataObject, bytes_max: int) -> None:
        after_lsn = data.draw(st.integers(0, len(self.model) + 1))
        through_lsn = data.draw(st.none() | st.integers(0, len(self.model) + 1))
        wanted = self.model[after_lsn:through_lsn]
        sizes = accumulate(entry.size_bytes for entry in wanted)
        fitting = wanted[: max(1, sum(size <= bytes_max for size in sizes))]
        assert self.log.read(after_lsn, bytes_max, through_lsn) == fitting

    @rule(data=st.data())
    def id_at(self, data: st.DataObject) -> None:
        lsn = data.draw(st.integers(0, len(self.model)))
        assert self.log.id_at(lsn) == (self.model[lsn - 1].id if lsn else ORIGIN)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "log"):
            return
        assert self.log.end == (self.model[-1].id if self.model else ORIGIN)
        starts = {entry.epoch: entry.lsn for entry in reversed(self.model)}
        assert self.log.epochs == tuple(EpochStart(epoch=epoch, first_lsn=starts[epoch]) for epoch in sorted(starts))

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.directory)


TestLogAgainstList = LogAgainstList.TestCase
TestLogAgainstList.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
