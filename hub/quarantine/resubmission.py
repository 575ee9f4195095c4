"""Brings mended rows in: map, check, send, and then record which rows of the quarantine they were.

Part by part of the file: those of its rows that pass their checks and are still open go in as one exchange, then their
resolutions as another. Both are named by what they hold, so that a file that broke off is finished by sending it again,
and counts once. Rows that were resolved before, by whatever file, are left out. Only if a run breaks off between the
two exchanges, and the file is changed before it is sent again, would those rows come in twice.

Rows that still fail are not put into quarantine again: there they are already.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract
from hub.client import HubClient
from hub.ingest.checks import row_contents
from hub.ingest.exchange import Receipt
from hub.ingest.load import Known, LoadOptions, prepare_file
from hub.ingest.report import DUPLICATE
from hub.quarantine.lines import ID_COLUMN, with_id
from hub.quarantine.open_rows import OPEN_AMONG, REJECTED_OF, parts_of

RESOLUTIONS: Final = "quarantine_resolutions"
_SEQUENCE: Final = 1
_HASH_CHARACTERS: Final = 24
_REFUSED: Final = "was refused by the hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmitted:
    """What became of one part of a file. Rows of the file = resolved + failed + not_open; `failed` by reason.
    `not_open`: resolved before, twice in the file, or no rows of the quarantine of this data set."""

    resolved: int
    failed: Counter[str]
    not_open: int


def resubmit(
    client: HubClient,
    path: Path,
    contract: Contract,
    options: LoadOptions,
    *,
    now: datetime,
    known: Known | None = None,
) -> Iterator[Resubmitted]:
    """`now` is naive UTC; `known` looks references up, as for any load. Raises HubError."""
    for part in prepare_file(path, with_id(contract), options, known=known):
        opened = _open_rows(client, contract, part.rows)
        resolved = _brought_in(client, contract, opened, now) if opened.num_rows else 0
        failed = Counter(one.reason for one in part.rejected if not one.reason.startswith(DUPLICATE))
        if resolved < opened.num_rows:
            failed[_REFUSED] += opened.num_rows - resolved
        twice = sum(one.reason.startswith(DUPLICATE) for one in part.rejected)
        not_open = twice + part.rows.num_rows - opened.num_rows
        yield Resubmitted(resolved=resolved, failed=failed, not_open=not_open)


def _brought_in(client: HubClient, contract: Contract, opened: pa.RecordBatch, now: datetime) -> int:
    """Sends rows and their resolutions; how many were resolved."""
    contents = "\n".join(row_contents(opened, range(opened.num_rows)))
    name = f"mended-{hashlib.sha256(f'{contract.name} {contents}'.encode()).hexdigest()[:_HASH_CHARACTERS]}"
    with client.producer(name, log=contract.home) as producer:
        rows = opened.select(contract.schema.names)
        receipt = producer.send(contract.name, rows, sequence=_SEQUENCE).result()
    ids: list[str] = opened.column(ID_COLUMN).to_pylist()
    if receipt.rows_rejected:
        refused = _refused(client, name, receipt)
        ids = [one for row, one in enumerate(ids) if row not in refused]
    resolutions = client.contract(RESOLUTIONS)
    with client.producer(f"{name}-resolved", log=resolutions.home) as producer:
        batch = _resolutions(resolutions, contract.name, ids, resolved_by=name, now=now)
        producer.send(RESOLUTIONS, batch, sequence=_SEQUENCE).result()
    return len(ids)


def _open_rows(client: HubClient, contract: Contract, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that are open, each one once, in their order."""
    ids = rows.column(ID_COLUMN)
    listed = json.dumps(pc.unique(ids.drop_null()).to_pylist())
    answer = client.query(OPEN_AMONG, {"data_set": contract.name, "ids": listed}, strong=True).table()
    unseen = set(answer["id"].to_pylist())
    keep = []
    for one in ids.to_pylist():
        keep.append(one in unseen)
        unseen.discard(one)
    return rows.filter(pa.array(keep, pa.bool_()))


def _refused(client: HubClient, producer: str, receipt: Receipt) -> set[int]:
    """Rows of an exchange that passed the checks here and not at the hub, whose contract is a newer one."""
    asked = {"producer": producer, "sequence": receipt.sequence}
    answer = client.query(REJECTED_OF, asked, at_least={receipt.log: receipt.lsn}).table()
    return set(answer["row"].to_pylist())


def _resolutions(
    resolutions: Contract, data_set: str, ids: Iterable[str], *, resolved_by: str, now: datetime
) -> pa.RecordBatch:
    same = {"data_set": data_set, "resolved_by": resolved_by, "resolved_at": now}
    rows = [
        {"producer": producer, "sequence": sequence, "row": row, **same}
        for producer, sequence, row in map(parts_of, ids)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=resolutions.schema)
