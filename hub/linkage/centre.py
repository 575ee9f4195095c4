"""The port of the linkage at a real pair: reads at one centre, by default the standby, writes to whoever leads.

No answer is older than one before it, or than what was settled: exchanges that are still being applied are not waited
for by every query.
"""

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Final
from uuid import uuid4

import pyarrow as pa
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hub.client import HubClient, Producer
from hub.client.standby import standby_of
from hub.errors import UnavailableError
from hub.ingest.exchange import Receipt
from hub.ingest.sections import Operation
from hub.linkage.hub_port import Answer, LinkLimits
from hub.position import raise_to

_CLASS: Final = "analysis"
_WINDOW_MAX: Final = 8  # Exchanges of some megabytes each.
_POLL_S: Final = 0.2
_FAILOVER_S_MAX: Final = 20.0


class CentreHub:
    """Use as a context manager. `rejected` counts rows that the hub put into quarantine: links that fail a check."""

    def __init__(self, client: HubClient, *, centre: str | None, log: str, limits: LinkLimits) -> None:
        self._client = client
        self._chosen = centre
        self._centre = ""
        self._seen: dict[str, int] = {}
        self._log = log
        self._limits = limits
        self._name = f"linkage-{uuid4().hex}"
        self._producer: Producer | None = None
        self._unanswered: deque[Future[Receipt]] = deque()
        self._stack = ExitStack()
        self.rejected = 0

    def __enter__(self) -> "CentreHub":
        """Finds the centre to read at, and sees all that was acknowledged to anyone before; waits for a failover that
        is going on. Raises HubError."""
        for attempt in Retrying(
            wait=wait_fixed(_POLL_S),
            stop=stop_after_delay(_FAILOVER_S_MAX),
            retry=retry_if_exception_type(UnavailableError),
            reraise=True,
        ):
            with attempt:
                self._centre = self._chosen or standby_of(self._client, self._log)
                raise_to(self._seen, self._client.query("select 1", centre=self._centre, strong=True).position)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def producer(self) -> str:
        return self._name

    def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
        answer = self._client.query(
            sql,
            parameters,
            centre=self._centre,
            at_least=self._seen,
            query_class=_CLASS,
        )
        raise_to(self._seen, answer.position)
        return Answer(position=answer.position, batches=iter(answer.reader))

    def send(self, data_set: str, rows: pa.RecordBatch, operation: Operation) -> None:
        if self._producer is None:  # Only a run that sends something leaves a producer behind.
            made = self._client.producer(self._name, log=self._log, window_max=_WINDOW_MAX)
            self._producer = self._stack.enter_context(made)
        self._unanswered.append(self._producer.send(data_set, rows, operation=operation))
        while self._unanswered and self._unanswered[0].done():
            self._take(self._unanswered.popleft())

    def settle(self) -> None:
        while self._unanswered:
            self._take(self._unanswered.popleft())
        deadline_s = time.monotonic() + self._limits.applied_wait_s_max
        while not self._applied():
            if time.monotonic() > deadline_s:
                raise UnavailableError(
                    f"{self._centre} has not applied within {self._limits.applied_wait_s_max:.0f} s what was sent",
                    hint="link again later: it goes on where this run ended",
                )
            time.sleep(_POLL_S)
        raise_to(self._seen, self._client.position)

    def _take(self, outcome: "Future[Receipt]") -> None:
        self.rejected += outcome.result().rows_rejected

    def _applied(self) -> bool:
        """Whether the centre shows all that was sent."""
        status = self._client.status(self._centre)
        applied = {log.log: log.applied_lsn for log in status.logs}
        return all(applied.get(log, 0) >= lsn for log, lsn in self._client.position.items())
