"""What a pass asks of a hub."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from hub.ingest.exchange import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`position` is exactly what the batches reflect; they come as they are read."""

    position: Mapping[str, int]
    batches: Iterator[pa.RecordBatch]

    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One exchange of one row, or of none, into data set `alerts`."""

    producer: str
    sequence: int
    rows: pa.RecordBatch


class Hub(Protocol):
    @property
    def position(self) -> Mapping[str, int]:
        """What all answers so far reflect at least."""
        ...

    def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
        """Never older than an answer before. Raises HubError."""
        ...

    def send(self, sendings: Sequence[Sending]) -> list[Receipt]:
        """Each with its receipt, in order; all are in the hub then, and seen by `ask`. Raises HubError."""
        ...
