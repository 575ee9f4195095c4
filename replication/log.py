"""A log on disk: a directory of files, appended to by one thread while others read.

    <first lsn, 20 digits>.log   entries; a new file begins when the last one is full (`replication.log_file`)
    head                         how far the log is known to be durable (`replication.log_head`)

Appending, in this order:
1. write all entries after the last one, in one gathered write;
2. fsync the file, once;
3. show the entries to readers;
4. move the file's mark and the head, neither of which is fsynced now: the next append's fsync takes the mark along.

Beginning a file: create it with its header, fsync it and the directory, then write and fsync the head.

Truncating: save the tail, fsynced; move the head and the mark back, fsynced; remove the files after the one that is
cut, last first, each followed by an fsync of the directory; cut the file and fsync it. A crash on the way leaves a
log that was cut less far, or not at all.

Trimming: move the head to the first file that stays, fsynced; remove the files before it, oldest first; fsync the
directory. Restarting after an entry that is not held: move the head there, fsynced; the next opening does the rest. A
crash on the way leaves files that the head no longer counts: opening removes them.

Opening recovers: `replication.log_recovery` has the rules. Deliberately absent: retries, and any entry that is not
durable; what is being written lives with the caller.
"""

import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from replication.core.types import ORIGIN, Entry, EntryId, EpochStart
from replication.durable import NO_ROOM, make_directory, replace_file, sync_directory
from replication.errors import EntryNotHeldError, LogError, LogFailedError, LogFullError
from replication.log_file import FILE_HEADER_BYTES, LogFile
from replication.log_head import Head, HeadFile
from replication.log_recovery import Recovery

_COPY_BYTES: Final = 1 << 20


class LogFiles:
    """One log of one centre. `append`, `truncate` and `close` belong to one thread; all else may run beside them.

    The lock is held for moments only: no reader ever waits for the disk's fsync.
    `recovered_tail` says what opening cut off, or is None.
    """

    def __init__(self, directory: Path, recovery: Recovery, head_file: HeadFile, file_bytes_max: int) -> None:
        self.recovered_tail = recovery.tail
        self._directory = directory
        self._file_bytes_max = file_bytes_max
        self._files = recovery.files
        self._end = recovery.end
        self._epochs = tuple(recovery.epochs)
        self._head_file = head_file
        self._lock = threading.Lock()
        self._removed: list[LogFile] = []  # Kept open while a reader may hold one.
        self._readers = 0
        self._cuts = 0
        self._failure = ""

    @classmethod
    def open(cls, directory: Path, *, file_bytes_max: int = 64 << 20) -> "LogFiles":
        """Creates the log, or recovers it. Raises LogDamagedError or OSError, and then leaves nothing open."""
        make_directory(directory)
        head_file = HeadFile.open(directory)
        recovery = Recovery(directory, head_file.read())
        try:
            recovery.run()
            log = cls(directory, recovery, head_file, file_bytes_max)
            log._move_head()
            head_file.sync()
            sync_directory(directory)
        except BaseException:
            head_file.close()
            for file in recovery.files:
                file.close()
            raise
        return log

    @property
    def end(self) -> EntryId:
        """The last entry; it and all before it are durable."""
        return self._end

    @property
    def first_lsn(self) -> int:
        """The oldest entry held, or the next one of an empty log."""
        return self._files[0].first_lsn

    @property
    def epochs(self) -> tuple[EpochStart, ...]:
        """Where each epoch begins among the entries held, sorted."""
        return self._epochs

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return sum(file.size_bytes for file in self._files)

    def append(self, entries: Sequence[Entry]) -> None:
        """Durable on return. Without entries there is nothing to do: all that is held is durable.

        Raises LogFullError: nothing was appended, and it may be tried again. Raises LogFailedError, now and on every
        later call: after a failed fsync the kernel drops the pages it could not write and calls them clean, so that
        another fsync would succeed and prove nothing.
        """
        self._refuse_if_failed()
        if not entries:
            return
        self._assert_following(entries)
        file = self._file_with_room()
        ends = self._write(file, entries)
        try:
            os.fdatasync(file.fd)
            self._show(file, entries, ends)
            file.mark()
            self._move_head()
        except OSError as error:
            raise self._failed(error) from error

    def read(self, after_lsn: int, bytes_max: int, through_lsn: int | None = None) -> list[Entry]:
        """Verified entries after `after_lsn`: at least one if there is one, and else `bytes_max` at most.

        Payloads are views into the bytes read. Raises LogDamagedError, EntryNotHeldError or OSError.
        """
        cuts = self._cuts
        try:
            with self._reading():
                return self._read(after_lsn, bytes_max, through_lsn)
        except LogError:
            if cuts == self._cuts:
                raise
        return self.read(after_lsn, bytes_max, through_lsn)  # The log was cut meanwhile: look again.

    def id_at(self, lsn: int) -> EntryId:
        """Identity of an entry held, or of the one before the first. Raises LogDamagedError or EntryNotHeldError."""
        end = self._end
        if lsn == end.lsn:
            return end
        if lsn == 0:
            return ORIGIN
        if not self.first_lsn - 1 <= lsn < end.lsn:
            raise EntryNotHeldError(lsn, self.first_lsn, end.lsn)
        with self._reading():
            return self._indexed_file(max(lsn, self.first_lsn)).id_at(lsn)

    def lsn_within(self, bytes_max: int) -> int:
        """Where the oldest file begins that, with all after it, has at most `bytes_max` bytes; or the last file."""
        with self._lock:
            files = tuple(self._files)
        size = files[-1].size_bytes
        for file, following in zip(reversed(files[:-1]), reversed(files[1:]), strict=True):
            size += file.size_bytes
            if size > bytes_max:
                return following.first_lsn
        return files[0].first_lsn

    def trim(self, before_lsn: int) -> int:
        """Removes the files that hold nothing from `before_lsn` on, but never the last one; returns how many entries
        went. Durable on return. Raises LogFailedError."""
        self._refuse_if_failed()
        with self._lock:
            first_lsn = self.first_lsn
            count = sum(following.first_lsn <= before_lsn for following in self._files[1:])
            gone, self._files = self._files[:count], self._files[count:]
            if gone:
                self._epochs = _begun_at(self._files[0].previous, self._epochs)
        if not gone:
            return 0
        try:
            self._move_head()
            self._head_file.sync()
            for file in gone:
                file.path.unlink()
            sync_directory(self._directory)
        except OSError as error:
            raise self._failed(error) from error
        with self._lock:
            self._removed += gone
        self._close_removed()
        return self.first_lsn - first_lsn

    def truncate(self, after_lsn: int, save_to: Path | None) -> int:
        """Cuts the entries after `after_lsn`, and returns how many there were. Durable on return.

        `save_to` gets their bytes first, as `replication.codec` has them, and replaces a file of that name. Raises
        LogFullError, when nothing was cut, or LogFailedError.
        """
        self._refuse_if_failed()
        count = self._end.lsn - after_lsn
        assert count >= 0, "nothing to cut there"
        assert after_lsn >= self.first_lsn - 1, "the log begins later"
        if count == 0:
            return 0
        end = self.id_at(after_lsn)
        if save_to is not None:
            self._save(after_lsn, save_to)
        try:
            self._cut(end)
        except OSError as error:
            raise self._failed(error) from error
        return count

    def close(self) -> None:
        """Makes the head durable and closes all files. Raises LogFailedError."""
        try:
            if not self._failure:
                self._head_file.sync()
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._head_file.close()
            for file in (*self._files, *self._removed):
                file.close()

    # --- Appending ----------------------------------------------------------------------------------------------

    def _assert_following(self, entries: Sequence[Entry]) -> None:
        lsn, epoch, previous_hash = self._end.lsn, self._end.epoch, self._end.hash
        for entry in entries:
            assert entry.lsn == lsn + 1, "lsn does not follow"
            assert entry.epoch >= epoch, "epoch falls"
            assert entry.previous_hash == previous_hash, "hash does not link"
            lsn, epoch, previous_hash = entry.lsn, entry.epoch, entry.hash

    def _file_with_room(self) -> LogFile:
        file = self._files[-1]
        if file.size_bytes < self._file_bytes_max or file.first_lsn > self._end.lsn:
            return file  # Even the smallest file takes one append.
        try:
            file = LogFile.create(self._directory, self._end, file)
        except OSError as error:
            raise self._refused(error) from error
        with self._lock:
            self._files.append(file)
        try:
            self._move_head()
            self._head_file.sync()
        except OSError as error:
            raise self._failed(error) from error
        return file

    def _write(self, file: LogFile, entries: Sequence[Entry]) -> list[int]:
        try:
            return file.write(entries)
        except OSError as error:
            refused = self._refused(error)
            try:
                os.ftruncate(file.fd, file.size_bytes)
            except OSError as worse:
                raise self._failed(worse) from worse
            raise refused from error

    def _show(self, file: LogFile, entries: Sequence[Entry], ends: Sequence[int]) -> None:
        begun = []
        epoch = self._epochs[-1].epoch if self._epochs else -1
        for entry in entries:
            if entry.epoch != epoch:
                epoch = entry.epoch
                begun.append(EpochStart(epoch=epoch, first_lsn=entry.lsn))
        with self._lock:
            file.extend(ends)
            self._epochs += tuple(begun)
            self._end = entries[-1].id

    def _move_head(self) -> None:
        first, last = self._files[0], self._files[-1]
        self._head_file.write(Head(first_lsn=first.first_lsn, last_file_lsn=last.first_lsn, id=self._end))

    # --- Reading ------------------------------------------------------------------------------------------------

    def _read(self, after_lsn: int, bytes_max: int, through_lsn: int | None) -> list[Entry]:
        last_lsn = self._end.lsn if through_lsn is None else min(through_lsn, self._end.lsn)
        entries: list[Entry] = []
        if after_lsn >= last_lsn:
            return entries
        after = self.id_at(after_lsn)
        while after.lsn < last_lsn:
            file = self._indexed_file(after.lsn + 1)
            with self._lock:
                begin, end = file.span(after.lsn, last_lsn, bytes_max)
            if entries and end - begin > bytes_max:
                break
            entries += file.read((begin, end), after)
            after = entries[-1].id
            bytes_max -= end - begin
        return entries

    def _indexed_file(self, lsn: int) -> LogFile:
        """The file that holds the entry. An older file's index is built when it is first needed. Raises
        EntryNotHeldError when it was trimmed."""
        with self._lock:
            if lsn < self.first_lsn:
                raise EntryNotHeldError(lsn, self.first_lsn, self._end.lsn)
            file = self._files[bisect_right(self._files, lsn, key=lambda file: file.first_lsn) - 1]
        if file.bounds is None:
            bounds = file.index()
            with self._lock:
                if file.bounds is None:
                    file.bounds = bounds
        return file

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1

    def _close_removed(self) -> None:
        with self._lock:
            closed, self._removed = ((), self._removed) if self._readers else (self._removed, [])
        for file in closed:
            file.close()

    # --- Truncating ---------------------------------------------------------------------------------------------

    def _save(self, after_lsn: int, save_to: Path) -> None:
        try:
            make_directory(save_to.parent)
            replace_file(save_to, self._tail_bytes(after_lsn))
        except OSError as error:
            raise self._refused(error) from error

    def _tail_bytes(self, after_lsn: int) -> Iterator[bytes]:
        """Unverified: a damaged tail is worth saving, too."""
        first = self._indexed_file(after_lsn + 1)
        offset = first.begin_of(after_lsn + 1)
        for file in self._files[self._files.index(first) :]:
            while offset < file.size_bytes:
                yield os.pread(file.fd, min(_COPY_BYTES, file.size_bytes - offset), offset)
                offset += min(_COPY_BYTES, file.size_bytes - offset)
            offset = FILE_HEADER_BYTES

    def _cut(self, end: EntryId) -> None:
        last = self._indexed_file(end.lsn + 1)
        with self._lock:
            kept = self._files.index(last) + 1
            removed = self._files[kept:]
            del self._files[kept:]
            last.shorten(end.lsn)
            self._epochs = tuple(start for start in self._epochs if start.first_lsn <= end.lsn)
            self._end = end
            self._cuts += 1
        self._removed += removed
        self._move_head()
        self._head_file.sync()
        last.mark()
        os.fdatasync(last.fd)
        for file in reversed(removed):
            file.path.unlink()
            sync_directory(self._directory)
        os.ftruncate(last.fd, last.size_bytes)
        os.fsync(last.fd)

    # --- Failing ------------------------------------------------------------------------------------------------

    def _refuse_if_failed(self) -> None:
        if self._failure:
            raise LogFailedError(self._failure)

    def _refused(self, error: OSError) -> LogError:
        """For an error before anything counted: a full disk is waited out, any other ends the log's use."""
        if error.errno in NO_ROOM:
            return LogFullError(f"{self._directory}: {error.strerror}")
        return self._failed(error)

    def _failed(self, error: OSError) -> LogFailedError:
        self._failure = f"{self._directory}: {error.strerror}"
        return LogFailedError(self._failure)


def restart(directory: Path, after: EntryId) -> None:
    """Makes the log in a directory one that holds nothing yet and goes on after an entry beyond its end; the log must
    not be open. Durable on return. Raises OSError."""
    make_directory(directory)
    head_file = HeadFile.open(directory)
    try:
        head_file.write(Head(first_lsn=after.lsn + 1, last_file_lsn=after.lsn + 1, id=after))
        head_file.sync()
    finally:
        head_file.close()
    sync_directory(directory)


def _begun_at(previous: EntryId, epochs: Sequence[EpochStart]) -> tuple[EpochStart, ...]:
    """The epochs of a log that begins after an entry, and that entry's own."""
    base = EpochStart(epoch=previous.epoch, first_lsn=previous.lsn)
    return (base, *(start for start in epochs if start.first_lsn > previous.lsn))
