"""Loads a city through the hub's real interfaces, and asks both centres what must be known then.

Registries and what is watched go as exchanges of 20,000 rows, events in bulk, each data set under a producer of its
agency: loading again sends the same (producer, sequence) pairs, and adds nothing.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa

from hub.catalogue.load import builtin_contracts
from hub.client import HubClient
from hub.ingest.exchange import Receipt
from simulator.city.answers import KnownAnswer, agrees, known_answers
from simulator.city.contents import contents, is_event
from simulator.city.plan import City

EXCHANGE_ROWS = 20_000
BULK_ROWS = 2_000_000
Progress = Callable[[str, int], None]
"""Called with a data set and how many of its rows were sent."""


@dataclass(slots=True)
class Loaded:
    """What the centres acknowledged: rows a data set, and the position that covers them."""

    rows: dict[str, int] = field(default_factory=dict)
    rows_rejected: int = 0
    exchanges: int = 0
    position: dict[str, int] = field(default_factory=dict)

    def add(self, data_set: str, receipt: Receipt) -> None:
        self.rows[data_set] = self.rows.get(data_set, 0) + receipt.rows
        self.rows_rejected += receipt.rows_rejected
        self.exchanges += 1
        self.position[receipt.log] = max(receipt.lsn, self.position.get(receipt.log, 0))


def load_city(client: HubClient, city: City, progress: Progress = lambda data_set, rows: None) -> Loaded:
    """Returns when everything is on disk in every in-sync centre. Raises HubError."""
    loaded = Loaded()
    for data_set, parts in groupby(contents(city), key=lambda one: one[0]):
        batches = (rows for _, rows in parts)
        send = _bulk if is_event(data_set) else _exchanges
        for outcome in send(client, city, data_set, batches, progress):
            loaded.add(data_set, outcome.result())
    return loaded


def check_city(
    client: HubClient, city: City, position: dict[str, int]
) -> Iterator[tuple[str, KnownAnswer, pa.Table, bool]]:
    """(centre, question, the centre's answer, whether it is the known one), each question at each centre."""
    for known in known_answers(city):
        for centre in client.centres:
            table = client.query(known.sql, centre=centre, at_least=position, query_class="analysis").table()
            yield centre, known, table, agrees(known, table)


def _producer(city: City, data_set: str) -> str:
    return f"{builtin_contracts()[data_set].agency}-city-{city.seed}-{city.scale:g}"


def _exchanges(
    client: HubClient, city: City, data_set: str, batches: Iterator[pa.RecordBatch], progress: Progress
) -> Iterator[Future[Receipt]]:
    contract = client.contract(data_set)
    with client.producer(f"{_producer(city, data_set)}-{data_set}", log=contract.home) as producer:
        outcomes = []
        for sequence, rows in enumerate(_cut(batches), 1):
            outcomes.append(producer.send(data_set, rows, sequence=sequence))
            progress(data_set, rows.num_rows)
        producer.flush()
    yield from outcomes


def _bulk(
    client: HubClient, city: City, data_set: str, batches: Iterator[pa.RecordBatch], progress: Progress
) -> Iterator[Future[Receipt]]:
    bulk = client.bulk(f"{_producer(city, data_set)}-{data_set}")
    outcomes: list[Future[Receipt]] = []
    for sequence, rows in enumerate(_gathered(batches), 1):
        if len(outcomes) >= 2:  # One on its way while the next one is made.
            outcomes[-2].result()
        outcomes.append(bulk.send(data_set, rows, sequence=sequence))
        progress(data_set, rows.num_rows)
    yield from outcomes


def _cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in batches:
        for first in range(0, rows.num_rows, EXCHANGE_ROWS):
            yield rows.slice(first, EXCHANGE_ROWS)


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for one in batches:
        waiting.append(one)
        rows += one.num_rows
        if rows >= BULK_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)
