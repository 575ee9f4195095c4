"""Goal: rows that come in bulk end up in segments, each once, in order, or in quarantine with the number they had.

Method: Hypothesis cuts rows anyhow; real files, a peer in memory that holds, refuses or fails.
"""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts
from hub.config import SegmentLimits
from hub.errors import ExchangeError, LimitError, UnavailableError
from hub.ingest.arrow import read_stream
from hub.ingest.bulk import BulkIntake, Segmenter
from hub.segments.descriptor import Descriptor
from replication.errors import SegmentFullError, SegmentTransferError
from replication.segments import SegmentFiles
from simulator.city.readings import readings, sensors

READINGS = builtin_contracts()["readings"]
LIMITS = SegmentLimits(rows_max=100, rejected_rows_max=50)
ROWS = pa.Table.from_batches(list(readings(1000, 1, sensors=sensors(10, 1), batch_rows=1000)))


class Peer:
    """Stands for the other centre's segments."""

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.held: dict[str, bytes] = {}
        self.error = error
        self.hangs = hangs

    async def push(self, segment_id: str, source: Any) -> None:
        if self.error is not None:
            raise self.error
        while self.hangs:
            await asyncio.sleep(0.01)
        self.held[segment_id] = b"".join(source.read_chunks(segment_id, 0, 1000))


def batched(batches: list[pa.RecordBatch], count: int) -> Iterator[list[pa.RecordBatch]]:
    for start in range(0, len(batches), count):
        yield batches[start : start + count]


def take_in(
    folder: Path, batches: list[pa.RecordBatch], peer: Peer, *, at_a_time: int = 1
) -> tuple[tuple[Descriptor, ...], bytes, SegmentFiles]:
    files = SegmentFiles.open(folder)

    async def run() -> tuple[tuple[Descriptor, ...], bytes]:
        segmenter = Segmenter(files, peer, limits=LIMITS, pushes=lambda log: not peer.hangs)  # type: ignore[arg-type]
        intake = BulkIntake(segmenter, READINGS, producer="p", sequence=1)
        try:
            for some in batched(batches, at_a_time):
                await intake.add(some)
            return await intake.finish()
        finally:
            await intake.cancel()
            segmenter.close()

    descriptors, rejected = asyncio.run(run())
    return descriptors, rejected, files


def held_rows(descriptors: tuple[Descriptor, ...], files: SegmentFiles) -> pa.Table:
    parts = [pq.read_table(files.path(one.id)) for one in descriptors]
    assert [part.num_rows for part in parts] == [one.rows for one in descriptors]
    return pa.concat_tables([READINGS.schema.empty_table(), *(part.cast(READINGS.schema) for part in parts)])


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 1000), max_size=12),
    bad=st.lists(st.integers(0, 999), max_size=20, unique=True),
    at_a_time=st.integers(1, 3),
)
def test_every_row_is_somewhere_once(cuts: list[int], bad: list[int], at_a_time: int) -> None:
    """Method: some rows are bad; whatever the cuts, good rows keep their order."""
    quality = ROWS["quality"].to_pylist()
    for one in bad:
        quality[one] = 7
    rows = ROWS.set_column(3, ROWS.schema.field(3), pa.array(quality, pa.int8()))
    edges = [0, *sorted(cuts), 1000]
    pieces = [rows.slice(low, high - low).combine_chunks() for low, high in pairwise(edges)]
    peer = Peer()
    with TemporaryDirectory() as folder:
        sent = [one for piece in pieces for one in piece.to_batches()]
        descriptors, rejected, files = take_in(Path(folder), sent, peer, at_a_time=at_a_time)
        good = rows.filter(pa.array([number not in bad for number in range(1000)]))
        assert held_rows(descriptors, files).equals(good)
        assert all(one.rows <= LIMITS.rows_max for one in descriptors)
        assert files.ids() == set(peer.held) == {one.id for one in descriptors}
        numbers = read_stream(rejected)["row"].to_pylist() if rejected else []
        assert numbers == sorted(bad)


def test_too_many_bad_rows_are_too_many(tmp_path: Path) -> None:
    """Method: one more than may be kept."""
    bad = ROWS.set_column(3, ROWS.schema.field(3), pa.array([7] * 51 + [0] * 949, pa.int8()))
    with pytest.raises(LimitError, match="51 rows fail"):
        take_in(tmp_path, bad.to_batches(), Peer())


def test_rows_that_are_none_are_refused(tmp_path: Path) -> None:
    """Method: another schema's batch; texts whose bytes are no text."""
    with pytest.raises(ExchangeError, match="unknown column"):
        take_in(tmp_path, [pa.record_batch({"a": [1, 2]})], Peer())
    texts = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    with pytest.raises(ExchangeError, match="sound"):
        take_in(tmp_path, [pa.record_batch({"a": texts})], Peer())


@pytest.mark.parametrize(
    ("error", "hint"),
    [(SegmentFullError("0" * 32, "no room"), "free space"), (SegmentTransferError("0" * 32, "gone"), "same sequence")],
)
def test_a_peer_that_cannot_hold_it_is_told_of(tmp_path: Path, error: Exception, hint: str) -> None:
    """Goal: nothing is acknowledged that one centre alone holds. Method: pushes fail."""
    with pytest.raises(UnavailableError) as found:
        take_in(tmp_path, ROWS.to_batches(), Peer(error))
    assert hint in found.value.hint


def test_a_peer_that_was_given_up_holds_nothing_up(tmp_path: Path) -> None:
    """Method: pushes would hang, but the log does not rely on the peer."""
    descriptors, _, files = take_in(tmp_path, ROWS.to_batches(), Peer(hangs=True))
    assert held_rows(descriptors, files).num_rows == 1000
