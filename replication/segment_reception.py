"""Takes the bytes of one segment as they come, over as many connections as it needs.

    receive → open → write, write, ... → finish    checked, fsynced, renamed, the folder fsynced: held
                                     ↘ close       what came stays, and the next reception goes on after it

What was staged before is read once more, so that the checksum covers every byte: after a crash the end of a staging
file may not be what was written there. Bytes that turn out wrong are thrown away: whoever comes next begins anew.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from xxhash import xxh3_128

from replication.errors import SegmentDamagedError, SegmentError
from replication.segment_staging import Bytes, StagingFile

_READ_BYTES: Final = 4 << 20


class Reception:
    """Made by `SegmentFiles.receive`; for one thread at a time, and ended by its first error.

    `publish` gives the staged file its final name, durably; `explain` makes a typed error of an OSError; `release` is
    called once, when the reception ends.
    """

    def __init__(
        self,
        segment_id: str,
        size_bytes: int,
        open_file: Callable[[], StagingFile],
        *,
        publish: Callable[[StagingFile], None],
        explain: Callable[[OSError], SegmentError],
        release: Callable[[], None],
    ) -> None:
        self.segment_id = segment_id
        self.size_bytes = size_bytes
        self._open_file = open_file
        self._publish = publish
        self._explain = explain
        self._release = release
        self._checksum = xxh3_128()
        self._file: StagingFile | None = None
        self._ended = False

    def open(self) -> int:
        """Takes up what was staged before, and returns its length: the offset of the first byte to come.

        Raises SegmentFullError or SegmentFailedError.
        """
        assert self._file is None, "opened twice"
        assert not self._ended, "ended"
        try:
            self._file = self._open_file()
            self._take_up(self._file)
        except OSError as error:
            raise self._given_up(self._explain(error)) from error
        return self.received_bytes

    @property
    def received_bytes(self) -> int:
        """Where to go on: the offset of the first byte that is still to come."""
        return self._opened.size_bytes

    def write(self, data: Bytes) -> None:
        """Takes the bytes at `received_bytes`. Raises SegmentDamagedError, SegmentFullError or SegmentFailedError."""
        file = self._opened
        if file.size_bytes + len(data) > self.size_bytes:
            raise self._given_up(SegmentDamagedError(self.segment_id, f"more came than {self.size_bytes} bytes"))
        try:
            file.append([data])
        except OSError as error:
            raise self._given_up(self._explain(error)) from error
        self._checksum.update(data)

    def finish(self) -> None:
        """The segment is held, durably, on return. All bytes must have come. Raises as `write` does."""
        file = self._opened
        assert file.size_bytes == self.size_bytes, "bytes are missing"
        found = self._checksum.hexdigest()
        if found != self.segment_id:
            raise self._given_up(SegmentDamagedError(self.segment_id, f"what came has the checksum {found}"))
        try:
            file.sync()
            self._publish(file)
        except OSError as error:
            raise self._given_up(self._explain(error)) from error
        self.close()

    def discard(self) -> None:
        """Throws away what came, and ends."""
        if self._file is not None:
            self._file.discard()
        self.close()

    def close(self) -> None:
        """Ends, and keeps what came for later. May be called at any time, and again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if not self._ended:  # Once: somebody else may have taken over since.
            self._ended = True
            self._release()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _opened(self) -> StagingFile:
        assert self._file is not None, "not open"
        return self._file

    def _take_up(self, file: StagingFile) -> None:
        """Goes on after what was staged before, unless that belongs to something longer."""
        if file.size_bytes > self.size_bytes:
            file.empty()
        offset = 0
        while data := file.read(_READ_BYTES, offset):
            self._checksum.update(data)
            offset += len(data)
        assert offset == file.size_bytes, "the staging file changed under its reader"

    def _given_up(self, error: SegmentError) -> SegmentError:
        self.discard()
        return error
