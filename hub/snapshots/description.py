"""What a snapshot is: a position, the tables of a store as files, and the segments that its data sets consist of.

All files are named by their checksum, like every segment. The position names the last applied entry of each log: the
next one follows it.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from replication.core.types import EntryId

FORMAT: Final = 1


class SnapshotError(ValueError):
    """A text that describes no snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An entry of a log; `hash` has 32 hexadecimal digits."""

    lsn: int
    epoch: int
    hash: str

    @classmethod
    def of(cls, entry: EntryId) -> "Point":
        return cls(lsn=entry.lsn, epoch=entry.epoch, hash=entry.hash.hex())

    @property
    def entry(self) -> EntryId:
        return EntryId(lsn=self.lsn, epoch=self.epoch, hash=bytes.fromhex(self.hash))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFiles:
    """A table of the store, schema and name, and the files of its rows: Parquet."""

    schema: str
    name: str
    rows: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`sizes_bytes` has every file: of tables and of segments."""

    format: int = FORMAT
    centre: str
    taken_at: str
    position: dict[str, Point]
    tables: tuple[TableFiles, ...]
    segments: tuple[str, ...]
    sizes_bytes: dict[str, int]

    @property
    def table_files(self) -> tuple[str, ...]:
        return tuple(one for table in self.tables for one in table.files)


_JSON: Final = TypeAdapter(Snapshot)


def snapshot_to_json(snapshot: Snapshot) -> str:
    return _JSON.dump_json(snapshot, indent=1).decode()


def snapshot_from_json(text: str | bytes) -> Snapshot:
    """Raises SnapshotError."""
    try:
        snapshot = _JSON.validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise SnapshotError(f"no description of a snapshot: {error}") from error
    if snapshot.format != FORMAT:
        raise SnapshotError(f"a snapshot of format {snapshot.format}; this version reads {FORMAT}")
    return snapshot
