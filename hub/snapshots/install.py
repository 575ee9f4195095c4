"""Makes a store file of a snapshot whose files are all here.

The new file is built beside the old one and takes its place last: a crash before leaves what was there. What becomes
of a log: one that holds the snapshot's entry stays, and is applied from there; any other one is dropped and goes on
after that entry, as the snapshot holds all that was committed before.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import duckdb

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts, contract_from_json
from hub.config import StoreLimits
from hub.segments.descriptor import descriptor_from_json
from hub.snapshots.description import Snapshot
from hub.store import tables
from hub.store.changes import RECORDED
from hub.store.manifest import Manifest
from hub.store.views import view_of
from replication.core.types import EntryId
from replication.disk import FileDisk
from replication.durable import sync_directory
from replication.errors import LogError
from replication.segments import SegmentFiles

STORE_NAME: Final = "store.duckdb"


def install(
    folder: Path, snapshot: Snapshot, files: SegmentFiles, disks: dict[str, FileDisk], limits: StoreLimits
) -> dict[str, bool]:
    """Puts a snapshot in the place of a centre's store. Nothing of the centre may be running. Returns for each log
    whether it stays. Raises duckdb.Error or OSError."""
    fresh = folder / f"{STORE_NAME}.new"
    _remove_store(fresh)
    _build(fresh, snapshot, files, limits)
    kept = {log: holds(disks[log], point.entry) for log, point in snapshot.position.items()}
    _remove_store(folder / STORE_NAME)  # From here on a start finds no store, and asks for a snapshot again.
    sync_directory(folder)
    for log, point in snapshot.position.items():
        if not kept[log]:
            disks[log].forget_configuration()  # The entry may be of an epoch that this centre has not heard of.
            disks[log].restart(point.entry)
    fresh.rename(folder / STORE_NAME)
    sync_directory(folder)
    return kept


def holds(disk: FileDisk, entry: EntryId) -> bool:
    """Whether a log has this entry, or begins right after it."""
    if not disk.first_lsn - 1 <= entry.lsn <= disk.end.lsn:
        return False
    with suppress(LogError):
        return disk.id_now(entry.lsn) == entry
    return False


def _build(path: Path, snapshot: Snapshot, files: SegmentFiles, limits: StoreLimits) -> None:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{limits.memory_bytes_max}B",
        "threads": str(limits.threads),
    }
    connection = duckdb.connect(str(path), config=settings)
    try:
        for sql in tables.OWN_TABLES:
            connection.execute(sql).fetchall()
        held = {(one.schema, one.name): [str(files.path(each)) for each in one.files] for one in snapshot.tables}
        for (schema, name), paths in held.items():
            if schema == "hub":
                _fill(connection, f"{schema}.{name}", paths)
        contracts = _contracts(connection)
        for contract in contracts.values():
            table, *indexes = tables.create_table(contract)
            connection.execute(table).fetchall()
            _fill(connection, tables.table(contract), held.get(("hot", contract.name), []))
            for sql in indexes:
                connection.execute(sql).fetchall()
        found = connection.execute("select descriptor from hub.segments").fetchall()
        manifest = Manifest.of((descriptor_from_json(text) for (text,) in found), {})
        for contract in contracts.values():
            sql, _ = view_of(contract, manifest.of_data_set(contract.name), files)
            connection.execute(sql).fetchall()
        connection.execute("checkpoint").fetchall()
    finally:
        connection.close()


def _fill(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> None:
    for path in paths:
        sql = f"insert into {table} by name select * from read_parquet(?)"  # noqa: S608  # names are checked
        connection.execute(sql, [path]).fetchall()


def _contracts(connection: duckdb.DuckDBPyConnection) -> dict[str, Contract]:
    rows = connection.execute("select contract from hub.contracts order by version").fetchall()
    logged = {one.name: one for one in (contract_from_json(text) for (text,) in rows)}
    return {name: builtin_contracts()[name] for name in RECORDED} | logged


def _remove_store(path: Path) -> None:
    for one in (path, path.with_name(path.name + ".wal")):
        one.unlink(missing_ok=True)
