"""A steady load of small exchanges in the background of a drill, which remembers what became of each.

The load is open: every exchange has its time in the schedule and is sent then, whether the earlier ones are answered
or not, as agencies do. So an outage shows in full, in the exchanges that wait through it.
"""

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import pairwise
from types import TracebackType
from typing import Final

import pyarrow as pa

from hub.client import HubClient
from hub.errors import BadRequestError, HubError
from hub.ingest.exchange import Receipt

_WINDOW_MAX: Final = 1 << 20  # So many unanswered that the window never closes the load.


class Outcome(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"  # Definitely not written: it does not fit, or it was never sent.
    UNKNOWN = "unknown"  # The producer gave up; it may have been written, at most once.


@dataclass(slots=True, kw_only=True)
class SentExchange:
    """Times by `time.monotonic`. `sent_s` is its time in the schedule. Without an outcome it is under way."""

    sequence: int
    sent_s: float
    acknowledged_s: float | None = None
    outcome: Outcome | None = None
    receipt: Receipt | None = None
    error: BaseException | None = None


class SteadyLoad:
    """Sends batches of one data set in turn, about `per_s` a second, until stopped, to the log that is the data set's
    home. Use as a context manager: leaving it waits until every exchange has its outcome.

    After `patience_s` without any answer what is unanswered becomes unknown, and the load goes on. `exchanges` lists
    all in the order of their sequences, 1, 2, 3 … Two logs take two loads, with a producer each.
    """

    def __init__(
        self,
        client: HubClient,
        data_set: str,
        batches: Sequence[pa.RecordBatch],
        *,
        producer: str,
        per_s: float,
        patience_s: float = 60.0,
    ) -> None:
        self.producer = producer
        self.log = client.contract(data_set).home
        self.exchanges: list[SentExchange] = []
        self._client = client
        self._data_set = data_set
        self._batches = batches
        self._per_s = per_s
        self._patience_s = patience_s
        self._stopping = threading.Event()
        self._acknowledged_s: list[float] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="steady load")

    def __enter__(self) -> "SteadyLoad":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def acknowledged(self) -> int:
        return len(self._acknowledged_s)

    def sequences(self, outcome: Outcome) -> list[int]:
        """After the end. Raises the error that ended the load early, if one did."""
        self._check()
        return [one.sequence for one in self.exchanges if one.outcome is outcome]

    def acknowledged_receipts(self) -> list[Receipt]:
        """After the end. Raises the error that ended the load early, if one did."""
        self._check()
        return [one.receipt for one in self.exchanges if one.receipt is not None]

    def receipts(self) -> list[Receipt]:
        """After the end, for drills in which every exchange must be acknowledged: raises the first error."""
        self._check()
        for one in self.exchanges:
            if one.error is not None:
                raise one.error
        return self.acknowledged_receipts()

    def longest_pause_s(self) -> float:
        """Longest time between two acknowledgements."""
        times = sorted(self._acknowledged_s)
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def outage(self, after_s: float) -> tuple[float, float]:
        """The longest time without an acknowledgement that ended after a moment (`time.monotonic`): when the last one
        before came, which may lie before the moment, and the first one after. Infinite when none came."""
        times = sorted(self._acknowledged_s)
        later = [one for one in times if one > after_s] or [math.inf]
        first = max((one for one in times if one <= after_s), default=after_s)
        return max(pairwise([first, *later]), key=lambda pair: pair[1] - pair[0])

    def outage_s(self, after_s: float) -> float:
        """Length of that outage."""
        before, after = self.outage(after_s)
        return after - before

    def _check(self) -> None:
        assert not self._thread.is_alive(), "the load still runs"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            started_s = time.monotonic()
            while not self._stopping.is_set():
                with suppress(HubError):  # The producer gave up: what it held is unknown, and another one goes on.
                    self._converse(started_s)
        except BaseException as error:  # handed to the drill, which must not hang
            self._error = error

    def _converse(self, started_s: float) -> None:
        client = self._client
        with client.producer(
            self.producer, log=self.log, window_max=_WINDOW_MAX, patience_s=self._patience_s
        ) as producer:
            while True:
                number = len(self.exchanges)
                sent_s = started_s + number / self._per_s
                if self._stopping.wait(max(0.0, sent_s - time.monotonic())):
                    return
                one = SentExchange(sequence=number + 1, sent_s=sent_s)
                self.exchanges.append(one)
                try:
                    batch = self._batches[number % len(self._batches)]
                    future = producer.send(self._data_set, batch, sequence=one.sequence)
                except HubError as error:
                    one.outcome, one.error = Outcome.REFUSED, error
                    raise
                future.add_done_callback(partial(self._done, one))

    def _done(self, one: SentExchange, future: "Future[Receipt]") -> None:
        now_s = time.monotonic()
        try:
            one.receipt = future.result()
        except (CancelledError, HubError) as error:
            # Only what cannot fit is surely not there: another answer may follow an attempt that was taken.
            one.outcome = Outcome.REFUSED if isinstance(error, BadRequestError) else Outcome.UNKNOWN
            one.error = error
        else:
            one.outcome, one.acknowledged_s = Outcome.ACKNOWLEDGED, now_s
            self._acknowledged_s.append(now_s)
