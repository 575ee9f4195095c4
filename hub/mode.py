"""The city's mode of operation (平战结合): daily, or emergency. A logged, replicated fact of the log that the emergency
command centre leads, and a data set (`modes`) of its history."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import pyarrow as pa

from hub.ingest.sections import Operation, Section, encode_sections

LOG: Final = "ecc"
_SCHEMA: Final = pa.schema(
    [("mode", pa.string()), ("since", pa.timestamp("ms")), ("reason", pa.string()), ("asked_by", pa.string())]
)


class ModeName(StrEnum):
    DAILY = "daily"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """`since` is UTC, without a zone; None for a mode that nobody asked for."""

    name: ModeName
    since: datetime | None = None
    reason: str = ""
    asked_by: str = ""


DAILY: Final = Mode(name=ModeName.DAILY)


def mode_now(name: ModeName, reason: str, asked_by: str) -> Mode:
    return Mode(name=name, since=datetime.now(UTC).replace(tzinfo=None), reason=reason, asked_by=asked_by)


def mode_to_payload(mode: Mode) -> bytes:
    """Payload of a `mode` entry."""
    row = {"mode": mode.name.value, "since": mode.since, "reason": mode.reason, "asked_by": mode.asked_by}
    rows = pa.RecordBatch.from_pylist([row], schema=_SCHEMA)
    section = Section(data_set="modes", operation=Operation.APPEND, contract_version=1, rows=rows)
    return encode_sections([section])
