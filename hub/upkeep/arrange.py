"""Seals, compacts and retires, for the data sets of one log, while this centre leads it.

What is sealed or merged is read from this centre's store, made into segments on both disks like an agency's, and then
named by a log entry, which both centres apply. Each change says what it found; one that no longer fits is passed over.
A leadership begins once all that it inherited is applied.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from hub.catalogue.contract import Contract, Kind
from hub.config import UpkeepLimits
from hub.errors import HubError
from hub.ingest.bulk import Segmenter
from hub.segments.descriptor import Descriptor
from hub.segments.payloads import Change, change_to_json
from hub.store.store import Store
from hub.upkeep.plan import compaction_debt, past_retention, seal_through, to_compact
from replication.core.types import Kind as EntryKind
from replication.driver import Driver
from replication.errors import ReplicationError, SegmentError
from replication.file_threads import HEAVY_NICENESS, FileThreads
from replication.segments import SegmentFiles

_CHUNK_BYTES: Final = 4 << 20

Claim = Callable[[str, int, Sequence[str]], bool]


class Arranger:
    """`claim` as in `hub.arrivals`. `changes` counts what was done, by kind of entry."""

    def __init__(
        self,
        driver: Driver,
        store: Store,
        files: SegmentFiles,
        segmenter: Segmenter,
        *,
        claim: Claim,
        limits: UpkeepLimits,
    ) -> None:
        self._driver = driver
        self._log = driver.state.log
        self._store = store
        self._files = files
        self._segmenter = segmenter
        self._claim = claim
        self._limits = limits
        self._threads = FileThreads(1, f"upkeep {self._log}", niceness=HEAVY_NICENESS)
        self._hot_since_s: dict[str, float] = {}
        self._left_alone: set[str] = set()
        self._logger = structlog.get_logger().bind(log=self._log)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._limits.look_ms / 1000)
                if self._driver.settled:
                    await self._look()
        finally:
            self._threads.close()

    async def _look(self) -> None:
        hot_rows = await self._threads.run(self._store.hot_row_counts)
        for name, contract in self._store.contracts().items():
            if contract.home != self._log or contract.kind is not Kind.EVENT or contract.watched:
                continue
            try:
                if self._due(name, hot_rows.get(name, 0)):
                    await self._seal(contract)
                await self._retire(contract)
                await self._compact(contract)
            except (HubError, ReplicationError, SegmentError) as error:
                self._logger.info("put off", data_set=name, reason=str(error))

    # --- Sealing ------------------------------------------------------------------------------------------------

    def _due(self, name: str, rows: int) -> bool:
        if rows == 0:
            self._hot_since_s.pop(name, None)
            return False
        since_s = self._hot_since_s.setdefault(name, time.monotonic())
        old = time.monotonic() - since_s > self._limits.seal_age_s
        return rows >= (self._limits.seal_rows_min if old else self._limits.seal_rows)

    async def _seal(self, contract: Contract) -> None:
        after_lsn = self._store.manifest().sealed_lsn(contract.name)
        lsns, counts = await self._threads.run(self._store.hot_lsns, contract)
        if not len(lsns):
            return
        through_lsn = seal_through(lsns, counts, self._segmenter.limits.rows_max)
        rows = await self._threads.run(self._store.hot_rows, contract, through_lsn)
        made = [
            await self._segmenter.make(contract, part, origin=f"seal/{self._log}/{through_lsn}/{place}")
            for place, part in enumerate(_parts(rows, self._segmenter.limits.bytes_max))
        ]
        change = Change(data_set=contract.name, added=tuple(made), sealed_after_lsn=after_lsn, sealed_lsn=through_lsn)
        await self._write(EntryKind.SEAL, change)
        self._hot_since_s.pop(contract.name, None)

    # --- Compacting and retiring --------------------------------------------------------------------------------

    async def _compact(self, contract: Contract) -> None:
        held = self._store.manifest().of_data_set(contract.name).values()
        if self._segmenter.busy and compaction_debt(held, self._limits) < self._limits.compact_debt_max:
            return
        group = to_compact([one for one in held if one.id not in self._left_alone], contract, self._limits)
        if len(group) < 2:
            return
        begun_s = time.monotonic()
        rows, count = await self._threads.run(self._read, contract, group)
        if count < 2:
            self._left_alone.add(group[0].id)
            return
        removed = tuple(one.id for one in group[:count])
        made = await self._segmenter.make(contract, rows, origin=f"compact/{removed[0]}/{removed[-1]}/{count}")
        await self._write(EntryKind.COMPACT, Change(data_set=contract.name, added=(made,), removed=removed))
        spent_s = time.monotonic() - begun_s
        await asyncio.sleep(spent_s / self._limits.compact_share - spent_s)

    def _read(self, contract: Contract, group: Sequence[Descriptor]) -> tuple[pa.Table, int]:
        """Rows of as many segments as fit into memory, and how many these are."""
        tables: list[pa.Table] = []
        size = 0
        for one in group:
            data = b"".join(self._files.read_chunks(one.id, 0, _CHUNK_BYTES))  # Checked: damage must not be merged.
            table = pq.read_table(pa.BufferReader(data), use_threads=False)
            size += table.nbytes
            if size > self._limits.compact_memory_bytes_max:
                break
            tables.append(_in_schema(contract, table))
        return pa.concat_tables(tables) if tables else contract.schema.empty_table(), len(tables)

    async def _retire(self, contract: Contract) -> None:
        held = self._store.manifest().of_data_set(contract.name).values()
        if removed := past_retention(held, contract, datetime.now(UTC)):
            await self._write(EntryKind.RETIRE, Change(data_set=contract.name, removed=removed))

    async def _write(self, kind: EntryKind, change: Change) -> None:
        ids = [one.id for one in change.added]
        if not self._claim(self._log, self._driver.state.end.lsn + 1, ids):
            raise ReplicationError("a segment just made is not held any more")
        lsn, committed = self._driver.propose(kind, change_to_json(change))
        await committed
        await self._driver.applied(lsn)
        self._logger.info(
            kind.name.lower(), data_set=change.data_set, lsn=lsn, added=len(ids), removed=len(change.removed)
        )


def _parts(rows: pa.Table, bytes_max: int) -> list[pa.Table]:
    count = max(1, -(-rows.nbytes // bytes_max))
    step = max(1, -(-rows.num_rows // count))
    return [rows.slice(start, step) for start in range(0, rows.num_rows, step)]


def _in_schema(contract: Contract, table: pa.Table) -> pa.Table:
    """With nulls for the columns that came after the segment's contract version."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in contract.schema
    ]
    return pa.table(columns, schema=contract.schema)
