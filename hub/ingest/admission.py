"""The door of one log at a centre: exchanges in, receipts out.

Exchanges wait in a queue; one task takes all that is there, groups it (`group`, in a thread) and proposes the
entries. Grouping runs while the entries before are being persisted and shipped, so batches grow with the load. An
exchange that was accepted before is answered with its first outcome. One that is not acknowledged in time is
answered with a retryable error; its entry stays in the log and may still be committed.

A leadership begins with learning which exchanges the log holds: those of the store, and of the entries after it. While
the log is being handed over, what comes is held; where another centre leads, what was held or is unanswered is told so.
"""

import asyncio
import functools
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from hub.catalogue.contract import Contract
from hub.config import IngestLimits
from hub.errors import HubError, LimitError, NotLeaderError, UnavailableError
from hub.ingest.exchange import Exchange, Receipt
from hub.ingest.group import Accepted, Group, PreparedEntry, build_group, known_contract
from hub.ingest.producers import Sequences
from hub.ingest.sections import decode_sections
from replication.core.types import Entry, Kind
from replication.driver import Driver
from replication.errors import NotLeadingError, ReplicationError

_INLINE_BYTES_MAX: Final = 64 << 10  # Below this, handing over to a thread costs more than the work.

Contracts = Callable[[], Mapping[str, Contract]]
Outcomes = Callable[[Collection[tuple[str, int]]], dict[tuple[str, int], Receipt]]
"""Looks accepted exchanges up in the ledger by (producer, sequence); blocks, runs in a thread."""


@dataclass(slots=True, eq=False)
class _Flight:
    """An entry that was proposed and is not committed."""

    lsn: int
    accepted: tuple[Accepted, ...]
    committed: asyncio.Future[None]
    deadline_s: float
    answered: bool = False


class Admission:
    """Made in the event loop; `run` must be running for anything to be answered."""

    def __init__(
        self,
        driver: Driver,
        *,
        contracts: Contracts,
        outcomes: Outcomes,
        accepted: Callable[[], Awaitable[Sequences]],
        limits: IngestLimits,
        disk_free_bytes: Callable[[], int],
        address_of: Callable[[str], str],
        claim: Callable[[int, Collection[str]], bool],
    ) -> None:
        """`claim` says whether the segments that the entry at an lsn will name are held, and keeps them so."""
        self._driver = driver
        self._log = driver.state.log
        self._contracts = contracts
        self._outcomes = outcomes
        self._accepted = accepted
        self._sequences = Sequences()
        self._inherited_lsn = 0
        self._lookups: set[asyncio.Task[None]] = set()
        self._limits = limits
        self._disk_free_bytes = disk_free_bytes
        self._address_of = address_of
        self._claim = claim
        self._logger = structlog.get_logger()
        self._queue: deque[tuple[Exchange, float]] = deque()
        self._queue_bytes = 0
        self._due = asyncio.Event()
        self._taken = asyncio.Event()
        self._flights: deque[_Flight] = deque()
        self._flying = 0
        self._landing = asyncio.Event()
        self._in_flight: dict[tuple[str, int], tuple[_Flight, Accepted]] = {}
        self.small_s = -math.inf  # When the last one came that brought its rows itself.
        self.exchanges_accepted = 0
        self.rows_accepted = 0
        self.rows_rejected = 0

    @property
    def waiting(self) -> int:
        """Exchanges that were taken in and not answered."""
        return len(self._queue) + len(self._in_flight)

    def submit(self, exchange: Exchange) -> None:
        """Takes an exchange in; the answer goes to `exchange.reply`. Await `room` before the next ones."""
        if error := self._refusal(exchange):
            exchange.reply(Receipt(sequence=exchange.sequence, log=self._log, error=error))
            return
        now_s = time.monotonic()
        if exchange.segments is None:
            self.small_s = now_s
        self._queue.append((exchange, now_s + self._limits.write_wait_ms_max / 1000))
        self._queue_bytes += exchange.size_bytes
        self._due.set()
        if self._queue_bytes >= self._limits.entry_bytes_max:
            self._landing.set()

    def knows(self, key: tuple[str, int]) -> bool:
        """Whether an exchange was accepted before, committed or not: sent again, it needs no rows."""
        return self._sequences.contains(*key)

    def refuse_now(self) -> HubError | None:
        """Why no exchange would be taken now, whatever it holds."""
        if not self._driver.leads:
            return self._not_leader(self._driver.state.configuration.leader)
        free = self._disk_free_bytes()
        if free < self._limits.disk_free_bytes_min:
            return UnavailableError(_disk_is_low(free, self._limits), hint="free space, or ask the operator")
        return None

    async def room(self) -> None:
        """Waits while the queue is full."""
        while self._queue_bytes >= self._limits.queue_bytes_max:
            self._taken.clear()
            await self._taken.wait()

    async def caught_up(self) -> None:
        """Waits until all that the log holds here now is applied. Raises UnavailableError when that takes too long, or
        when this centre may not hold all."""
        state = self._driver.state
        if state.blank or state.centre not in state.configuration.in_sync:
            missing = f"{state.centre} does not hold all of log {self._log} yet"
            raise UnavailableError(missing, hint="ask the other centre")
        try:
            async with asyncio.timeout(self._limits.write_wait_ms_max / 1000):
                await self._driver.applied(state.end.lsn)
        except TimeoutError:
            raise self._not_applied() from None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._leading())
            tasks.create_task(self._expiring())

    def role_changed(self) -> None:
        """To be called when the driver's role or its willingness to take proposals may have changed."""
        self._due.set()
        self._landing.set()

    def _refusal(self, exchange: Exchange) -> HubError | None:
        if not self._driver.leads:
            return self._not_leader(self._driver.state.configuration.leader)
        if exchange.size_bytes > self._limits.exchange_bytes_max:
            return LimitError(
                f"an exchange may have {self._limits.exchange_bytes_max} bytes, this one has {exchange.size_bytes}",
                hint="send it in parts",
            )
        return None

    async def _leading(self) -> None:
        while True:
            while not self._driver.takes_proposals:
                await self._something()
            await self._learn()
            while self._driver.leads:
                if self._queue:
                    await self._group()
                else:
                    await self._something()
            self._refuse_queue()

    async def _something(self) -> None:
        """Waits for an exchange or a change of roles."""
        self._due.clear()
        await self._due.wait()

    async def _learn(self) -> None:
        """Which exchanges the log holds, committed or not."""
        applied_lsn = self._driver.applied_lsn
        sequences = await self._accepted()
        for entry in await self._driver.entries_after(applied_lsn):
            _remember(sequences, entry)
        self._sequences, self._inherited_lsn = sequences, self._driver.state.end.lsn
        epoch = self._driver.state.configuration.epoch
        self._logger.info("takes exchanges", log=self._log, epoch=epoch, inherited_lsn=self._inherited_lsn)

    async def _group(self) -> None:
        exchanges = self._new_ones(self._take())
        if exchanges:
            group = await self._build(exchanges)
            while self._driver.leads and not self._driver.takes_proposals and not self._driver.state.halted:
                await self._something()  # It is being handed over.
            self._propose(group)
        await self._driver.room()
        await self._worth_a_group()

    def _refuse_queue(self) -> None:
        error = self._not_leader(self._driver.state.configuration.leader)
        while self._queue:
            exchange, _ = self._queue.popleft()
            exchange.reply(Receipt(sequence=exchange.sequence, log=self._log, error=error))
        self._queue_bytes = 0
        self._taken.set()

    async def _worth_a_group(self) -> None:
        """Waits while entries are on their way and what is queued would make a small one: it costs the same as a
        large one, and the exchanges that come meanwhile join it."""
        limits = self._limits
        while self._queue_bytes < limits.entry_bytes_max and self._flying >= limits.small_entries_in_flight:
            self._landing.clear()
            await self._landing.wait()

    def _take(self) -> list[Exchange]:
        """As much as one group may hold; one exchange is taken whatever its size, and no key twice."""
        taken: list[Exchange] = []
        keys: set[tuple[str, int]] = set()
        size = 0
        while self._queue and len(taken) < self._limits.group_exchanges_max:
            exchange, _ = self._queue[0]
            if taken and (size + exchange.size_bytes > self._limits.entry_bytes_max or exchange.key in keys):
                break
            self._queue.popleft()
            taken.append(exchange)
            keys.add(exchange.key)
            size += exchange.size_bytes
        self._queue_bytes -= size
        self._taken.set()
        return taken

    def _new_ones(self, exchanges: list[Exchange]) -> list[Exchange]:
        """Answers the exchanges that were accepted before; the others are returned."""
        if not any(self._sequences.contains(*exchange.key) for exchange in exchanges):
            return exchanges
        new: list[Exchange] = []
        applied: list[Exchange] = []
        for exchange in exchanges:
            if not self._sequences.contains(*exchange.key):
                new.append(exchange)
            elif (first := self._in_flight.get(exchange.key)) is not None:
                self._answer_with(exchange, *first)
            else:
                applied.append(exchange)
        if applied:
            lookup = asyncio.create_task(self._answer_from_ledger(applied))
            self._lookups.add(lookup)
            lookup.add_done_callback(self._lookups.discard)
        return new

    def _answer_with(self, exchange: Exchange, flight: _Flight, first: Accepted) -> None:
        """Joins a retry to the flight of its first submission."""
        again = Accepted(
            exchange=exchange,
            batch=first.batch,
            sent_quarantine=None,
            rows=first.rows,
            rows_rejected=first.rows_rejected,
        )
        self._fly(flight.lsn, (again,), flight.committed, duplicate=True)

    async def _answer_from_ledger(self, exchanges: list[Exchange]) -> None:
        """An inherited entry may not be committed yet; a committed one is about to be in the ledger."""
        try:
            async with asyncio.timeout(self._limits.write_wait_ms_max / 1000):
                await self._driver.applied(max(self._inherited_lsn, self._driver.state.commit_lsn))
            receipts = await asyncio.to_thread(self._outcomes, [exchange.key for exchange in exchanges])
        except TimeoutError:
            receipts = {}
        for exchange in exchanges:
            late = Receipt(sequence=exchange.sequence, log=self._log, error=self._too_late(definite=False))
            exchange.reply(receipts.get(exchange.key, late))

    async def _build(self, exchanges: list[Exchange]) -> Group:
        """While entries of earlier leaders are not applied, their contracts are not known: what does not fit the ones
        that are is to come again."""
        behind = self._driver.applied_lsn < self._inherited_lsn
        build = functools.partial(
            build_group,
            exchanges,
            known_contract(self._contracts(), self._log),
            received_at=datetime.now(UTC).replace(tzinfo=None),
            entry_bytes_max=self._limits.entry_bytes_max,
        )
        if sum(exchange.size_bytes for exchange in exchanges) <= _INLINE_BYTES_MAX:
            group = build()
        else:
            group = await asyncio.to_thread(build)
        if behind and group.refused:
            error = self._not_applied()
            return replace(group, refused=tuple((exchange, error) for exchange, _ in group.refused))
        return group

    def _propose(self, group: Group) -> None:
        for exchange, error in group.refused:
            exchange.reply(Receipt(sequence=exchange.sequence, log=self._log, error=error))
        for entry in group.entries:
            try:
                self._propose_entry(entry)
            except NotLeadingError as error:
                self._answer_all(entry.accepted, self._not_leader(error.leader))
            except ReplicationError as error:
                self._answer_all(entry.accepted, UnavailableError(str(error), hint="ask the operator"))

    def _propose_entry(self, entry: PreparedEntry) -> None:
        free = self._disk_free_bytes()
        if free < self._limits.disk_free_bytes_min:
            raise ReplicationError(_disk_is_low(free, self._limits))
        segments = [one.id for each in entry.accepted for one in each.exchange.segments or ()]
        if not self._claim(self._driver.state.end.lsn + 1, segments):
            raise ReplicationError("segments of the exchange are not held any more: send it again")
        lsn, committed = self._driver.propose(entry.kind, entry.payload, entry.payload_hash)
        flight = self._fly(lsn, entry.accepted, committed, duplicate=False)
        for accepted in entry.accepted:
            self._sequences.add(*accepted.exchange.key)
            self._in_flight[accepted.exchange.key] = (flight, accepted)

    def _fly(
        self, lsn: int, accepted: tuple[Accepted, ...], committed: asyncio.Future[None], *, duplicate: bool
    ) -> _Flight:
        deadline_s = time.monotonic() + self._limits.write_wait_ms_max / 1000
        flight = _Flight(lsn, accepted, committed, deadline_s)
        self._flights.append(flight)
        self._flying += 1
        committed.add_done_callback(lambda done: self._landed(flight, done, duplicate=duplicate))
        return flight

    def _landed(self, flight: _Flight, done: asyncio.Future[None], *, duplicate: bool) -> None:
        failed = None if done.cancelled() else done.exception()
        self._flying -= 1
        self._landing.set()
        if not duplicate:
            for accepted in flight.accepted:
                del self._in_flight[accepted.exchange.key]
        if not flight.answered and not done.cancelled():
            flight.answered = True
            if isinstance(failed, NotLeadingError):
                self._answer_all(flight.accepted, self._not_leader(failed.leader, definite=False))
            elif failed is not None:
                self._answer_all(flight.accepted, UnavailableError(str(failed), definite=False))
            else:
                self._acknowledge(flight, duplicate=duplicate)

    def _acknowledge(self, flight: _Flight, *, duplicate: bool) -> None:
        for accepted in flight.accepted:
            accepted.exchange.reply(
                Receipt(
                    sequence=accepted.exchange.sequence,
                    log=self._log,
                    lsn=flight.lsn,
                    rows=accepted.rows,
                    rows_rejected=accepted.rows_rejected,
                    duplicate=duplicate,
                )
            )
            self.rows_accepted += accepted.rows
            self.rows_rejected += accepted.rows_rejected
        self.exchanges_accepted += len(flight.accepted)

    async def _expiring(self) -> None:
        """Answers what waited too long, both before and after it was proposed."""
        while True:
            await asyncio.sleep(0.1)
            now_s = time.monotonic()
            while self._flights and (self._flights[0].answered or self._flights[0].deadline_s < now_s):
                flight = self._flights.popleft()
                if not flight.answered:
                    flight.answered = True
                    self._answer_all(flight.accepted, self._too_late(definite=False))
            while self._queue and self._queue[0][1] < now_s:
                exchange, _ = self._queue.popleft()
                self._queue_bytes -= exchange.size_bytes
                self._taken.set()
                error = self._too_late(definite=True)
                exchange.reply(Receipt(sequence=exchange.sequence, log=self._log, error=error))

    def _too_late(self, *, definite: bool) -> UnavailableError:
        cause = self._driver.blocked or "the standby is slow"
        fate = "nothing was written" if definite else "it may still be committed: send it again with the same sequence"
        return UnavailableError(
            f"not acknowledged within {self._limits.write_wait_ms_max} ms: {cause}", hint=fate, definite=definite
        )

    def _not_applied(self) -> UnavailableError:
        cause = self._driver.blocked or "the store is behind"
        return UnavailableError(f"log {self._log} is not applied to its end yet: {cause}", hint="try again")

    def _answer_all(self, accepted: tuple[Accepted, ...], error: HubError) -> None:
        for one in accepted:
            one.exchange.reply(Receipt(sequence=one.exchange.sequence, log=self._log, error=error))

    def _not_leader(self, leader: str, *, definite: bool = True) -> NotLeaderError:
        return NotLeaderError(
            f"log {self._log} is led by {leader}", leader=leader, address=self._address_of(leader), definite=definite
        )


def _remember(sequences: Sequences, entry: Entry) -> None:
    """Adds the exchanges of an entry that the store does not hold yet."""
    if entry.kind in (Kind.ROWS, Kind.SEGMENTS):
        for section in decode_sections(entry.payload):
            if section.data_set == "exchanges":
                for row in section.rows.select(["producer", "sequence"]).to_pylist():
                    sequences.add(row["producer"], row["sequence"])


def _disk_is_low(free_bytes: int, limits: IngestLimits) -> str:
    return f"{free_bytes >> 20} MiB of disk are free and {limits.disk_free_bytes_min >> 20} MiB must stay free"
