"""Where queries are asked for at a centre, by gRPC and by Flight alike.

reach (the position asked for) → ask (a turn) → prepare → start, read → close, leave
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from hub.config import QueryClassLimits, QueryLimits
from hub.query.asked import Asked
from hub.query.run import Limits, RunningQuery, describe
from hub.query.scheduler import QueryClass, Scheduler, Turn
from hub.query.statements import Statement, Statements
from hub.store.store import Store


def limits_by_class(limits: QueryLimits) -> dict[QueryClass, QueryClassLimits]:
    found: dict[QueryClass, QueryClassLimits] = {one: getattr(limits, one) for one in QueryClass}
    return found


class QueryDesk:
    """`reached` waits until a position is applied here; `proved` finds the position that holds all that was
    acknowledged before the call."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        limits: QueryLimits,
        *,
        reached: Callable[[Mapping[str, int]], Awaitable[None]],
        proved: Callable[[], Awaitable[dict[str, int]]],
    ) -> None:
        self._store = store
        self._statements = Statements(store, bytes_max=limits.sql_bytes_max)
        self._reached = reached
        self._proved = proved
        self.scheduler = scheduler
        self.limits = limits

    async def reach(self, asked: Asked) -> None:
        """Returns once the store holds what the query must see. Raises UnavailableError."""
        if asked.strong:
            await self._reached(await self._proved())
        if asked.at_least:
            await self._reached(asked.at_least)

    def ask(self, asked: Asked) -> Turn:
        """Raises OverloadedError."""
        return self.scheduler.ask(asked.query_class, asked.sql, asked.asked_by)

    def prepare(self, asked: Asked, turn: Turn) -> RunningQuery:
        """A query to be started with `asked.sql` and `asked.parameters`, in its turn."""
        own = self.scheduler.limits_of(turn.query_class)
        limits = Limits(
            rows_max=self.limits.rows_max,
            time_s_max=own.time_s_max,
            batch_rows=self.limits.batch_rows,
            memory_bytes_max=own.memory_bytes_max,
        )
        if asked.rows_max:
            limits = replace(limits, rows_max=min(limits.rows_max, asked.rows_max))
        if asked.time_s_max:
            limits = replace(limits, time_s_max=min(limits.time_s_max, asked.time_s_max))
        query = RunningQuery(self._store, self._statements, limits)
        turn.stop = query.cancel
        return query

    def describe(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] | None = None
    ) -> tuple[pa.Schema, Statement]:
        """See `run.describe`. Blocking."""
        return describe(self._store, self._statements, sql, parameters)
