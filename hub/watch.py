"""Streams of what came into the store, from any position on: read what is there, then wait until there is more.

Whoever loses the stream asks for it again after the last position, at either centre, and misses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from hub.errors import OverloadedError, UnknownDataSetError
from hub.store import tables
from hub.store.store import LOGS, Store

_LOOK_S: Final = 0.05
_ALIVE_S: Final = 5.0
_ROWS_MAX: Final = 10_000  # And the rest of the entry that holds the last one.
_WATCHERS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class News:
    """Rows in the order of their log, and the position up to which all were told."""

    rows: list[dict[str, Any]]
    position: dict[str, int]


class Watches:
    """`reached` waits until a position is applied here."""

    def __init__(self, store: Store, reached: Callable[[Mapping[str, int]], Any]) -> None:
        self._store = store
        self._reached = reached
        self._watchers = 0

    def contracts(self, after: Mapping[str, int] | None) -> AsyncIterator[News]:
        """Rows have `contract` (JSON), `log` and `lsn`. None begins now. Raises HubError."""
        return self._follow(after, tables.CONTRACTS_AFTER, LOGS, self._store.contracts)

    def rows(self, data_set: str, after: Mapping[str, int] | None) -> AsyncIterator[News]:
        """Rows of a watched data set with their `lsn`. None begins now. Raises HubError."""
        contract = self._store.contracts().get(data_set)
        if contract is None or not contract.watched:
            raise UnknownDataSetError(
                f"no data set {data_set!r} can be watched here", hint="is the catalogue in force?"
            )
        sql = tables.rows_after(contract)
        return self._follow(after, sql, (contract.home,), lambda: self._store.applied()[contract.home])

    async def _follow(
        self, after: Mapping[str, int] | None, sql: str, logs: tuple[str, ...], version: Callable[[], Any]
    ) -> AsyncIterator[News]:
        """`version` is another object, or another number, when there may be more."""
        if self._watchers >= _WATCHERS_MAX:
            raise OverloadedError(f"{self._watchers} streams are watched here, the limit", retry_s=_ALIVE_S)
        self._watchers += 1
        try:
            seen = self._store.applied() if after is None else {log: after.get(log, 0) for log in self._store.applied()}
            if after:
                await self._reached(after)
            yield News([], seen)
            told_s, read = 0.0, None
            while True:
                now = version()
                if now is not read and now != read:
                    news = await asyncio.to_thread(self._read, sql, logs, seen)
                    full = len(news.rows) >= _ROWS_MAX
                    read, seen = None if full else now, news.position
                    if news.rows:
                        yield news
                        told_s = 0.0
                    if full:
                        continue
                await asyncio.sleep(_LOOK_S)
                told_s += _LOOK_S
                if told_s >= _ALIVE_S:
                    yield News([], seen)
                    told_s = 0.0
        finally:
            self._watchers -= 1

    def _read(self, sql: str, logs: tuple[str, ...], after: Mapping[str, int]) -> News:
        with closing(self._store.cursor()) as cursor:
            cursor.execute("begin transaction read only").fetchall()
            position = dict(cursor.execute("select log, lsn from hub.applied").fetchall())
            found: pa.Table = cursor.sql(sql, params=[*(after[log] for log in logs), _ROWS_MAX]).to_arrow_table()
        rows = found.to_pylist()
        if len(rows) >= _ROWS_MAX:  # There may be more entries.
            position = {**after, **{row["log"]: row["lsn"] for row in rows}}
        return News(rows, position)
