"""Sends the exchanges of a file, and says what became of its rows.

Rejected rows travel with the exchange that accounts for them. Those that would make it too large follow in exchanges
without rows of their own, whose sequences begin at OVERFLOW_SEQUENCE, with 65,536 for each exchange.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract
from hub.cli.references import KnownValues
from hub.client import HubClient
from hub.client.blocking import Producer
from hub.ingest.checks import Rejected
from hub.ingest.exchange import Receipt
from hub.ingest.group import SENT_QUARANTINE_SCHEMA
from hub.ingest.load import LoadOptions, Prepared, file_producer, prepare_file
from hub.ingest.report import Report

OVERFLOW_SEQUENCE: Final = 1 << 40
_OVERFLOWS_MAX: Final = 1 << 16
_QUARANTINE_BYTES_MAX: Final = 3 << 20
_ROWS_BYTES_MAX: Final = 4 << 20  # With these beside them, rejected rows go with the rows.


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`report` is of the file, `receipts` are of all its exchanges, those that an earlier load sent, too."""

    producer: str
    report: Report
    receipts: tuple[Receipt, ...]
    log: str

    @property
    def accepted(self) -> int:
        return sum(receipt.rows for receipt in self.receipts)

    @property
    def quarantined(self) -> int:
        return sum(receipt.rows_rejected for receipt in self.receipts)

    @property
    def loaded_before(self) -> int:
        return sum(receipt.duplicate for receipt in self.receipts)

    def as_json(self) -> dict[str, Any]:
        return self.report.as_json() | {
            "producer": self.producer,
            "accepted": self.accepted,
            "quarantined": self.quarantined,
            "exchanges": len(self.receipts),
            "loaded_before": self.loaded_before,
            "position": {self.log: max((receipt.lsn for receipt in self.receipts), default=0)},
        }


def load_file(
    client: HubClient,
    file: Path,
    contract: Contract,
    options: LoadOptions,
    *,
    again: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Loaded:
    """Returns when every exchange has its receipt. `progress` is told how many bytes of the file are read.

    Loading the same file again adds nothing, unless `again` is another word. Raises HubError; what was accepted before
    stands, and the same call again finishes the load.
    """
    name = file_producer(file, contract, options) + (f"-{again}" if again else "")
    report = Report()
    outcomes: list[Future[Receipt]] = []
    with client.producer(name, log=contract.home) as producer:
        for part in prepare_file(file, contract, options, known=KnownValues(client)):
            report.add(rows_read=part.rows_read, rejected=part.rejected, put_right=part.put_right, notes=part.notes)
            outcomes += _sent(producer, contract.name, part)
            progress(part.bytes_read)
        producer.flush()
    receipts = tuple(outcome.result() for outcome in outcomes)
    return Loaded(producer=name, report=report, receipts=receipts, log=contract.home)


def _sent(producer: Producer, data_set: str, part: Prepared) -> Iterator[Future[Receipt]]:
    rejected = quarantine_parts(part.rejected)
    beside = rejected.pop(0) if rejected and part.rows.nbytes <= _ROWS_BYTES_MAX else None
    yield producer.send(data_set, part.rows, sequence=part.sequence, quarantine=beside)
    assert len(rejected) <= _OVERFLOWS_MAX, "an exchange has some ten thousand rows"
    for place, one in enumerate(rejected):
        sequence = OVERFLOW_SEQUENCE + part.sequence * _OVERFLOWS_MAX + place
        yield producer.send(data_set, part.rows.slice(0, 0), sequence=sequence, quarantine=one)


def quarantine_parts(rejected: Sequence[Rejected]) -> list[pa.RecordBatch]:
    """Rejected rows as they are sent, in parts that an exchange can hold."""
    columns = [[one.row for one in rejected], [one.reason for one in rejected], [one.content for one in rejected]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SENT_QUARANTINE_SCHEMA, strict=True)]
    whole = pa.RecordBatch.from_arrays(arrays, schema=SENT_QUARANTINE_SCHEMA)
    sizes = pc.add(pc.binary_length(whole["reason"]), pc.binary_length(whole["content"])).to_numpy()
    part_of = np.cumsum(sizes, dtype=np.int64) // _QUARANTINE_BYTES_MAX
    bounds = [*np.flatnonzero(np.diff(part_of, prepend=-1)).tolist(), len(rejected)]
    return [whole.slice(begin, end - begin) for begin, end in pairwise(bounds)]
