"""Bulk exchanges: rows in, segments on both centres' disks out, and then one small entry that names them.

    batches → check → gather → encode (threads) → write and fsync here ‖ push to the peer → descriptors → admission

Segments are made while rows still come, so an exchange of any size takes the memory of a few of them. What an exchange
that is not completed leaves behind is named by no entry, and is removed later. Sent again, it makes the same segments,
which are then there already.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.config import SegmentLimits
from hub.errors import ExchangeError, LimitError, UnavailableError
from hub.ingest.checks import Rejected, check, conform
from hub.ingest.group import SENT_QUARANTINE_SCHEMA
from hub.segments.descriptor import Descriptor
from hub.segments.encoder import EncodedSegment, encode
from hub.segments.encodings import Encoding, choose_encodings
from replication.errors import SegmentError, SegmentFullError
from replication.file_threads import FileThreads
from replication.segment_transport import SegmentBuffer, SegmentPeer, no_rest
from replication.segments import SegmentFiles

_NICENESS: Final = 15  # Small exchanges go first.
_ROWS_MAX: Final = 2**31 - 1
_REJECTED_CHARACTERS_MAX: Final = 4 << 20
_PUSH_LOOK_S: Final = 0.1
_BUSY_S: Final = 2.0
_TURN_LOOK_S: Final = 0.1
_TRIAL_USES: Final = 16


class Segmenter:
    """Makes segments of rows, durable here and, while it is in sync, at the peer. Made in the event loop."""

    def __init__(
        self,
        files: SegmentFiles,
        peer: SegmentPeer,
        *,
        limits: SegmentLimits,
        pushes: Callable[[str], bool],
        gives_way: Callable[[], bool] = lambda: False,
        rest: Callable[[], Awaitable[None]] = no_rest,
    ) -> None:
        """`pushes` says for a log whether the peer must hold its entries, `gives_way` whether small exchanges come
        in, or people ask. `rest` comes after each hand-over of rows."""
        self.rest = rest
        self._files = files
        self._peer = peer
        self._pushes = pushes
        self._gives_way = gives_way
        self._ended = asyncio.Event()
        self._encodings: dict[tuple[str, int], tuple[dict[str, Encoding], int]] = {}
        self._exchanges = 0
        self._worked_s = -math.inf
        self.limits = limits
        self.threads = FileThreads(limits.encoder_threads, "encode", niceness=_NICENESS)
        self._writing = FileThreads(limits.encoder_threads, "write segments", niceness=_NICENESS)

    @property
    def busy(self) -> bool:
        """Whether bulk exchanges come in, or did a moment ago."""
        return self._exchanges > 0 or time.monotonic() - self._worked_s < _BUSY_S

    @property
    def encoders(self) -> int:
        """How many segments of one exchange may be made at a time."""
        return 1 if self._gives_way() else self.limits.encoder_threads

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """While a bulk exchange comes in. Of several one alone has its turn while small exchanges come in, too: they
        would wait for processors and the interpreter."""
        while self._exchanges >= (1 if self._gives_way() else self.limits.exchanges_max):
            self._ended.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TURN_LOOK_S):
                    await self._ended.wait()
        self._exchanges += 1
        try:
            yield
        finally:
            self._exchanges -= 1
            self._worked_s = time.monotonic()
            self._ended.set()

    async def make(self, contract: Contract, rows: pa.Table, *, origin: str) -> Descriptor:
        """Raises UnavailableError when a disk is full, or the peer cannot be reached and has not been given up."""
        segment = await self.threads.run(self._encode, contract, rows, origin)
        data = memoryview(segment.buffer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._writing.run(self._files.write, [data]))
                tasks.create_task(self._push(contract.home, segment.descriptor.id, SegmentBuffer(data)))
        except* SegmentError as errors:
            raise _unavailable(errors) from errors
        return segment.descriptor

    def _encode(self, contract: Contract, rows: pa.Table, origin: str) -> EncodedSegment:
        """The trial of encodings of one segment serves those that follow it: an agency's rows are alike."""
        key = contract.name, contract.version
        encodings, uses = self._encodings.get(key, ({}, _TRIAL_USES))
        if uses >= _TRIAL_USES:
            encodings, uses = choose_encodings(rows), 0
        self._encodings[key] = encodings, uses + 1
        return encode(contract, rows, origin=origin, encodings=encodings)

    async def _push(self, log: str, segment_id: str, source: SegmentBuffer) -> None:
        """Until the peer holds it, or need not: one that is given up fetches what it lacks when it comes back."""
        if not self._pushes(log):
            return
        pushing = asyncio.create_task(self._peer.push(segment_id, source))
        try:
            while not (await asyncio.wait([pushing], timeout=_PUSH_LOOK_S))[0]:
                if not self._pushes(log):
                    return
            await pushing
        finally:
            pushing.cancel()

    def close(self) -> None:
        self.threads.close()
        self._writing.close()


def _unavailable(errors: "ExceptionGroup[SegmentError]") -> UnavailableError:
    error = errors.exceptions[0]
    full = isinstance(error, SegmentFullError)
    return UnavailableError(
        f"the segments of this exchange cannot be stored: {error}",
        hint="free space on the disk named" if full else "send it again with the same sequence",
    )


class BulkIntake:
    """The rows of one bulk exchange on their way: `add`, then `finish`, or `cancel`."""

    def __init__(self, segmenter: Segmenter, contract: Contract, *, producer: str, sequence: int) -> None:
        self._segmenter = segmenter
        self._limits = segmenter.limits
        self._contract = contract
        self._origin = f"{producer}/{sequence}"
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0
        self._rows_read = 0
        self._rejected: list[Rejected] = []
        self._rejected_characters = 0
        self._made: list[asyncio.Task[Descriptor]] = []

    async def add(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Rows whose columns the contract can take. Returns when there is room for more; some megabytes at a time are
        best. Raises ExchangeError or LimitError."""
        for batch, rejected in await self._segmenter.threads.run(_checked, self._contract, batches):
            self._reject(rejected)
            self._take(batch)
            self._rows_read += batch.num_rows + len(rejected)
        await self._segmenter.rest()
        if self._rows_read > _ROWS_MAX:
            raise LimitError(f"an exchange may hold {_ROWS_MAX} rows", hint="send it in parts")
        while self._rows >= self._limits.rows_max or self._bytes >= self._limits.bytes_max:
            await self._cut(min(self._rows, self._limits.rows_max))

    async def finish(self) -> tuple[tuple[Descriptor, ...], bytes]:
        """The segments, and the rows that were refused as `Exchange.quarantine` has them."""
        if self._rows:
            await self._cut(self._rows)
        descriptors = tuple([await one for one in self._made])
        return descriptors, _stream(self._rejected)

    async def cancel(self) -> None:
        for one in self._made:
            one.cancel()
        await asyncio.gather(*self._made, return_exceptions=True)

    def _take(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._batches.append(batch)
            self._rows += batch.num_rows
            self._bytes += batch.nbytes

    def _reject(self, rejected: Sequence[Rejected]) -> None:
        self._rejected += (replace(one, row=self._rows_read + one.row) for one in rejected)
        self._rejected_characters += sum(len(one.content) + len(one.reason) for one in rejected)
        many = len(self._rejected) > self._limits.rejected_rows_max
        if many or self._rejected_characters > _REJECTED_CHARACTERS_MAX:
            raise LimitError(
                f"{len(self._rejected)} rows fail their checks so far, more than may be kept",
                hint=f"mend them; row {self._rejected[0].row}: {self._rejected[0].reason}",
            )

    async def _cut(self, count: int) -> None:
        """Begins a segment of the first rows, once there is an encoder for it."""
        rows = pa.Table.from_batches(self._batches, self._contract.schema)
        rest = rows.slice(count)
        self._batches = rest.to_batches()
        self._rows, self._bytes = rest.num_rows, rest.nbytes
        making = [one for one in self._made if not one.done()]
        while len(making) >= self._segmenter.encoders:
            _, pending = await asyncio.wait(making, return_when=asyncio.FIRST_COMPLETED)
            making = list(pending)
        origin = f"{self._origin}/{len(self._made)}"
        self._made.append(
            asyncio.create_task(self._segmenter.make(self._contract, rows.slice(0, count), origin=origin))
        )


def _checked(contract: Contract, batches: Sequence[pa.RecordBatch]) -> list[tuple[pa.RecordBatch, Sequence[Rejected]]]:
    found: list[tuple[pa.RecordBatch, Sequence[Rejected]]] = []
    for batch in batches:
        try:
            batch.validate(full=True)
        except pa.ArrowException as error:
            raise ExchangeError(f"the rows are no sound Arrow batch: {error}") from error
        one = check(contract, conform(contract, batch))
        found.append((one.accepted, one.rejected))
    return found


def _stream(rejected: list[Rejected]) -> bytes:
    if not rejected:
        return b""
    rows = [{"row": one.row, "reason": one.reason, "content": one.content} for one in rejected]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SENT_QUARANTINE_SCHEMA) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SENT_QUARANTINE_SCHEMA))
    return bytes(sink.getvalue())
