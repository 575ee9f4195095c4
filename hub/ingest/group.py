"""Groups exchanges into entries: decode, conform, check, combine, encode. Pure; runs off the event loop.

All exchanges of a group that do the same to the same data set become one section, so that an entry costs the
standby and both stores the same whether it carries one exchange or a hundred. Order is kept: a section is only
extended while no other operation on its data set came in between. An exchange that came as segments gets an entry of
its own, which names them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from hub.catalogue.contract import Contract, Kind
from hub.errors import ContractError, ExchangeError, HubError, LimitError, UnknownDataSetError
from hub.ingest.arrow import combine, read_batch, read_stream
from hub.ingest.checks import Rejected, check, conform
from hub.ingest.exchange import Exchange
from hub.ingest.sections import Operation, Section, encode_sections
from hub.segments.payloads import SEGMENTS, descriptors_to_rows
from replication.core.types import Kind as EntryKind

LEDGER_SCHEMA: Final = pa.schema(
    [
        ("producer", pa.string()),
        ("sequence", pa.int64()),
        ("data_set", pa.string()),
        ("operation", pa.string()),
        ("rows", pa.int32()),
        ("rows_rejected", pa.int32()),
        ("received_at", pa.timestamp("ms")),
        ("checksum", pa.uint64()),
    ]
)
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        ("producer", pa.string()),
        ("sequence", pa.int64()),
        ("data_set", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("content", pa.string()),
    ]
)
SENT_QUARANTINE_SCHEMA: Final = pa.schema([QUARANTINE_SCHEMA.field(name) for name in ("row", "reason", "content")])
_PRODUCER_LENGTH_MAX: Final = 128
_SEQUENCE_MAX: Final = 2**63 - 1
_ROWS_MAX: Final = 2**31 - 1


@dataclass(slots=True, kw_only=True, eq=False)
class Accepted:
    """An exchange that goes into an entry, with the counts of its receipt. One of segments has no batch."""

    exchange: Exchange
    batch: pa.RecordBatch | None
    sent_quarantine: pa.RecordBatch | None
    rows: int
    rows_rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEntry:
    """Payload of one `rows` or `segments` entry and the exchanges that it makes durable."""

    kind: EntryKind
    payload: bytes
    payload_hash: bytes
    accepted: tuple[Accepted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    entries: tuple[PreparedEntry, ...]
    refused: tuple[tuple[Exchange, HubError], ...]


def build_group(
    exchanges: Sequence[Exchange],
    contract_of: Callable[[str], Contract],
    *,
    received_at: datetime,
    entry_bytes_max: int,
) -> Group:
    """`contract_of` raises UnknownDataSetError. `received_at` is naive UTC."""
    refused: list[tuple[Exchange, HubError]] = []
    accepted: list[Accepted] = []
    for exchange in exchanges:
        try:
            accepted.append(_decode(exchange, contract_of(exchange.data_set)))
        except HubError as error:
            refused.append((exchange, error))
    entries = tuple(_encode(part, contract_of, received_at=received_at) for part in _split(accepted, entry_bytes_max))
    return Group(entries=entries, refused=tuple(refused))


def known_contract(contracts: Mapping[str, Contract], log: str) -> Callable[[str], Contract]:
    """Looks contracts up for exchanges of one log."""

    def contract_of(data_set: str) -> Contract:
        contract = contracts.get(data_set)
        if contract is None:
            raise UnknownDataSetError(f"there is no data set {data_set!r}", hint="`cityhub datasets` lists them")
        if contract.home != log:
            raise ExchangeError(f"data set {data_set!r} does not take exchanges through log {log!r}")
        return contract

    return contract_of


def _split(accepted: list[Accepted], entry_bytes_max: int) -> list[list[Accepted]]:
    parts: list[list[Accepted]] = []
    size = entry_bytes_max
    for item in accepted:
        if item.batch is None or size >= entry_bytes_max or size + item.exchange.size_bytes > entry_bytes_max:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += item.exchange.size_bytes if item.batch is not None else entry_bytes_max
    return parts


def _decode(exchange: Exchange, contract: Contract) -> Accepted:
    check_envelope(exchange, contract)
    sent = _sent_quarantine(exchange)
    if exchange.segments is not None:
        rows = sum(one.rows for one in exchange.segments)
        return Accepted(exchange=exchange, batch=None, sent_quarantine=sent, rows=rows, rows_rejected=0)
    key_only = exchange.operation is Operation.DELETE
    if exchange.bare and exchange.contract_version != contract.version:
        raise ContractError(
            f"{contract.name} is at version {contract.version}, the exchange at {exchange.contract_version}",
            hint="fetch the catalogue again",
        )
    schema = contract.key_schema if key_only else contract.schema
    batch = read_batch(exchange.payload, schema) if exchange.bare else read_stream(exchange.payload)
    if batch.num_rows > _ROWS_MAX:
        raise LimitError(f"an exchange may hold {_ROWS_MAX} rows, this one holds {batch.num_rows}")
    if not exchange.bare:
        batch = conform(contract, batch, key_only=key_only)
    return Accepted(exchange=exchange, batch=batch, sent_quarantine=sent, rows=batch.num_rows, rows_rejected=0)


def _sent_quarantine(exchange: Exchange) -> pa.RecordBatch | None:
    if not exchange.quarantine:
        return None
    sent = read_stream(exchange.quarantine)
    if sent.schema.remove_metadata() != SENT_QUARANTINE_SCHEMA:
        raise ExchangeError("quarantine must have columns row (int64), reason and content (string)")
    return sent


def check_envelope(exchange: Exchange, contract: Contract) -> None:
    """Raises ExchangeError for what no payload can mend."""
    if not 1 <= len(exchange.producer) <= _PRODUCER_LENGTH_MAX:
        raise ExchangeError(f"a producer's name has 1 to {_PRODUCER_LENGTH_MAX} characters")
    if not 1 <= exchange.sequence <= _SEQUENCE_MAX:
        raise ExchangeError(f"a sequence is a number from 1 to {_SEQUENCE_MAX}, not {exchange.sequence}")
    if (contract.kind is Kind.EVENT) != (exchange.operation is Operation.APPEND):
        operations = "append" if contract.kind is Kind.EVENT else "upsert and delete"
        raise ExchangeError(
            f"{contract.name} is of kind {contract.kind}: it takes {operations}, not {exchange.operation}"
        )


def _encode(
    accepted: list[Accepted], contract_of: Callable[[str], Contract], *, received_at: datetime
) -> PreparedEntry:
    sections: list[Section] = []
    quarantined: list[pa.RecordBatch] = []
    segments = accepted[0].exchange.segments
    if segments is not None:
        quarantined += _sent_rejected(accepted)
        sections.append(_system_section(SEGMENTS, descriptors_to_rows(segments)))
    else:
        for items in _runs(accepted):
            exchange = items[0].exchange
            section, rejected = _section(items, contract_of(exchange.data_set), exchange.operation)
            if section.rows.num_rows:
                sections.append(section)
            quarantined += rejected
    if quarantined:
        sections.append(_system_section("quarantine", combine(quarantined)))
    sections.append(_system_section("exchanges", _ledger(accepted, received_at)))
    payload = encode_sections(sections)
    kind = EntryKind.ROWS if segments is None else EntryKind.SEGMENTS
    return PreparedEntry(kind=kind, payload=payload, payload_hash=xxh3_128_digest(payload), accepted=tuple(accepted))


def _runs(accepted: list[Accepted]) -> list[list[Accepted]]:
    """Exchanges to be combined: same data set, same operation, no other operation on that data set in between."""
    runs: list[list[Accepted]] = []
    latest: dict[str, list[Accepted]] = {}
    for item in accepted:
        run = latest.get(item.exchange.data_set)
        if run is None or run[0].exchange.operation is not item.exchange.operation:
            run = latest[item.exchange.data_set] = []
            runs.append(run)
        run.append(item)
    return runs


def _section(items: list[Accepted], contract: Contract, operation: Operation) -> tuple[Section, list[pa.RecordBatch]]:
    rows = combine([item.batch for item in items if item.batch is not None])
    checked = check(contract, rows, key_only=operation is Operation.DELETE)
    quarantined = _sent_rejected(items)
    if checked.rejected:
        quarantined += _attribute(items, checked.rejected)
    section = Section(
        data_set=contract.name, operation=operation, contract_version=contract.version, rows=checked.accepted
    )
    return section, quarantined


def _sent_rejected(items: list[Accepted]) -> list[pa.RecordBatch]:
    """Rows that the senders rejected themselves, and their counts."""
    for item in items:
        item.rows_rejected = item.sent_quarantine.num_rows if item.sent_quarantine is not None else 0
    return [_quarantine(item.exchange, item.sent_quarantine) for item in items if item.sent_quarantine is not None]


def _attribute(items: list[Accepted], rejected: Sequence[Rejected]) -> list[pa.RecordBatch]:
    """Gives each rejected row of the combined batch back to its exchange, with its row number there."""
    starts = np.cumsum([0, *(item.rows for item in items)])
    owners = np.searchsorted(starts, [one.row for one in rejected], side="right") - 1
    by_owner: dict[int, list[dict[str, Any]]] = {}
    for one, owner in zip(rejected, owners.tolist(), strict=True):
        row = one.row - int(starts[owner])
        by_owner.setdefault(owner, []).append({"row": row, "reason": one.reason, "content": one.content})
    batches = []
    for owner, rows in by_owner.items():
        items[owner].rows -= len(rows)
        items[owner].rows_rejected += len(rows)
        batches.append(
            _quarantine(items[owner].exchange, pa.RecordBatch.from_pylist(rows, schema=SENT_QUARANTINE_SCHEMA))
        )
    return batches


def _quarantine(exchange: Exchange, rejected: pa.RecordBatch) -> pa.RecordBatch:
    count = rejected.num_rows
    columns = [
        pa.repeat(pa.scalar(exchange.producer), count),
        pa.repeat(pa.scalar(exchange.sequence, pa.int64()), count),
        pa.repeat(pa.scalar(exchange.data_set), count),
        *rejected.columns,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=QUARANTINE_SCHEMA)


def _ledger(accepted: list[Accepted], received_at: datetime) -> pa.RecordBatch:
    columns = [
        [item.exchange.producer for item in accepted],
        [item.exchange.sequence for item in accepted],
        [item.exchange.data_set for item in accepted],
        [item.exchange.operation.value for item in accepted],
        [item.rows for item in accepted],
        [item.rows_rejected for item in accepted],
        [received_at] * len(accepted),
        [_checksum(item.exchange) for item in accepted],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, LEDGER_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LEDGER_SCHEMA)


def _checksum(exchange: Exchange) -> int:
    """XXH3-64 of what was sent: the payload, or the ids of the segments it became, which are checksums themselves."""
    if exchange.segments is None:
        return xxh3_64_intdigest(exchange.payload)
    return xxh3_64_intdigest("".join(one.id for one in exchange.segments).encode())


def _system_section(data_set: str, rows: pa.RecordBatch) -> Section:
    return Section(data_set=data_set, operation=Operation.APPEND, contract_version=1, rows=rows)
