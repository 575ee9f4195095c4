"""The newest entries of a log, in memory: what is shipped and applied is mostly still here."""

from collections import deque

from replication.core.types import Entry


class Tail:
    """Consecutive entries of at most `bytes_max` bytes, the newest ones. Empty at the start."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def extend(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            assert not self._entries or entry.lsn == self._entries[-1].lsn + 1, "entries do not follow the tail"
            self._entries.append(entry)
            self._bytes += entry.size_bytes
        while self._bytes > self._bytes_max and len(self._entries) > 1:
            self._bytes -= self._entries.popleft().size_bytes

    def cut(self, after_lsn: int) -> None:
        while self._entries and self._entries[-1].lsn > after_lsn:
            self._bytes -= self._entries.pop().size_bytes

    def read(self, after_lsn: int, bytes_max: int, through_lsn: int) -> list[Entry] | None:
        """As `Disk.read`; None when the first entry asked for is not here."""
        if not self._entries or not self._entries[0].lsn <= after_lsn + 1 <= self._entries[-1].lsn:
            return None
        start = after_lsn + 1 - self._entries[0].lsn
        stop = min(through_lsn, self._entries[-1].lsn) - self._entries[0].lsn
        found: list[Entry] = []
        size = 0
        for index in range(start, stop + 1):
            entry = self._entries[index]
            if found and size + entry.size_bytes > bytes_max:
                break
            found.append(entry)
            size += entry.size_bytes
        return found

    def get(self, lsn: int) -> Entry | None:
        if not self._entries or not self._entries[0].lsn <= lsn <= self._entries[-1].lsn:
            return None
        return self._entries[lsn - self._entries[0].lsn]

    def bytes_after(self, lsn: int) -> int:
        """Bytes of the entries after `lsn` that are here."""
        if not self._entries:
            return 0
        start = max(0, lsn + 1 - self._entries[0].lsn)
        return sum(self._entries[index].size_bytes for index in range(start, len(self._entries)))
