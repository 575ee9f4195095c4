"""What a group of entries does to each data set, gathered into one Arrow table a data set. Pure.

Sections carry the columns of the contract version they were made with; columns added since are null.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from hub.catalogue.contract import Contract, Kind
from hub.ingest.sections import Operation, Section, decode_sections
from hub.segments.payloads import SEGMENTS, Change, descriptors_from_rows
from hub.store.tables import DELETE_FLAG, LSN, ORDER, has_lsn
from replication.core.types import Entry

LEDGER: Final = "exchanges"
RECORDED: Final = (LEDGER, "quarantine", "modes")
"""Data sets of the hub itself: their rows get the columns log and lsn here."""


class Changes:
    """Rows by data set, in log order, and the exchanges that brought them."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._sections: dict[str, list[pa.RecordBatch]] = {}
        self._deletes: dict[str, list[bool]] = {}
        self._lsns: dict[str, list[int]] = {}
        self.accepted: list[tuple[str, int]] = []
        self.segments: list[Change] = []

    def add(self, entry: Entry) -> None:
        """Takes the sections of a `rows`, a `segments` or a `mode` entry."""
        for section in decode_sections(entry.payload):
            if section.data_set == SEGMENTS:
                self.segments += [
                    Change(data_set=one.data_set, added=(one,)) for one in descriptors_from_rows(section.rows)
                ]
                continue
            rows = section.rows.replace_schema_metadata(None)
            if section.data_set in RECORDED:
                rows = self._record(rows, entry.lsn)
            if section.data_set == LEDGER:
                self.accepted += _keys(section)
            self._sections.setdefault(section.data_set, []).append(rows)
            self._deletes.setdefault(section.data_set, []).append(section.operation is Operation.DELETE)
            self._lsns.setdefault(section.data_set, []).append(entry.lsn)

    def data_sets(self) -> Iterable[str]:
        return self._sections

    def table(self, contract: Contract) -> pa.Table:
        """Rows of one data set; those of events with their lsn, those of a registry with their order and whether they
        are deletes."""
        batches = self._sections[contract.name]
        if contract.kind is Kind.EVENT:
            return self._events(contract, [pa.Table.from_batches([batch]) for batch in batches])
        schema = contract.schema.append(pa.field(DELETE_FLAG, pa.bool_())).append(pa.field(ORDER, pa.int64()))
        tables = []
        first = 0
        for batch, delete in zip(batches, self._deletes[contract.name], strict=True):
            count = batch.num_rows
            marked = pa.Table.from_batches([batch]).append_column(DELETE_FLAG, pa.repeat(pa.scalar(delete), count))
            tables.append(marked.append_column(ORDER, pa.array(np.arange(first, first + count))))
            first += count
        return _concatenate(tables, schema)

    def _events(self, contract: Contract, tables: list[pa.Table]) -> pa.Table:
        rows = _concatenate(tables, contract.schema)
        if not has_lsn(contract):
            return rows
        lsns = np.repeat(self._lsns[contract.name], [table.num_rows for table in tables])
        return rows.append_column(LSN, pa.array(lsns, pa.int64()))

    def _record(self, rows: pa.RecordBatch, lsn: int) -> pa.RecordBatch:
        log = pa.repeat(pa.scalar(self._log), rows.num_rows)
        lsns = pa.repeat(pa.scalar(lsn, pa.int64()), rows.num_rows)
        return pa.RecordBatch.from_arrays([log, lsns, *rows.columns], names=["log", "lsn", *rows.schema.names])


def _concatenate(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    if all(table.schema.equals(schema) for table in tables):
        return pa.concat_tables(tables)
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default").select(schema.names)


def _keys(section: Section) -> list[tuple[str, int]]:
    producers, sequences = (section.rows.column(name).to_pylist() for name in ("producer", "sequence"))
    return list(zip(producers, sequences, strict=True))
