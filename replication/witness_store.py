"""The witness's facts on disk: one SQLite file, and the port that a simulated one can stand in for.

    identity      one row: id, generation; none before the witness is formed
    standings     one row a log: the configuration that stands
    maintenance   one row: on or off
    changes       every change of a configuration with centre, reason and time; the oldest ones go at a limit

A decision and its changes are one transaction, fsynced before `save` returns. A configuration stands twice, in
`standings` and as its log's newest change: where they differ the file is damaged. One process at a time has the file.

Deliberately absent: retries. A file that fails once is not written again before it was opened anew.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from replication.core.types import Configuration
from replication.durable import make_directory, sync_directory
from replication.errors import WitnessDamagedError, WitnessRefusedError
from replication.observation import Change, WitnessIdentity
from replication.witness import Decision, Facts

_APPLICATION: Final = 0x77746E73  # "wtns"
_FORMAT: Final = 1
_PRAGMAS: Final = (
    ("locking_mode", "exclusive", "exclusive"),
    ("journal_mode", "wal", "wal"),
    ("synchronous", "full", 2),
    ("trusted_schema", "off", 0),
)
_SCHEMA: Final = """
create table identity (
    number integer primary key check (number = 1), id text not null, generation integer not null
) strict;
create table standings (
    log text primary key, version integer not null, epoch integer not null, leader text not null, in_sync text not null
) strict;
create table maintenance (number integer primary key check (number = 1), is_on integer not null) strict;
create table changes (
    number integer primary key, log text not null, version integer not null, epoch integer not null,
    leader text not null, in_sync text not null, centre text not null, reason text not null, at_unix_ms integer not null
) strict;
create index changes_by_log on changes (log, number);
insert into maintenance values (1, 0);
"""
_NEWEST: Final = "select max(number) from changes group by log"


class WitnessStore(Protocol):
    """What the witness needs of a disk. Calls never overlap."""

    def load(self) -> Facts:
        """The facts as saved last."""

    def save(self, decision: Decision, *, at_unix_ms: int) -> None:
        """Durable on return, all of it or nothing. Raises WitnessRefusedError when nothing was written and the store
        goes on, WitnessDamagedError when it cannot be trusted any more."""

    def history(self) -> tuple[Change, ...]:
        """Changes of configurations, oldest first."""

    def close(self) -> None: ...


class SqliteWitnessStore:
    """Implements `WitnessStore`. May be used from any thread, by one at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, changes_max: int) -> None:
        self._path = path
        self._connection = connection
        self._changes_max = changes_max

    @classmethod
    def open(cls, path: Path, *, changes_max: int) -> "SqliteWitnessStore":
        """Opens the file, or makes it and its folder.

        Raises WitnessDamagedError for a file that is no witness's or not sound, WitnessRefusedError when another
        process has it.
        """
        make_directory(path.parent)
        with _translated(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        store = cls(path, connection, changes_max=changes_max)
        try:
            with _translated(path):
                store._prepare()
            sync_directory(path.parent)
            store.load()
        except BaseException:
            connection.close()
            raise
        return store

    def load(self) -> Facts:
        """Raises WitnessDamagedError."""
        with _translated(self._path):
            standings = {row[0]: _configuration(row[1:]) for row in self._rows("select * from standings")}
            newest = {
                row[0]: _configuration(row[1:])
                for row in self._rows(
                    f"select log, version, epoch, leader, in_sync from changes where number in ({_NEWEST})"  # noqa: S608  # a constant
                )
            }
            identities = [WitnessIdentity(id=row[1], generation=row[2]) for row in self._rows("select * from identity")]
            ((_, is_on),) = self._rows("select * from maintenance")
        if standings != newest:
            raise WitnessDamagedError(self._path, "a configuration and its newest change differ")
        if bool(identities) != bool(standings):
            raise WitnessDamagedError(self._path, "identity and configurations do not belong together")
        return Facts(identity=identities[0] if identities else None, standings=standings, maintenance=bool(is_on))

    def save(self, decision: Decision, *, at_unix_ms: int) -> None:
        with _translated(self._path), self._transaction():
            if decision.after.identity != decision.before.identity:
                self._save_identity(decision.after.identity)
            if decision.after.maintenance != decision.before.maintenance:
                self._run("update maintenance set is_on = ?", int(decision.after.maintenance))
            for log, configuration in decision.changed.items():
                self._swap(log, decision.before.standings.get(log), configuration)
                self._run(
                    "insert into changes (log, version, epoch, leader, in_sync, centre, reason, at_unix_ms) "
                    "values (?, ?, ?, ?, ?, ?, ?, ?)",
                    *(log, *_columns(configuration), decision.centre, decision.reason, at_unix_ms),
                )
            self._forget_oldest()

    def history(self) -> tuple[Change, ...]:
        """Raises WitnessDamagedError."""
        with _translated(self._path):
            rows = self._rows(
                "select log, version, epoch, leader, in_sync, centre, reason, at_unix_ms from changes order by number"
            )
            return tuple(
                Change(
                    log=log,
                    configuration=_configuration(configuration),
                    centre=centre,
                    reason=reason,
                    at_unix_ms=at_unix_ms,
                )
                for log, *configuration, centre, reason, at_unix_ms in rows
            )

    def close(self) -> None:
        self._connection.close()

    # --- Opening ------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        for name, wanted, expected in _PRAGMAS:
            self._run(f"pragma {name} = {wanted}")
            ((got,),) = self._rows(f"pragma {name}")
            if got != expected:
                raise WitnessDamagedError(self._path, f"SQLite's {name} is {got} where it must be {expected}")
        ((application,),) = self._rows("pragma application_id")
        ((format_,),) = self._rows("pragma user_version")
        ((tables,),) = self._rows("select count(*) from sqlite_master")
        if (application, format_, tables) == (0, 0, 0):
            self._create()
        elif application != _APPLICATION:
            raise WitnessDamagedError(self._path, "not a witness's file")
        elif format_ != _FORMAT:
            raise WitnessDamagedError(self._path, f"unknown format {format_}")
        found = self._rows("pragma integrity_check(1)")
        if found != [("ok",)]:
            raise WitnessDamagedError(self._path, str(found[0][0]))

    def _create(self) -> None:
        """All of it or nothing: a crash in between leaves an empty file."""
        with self._transaction():
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._run(statement)
            self._run(f"pragma application_id = {_APPLICATION}")
            self._run(f"pragma user_version = {_FORMAT}")

    # --- Writing ------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("begin immediate")
        try:
            yield
            self._run("commit")
        finally:
            if self._connection.in_transaction:
                self._run("rollback")

    def _swap(self, log: str, before: Configuration | None, after: Configuration) -> None:
        """The compare-and-swap, held by the file itself whatever the book believes."""
        if before is None:
            self._run("insert into standings values (?, ?, ?, ?, ?)", log, *_columns(after))
            return
        done = self._run(
            "update standings set version = ?, epoch = ?, leader = ?, in_sync = ? where log = ? and version = ?",
            *(*_columns(after), log, before.version),
        )
        if done.rowcount != 1:
            raise WitnessDamagedError(self._path, f"version {before.version} of log {log} does not stand any more")

    def _save_identity(self, identity: WitnessIdentity | None) -> None:
        assert identity is not None, "a witness never loses its identity"
        self._run("insert or replace into identity values (1, ?, ?)", identity.id, identity.generation)

    def _forget_oldest(self) -> None:
        self._run(
            f"delete from changes where number <= (select max(number) from changes) - ? and number not in ({_NEWEST})",  # noqa: S608  # a constant
            self._changes_max,
        )

    # --- SQL ----------------------------------------------------------------------------------------------------

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._run(sql).fetchall()


def _columns(configuration: Configuration) -> tuple[int, int, str, str]:
    in_sync = json.dumps(sorted(configuration.in_sync), ensure_ascii=False)
    return configuration.version, configuration.epoch, configuration.leader, in_sync


def _configuration(columns: Any) -> Configuration:
    version, epoch, leader, in_sync = columns
    return Configuration(version=version, epoch=epoch, leader=leader, in_sync=frozenset(json.loads(in_sync)))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: a full disk or a file that another has leaves everything as it was."""
    try:
        yield
    except sqlite3.Error as error:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                raise WitnessRefusedError(f"there is no space left for {path}") from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise WitnessRefusedError(f"another process has {path}") from error
            case _:
                raise WitnessDamagedError(path, str(error)) from error
    except (ValueError, TypeError) as error:
        raise WitnessDamagedError(path, f"a row is not what was written: {error}") from error
