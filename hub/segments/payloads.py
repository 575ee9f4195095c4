"""What log entries say about segments.

| entry | says | payload |
| --- | --- | --- |
| `segments` | an agency's rows came as segments | sections, one of them of descriptors |
| `seal` | hot rows of these entries are in these segments now | a `Change` as JSON |
| `compact` | these segments hold what those held | as above |
| `retire` | these segments are past retention | as above |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from hub.segments.descriptor import Descriptor, descriptor_from_json, descriptor_to_json
from replication.core.types import Entry, Kind

SEGMENTS: Final = "segments"
"""Name of the section whose rows are descriptors."""
_SCHEMA: Final = pa.schema([("descriptor", pa.string())])
_CHANGES: Final = (Kind.SEAL, Kind.COMPACT, Kind.RETIRE)


class ChangeError(ValueError):
    """A payload that holds no change: a fault of ours or a damaged log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """To one data set. Hot rows of entries after `sealed_after_lsn` through `sealed_lsn` are dropped; none if both are
    0."""

    data_set: str
    added: tuple[Descriptor, ...] = ()
    removed: tuple[str, ...] = ()
    sealed_after_lsn: int = 0
    sealed_lsn: int = 0


_JSON: Final = TypeAdapter(Change)


def change_to_json(change: Change) -> bytes:
    return _JSON.dump_json(change)


def change_from_json(payload: bytes | memoryview) -> Change:
    """Raises ChangeError."""
    try:
        return _JSON.validate_json(bytes(payload), strict=True, extra="forbid")
    except ValidationError as error:
        raise ChangeError(f"no change of a manifest: {error}") from error


def is_change(entry: Entry) -> bool:
    return entry.kind in _CHANGES


def descriptors_to_rows(descriptors: Sequence[Descriptor]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"descriptor": [descriptor_to_json(one) for one in descriptors]}, _SCHEMA)


def descriptors_from_rows(rows: pa.RecordBatch) -> list[Descriptor]:
    """Raises DescriptorError."""
    return [descriptor_from_json(text) for text in rows.column("descriptor").to_pylist()]
