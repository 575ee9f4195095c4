"""Takes snapshots of a store and keeps their files while somebody fetches them.

All tables are read in one transaction, beside everything else: the store goes on. Their rows become files of the
segments' folder, so that the same transfers bring them; the segments themselves are there already and are only named.
A snapshot is let go by whoever asked for it, or when nothing was heard of them for a while.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hub.errors import UnknownDataSetError
from hub.segments.descriptor import descriptor_from_json
from hub.snapshots.description import Point, Snapshot, TableFiles
from hub.store.store import Store
from replication.core.types import EntryId
from replication.segments import SegmentFiles

_BATCH_ROWS: Final = 500_000
_FILE_BYTES: Final = 64 << 20
_KEPT_S: Final = 120.0

Progress = Callable[[str], None]


@dataclass(slots=True)
class Held:
    """A snapshot that somebody fetches. `done_bytes` is what they say they have."""

    snapshot: Snapshot
    by: str
    begun_s: float
    heard_s: float
    done_bytes: int = 0
    begun_bytes: int | None = None
    names: frozenset[str] = field(default_factory=frozenset)

    @property
    def total_bytes(self) -> int:
        return sum(self.snapshot.sizes_bytes.values())

    def shown(self, now_s: float) -> str:
        moved, spent_s = self.done_bytes - (self.begun_bytes or 0), now_s - self.begun_s
        left = f", about {(self.total_bytes - self.done_bytes) * spent_s / moved:.0f} s left" if moved > 0 else ""
        return f"{self.by} has {self.done_bytes >> 20:,} of {self.total_bytes >> 20:,} MiB{left}"


class Snapshots:
    """Those that are being fetched from this centre, by a key each. Made and used in one event loop.

    Whoever takes one, or deletes files, has `files_stay`: until a snapshot is held nobody knows which files it names.
    """

    def __init__(self) -> None:
        self.files_stay = asyncio.Lock()
        self._held: dict[str, Held] = {}

    def hold(self, key: str, snapshot: Snapshot, by: str) -> None:
        now_s = time.monotonic()
        names = frozenset(snapshot.sizes_bytes)
        self._held[key] = Held(snapshot=snapshot, by=by, begun_s=now_s, heard_s=now_s, names=names)

    def heard(self, key: str, done_bytes: int) -> bool:
        """Whether it is still held. The first word says what was there to begin with."""
        held = self._held.get(key)
        if held is None:
            return False
        held.heard_s = time.monotonic()
        held.done_bytes = done_bytes
        if held.begun_bytes is None:
            held.begun_bytes = done_bytes
        return True

    def let_go(self, key: str) -> tuple[str, ...]:
        """Returns the files that were made for it alone."""
        held = self._held.pop(key, None)
        return held.snapshot.table_files if held else ()

    def expired(self) -> tuple[str, ...]:
        """Lets go what nobody asks for any more; returns the files that were made for that."""
        oldest_s = time.monotonic() - _KEPT_S
        late = [key for key, held in self._held.items() if held.heard_s < oldest_s]
        return tuple(name for key in late for name in self.let_go(key))

    def names(self) -> frozenset[str]:
        """All files that must stay."""
        return frozenset().union(*(held.names for held in self._held.values()))

    def oldest_lsn(self, log: str) -> int | None:
        """From here on the log must stay: whoever installs a snapshot goes on with the next entry."""
        return min((held.snapshot.position[log].lsn for held in self._held.values()), default=None)

    def shown(self) -> str:
        """For the operator: who fetches how much, and how long it will take."""
        return "; ".join(held.shown(time.monotonic()) for held in self._held.values())


def take(
    store: Store,
    files: SegmentFiles,
    *,
    centre: str,
    id_at: Callable[[str, int], EntryId],
    told: Progress,
    data_sets: Sequence[str] = (),
) -> Snapshot:
    """Of all that is applied when it is called; `id_at` says which entry of a log has an lsn. Blocks.

    `data_sets`: only these, and of the hub's own tables only the one that says whose the segments are; a centre cannot
    be made of that. Raises SegmentError when the files cannot be written, UnknownDataSetError.
    """
    if unknown := set(data_sets) - store.contracts().keys():
        raise UnknownDataSetError(f"there is no data set {', '.join(sorted(unknown))}")
    cursor = store.cursor()
    sizes: dict[str, int] = {}
    try:
        cursor.execute("begin transaction read only").fetchall()
        applied: Mapping[str, int] = dict(cursor.execute("select log, lsn from hub.applied").fetchall())
        position = {log: Point.of(id_at(log, lsn)) for log, lsn in applied.items()}
        listed = "select schema_name, table_name from duckdb_tables() where schema_name in ('hot', 'hub') order by all"
        tables = []
        wanted = {("hot", name) for name in data_sets} | {("hub", "segments")}
        for schema, name in cursor.execute(listed).fetchall():
            if not data_sets or (schema, name) in wanted:
                told(f"{schema}.{name}")
                tables.append(_export(cursor, files, schema, name, sizes))
        described = cursor.execute("select descriptor from hub.segments").fetchall()
    finally:
        cursor.close()
    held = [descriptor_from_json(text) for (text,) in described]
    segments = [one for one in held if not data_sets or one.data_set in data_sets]
    sizes |= {one.id: one.size_bytes for one in segments}
    return Snapshot(
        centre=centre,
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        position=position,
        tables=tuple(tables),
        segments=tuple(one.id for one in segments),
        sizes_bytes=sizes,
    )


def _export(
    cursor: duckdb.DuckDBPyConnection, files: SegmentFiles, schema: str, name: str, sizes: dict[str, int]
) -> TableFiles:
    reader = cursor.sql(f'select * from {schema}."{name}"').to_arrow_reader(_BATCH_ROWS)  # noqa: S608  # our own names
    made: list[str] = []
    rows = 0
    for part in _parts(reader):
        rows += part.num_rows
        sink = pa.BufferOutputStream()
        pq.write_table(part, sink, compression="zstd", compression_level=1)
        segment_id, size_bytes = files.write([memoryview(sink.getvalue())])
        sizes[segment_id] = size_bytes
        made.append(segment_id)
    return TableFiles(schema=schema, name=name, rows=rows, files=tuple(made))


def _parts(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Of about `_FILE_BYTES` in memory each; none of an empty table."""
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size >= _FILE_BYTES:
            yield pa.Table.from_batches(batches, reader.schema)
            batches, size = [], 0
    if batches:
        yield pa.Table.from_batches(batches, reader.schema)
