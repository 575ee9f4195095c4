"""A centre's disk, byte for byte: what is written, what of it is durable, and what a crash leaves.

    data[:synced]    fsynced: there after any crash, unless the disk itself is damaged
    data[synced:]    written only: a crash leaves a prefix of it, torn anywhere, with a bit flipped now and then

The store's applied entries are durable with their applied lsn, as one transaction makes them. A configuration is
durable when saved. `Files` survives processes, `FakeDisk` is one process's way to them.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from replication.codec import CodecError, decode_entries, encode_entries
from replication.core.types import ORIGIN, Configuration, Entry, EntryId
from replication.errors import EntryNotHeldError, LogDamagedError, LogFailedError, LogFullError
from simulator.world.history import Applied, Cut, History, Saved
from simulator.world.process import Process

_READ_S: Final = 0.0005
_BIT_FLIP: Final = 0.3


@dataclass(kw_only=True)
class DiskFaults:
    """What is wrong with a disk now. An fsync takes `write_s`, and `stall_s` more; likewise an apply. In seconds."""

    write_s: float = 0.001
    apply_s: float = 0.001
    stall_s: float = 0.0
    apply_stall_s: float = 0.0
    full: bool = False
    fails: bool = False

    @property
    def fsync_s(self) -> float:
        return self.write_s + self.stall_s

    def heal(self) -> None:
        self.stall_s, self.apply_stall_s, self.full, self.fails = 0.0, 0.0, False, False


@dataclass(kw_only=True)
class Files:
    """`ids`: the durable entries; `saved`: configuration and pending, None on a blank disk; `damaged`: durable bytes
    were lost, so that this copy does not count any more."""

    saved: tuple[Configuration, frozenset[str] | None] | None
    data: bytearray = field(default_factory=bytearray)
    synced: int = 0
    ids: list[EntryId] = field(default_factory=list)
    applied: list[tuple[EntryId, bytes]] = field(default_factory=list)
    damaged: bool = False

    @property
    def counts(self) -> bool:
        """Whether this copy is held to what was acknowledged."""
        return self.saved is not None and not self.damaged

    def crash(self, rng: random.Random, *, power_lost: bool) -> None:
        """Leaves some of what was written and not fsynced."""
        tail = self.data[self.synced :]
        if power_lost or rng.random() < 0.5:
            tail = tail[: rng.randint(0, len(tail))]
        if power_lost and tail and rng.random() < _BIT_FLIP:
            tail[rng.randrange(len(tail))] ^= 1 << rng.randrange(8)
        self.data[self.synced :] = tail

    def damage(self, rng: random.Random) -> None:
        """Flips a bit of what is durable, or cuts it short."""
        self.damaged = True
        at = rng.randrange(self.synced)
        if rng.random() < 0.5:
            self.data[at] ^= 1 << rng.randrange(8)
        else:
            del self.data[at:]

    def wipe(self) -> None:
        self.saved = None
        self.data, self.synced, self.ids, self.applied, self.damaged = bytearray(), 0, [], [], False

    def recover(self) -> list[Entry]:
        """What a start finds: all up to the first bad entry; the rest is cut. Raises LogDamagedError."""
        entries: list[Entry] = []
        good, reason = 0, "ends early"
        try:
            for entry in decode_entries(bytes(self.data), after=ORIGIN):
                entries.append(entry)
                good += entry.size_bytes
        except CodecError as error:
            reason = error.reason
        if good < self.synced:
            raise LogDamagedError(Path("log"), good, len(entries) + 1, reason)
        assert not self.damaged, "recovery overlooks damage"
        assert [entry.id for entry in entries[: len(self.ids)]] == self.ids, "recovery loses what was durable"
        del self.data[good:]
        self.synced, self.ids = good, [entry.id for entry in entries]
        return entries


class FakeDisk:
    """Implements `replication.ports.Disk` for one process."""

    def __init__(
        self, files: Files, entries: list[Entry], faults: DiskFaults, process: Process, history: History
    ) -> None:
        self._files = files
        self._entries = entries
        self._faults = faults
        self._process = process
        self._history = history

    @property
    def size_bytes(self) -> int:
        return len(self._files.data)

    @property
    def first_lsn(self) -> int:
        return 1

    async def append(self, entries: Sequence[Entry]) -> None:
        process, files = self._process, self._files
        if not entries:
            return
        if self._faults.full:
            raise LogFullError("no space left on device")
        process.point("before a write")
        files.data += encode_entries(entries)
        await self._take(self._faults.fsync_s)
        if self._faults.fails:
            self._faults.fails = False
            raise LogFailedError("input/output error")
        process.point("before an fsync's end")
        files.synced = len(files.data)
        files.ids += [entry.id for entry in entries]
        self._entries += entries
        process.point("after an fsync")

    async def read(self, after_lsn: int, bytes_max: int, through_lsn: int) -> list[Entry]:
        await self._take(_READ_S)
        if after_lsn > len(self._entries):
            raise EntryNotHeldError(after_lsn, 1, len(self._entries))
        found: list[Entry] = []
        for entry in self._entries[after_lsn:through_lsn]:
            bytes_max -= entry.size_bytes
            if found and bytes_max < 0:
                break
            found.append(entry)
        return found

    async def id_at(self, lsn: int) -> EntryId:
        await self._take(_READ_S)
        if lsn > len(self._entries):
            raise EntryNotHeldError(lsn, 1, len(self._entries))
        return self._entries[lsn - 1].id if lsn else ORIGIN

    async def truncate(self, after_lsn: int) -> None:
        files = self._files
        await self._take(self._faults.fsync_s)
        self._process.point("before a truncation")
        cut = tuple(files.ids[after_lsn:])
        self._history.add(Cut(centre=self._process.name, entries=cut, applied_lsn=len(files.applied)))
        del self._entries[after_lsn:], files.ids[after_lsn:]
        files.synced = sum(entry.size_bytes for entry in self._entries)
        del files.data[files.synced :]
        self._process.point("after a truncation")

    def save_configuration(self, configuration: Configuration, pending: frozenset[str] | None) -> None:
        self._process.point("before a configuration is saved")
        self._files.saved = configuration, pending
        self._history.add(Saved(centre=self._process.name, configuration=configuration, pending=pending))
        self._process.point("after a configuration is saved")

    async def apply(self, log: str, entries: Sequence[Entry]) -> None:
        """The store: entries and applied lsn become durable at once."""
        process, applied = self._process, self._files.applied
        await self._take(self._faults.apply_s + self._faults.apply_stall_s)
        process.point("before an apply")
        for entry in entries:
            assert entry.lsn == len(applied) + 1, "applied out of order"
            applied.append((entry.id, bytes(entry.payload)))
        self._history.add(Applied(centre=process.name, entries=tuple(entry.id for entry in entries)))
        process.point("after an apply")

    async def _take(self, seconds: float) -> None:
        loop = self._process.loop
        done = loop.create_future()
        loop.call_later(seconds, _finish, done)
        await done


def _finish(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
