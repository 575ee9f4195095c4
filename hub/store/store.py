"""One DuckDB file that follows the logs.

A group of entries is applied in one transaction that also moves the applied lsn: exactly once over any crash. One
thread applies; queries and digests run on cursors of their own beside it.

What readers see of a data set is a view over its hot table and the files of its segments, replaced in the transaction
that changes either. While a file is missing, every query of it ends with an error rather than without its rows.

A `mark` entry ends its transaction, and a snapshot is kept there: two centres are compared at one lsn while writing
goes on. DuckDB's own log is checkpointed by DuckDB; losing this file costs time, not data: delete it, and the logs
are applied anew.
"""

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.catalogue.contract import Contract, Kind
from hub.catalogue.load import builtin_contracts, contract_from_json
from hub.errors import StoreDamagedError, UnavailableError
from hub.ingest.producers import Sequences
from hub.mode import DAILY, Mode, ModeName
from hub.segments.descriptor import Descriptor, descriptor_from_json, descriptor_to_json
from hub.segments.payloads import Change, change_from_json, is_change
from hub.status import Digest
from hub.store import tables
from hub.store.changes import RECORDED, Changes
from hub.store.digest import digests
from hub.store.manifest import Manifest
from hub.store.readers import Readers
from hub.store.reads import Reads
from hub.store.views import view_of
from replication.core import types as log_types
from replication.core.types import Entry
from replication.file_threads import HEAVY_NICENESS, be_nice
from replication.segments import SegmentFiles

LOGS: Final = ("ops", "ecc")
_WITH_SECTIONS: Final = (log_types.Kind.ROWS, log_types.Kind.SEGMENTS, log_types.Kind.MODE)
_SNAPSHOT_S_MAX: Final = 60.0  # An open snapshot keeps DuckDB from reclaiming space.
_WAL_BYTES: Final = 64 << 20  # Replayed at a start; larger means fewer checkpoints under load.
_PRODUCERS_S: Final = 1.0  # Producers are saved at most this often; what came since is read from the ledger at a start.


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the ledger says of an accepted exchange."""

    lsn: int
    rows: int
    rows_rejected: int


@dataclass(slots=True)
class _Mark:
    lsn: int
    cursor: duckdb.DuckDBPyConnection
    contracts: Mapping[str, Contract]  # Those in force at the mark: the snapshot knows no later ones.
    made_s: float
    digests: list[Digest] | None = None


@contextmanager
def _told_with_its_remedy(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise StoreDamagedError(
            f"{path} cannot be opened: {error}",
            hint=f"move {path.name} and {path.name}.wal away: the store is rebuilt from the logs",
        ) from error


class Store:
    """See the module's text. `apply` belongs to one thread at a time."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection, files: SegmentFiles) -> None:
        self.readers = Readers()
        self.reads = Reads(self.cursor, self.readers)
        self._path = path
        self._connection = connection
        self._files = files
        self._manifest = Manifest()
        self._closed: frozenset[str] = frozenset()
        self._applied = dict.fromkeys(LOGS, 0)
        self._contracts: Mapping[str, Contract] = MappingProxyType({})
        self._sequences = {log: Sequences() for log in LOGS}
        self._unsaved: dict[str, set[str]] = {log: set() for log in LOGS}
        self._saved_s = dict.fromkeys(LOGS, 0.0)
        self._mode = DAILY
        self._marks: dict[str, _Mark] = {}
        self._marks_lock = threading.Lock()

    @classmethod
    def open(
        cls, path: Path, files: SegmentFiles, *, memory_bytes_max: int, threads: int, temp_bytes_max: int
    ) -> "Store":
        """Raises StoreDamagedError naming the file and the remedy."""
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_bytes_max}B",
            "threads": str(threads),
            "max_temp_directory_size": f"{temp_bytes_max}B",
            "python_enable_replacements": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            # Rows of a query without ORDER BY come as they are read: by two threads at once.
            "preserve_insertion_order": "false",
            "wal_autocheckpoint": f"{_WAL_BYTES}B",
            # A fault within DuckDB that a query brings out ends the query, not everybody's store. One that an entry
            # brings out ends `apply`, and with it the centre: the logs know all that the store may have lost.
            "disable_database_invalidation": "true",
        }
        with _told_with_its_remedy(path):
            store = cls(path, _connected(path, settings), files)
        try:
            with _told_with_its_remedy(path):
                for sql in tables.only_files_in(str(files.folder)):
                    store._execute(sql)
                store._recover()
        except BaseException:
            store.close()  # DuckDB would give the same database to whoever opens another file of that name.
            raise
        return store

    def close(self) -> None:
        with self._marks_lock:
            for mark in self._marks.values():
                mark.cursor.close()
        self.reads.outdate()
        self._connection.close()

    # --- Reading ------------------------------------------------------------------------------------------------

    def applied(self) -> dict[str, int]:
        """Applied lsn of each log."""
        return dict(self._applied)

    def contracts(self) -> Mapping[str, Contract]:
        """The contracts in force, by name; never changed in place."""
        return self._contracts

    @property
    def segments_folder(self) -> str:
        """Errors of DuckDB that name it are about a file that is damaged or gone."""
        return str(self._files.folder)

    def manifest(self) -> Manifest:
        return self._manifest

    def closed(self) -> frozenset[str]:
        """Data sets that cannot be read, as files of them are missing; see `reopen`."""
        return self._closed

    def mode(self) -> Mode:
        """The city's mode of operation; daily while nobody ever changed it."""
        return self._mode

    def sequences(self, log: str) -> Sequences:
        """The accepted sequences as of the applied lsn; the caller's own copy."""
        return self._sequences[log].copy()

    def size_bytes(self) -> int:
        wal = self._path.with_name(self._path.name + ".wal")
        return sum(file.stat().st_size for file in (self._path, wal) if file.exists())

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's own to the same data."""
        return self._connection.cursor()

    def outcomes(self, log: str, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], Outcome]:
        """What the ledger holds of the (producer, sequence) pairs asked for."""
        cursor = self._connection.cursor()
        try:
            producers, sequences = zip(*keys, strict=True)
            cursor.register("asked", pa.table({"producer": producers, "sequence": pa.array(sequences, pa.int64())}))
            sql = (
                "select e.producer, e.sequence, e.lsn, e.rows, e.rows_rejected from hot.exchanges e "
                "join asked using (producer, sequence) where e.log = ?"
            )
            rows = cursor.execute(sql, [log]).fetchall()
        finally:
            cursor.close()
        return {(row[0], row[1]): Outcome(lsn=row[2], rows=row[3], rows_rejected=row[4]) for row in rows}

    def digests_at_mark(self, log: str, lsn: int) -> list[Digest]:
        """Digests of the data sets of a log exactly at a mark. Raises UnavailableError when its snapshot is gone."""
        with self._marks_lock:
            mark = self._marks.get(log)
            if mark is None or mark.lsn != lsn:
                raise UnavailableError(f"no snapshot of log {log} at {lsn} is held", hint="verify again")
            if mark.digests is None:
                mark.digests = digests(mark.cursor, mark.contracts.values(), log)
                mark.cursor.close()
            return mark.digests

    # --- Applying -----------------------------------------------------------------------------------------------

    def apply(self, log: str, entries: Sequence[Entry]) -> None:
        """Applies the entries after the applied lsn, in one transaction, or more where a mark ends one."""
        new = [entry for entry in entries if entry.lsn > self._applied[log]]
        self._drop_old_marks()
        start = 0
        for index, entry in enumerate(new):
            if entry.kind is log_types.Kind.MARK:
                self._apply_group(log, new[start : index + 1])
                self._keep_snapshot(log, entry.lsn)
                start = index + 1
        if start < len(new):
            self._apply_group(log, new[start:])

    def _apply_group(self, log: str, entries: Sequence[Entry]) -> None:
        assert entries[0].lsn == self._applied[log] + 1, f"entry {entries[0].lsn} of log {log} leaves a gap"
        contracts, manifest = dict(self._contracts), self._manifest
        closed = set(self._closed)
        accepted: list[tuple[str, int]] = []
        connection = self._connection
        connection.execute("begin").fetchall()
        try:
            changes = Changes(log)
            for entry in entries:
                if entry.kind in _WITH_SECTIONS:
                    changes.add(entry)
                elif entry.kind is log_types.Kind.CONTRACT or is_change(entry):
                    accepted += self._write(changes, contracts)
                    manifest = self._rearrange(changes.segments, manifest, contracts)
                    changes = Changes(log)
                if entry.kind is log_types.Kind.CONTRACT:
                    self._put_in_force(contract_from_json(bytes(entry.payload)), contracts, log, entry)
                elif is_change(entry):
                    manifest = self._rearrange([change_from_json(entry.payload)], manifest, contracts)
            accepted += self._write(changes, contracts)
            manifest = self._rearrange(changes.segments, manifest, contracts)
            for name in _differing(self._manifest, manifest, contracts) | _changed(self._contracts, contracts):
                self._show(contracts[name], manifest, closed)
            connection.execute("update hub.applied set lsn = ? where log = ?", [entries[-1].lsn, log]).fetchall()
            self._remember(log, accepted)
            self._commit()
        except BaseException:
            self._roll_back(log)
            raise
        self._applied[log] = entries[-1].lsn
        self._note_mode(entries)
        if contracts != self._contracts:
            self._contracts = MappingProxyType(contracts)
        before, self._manifest, self._closed = self._manifest, manifest, frozenset(closed)
        if any(is_change(entry) for entry in entries):
            self.readers.drop(before.ids() - manifest.ids(), log, entries[-1].lsn)

    def _write(self, changes: Changes, contracts: Mapping[str, Contract]) -> list[tuple[str, int]]:
        for name in changes.data_sets():
            contract = contracts[name]
            sql = tables.append_rows(contract) if contract.kind is Kind.EVENT else tables.merge_rows(contract)
            self._execute_with(sql, changes.table(contract))
        return changes.accepted

    def _rearrange(self, changes: Sequence[Change], manifest: Manifest, contracts: Mapping[str, Contract]) -> Manifest:
        """Carries changes of the manifest out, those that fit."""
        added: list[Descriptor] = []
        for change in changes:
            if not manifest.fits(change):
                continue
            manifest = manifest.with_change(change)
            added += change.added
            if change.removed:
                self._execute_with(tables.REMOVE_SEGMENTS, pa.table({"id": change.removed}))
            if change.sealed_lsn:
                self._execute(tables.drop_sealed(contracts[change.data_set]), change.sealed_lsn)
                self._execute("delete from hub.sealed where data_set = ?", change.data_set)
                self._execute("insert into hub.sealed values (?, ?)", change.data_set, change.sealed_lsn)
        if added:
            rows = {
                "id": [one.id for one in added],
                "data_set": [one.data_set for one in added],
                "descriptor": [descriptor_to_json(one) for one in added],
            }
            self._execute_with(tables.ADD_SEGMENTS, pa.table(rows))
        return manifest

    def _show(self, contract: Contract, manifest: Manifest, closed: set[str]) -> None:
        """Replaces the view of a data set. `closed` is brought up to date."""
        sql, is_open = view_of(contract, manifest.of_data_set(contract.name), self._files)
        self._execute(sql)
        if is_open:
            closed.discard(contract.name)
        else:
            closed.add(contract.name)

    def reopen(self, data_sets: Collection[str]) -> None:
        """Looks again whether the files of these data sets are there: closes and opens them to queries."""
        closed = set(self._closed)
        self._connection.execute("begin").fetchall()
        try:
            for name in data_sets:
                self._show(self._contracts[name], self._manifest, closed)
            self._commit()
        except BaseException:
            with suppress(duckdb.TransactionException):
                self._connection.execute("rollback").fetchall()
            raise
        self._closed = frozenset(closed)

    def hot_row_counts(self) -> dict[str, int]:
        """About how many rows no segment holds, by data set."""
        cursor = self._connection.cursor()
        try:
            sql = "select table_name, estimated_size from duckdb_tables() where schema_name = 'hot'"
            return dict(cursor.execute(sql).fetchall())
        finally:
            cursor.close()

    def hot_lsns(self, contract: Contract) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Lsns of the entries whose rows of an event data set no segment holds, rising, and how many rows each has."""
        cursor = self._connection.cursor()
        try:
            found = cursor.execute(tables.hot_lsns(contract)).fetchnumpy()
            return found["lsn"], found["count"]
        finally:
            cursor.close()

    def hot_rows(self, contract: Contract, through_lsn: int) -> pa.Table:
        """Those rows of the entries through an lsn, in the contract's schema."""
        cursor = self._connection.cursor()
        try:
            rows: pa.Table = cursor.sql(tables.hot_rows(contract), params=[through_lsn]).to_arrow_table()
            return rows.cast(contract.schema)
        finally:
            cursor.close()

    def _put_in_force(self, contract: Contract, contracts: dict[str, Contract], log: str, entry: Entry) -> None:
        """A contract that is not the next version was proposed twice at once: the first one stands."""
        before = contracts.get(contract.name)
        if contract.version != (before.version + 1 if before else contract.version):
            return
        for sql in tables.add_columns(before, contract) if before else tables.create_table(contract):
            self._connection.execute(sql).fetchall()
        row = [contract.name, contract.version, log, entry.lsn, bytes(entry.payload).decode()]
        self._connection.execute("insert into hub.contracts values (?, ?, ?, ?, ?)", row).fetchall()
        contracts[contract.name] = contract

    def _remember(self, log: str, accepted: Collection[tuple[str, int]]) -> None:
        for producer, sequence in accepted:
            self._sequences[log].add(producer, sequence)
            self._unsaved[log].add(producer)
        if self._unsaved[log] and time.monotonic() - self._saved_s[log] > _PRODUCERS_S:
            self._save_producers(log)

    def _save_producers(self, log: str) -> None:
        names = sorted(self._unsaved[log])
        bounds = pa.array([self._sequences[log].bounds(name) for name in names], pa.list_(pa.int64()))
        rows = pa.table({"log": [log] * len(names), "producer": names, "bounds": bounds})
        self._execute_with(tables.MERGE_PRODUCERS, rows)
        self._connection.execute("update hub.applied set producers_lsn = lsn where log = ?", [log]).fetchall()
        self._unsaved[log].clear()
        self._saved_s[log] = time.monotonic()

    def _execute(self, sql: str, *parameters: object) -> None:
        self._connection.execute(sql, parameters).fetchall()

    def _execute_with(self, sql: str, rows: pa.Table) -> None:
        self._connection.register(tables.INCOMING, rows)
        try:
            self._connection.execute(sql).fetchall()
        finally:
            self._connection.unregister(tables.INCOMING)

    def _commit(self) -> None:
        self.reads.outdate()
        self._connection.execute("commit").fetchall()
        self.reads.outdate()

    def _roll_back(self, log: str) -> None:
        with suppress(duckdb.TransactionException):  # A commit that failed has rolled back itself.
            self._connection.execute("rollback").fetchall()
        self._load_sequences(log)  # What was added belonged to the transaction.

    # --- Marks --------------------------------------------------------------------------------------------------

    def _keep_snapshot(self, log: str, lsn: int) -> None:
        cursor = self._connection.cursor()
        cursor.execute("begin transaction read only").fetchall()
        cursor.execute("select lsn from hub.applied").fetchall()  # A transaction's snapshot begins with its first read.
        with self._marks_lock:
            if (before := self._marks.get(log)) is not None:
                before.cursor.close()
            self._marks[log] = _Mark(lsn, cursor, self._contracts, time.monotonic())

    def _drop_old_marks(self) -> None:
        with self._marks_lock:
            for log, mark in tuple(self._marks.items()):
                if time.monotonic() - mark.made_s > _SNAPSHOT_S_MAX:
                    self._marks.pop(log).cursor.close()

    # --- Start --------------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        connection = self._connection
        connection.execute("begin").fetchall()
        for sql in tables.OWN_TABLES:
            connection.execute(sql).fetchall()
        found = dict(connection.execute("select log, lsn from hub.applied").fetchall())
        if not found:
            for log in LOGS:
                connection.execute("insert into hub.applied values (?, 0, 0)", [log]).fetchall()
        made = {name for (name,) in connection.execute(tables.HOT_TABLES).fetchall()}
        for name in RECORDED:
            if name not in made:
                for sql in tables.create_table(builtin_contracts()[name]):
                    connection.execute(sql).fetchall()
                connection.execute(tables.create_view(builtin_contracts()[name])).fetchall()
        connection.execute("commit").fetchall()
        self._applied |= found
        rows = connection.execute("select contract from hub.contracts order by version").fetchall()
        logged = {contract.name: contract for contract in (contract_from_json(text) for (text,) in rows)}
        self._contracts = MappingProxyType({name: builtin_contracts()[name] for name in RECORDED} | logged)
        for log in LOGS:
            self._load_sequences(log)
        self._load_manifest()
        self._read_mode()

    def _note_mode(self, entries: Iterable[Entry]) -> None:
        if any(entry.kind is log_types.Kind.MODE for entry in entries):
            self._read_mode()

    def _read_mode(self) -> None:
        sql = "select mode, since, reason, asked_by from hot.modes order by lsn desc limit 1"
        rows = self._connection.execute(sql).fetchall()
        if rows:
            name, since, reason, asked_by = rows[0]
            self._mode = Mode(name=ModeName(name), since=since, reason=reason, asked_by=asked_by)

    def _load_manifest(self) -> None:
        descriptors = self._connection.execute("select descriptor from hub.segments order by rowid").fetchall()
        sealed = dict(self._connection.execute("select data_set, lsn from hub.sealed").fetchall())
        self._manifest = Manifest.of((descriptor_from_json(text) for (text,) in descriptors), sealed)
        for one in self._manifest.all():
            if self._files.holds(one.id) and self._files.size(one.id) != one.size_bytes:
                self._files.distrust(one.id)  # Somebody cut it, or added to it.
        lost = {one.data_set for one in self._manifest.all() if not self._files.holds(one.id)}
        if lost:
            self.reopen(lost)

    def _load_sequences(self, log: str) -> None:
        """What was saved of the producers, and what the ledger holds since."""
        sequences = Sequences()
        saved = "select producer, bounds from hub.producers where log = ?"
        sequences.restore(self._connection.execute(saved, [log]).fetchall())
        since = (
            "select producer, sequence from hot.exchanges where log = $1 "
            "and lsn > (select producers_lsn from hub.applied where log = $1)"
        )
        rows = self._connection.execute(since, [log]).fetchall()
        for producer, sequence in rows:
            sequences.add(producer, sequence)
        self._sequences[log] = sequences
        self._unsaved[log] = {producer for producer, _ in rows}


def _connected(path: Path, settings: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """DuckDB's own threads are as nice as the one that opens the database. Whoever asks works at the query, too: so a
    short one is done by who asked it, while the threads are still at a long one."""
    with ThreadPoolExecutor(1, "open store", initializer=be_nice, initargs=(HEAVY_NICENESS,)) as opening:
        return opening.submit(duckdb.connect, str(path), config=settings).result()


def _differing(before: Manifest, after: Manifest, contracts: Iterable[str]) -> set[str]:
    if before is after:
        return set()
    return {name for name in contracts if before.of_data_set(name) is not after.of_data_set(name)}


def _changed(before: Mapping[str, Contract], after: Mapping[str, Contract]) -> set[str]:
    return {name for name, contract in after.items() if before.get(name) != contract}
