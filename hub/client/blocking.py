"""The blocking client: the asynchronous one, run in a thread of its own."""

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar, Unpack

import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.client.bulk import AsyncBulk, Rows
from hub.client.calls import AsyncHubClient, AsyncQuery, Reading, verify_log
from hub.client.producer import AsyncProducer
from hub.errors import HubError
from hub.ingest.exchange import Receipt
from hub.ingest.sections import Operation
from hub.query.named import NamedQuery
from hub.query.scheduler import QueryFacts
from hub.rpc.v1 import alert_pb2
from hub.status import CentreStatus, Digest, FailoverPreview, RoleChange, Step

Result = TypeVar("Result")
_END_S_MAX = 1.0


class _LoopThread:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="hub client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine to its end; an interruption of the caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def each(self, items: AsyncIterator[Result]) -> Iterator[Result]:
        """The items as they come; the source is closed when the caller asks for no more."""

        async def following() -> Result | None:
            return await anext(items, None)

        try:
            while (item := self.run(following())) is not None:
                yield item
        finally:
            if isinstance(items, AsyncGenerator):
                self.run(items.aclose())

    def close(self) -> None:
        self.run(_others_end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class QueryResult:
    """An answer: `position` it reflects exactly, `reader` its batches as they arrive. Close or exhaust it."""

    def __init__(self, thread: _LoopThread, query: AsyncQuery) -> None:
        self._thread = thread
        self._query = query
        self.position = query.position
        self.reader: pa.RecordBatchReader = pa.ipc.open_stream(_PartsFile(thread, query))

    def table(self) -> pa.Table:
        return self.reader.read_all()

    def cancel(self) -> None:
        """Ends the query at the centre too; safe from another thread."""
        self._thread.loop.call_soon_threadsafe(self._query.cancel)


class _PartsFile(io.RawIOBase):
    """The parts of an answer as one readable file."""

    def __init__(self, thread: _LoopThread, query: AsyncQuery) -> None:
        super().__init__()
        self._thread = thread
        self._query = query
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found: list[memoryview] = []
        missing = size
        while size < 0 or missing > 0:
            if not self._rest:
                part = self._thread.run(self._query.part())
                if part is None:
                    break
                self._rest = memoryview(part)
            taken = self._rest if size < 0 else self._rest[:missing]
            self._rest = self._rest[len(taken) :]
            found.append(taken)
            missing -= len(taken)
        return b"".join(found)


class Producer:
    """Blocking face of `AsyncProducer`; use as a context manager, which waits for every outcome at its end."""

    def __init__(self, thread: _LoopThread, client: AsyncHubClient, producer: AsyncProducer) -> None:
        self._thread = thread
        self._client = client
        self._producer = producer

    @property
    def name(self) -> str:
        return self._producer.name

    def __enter__(self) -> "Producer":
        self._thread.run(self._producer.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self._producer.__aexit__(kind, error, trace))

    def send(
        self,
        data_set: str,
        rows: pa.RecordBatch,
        *,
        operation: Operation | None = None,
        sequence: int | None = None,
        quarantine: pa.RecordBatch | None = None,
    ) -> "Future[Receipt]":
        """As `AsyncProducer.send`; waits while the window is full. The future's result may raise HubError."""
        outcome: Future[Receipt] = Future()

        async def send() -> None:
            await self._client.contract(data_set)
            sent = await self._producer.send(
                data_set, rows, operation=operation, sequence=sequence, quarantine=quarantine
            )
            sent.add_done_callback(lambda done: _hand_over(done, outcome))

        self._thread.run(send())
        return outcome

    def flush(self) -> None:
        """Waits until every exchange has its outcome."""
        self._thread.run(self._producer.flush())


class Bulk:
    """Blocking face of `AsyncBulk`."""

    def __init__(self, thread: _LoopThread, client: AsyncHubClient, bulk: AsyncBulk) -> None:
        self._thread = thread
        self._client = client
        self._bulk = bulk

    @property
    def name(self) -> str:
        return self._bulk.name

    def send(self, data_set: str, rows: Rows, *, sequence: int) -> "Future[Receipt]":
        """As `AsyncBulk.send`, but returns at once; the future's result may raise HubError. The rows stay in memory
        until then: wait for earlier futures to bound it."""

        async def send() -> Receipt:
            return await self._bulk.send(await self._client.contract(data_set), rows, sequence=sequence)

        return asyncio.run_coroutine_threadsafe(send(), self._thread.loop)


class HubClient:
    """Blocking client of both centres; see `AsyncHubClient` for what each call does. Close it, or use `with`."""

    def __init__(self, addresses: Mapping[str, str], *, session: bool = False) -> None:
        self._thread = _LoopThread()
        self._client = AsyncHubClient(addresses, session=session)

    def __enter__(self) -> "HubClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._thread.run(self._client.__aexit__(None, None, None))
        self._thread.close()

    @property
    def centres(self) -> tuple[str, ...]:
        return self._client.centres

    def contracts(self, *, centre: str | None = None) -> dict[str, Contract]:
        return self._thread.run(self._client.contracts(centre=centre))

    def contract(self, data_set: str) -> Contract:
        return self._thread.run(self._client.contract(data_set))

    def apply_contract(self, contract: Contract) -> tuple[int, bool]:
        return self._thread.run(self._client.apply_contract(contract))

    def producer(
        self, name: str | None = None, *, log: str = "ops", window_max: int = 32, patience_s: float = 30.0
    ) -> Producer:
        async def make() -> AsyncProducer:
            return self._client.producer(name, log=log, window_max=window_max, patience_s=patience_s)

        return Producer(self._thread, self._client, self._thread.run(make()))

    def bulk(self, name: str | None = None, *, in_flight_max: int = 4, patience_s: float = 60.0) -> Bulk:
        async def make() -> AsyncBulk:
            return self._client.bulk(name, in_flight_max=in_flight_max, patience_s=patience_s)

        return Bulk(self._thread, self._client, self._thread.run(make()))

    @property
    def position(self) -> dict[str, int]:
        return dict(self._client.position)

    def query(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = (), **how: Unpack[Reading]
    ) -> QueryResult:
        return QueryResult(self._thread, self._thread.run(self._client.query(sql, parameters, **how)))

    def query_named(
        self, name: str, parameters: Mapping[str, object] | None = None, *, version: int = 0, **how: Unpack[Reading]
    ) -> QueryResult:
        asking = self._client.query_named(name, parameters, version=version, **how)
        return QueryResult(self._thread, self._thread.run(asking))

    def named_queries(self, *, centre: str | None = None) -> list[NamedQuery]:
        return self._thread.run(self._client.named_queries(centre=centre))

    def queries(self, centre: str) -> list[QueryFacts]:
        return self._thread.run(self._client.queries(centre))

    def kill_query(self, centre: str, query_id: str) -> None:
        self._thread.run(self._client.kill_query(centre, query_id))

    def set_mode(self, name: str, *, reason: str, asked_by: str = "") -> tuple[int, bool]:
        return self._thread.run(self._client.set_mode(name, reason=reason, asked_by=asked_by))

    def watch_alerts(
        self, after: Mapping[str, int] | None = None, *, centre: str | None = None
    ) -> Iterator[tuple[list[alert_pb2.Alert], dict[str, int]]]:
        return self._thread.each(self._client.watch_alerts(after, centre=centre))

    def watch_contracts(
        self, after: Mapping[str, int] | None = None, *, centre: str | None = None
    ) -> Iterator[tuple[list[Contract], dict[str, int]]]:
        return self._thread.each(self._client.watch_contracts(after, centre=centre))

    def status(self, centre: str) -> CentreStatus:
        return self._thread.run(self._client.status(centre))

    def statuses(self) -> dict[str, CentreStatus | HubError]:
        return self._thread.run(self._client.statuses())

    def switchover(self, log: str, to: str) -> Iterator[Step]:
        return self._thread.each(self._client.switchover(log, to))

    def failover(self, log: str, to: str, *, allow_data_loss: bool = False) -> Iterator[Step]:
        return self._thread.each(self._client.failover(log, to, allow_data_loss=allow_data_loss))

    def preview_failover(self, log: str, to: str) -> FailoverPreview:
        return self._thread.run(self._client.preview_failover(log, to))

    def history(self) -> list[RoleChange]:
        return self._thread.run(self._client.history())

    def set_maintenance(self, *, on: bool) -> bool:
        return self._thread.run(self._client.set_maintenance(on=on))

    def rebuild_witness(self) -> Iterator[Step]:
        return self._thread.each(self._client.rebuild_witness())

    def verify_log(self, log: str) -> tuple[int, dict[str, list[Digest]]]:
        return self._thread.run(verify_log(self._client, log))


async def _others_end() -> None:
    """Lets calls that were cancelled come to their end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_END_S_MAX)


def _hand_over(done: "asyncio.Future[Receipt]", outcome: "Future[Receipt]") -> None:
    if done.cancelled():
        outcome.cancel()
    elif (error := done.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())
