"""A steady load of small exchanges in the background of a drill, which remembers every receipt."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import pairwise
from types import TracebackType

import pyarrow as pa

from hub.client import HubClient
from hub.ingest.exchange import Receipt


class SteadyLoad:
    """Sends batches of one data set in turn, about `per_s` a second, until stopped. Use as a context manager:
    leaving it waits until every exchange has its outcome."""

    def __init__(
        self, client: HubClient, data_set: str, batches: Sequence[pa.RecordBatch], *, producer: str, per_s: float
    ) -> None:
        self.producer = producer
        self._client = client
        self._data_set = data_set
        self._batches = batches
        self._per_s = per_s
        self._stopping = threading.Event()
        self._futures: list[Future[Receipt]] = []
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

    def receipts(self) -> list[Receipt]:
        """After the end. Raises the error of an exchange that has none."""
        if self._error is not None:
            raise self._error
        return [future.result() for future in self._futures]

    def longest_pause_s(self) -> float:
        """Longest time between two acknowledgements."""
        times = sorted(self._acknowledged_s)
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def _run(self) -> None:
        try:
            with self._client.producer(self.producer, window_max=256, patience_s=60.0) as producer:
                started_s = time.monotonic()
                while not self._stopping.is_set():
                    number = len(self._futures)
                    future = producer.send(self._data_set, self._batches[number % len(self._batches)])
                    future.add_done_callback(self._done)
                    self._futures.append(future)
                    time.sleep(max(0.0, started_s + number / self._per_s - time.monotonic()))
        except BaseException as error:  # handed to the drill, which must not hang
            self._error = error

    def _done(self, future: "Future[Receipt]") -> None:
        if not future.cancelled() and future.exception() is None:
            self._acknowledged_s.append(time.monotonic())
