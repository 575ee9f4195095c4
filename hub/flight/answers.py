"""Answers as Flight streams: batches as they are computed, until the caller has them all or goes away.

pyarrow calls in from its own thread, and says that a caller went away only when it is asked: one thread asks for all
calls, and interrupts what they compute.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pyarrow as pa
import pyarrow.flight as fl

from hub.errors import HubError, UnavailableError
from hub.position import position_to_text
from hub.query.asked import Asked
from hub.query.desk import QueryDesk
from hub.query.run import RunningQuery
from hub.query.scheduler import Turn

POSITION_KEY: Final = b"cityhub.position"
_LOOK_S: Final = 0.1


class Callers:
    """Watches the callers of answers that are being computed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[bytes, fl.ServerCallContext, RunningQuery]] = {}
        self._stopping = threading.Event()
        threading.Thread(target=self._look, name="callers of flight", daemon=True).start()

    def watch(self, name: bytes, context: fl.ServerCallContext, query: RunningQuery) -> None:
        with self._lock:
            self._watched[id(query)] = name, context, query

    def cancel(self, name: bytes) -> bool:
        """Whether anything of that name was being computed."""
        with self._lock:
            found = [query for its_name, _, query in self._watched.values() if its_name == name]
        for query in found:
            query.cancel()
        return bool(found)

    def forget(self, query: RunningQuery) -> None:
        """Must be called before its call ends: pyarrow's context is gone then."""
        with self._lock:
            self._watched.pop(id(query), None)

    def stop(self) -> None:
        """Ends every answer under way."""
        self._stopping.set()
        with self._lock:
            for _, _, query in self._watched.values():
                query.cancel()

    def _look(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            with self._lock:
                for _, context, query in self._watched.values():
                    if context.is_cancelled():
                        query.cancel()


class Answer:
    """The batches of one query, as an iterator that lets go of everything at its end, however that comes."""

    def __init__(self, query: RunningQuery, turn: Turn, callers: Callers) -> None:
        self._query = query
        self._turn = turn
        self._callers = callers
        self._batches: Iterator[pa.RecordBatch] | None = None

    def __iter__(self) -> "Answer":
        return self

    def __next__(self) -> pa.RecordBatch:
        if self._batches is None:
            self._batches = iter(self._query)
        try:
            return next(self._batches)
        except StopIteration:
            self.close()
            raise
        except HubError as error:
            self.close()
            raise _within_a_stream(error) from None

    def close(self) -> None:
        """May be called again."""
        self._callers.forget(self._query)
        self._query.close()
        self._turn.leave()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def answer(
    desk: QueryDesk, callers: Callers, asked: Asked, context: fl.ServerCallContext, *, name: bytes
) -> fl.RecordBatchStream:
    """Waits for its turn, and starts; `name` is what cancels it. The position is in the metadata of the schema. Raises
    HubError."""
    turn = desk.ask(asked)
    try:
        _wait(turn, context)
        query = desk.prepare(asked, turn)
        batches = Answer(query, turn, callers)
    except BaseException:
        turn.leave()
        raise
    callers.watch(name, context, query)
    try:
        query.start(asked.sql, asked.parameters)
        schema = query.schema.with_metadata({POSITION_KEY: position_to_text(query.position)})
        return fl.RecordBatchStream(pa.RecordBatchReader.from_batches(schema, batches))
    except BaseException:
        batches.close()
        raise


def _wait(turn: Turn, context: fl.ServerCallContext) -> None:
    waited_s = 0.0
    while True:
        try:
            turn.granted.result(_LOOK_S)
            return
        except TimeoutError:
            waited_s += _LOOK_S
        if context.is_cancelled():
            raise UnavailableError("the caller went away")
        if waited_s >= turn.wait_s_max:
            raise turn.late()


def _within_a_stream(error: HubError) -> Exception:
    """pyarrow takes Arrow's own errors alone from an iterator; clients read the reason between brackets."""
    kind = pa.ArrowCancelled if isinstance(error, UnavailableError) else pa.ArrowInvalid
    found: Exception = kind(f"[{error.reason}] {error}")
    return found
