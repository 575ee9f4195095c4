"""Payload of a `rows` entry: a list of sections, each an operation on one data set, applied in order.

    magic "CHR1", u32 number of sections, then for each section: u64 length, Arrow IPC stream padded to 8 bytes

The stream's schema metadata names data set, operation and contract version, so that a log can be read without
anything else. What the hub itself records of an exchange (data sets `exchanges` and `quarantine`) are sections too.
All integers are little-endian.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa

MAGIC: Final = b"CHR1"
_COUNT: Final = struct.Struct("<4sI")
_LENGTH: Final = struct.Struct("<Q")
_ALIGNMENT: Final = 8


class Operation(StrEnum):
    APPEND = "append"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows of one data set and what to do with them. A delete carries the key columns only."""

    data_set: str
    operation: Operation
    contract_version: int
    rows: pa.RecordBatch


class SectionError(ValueError):
    """A payload that holds no sections: a fault of ours or a damaged log, never of an agency."""


def encode_sections(sections: Sequence[Section]) -> bytes:
    """Payload of a `rows` entry."""
    parts = [_COUNT.pack(MAGIC, len(sections))]
    for section in sections:
        stream = _encode(section)
        parts += (_LENGTH.pack(len(stream)), stream, bytes(-len(stream) % _ALIGNMENT))
    return b"".join(parts)


def decode_sections(payload: bytes | memoryview) -> list[Section]:
    """Sections of a payload; rows are views into it. Raises SectionError."""
    try:
        magic, count = _COUNT.unpack_from(payload)
        if magic != MAGIC:
            raise SectionError(f"no sections: starts with {magic!r}")
        sections, offset = [], _COUNT.size
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(payload, offset)
            offset += _LENGTH.size
            sections.append(_decode(memoryview(payload)[offset : offset + length]))
            offset += length + -length % _ALIGNMENT
    except (struct.error, pa.ArrowException, KeyError) as error:
        raise SectionError(f"damaged sections: {error}") from error
    return sections


def _encode(section: Section) -> bytes:
    schema = section.rows.schema.with_metadata(
        {
            "data_set": section.data_set,
            "operation": section.operation.value,
            "contract_version": str(section.contract_version),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(section.rows.replace_schema_metadata(schema.metadata))
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _decode(stream: memoryview) -> Section:
    with pa.ipc.open_stream(stream) as reader:
        batch = reader.read_next_batch()
        facts = reader.schema.metadata
    return Section(
        data_set=facts[b"data_set"].decode(),
        operation=Operation(facts[b"operation"].decode()),
        contract_version=int(facts[b"contract_version"]),
        rows=batch,
    )
