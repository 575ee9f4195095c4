"""What the linkage asks of a hub, and its limits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from hub.ingest.sections import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """`part_rows_max`: rows of a registry that are compared in one query. `exchange_rows`: rows of one exchange.
    `applied_wait_s_max`: how long to wait until what was sent can be read."""

    part_rows_max: int = 2_000_000
    exchange_rows: int = 20_000
    applied_wait_s_max: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`position` is exactly what the batches reflect; they come as they are read."""

    position: Mapping[str, int]
    batches: Iterator[pa.RecordBatch]

    def rows(self) -> list[dict[str, object]]:
        """All of a short answer."""
        return [row for batch in self.batches for row in batch.to_pylist()]


class Hub(Protocol):
    """`producer` names who sends: another name for every run that sends anything."""

    @property
    def producer(self) -> str: ...

    def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
        """At a position that holds all that was acknowledged before the first call, and all that was settled."""
        ...

    def send(self, data_set: str, rows: pa.RecordBatch, operation: Operation) -> None:
        """Queues one exchange; waits while too many are unanswered."""
        ...

    def settle(self) -> None:
        """Returns when all that was sent is in the hub and will be seen by `ask`. Raises HubError."""
        ...
