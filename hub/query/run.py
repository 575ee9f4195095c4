"""One query: guarded, in a read-only transaction, at an exact position, within limits, cancellable.

Blocking; for a worker thread. Only `cancel` may be called from another one.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NoReturn

import duckdb
import pyarrow as pa

from hub.errors import HubError, LimitError, QueryError, UnavailableError
from hub.query.deadlines import Deadlines
from hub.query.statements import Statement, Statements, bound, schema_of
from hub.store.reads import Read
from hub.store.store import Store
from hub.store.views import SEGMENTS_MISSING

_deadlines = Deadlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    rows_max: int
    time_s_max: float
    batch_rows: int
    memory_bytes_max: int


class RunningQuery:
    """An answer that is being computed: its `position`, its `schema`, and its batches by iteration. Close it
    afterwards, whatever became of it."""

    def __init__(self, store: Store, statements: Statements, limits: Limits) -> None:
        self._segments_folder = store.segments_folder
        self._reads = store.reads
        self._read: Read | None = None
        self._statements = statements
        self._limits = limits
        self._lock = threading.Lock()  # Whoever interrupts must not meet the next query of this connection.
        self._cancelled = False
        self._timed_out = False
        self._ended = False
        self._reader: pa.RecordBatchReader | None = None
        self.position: dict[str, int] = {}

    def start(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> None:
        """Once. Some answers are computed whole before this returns. Raises QueryError, LimitError or, when cancelled,
        UnavailableError."""
        try:
            read = self._reads.begin(self._limits.memory_bytes_max)
            with self._lock:
                self._read = read
            self.position = read.position
            statement = self._statements.checked(read.cursor, sql)
            values = bound(statement, parameters)
            if self._cancelled:
                raise UnavailableError("the query was cancelled")
            _deadlines.set(self, self._limits.time_s_max, self._time_out)
            relation = read.cursor.sql(statement.text, params=values or None)
            self._reader = relation.to_arrow_reader(self._limits.batch_rows)
        except (duckdb.Error, pa.ArrowException) as error:
            self._raise(error)

    @property
    def schema(self) -> pa.Schema:
        assert self._reader is not None, "the query was not started"
        return self._reader.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        assert self._reader is not None, "the query was not started"
        rows = 0
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                self._ended = True
                return
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                self._raise(error)
            rows += batch.num_rows
            if rows > self._limits.rows_max:
                raise LimitError(
                    f"the answer has more than {self._limits.rows_max} rows", hint="aggregate, or add LIMIT"
                )
            yield batch

    def cancel(self) -> None:
        """May be called again: what had not begun to run was not interrupted."""
        self._cancelled = True
        self._interrupt()

    def close(self) -> None:
        """May be called again."""
        _deadlines.forget(self)
        with self._lock:
            read, self._read = self._read, None
        if read is not None:
            if self._reader is not None:
                self._reader.close()
            self._reads.end(read, reusable=self._ended and not (self._cancelled or self._timed_out))

    def _time_out(self) -> None:
        self._timed_out = True
        self._interrupt()

    def _interrupt(self) -> None:
        with self._lock:
            if self._read is not None:
                self._read.cursor.interrupt()

    def _raise(self, error: Exception) -> NoReturn:
        if self._timed_out:
            late = f"the query took more than {self._limits.time_s_max:g} s"
            raise LimitError(late, hint="ask for less at once, or in the class analysis") from error
        if self._cancelled:
            raise UnavailableError("the query was cancelled") from error
        raise _translated(error, self._segments_folder) from error


def describe(
    store: Store, statements: Statements, sql: str, parameters: Sequence[object] | Mapping[str, object] | None = None
) -> tuple[pa.Schema, Statement]:
    """Schema of an answer that is not computed; without parameters, as if all were null. Blocking. Raises QueryError,
    LimitError or UnavailableError."""
    with closing(store.cursor()) as cursor:
        statement = statements.checked(cursor, sql)
        values = dict.fromkeys(statement.parameters) if parameters is None else bound(statement, parameters)
        try:
            return schema_of(cursor.sql(statement.text, params=values or None)), statement
        except (duckdb.Error, pa.ArrowException) as error:
            raise _translated(error, store.segments_folder) from error


def _translated(error: Exception, segments_folder: str) -> HubError:
    text = str(error).partition("\n\nStack Trace:")[0]  # Of faults within DuckDB: it tells paths of the host.
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return LimitError(f"the query needs more memory than it may use: {text}", hint="ask for less at once")
    if SEGMENTS_MISSING in text or isinstance(error, duckdb.IOException) or segments_folder in text:
        return UnavailableError("files of a data set are missing here, and being fetched", hint="ask the other centre")
    return QueryError(text)
