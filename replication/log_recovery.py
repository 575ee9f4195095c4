"""Recovery of a log at open: what to trust, what to cut, what to refuse.

What is known durable ends at the later one of the head and the last file's mark. Both move only after an fsync, so
neither claims too much. After a crash of the process they are exact. After a power loss the head may be stale, and
the mark is one append behind at most, as each append's fsync makes the mark of the one before durable.

1. Every file's header is verified, and that each file continues the one before: first lsn and length.
2. Every entry is verified in the file that the head calls the last one and in any after it; in all files when the
   head is missing or damaged. Damage in older files shows when they are read, for every read verifies.
3. Whatever is bad or missing in what is known durable, or in a file that another follows (a file begins only after
   the one before was fsynced), is damage: LogDamagedError.
4. What lies past that is at most two appends: one whose fsync ended and whose mark went with the power, and one
   whose fsync never ended. It is cut at the first bad entry, even when good ones follow, since the sectors of one
   write reach the disk in any order. Only a disk that loses what it reported durable, and this in the very last
   append fsynced before a power loss, can pass for a torn tail: `RecoveredTail` puts that on the record.
5. Without a head, rule 4 has only the mark to stand on: good entries after a bad one are damage, too.
6. A last file whose header is bad and that the head does not name was being created: it is removed.
7. Files before the first one that the head names were being trimmed, or belong to a log that was restarted after an
   entry that it did not hold: they are removed. If no other one is there, that restart had come no further: the head
   names the entry after which the log goes on.
8. What is accepted past the known end is written again before it is fsynced: after a failed fsync the kernel may
   hold pages that it calls clean and that the disk never got.
"""

import os
from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from replication.codec import header_id
from replication.core.types import ORIGIN, EntryId, EpochStart
from replication.durable import write_all
from replication.errors import LogDamagedError
from replication.log_file import LogFile, file_path, file_paths, holds_entry
from replication.log_head import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredTail:
    """What was cut: `bytes_cut` bytes of `file` from `offset` on, where entry `from_lsn` was expected."""

    file: Path
    offset: int
    from_lsn: int
    bytes_cut: int
    reason: str


class Recovery:
    """Carries the rules out, for a directory and the head found there. Afterwards: `files`, `end`, `epochs`, `tail`.

    All that `files` then hold is durable; head and directory are left to be synced. Raises LogDamagedError or
    OSError; the caller closes `files` in any case.
    """

    def __init__(self, directory: Path, head: Head | None) -> None:
        self._directory = directory
        self._head = head
        self.files: list[LogFile] = []
        self.end = ORIGIN
        self.epochs: list[EpochStart] = []
        self.tail: RecoveredTail | None = None

    def run(self) -> None:
        self._open_files()
        if not self.files and (not self._head or self._restarted(self._head)):
            self.files.append(LogFile.create(self._directory, self._head.id if self._head else ORIGIN, None))
        if self.files and self.files[0].previous != ORIGIN:
            self._note_epoch(self.files[0].previous)
        self._find_missing()
        for before, file in pairwise(self.files):
            self._check_length(before, file)
        verified_from = self._head.last_file_lsn if self._head else 0
        for file, following in pairwise(self.files):
            if file.first_lsn < verified_from:
                self._note_epochs(file, following)
            else:
                self._verify_followed(file, following)
        self._recover_last(self.files[-1])

    def _open_files(self) -> None:
        paths = file_paths(self._directory)
        for path in paths:
            if self._head and int(path.stem) < self._head.first_lsn:
                path.unlink()  # The caller syncs the directory.
        paths = file_paths(self._directory)
        for path in paths:
            try:
                self.files.append(LogFile.open(path))
            except LogDamagedError as damage:
                if path is not paths[-1] or not self._was_being_created(path):
                    raise
                self._note_tail(damage, path.stat().st_size)
                path.unlink()  # The caller syncs the directory; should the file come back, it is removed again.

    def _restarted(self, head: Head) -> bool:
        return head.first_lsn == head.last_file_lsn == head.id.lsn + 1 and head.id.lsn > 0

    def _was_being_created(self, path: Path) -> bool:
        if self._head:
            return int(path.stem) > self._head.last_file_lsn
        return not holds_entry(path.read_bytes(), int(path.stem))

    def _find_missing(self) -> None:
        found = [file.first_lsn for file in self.files]
        wanted = [file.file_before_lsn for file in self.files[1:]]
        if self._head:
            wanted += [self._head.first_lsn, self._head.last_file_lsn]
        for lsn in sorted(wanted):
            if lsn not in found:
                raise LogDamagedError(file_path(self._directory, lsn), 0, lsn, "file is missing")

    def _check_length(self, file: LogFile, following: LogFile) -> None:
        """A file that was cut or has grown is verified, to say where it is bad."""
        if file.size_bytes != following.file_before_bytes:
            self._verify_followed(file, following)
            reason = f"{file.size_bytes} bytes long, {following.file_before_bytes} when the next file began"
            raise LogDamagedError(file.path, file.size_bytes, self.end.lsn + 1, reason)

    def _note_epochs(self, file: LogFile, following: LogFile) -> None:
        """Looks into an older file only when an epoch begins in it."""
        if self.epochs and file.previous.epoch == following.previous.epoch:
            return
        for _, header in file.headers():
            self._note_epoch(header_id(header))

    def _note_epoch(self, entry: EntryId) -> None:
        if not self.epochs or self.epochs[-1].epoch != entry.epoch:
            self.epochs.append(EpochStart(epoch=entry.epoch, first_lsn=entry.lsn))

    def _verify_followed(self, file: LogFile, following: LogFile) -> None:
        damage = self._verify(file)
        if damage:
            raise damage
        if self.end.lsn + 1 < following.first_lsn:
            raise LogDamagedError(file.path, file.size_bytes, self.end.lsn + 1, "file ends")
        if self.end != following.previous:
            reason = f"begins after another entry than the last one of {file.path.name}"
            raise LogDamagedError(following.path, 0, following.first_lsn, reason)

    def _verify(self, file: LogFile) -> LogDamagedError | None:
        """Indexes a file up to its first bad entry, and returns what is bad. Moves `end`."""
        file.bounds = array("I")
        self.end = file.previous
        self._check_named(file, 0)
        try:
            for offset, entry in file.verified():
                file.bounds.append(offset)
                self.end = entry.id
                self._note_epoch(self.end)
                self._check_named(file, offset)
        except LogDamagedError as damage:
            if damage.lsn <= self.end.lsn:  # Raised by us, about an entry that is whole.
                raise
            file.bounds.append(damage.offset)
            return damage
        file.bounds.append(file.size_bytes)
        return None

    def _check_named(self, file: LogFile, offset: int) -> None:
        if self._head and self._head.id.lsn == self.end.lsn and self._head.id != self.end:
            raise LogDamagedError(file.path, offset, self.end.lsn, "not the entry that the head names")

    def _recover_last(self, file: LogFile) -> None:
        damage = self._verify(file)
        known_lsn = max(self._head.id.lsn if self._head else 0, file.first_lsn - 1 + file.marked)
        if self.end.lsn < known_lsn:
            raise damage or LogDamagedError(file.path, file.size_bytes, self.end.lsn + 1, "file ends")
        if damage:
            size_bytes, file.size_bytes = file.size_bytes, damage.offset
            rest = os.pread(file.fd, size_bytes - damage.offset, damage.offset)
            if not self._head and holds_entry(rest, self.end.lsn + 1):
                reason = f"{damage.reason}, good entries follow, and there is no good head"
                raise LogDamagedError(file.path, damage.offset, damage.lsn, reason)
            self._note_tail(damage, len(rest))
            os.ftruncate(file.fd, file.size_bytes)
        begin = file.begin_of(max(known_lsn + 1, file.first_lsn))
        write_all(file.fd, [os.pread(file.fd, file.size_bytes - begin, begin)], begin)
        os.fsync(file.fd)
        file.mark()

    def _note_tail(self, damage: LogDamagedError, bytes_cut: int) -> None:
        self.tail = RecoveredTail(
            file=damage.file, offset=damage.offset, from_lsn=damage.lsn, bytes_cut=bytes_cut, reason=damage.reason
        )
