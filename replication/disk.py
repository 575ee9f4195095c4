"""The disk port over real files: a log's folder, its configuration, and what was cut from it.

    <folder>/*.log, head          the log (see `replication.log`)
    <folder>/configuration.json   configuration and pending
    <folder>/lost-and-found/      tails that were cut: nobody was told that they were accepted

File calls run in threads; one thread at a time writes.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from replication import configuration_file
from replication.core.types import Configuration, Entry, EntryId, EpochStart
from replication.durable import sync_directory
from replication.log import LogFiles, restart


class FileDisk:
    """Implements `replication.ports.Disk`."""

    def __init__(self, folder: Path, log: LogFiles, file_bytes_max: int) -> None:
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._log = log
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"write {folder.name}")

    @classmethod
    def open(cls, folder: Path, *, file_bytes_max: int) -> "FileDisk":
        """Recovers the log. Raises LogDamagedError or ConfigurationDamagedError."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, LogFiles.open(folder, file_bytes_max=file_bytes_max), file_bytes_max)

    @property
    def end(self) -> EntryId:
        return self._log.end

    @property
    def epochs(self) -> tuple[EpochStart, ...]:
        return self._log.epochs

    @property
    def size_bytes(self) -> int:
        return self._log.size_bytes

    @property
    def first_lsn(self) -> int:
        """The oldest entry held, or the next one of a log without any."""
        return self._log.first_lsn

    def lsn_within(self, bytes_max: int) -> int:
        return self._log.lsn_within(bytes_max)

    def id_now(self, lsn: int) -> EntryId:
        """As `id_at`; blocks."""
        return self._log.id_at(lsn)

    def configuration(self) -> tuple[Configuration, frozenset[str] | None] | None:
        """What was saved last; None at a centre that never ran."""
        return configuration_file.load(self._configuration_path)

    def save_configuration(self, configuration: Configuration, pending: frozenset[str] | None) -> None:
        configuration_file.save(self._configuration_path, configuration, pending)

    def forget_configuration(self) -> None:
        """Makes the centre one that does not know what it holds; durable on return."""
        self._configuration_path.unlink(missing_ok=True)
        sync_directory(self._folder)

    async def append(self, entries: Sequence[Entry]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._log.append, entries)

    async def read(self, after_lsn: int, bytes_max: int, through_lsn: int) -> list[Entry]:
        return await asyncio.to_thread(self._log.read, after_lsn, bytes_max, through_lsn)

    async def id_at(self, lsn: int) -> EntryId:
        return await asyncio.to_thread(self._log.id_at, lsn)

    async def truncate(self, after_lsn: int) -> None:
        aside = self._lost_and_found(after_lsn)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._log.truncate, after_lsn, aside)

    async def trim(self, before_lsn: int) -> int:
        """As `LogFiles.trim`."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._log.trim, before_lsn)

    def restart(self, after: EntryId) -> None:
        """The log then holds nothing and goes on after an entry that it did not hold; what it had from that lsn on is
        saved aside. Blocks; nothing else may use the disk meanwhile. Raises LogError or OSError."""
        if self._log.end.lsn >= after.lsn:
            self._log.truncate(after.lsn - 1, self._lost_and_found(after.lsn - 1))
        self._log.close()
        restart(self._folder, after)
        self._log = LogFiles.open(self._folder, file_bytes_max=self._file_bytes_max)

    def close(self) -> None:
        self._writer.shutdown()
        self._log.close()

    def _lost_and_found(self, after_lsn: int) -> Path:
        aside = self._folder / "lost-and-found" / f"after-{after_lsn:020d}-epoch-{self._log.end.epoch}.entries"
        aside.parent.mkdir(exist_ok=True)
        return aside

    @property
    def _configuration_path(self) -> Path:
        return self._folder / "configuration.json"
