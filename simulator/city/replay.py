"""A day of the city through the hub's real interfaces: every source unit is a producer of its own.

    for each slice of the day: for each feed the slice's rows → exchanges → the unit's producer → receipts

`speed` is how many seconds of the city pass in one; 0 waits for nobody. Sending a day again, after whatever broke it
off, sends the same (producer, sequence) pairs: what was accepted is recognised, the rest is added.
"""

import asyncio
import time
from array import array
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from hub.client import AsyncHubClient, AsyncProducer
from hub.ingest.exchange import Receipt
from simulator.city.day import Feed
from simulator.city.feeds import FEEDS
from simulator.city.plan import City

_DAY_S: Final = 86_400
_SLICE_EXCHANGES: Final = 20_000
_SLICES_MIN: Final = 24
_WINDOW: Final = 256


@dataclass(slots=True)
class Replayed:
    """What was acknowledged: latencies are in ms, one an exchange."""

    exchanges: int = 0
    rows: int = 0
    rows_rejected: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    by_agency: dict[str, int] = field(default_factory=dict)
    position: dict[str, int] = field(default_factory=dict)
    latencies_ms: "array[float]" = field(default_factory=lambda: array("d"))

    def latency_ms(self, percentile: float) -> float:
        return float(np.percentile(self.latencies_ms, percentile)) if self.latencies_ms else 0.0

    def facts(self) -> dict[str, Any]:
        return {
            "exchanges": self.exchanges,
            "rows": self.rows,
            "rows_rejected": self.rows_rejected,
            "duplicates": self.duplicates,
            "seconds": self.seconds,
            "by_agency": self.by_agency,
            "position": self.position,
            "latency_ms": {"p50": self.latency_ms(50), "p99": self.latency_ms(99)},
        }

    def add(self, agency: str, sent_s: float, receipt: Receipt) -> None:
        self.latencies_ms.append((time.perf_counter() - sent_s) * 1_000)
        self.exchanges += 1
        self.rows += receipt.rows
        self.rows_rejected += receipt.rows_rejected
        self.duplicates += receipt.duplicate
        self.by_agency[agency] = self.by_agency.get(agency, 0) + 1
        self.position[receipt.log] = max(receipt.lsn, self.position.get(receipt.log, 0))


def replay_day(
    addresses: dict[str, str],
    city: City,
    *,
    day: int,
    speed: float = 0.0,
    hours: float = 24.0,
    progress: Callable[[int], None] = lambda count: None,
) -> Replayed:
    """Returns when every exchange is acknowledged. `progress` is called with counts of them. Raises HubError."""
    return asyncio.run(_replay(addresses, city, day, speed, hours, progress))


async def _replay(
    addresses: dict[str, str], city: City, day: int, speed: float, hours: float, progress: Callable[[int], None]
) -> Replayed:
    done = Replayed()
    slices = max(_SLICES_MIN, -(-city.exchanges_a_day // _SLICE_EXCHANGES))
    started_s = time.perf_counter()
    async with AsyncHubClient(addresses) as client, AsyncExitStack() as stack:
        for feed in FEEDS:
            await client.contract(feed.data_set)
        units = {
            name: await stack.enter_async_context(client.producer(name, log=log, window_max=_WINDOW))
            for name, log in _producers(city, day)
        }
        for number in range(round(slices * hours / 24)):
            if speed:
                await asyncio.sleep(started_s + number * _DAY_S / slices / speed - time.perf_counter())
            before = done.exchanges
            async with asyncio.TaskGroup() as tasks:
                for name, producer in units.items():
                    feeds = [feed for feed in FEEDS if _producer(city, day, feed) == name]
                    tasks.create_task(_slice(producer, city, feeds, day, number, slices, done))
            progress(done.exchanges - before)
        for producer in units.values():
            await producer.flush()
    done.seconds = time.perf_counter() - started_s
    return done


async def _slice(
    producer: AsyncProducer, city: City, feeds: list[Feed], day: int, number: int, slices: int, done: Replayed
) -> None:
    """The exchanges of one unit in one slice of the day."""
    offset = 0
    for feed in feeds:
        total = feed.exchanges_of(city)
        first, end = total * number // slices, total * (number + 1) // slices
        if first < end:
            rows, agency = feed.batch(city, day, first * feed.rows, end * feed.rows), feed.contract.agency
            for place in range(end - first):
                sent_s = time.perf_counter()
                receipt = await producer.send(
                    feed.data_set, rows.slice(place * feed.rows, feed.rows), sequence=offset + first + place + 1
                )
                receipt.add_done_callback(partial(_received, done, agency, sent_s))
        offset += total


def _received(done: Replayed, agency: str, sent_s: float, receipt: "asyncio.Future[Receipt]") -> None:
    done.add(agency, sent_s, receipt.result())


def _producers(city: City, day: int) -> list[tuple[str, str]]:
    return sorted({(_producer(city, day, feed), feed.contract.home) for feed in FEEDS})


def _producer(city: City, day: int, feed: Feed) -> str:
    """One a unit, day and log."""
    contract = feed.contract
    return f"{contract.agency}-city-{city.seed}-{city.scale:g}-day-{day}-{contract.home}"
