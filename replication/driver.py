"""Carries out what the core decides, for one log at one centre.

Five tasks share the state, all in one event loop: the writer persists (one fsync for all that is queued), the
shipper sends, the applier applies what is committed, the asker asks the witness, the ticker sends heartbeats. Every
event goes through `_step`, which runs the effects in order; what takes time is queued and reported back as an event.
The ticker also asks `suspicion` whether the peer is missing.

This module does no I/O of its own: disk, link, clock and witness are ports.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, assert_never

import structlog

from replication.codec import make_entry
from replication.core.effects import (
    AskWitness,
    Commit,
    Effect,
    Halt,
    Persist,
    Proved,
    SaveConfiguration,
    SendAck,
    Ship,
    Truncate,
)
from replication.core.events import (
    AckReceived,
    AppendReceived,
    ConfigurationLearned,
    Connected,
    Disconnected,
    Event,
    HandOverAsked,
    HandOverCalledOff,
    PeerMissing,
    Persisted,
    ProofAsked,
    Proposed,
    Tick,
)
from replication.core.messages import Append, Message
from replication.core.state import Leader, Replica, may_propose, members
from replication.core.step import step
from replication.core.types import Configuration, Entry, EntryId, Kind
from replication.errors import EntryNotHeldError, LogFullError, NotLeadingError, ReplicationError, WitnessError
from replication.limits import ReplicationLimits
from replication.observation import LogReport, View
from replication.ports import Clock, Disk, Link, Witness
from replication.proofs import Proofs
from replication.queues import LsnWaiters, Proposals, Shipments
from replication.standing import blocked, reason_to_ask, report
from replication.suspicion import Suspicion
from replication.tail import Tail

_HAND_OVER_POLL_S: Final = 0.005
_WANTED_BEATS: Final = 2

Apply = Callable[[str, Sequence[Entry]], Awaitable[None]]
"""Applies committed entries of the named log, in order, each exactly once over any crash."""


Take = Callable[[Sequence[Entry]], int]
"""How many of these entries, received in this order, this centre may hold now. The others are passed over as if they
had been lost on the way: the leader sends them again."""


class Driver:
    """One replica in action. Made in the event loop that runs it; not safe for threads."""

    def __init__(
        self,
        replica: Replica,
        *,
        disk: Disk,
        link: Link,
        clock: Clock,
        witness: Witness,
        apply: Apply,
        limits: ReplicationLimits,
        take: Take = len,
        changed: Callable[[], None] = lambda: None,
        first_probe: int = 1,
    ) -> None:
        """`changed` is called after each change of configuration, role or pending. `first_probe` is a number that no
        earlier start of this log counted to: a random one of 62 bits."""
        self.state = replica
        self.applied_lsn = replica.commit_lsn
        self.connected = False
        self.disk_full = ""
        self._disk = disk
        self._link = link
        self._clock = clock
        self._witness = witness
        self._apply = apply
        self._take = take
        self._limits = limits
        self._changed = changed
        self._suspicion = Suspicion(replica.log, limits, clock.now_s())
        self._suspecting = False
        self._reason = "asked for by the operator"
        self._proofs = Proofs(first_probe)
        self._tail = Tail(limits.tail_bytes_max)
        self._logger = structlog.get_logger().bind(log=replica.log, centre=replica.centre)
        self._to_write: deque[Persist | Truncate] = deque()
        self._to_write_bytes = 0
        self._written_lsn = replica.end.lsn
        self._shipments = Shipments()
        self._to_ask: tuple[Configuration, str] | None = None
        self._wanted_s = 0.0
        self._proposals = Proposals()
        self._waiting_for_applied = LsnWaiters()
        self._write_due = asyncio.Event()
        self._ship_due = asyncio.Event()
        self._ask_due = asyncio.Event()
        self._apply_due = asyncio.Event()
        self._progress = asyncio.Event()
        self._heard_s = self._matched_s = clock.now_s()
        self._begin_epoch()

    async def run(self) -> None:
        """Until cancelled. Raises LogFailedError when the log can no longer be trusted."""
        async with asyncio.TaskGroup() as tasks:
            for work in (self._writer, self._shipper, self._applier, self._asker, self._ticker):
                tasks.create_task(work(), name=f"{self.state.log} {work.__name__}")

    # --- For the host -------------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        return isinstance(self.state.role, Leader)

    @property
    def takes_proposals(self) -> bool:
        return may_propose(self.state)

    @property
    def settled(self) -> bool:
        """Whether this centre leads and has applied all that its leadership began with."""
        role = self.state.role
        return isinstance(role, Leader) and self.takes_proposals and self.applied_lsn >= role.inherited_lsn

    @property
    def relies_on_peer(self) -> bool:
        """Whether nothing is acknowledged that the peer does not hold."""
        return self.state.peer in members(self.state)

    @property
    def blocked(self) -> str:
        """Why nothing can be written through this centre now, or an empty string."""
        return blocked(self.state, connected=self.connected, disk_full=self.disk_full)

    @property
    def suspected(self) -> str:
        """Why the peer would be taken for missing, or an empty string."""
        now_s = self._clock.now_s()
        return self._suspicion.verdict(now_s, leads=self.leads) or self._suspicion.here(now_s)[0]

    def report(self) -> LogReport:
        """For the witness."""
        return report(self.state)

    @property
    def waiting(self) -> int:
        """Entries proposed and not committed."""
        return len(self._proposals)

    @property
    def lag(self) -> tuple[int, int, float]:
        """Leader: entries, bytes (of those in memory) and seconds that the standby is behind; standby: entries and
        bytes known to be committed and not applied, seconds since the leader was heard."""
        now_s = self._clock.now_s()
        if isinstance(self.state.role, Leader):
            entries = self.state.end.lsn - self.state.role.matched_lsn
            behind_s = now_s - self._matched_s if entries else 0.0
            return entries, self._tail.bytes_after(self.state.role.matched_lsn), behind_s
        entries = self.state.role.leader_commit_lsn - self.applied_lsn
        return max(0, entries), self._tail.bytes_after(self.applied_lsn) if entries > 0 else 0, now_s - self._heard_s

    @property
    def first_lsn(self) -> int:
        return self._disk.first_lsn

    @property
    def log_bytes(self) -> int:
        return self._disk.size_bytes

    def propose(
        self, kind: Kind, payload: bytes, payload_hash: bytes | None = None
    ) -> tuple[int, asyncio.Future[None]]:
        """Appends one entry; the future resolves when it is committed. `payload_hash` as in `make_entry`.

        Raises NotLeadingError, or ReplicationError when the log has halted or is being handed over: then nothing was
        appended.
        """
        if not self.leads:
            raise NotLeadingError(self.state.log, self.state.configuration.leader)
        if not self.takes_proposals:
            raise ReplicationError(self.state.halted or self.blocked or f"log {self.state.log} is being handed over")
        epoch = self.state.configuration.epoch
        entry = make_entry(after=self.state.end, epoch=epoch, kind=kind, payload=payload, payload_hash=payload_hash)
        committed = self._proposals.add(entry)
        self._step(Proposed(entries=(entry,)))
        return entry.lsn, committed

    async def room(self) -> None:
        """Waits until another proposal may be made without passing `flight_bytes_max`."""
        while self._proposals.size_bytes >= self._limits.flight_bytes_max:
            await self._wait_for_progress()

    async def prove(self) -> int:
        """Proves that this centre leads, after the call, and returns the lsn that a read must have applied to see
        all that was acknowledged before it. Waits for the proof as long as it takes.

        Raises NotLeadingError or WitnessError.
        """
        epoch, role = self.state.configuration.epoch, self.state.role
        lsn = max(self.state.commit_lsn, role.inherited_lsn) if isinstance(role, Leader) else 0
        proved = False
        while not proved:
            if not self.leads or self.state.blank or self.state.configuration.epoch != epoch:
                raise NotLeadingError(self.state.log, self.state.configuration.leader)
            if self.relies_on_peer:
                probe, answer = self._proofs.ask()
                self._step(ProofAsked(probe=probe))
                proved = await answer
            else:
                version = self.state.configuration.version
                stands = await self._witness.configuration(self.state.log)
                self._step(ConfigurationLearned(configuration=stands))
                proved = stands.version == version
        return lsn

    async def hand_over(self) -> bool:
        """Hands the log to the peer: nothing is proposed any more, the peer confirms the end, the witness grants it.
        Whether another leads on return; if not, it was called off and this centre leads on."""
        self._step(HandOverAsked())
        deadline_s = self._clock.now_s() + self._limits.hand_over_ms_max / 1000
        try:
            while self.leads and not self.state.halted and self._clock.now_s() < deadline_s:
                await self._clock.sleep(_HAND_OVER_POLL_S)
        finally:
            self._step(HandOverCalledOff())
        return not self.leads

    async def lead(self) -> bool:
        """The operator's wish that this centre leads, without waiting for suspicion. Whether it does on return."""
        self._reason = "asked for by the operator"
        deadline_s = self._clock.now_s() + self._limits.hand_over_ms_max / 1000
        while not self.leads and self._clock.now_s() < deadline_s:
            self._step(PeerMissing())
            await self._clock.sleep(_HAND_OVER_POLL_S)
        return self.leads

    async def force(self, configuration: Configuration, reason: str) -> bool:
        """Asks for a configuration on the operator's responsibility; whether it stands. Raises WitnessError."""
        stands = await self._witness.compare_and_swap(self.state.log, configuration, reason)
        self._step(ConfigurationLearned(configuration=stands))
        return stands == configuration

    async def applied(self, lsn: int) -> None:
        """Waits until the entry at `lsn` is applied here."""
        if lsn > self.applied_lsn:
            await self._waiting_for_applied.wait(lsn)

    async def entries_after(self, lsn: int) -> list[Entry]:
        """Every entry after `lsn`, in memory: for the tail between the store and the end of the log at a start."""
        entries: list[Entry] = []
        while lsn < self.state.end.lsn:
            entries += await self._read(lsn, self._limits.apply_bytes_max, self.state.end.lsn)
            lsn = entries[-1].lsn
        return entries

    # --- For the transport --------------------------------------------------------------------------------------

    async def receive(self, message: Message) -> None:
        """Takes a message of the peer; entries wait while too much is queued for the disk. What brings none never
        waits, so that a leader with a full disk goes on hearing its standby."""
        while _brings_entries(message) and self._to_write_bytes > self._limits.persist_backlog_bytes_max:
            await self._wait_for_progress()
        self._heard_s = self._clock.now_s()
        self._suspicion.heard(self._heard_s)
        if isinstance(message, Append):
            taken = message.entries[: self._take(message.entries)] if message.entries else ()
            self._step(AppendReceived(message=replace(message, entries=taken)))
        else:
            self._step(AckReceived(message=message))

    def connection(self, *, up: bool) -> None:
        self.connected = up
        self._step(Connected() if up else Disconnected())

    def gone(self) -> None:
        """A connection to the peer ended and new ones were refused."""
        self._suspicion.gone(self._clock.now_s())
        self._suspect()

    def observe(self, view: View) -> None:
        """What the witness says."""
        self._suspicion.observed(view.peer, self._clock.now_s(), maintenance=view.maintenance)
        for log, standing in view.standings:
            if log == self.state.log:
                self._step(ConfigurationLearned(configuration=standing))
        self._suspect()

    def witness_lost(self) -> None:
        self._suspicion.witness_lost()

    def _suspect(self) -> None:
        verdict = self._suspicion.verdict(self._clock.now_s(), leads=self.leads)
        if bool(verdict) != self._suspecting:
            self._suspecting = bool(verdict)
            self._logger.info("peer missing" if verdict else "peer heard again", reason=verdict)
        if verdict:
            self._reason = f"{self.state.peer} is missing: {verdict}"
            self._step(PeerMissing())

    # --- Events and effects -------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        before, matched_before = self.state, self._matched()
        self.state, effects = step(self.state, event)
        if self.state.configuration.epoch != before.configuration.epoch:
            self._shipments.clear()
        for effect in effects:
            self._run(effect)
        if self.state.configuration is not before.configuration or self.state.pending != before.pending:
            self._reconfigured(before)
        if self._matched() != matched_before or self._matched() == self.state.end.lsn:
            self._matched_s = self._clock.now_s()

    def _run(self, effect: Effect) -> None:
        match effect:
            case SaveConfiguration():
                self._disk.save_configuration(effect.configuration, effect.pending)
                now = effect.configuration
                self._logger.info(
                    "configuration",
                    version=now.version,
                    epoch=now.epoch,
                    leader=now.leader,
                    in_sync=sorted(now.in_sync),
                    pending=sorted(effect.pending or ()),
                )
            case Truncate():
                self._tail.cut(effect.after_lsn)
                self._queue_write(effect, 0)
            case Persist():
                self._tail.extend(effect.entries)
                self._queue_write(effect, sum(entry.size_bytes for entry in effect.entries))
            case SendAck():
                self._link.reply(effect.message)
            case Ship():
                self._shipments.add(effect)
                self._ship_due.set()
            case Commit():
                self._committed(effect.lsn)
            case AskWitness():
                self._to_ask = effect.configuration, reason_to_ask(self.state, effect.configuration, self._reason)
                self._wanted_s = self._clock.now_s()
                self._ask_due.set()
            case Proved():
                self._proofs.proved(effect.probe)
            case Halt():
                self._logger.error("halted", reason=effect.reason)
                self._proposals.fail(ReplicationError(effect.reason))
                self._changed()
            case _:
                assert_never(effect)

    def _reconfigured(self, before: Replica) -> None:
        now = self.state.configuration
        self._proofs.void()
        if now.epoch != before.configuration.epoch:
            self._suspicion.leader_changed(self._clock.now_s())
            self._proposals.fail(NotLeadingError(self.state.log, now.leader, definite=False))
            self._progress.set()
            if isinstance(self.state.role, Leader) and self.connected and not self.state.role.streaming:
                self._step(Connected())
            self._begin_epoch()
        self._changed()

    def _queue_write(self, work: Persist | Truncate, size_bytes: int) -> None:
        self._to_write.append(work)
        self._to_write_bytes += size_bytes
        self._write_due.set()

    def _committed(self, lsn: int) -> None:
        self._proposals.committed(lsn)
        self._apply_due.set()
        self._progress.set()

    def _begin_epoch(self) -> None:
        """A leadership starts with an entry of its own, so that a standby's older tail meets a conflict."""
        if self.takes_proposals and self.state.end.epoch != self.state.configuration.epoch:
            facts = {"epoch": self.state.configuration.epoch, "leader": self.state.centre}
            self.propose(Kind.EPOCH, json.dumps(facts).encode())

    # --- Tasks --------------------------------------------------------------------------------------------------

    async def _writer(self) -> None:
        while True:
            await self._write_due.wait()
            self._write_due.clear()
            while self._to_write:
                work = self._to_write.popleft()
                if isinstance(work, Truncate):
                    await self._disk.truncate(work.after_lsn)
                    self._written_lsn = work.after_lsn
                else:
                    await self._persist(work)

    async def _persist(self, work: Persist) -> None:
        entries = list(work.entries)
        generation = work.generation
        while self._to_write and isinstance(following := self._to_write[0], Persist):
            self._to_write.popleft()
            entries += following.entries
            generation = following.generation
        await self._append(entries)
        self._written_lsn = entries[-1].lsn if entries else self._written_lsn
        self._to_write_bytes -= sum(entry.size_bytes for entry in entries)
        self._progress.set()
        self._step(Persisted(generation=generation, lsn=self._written_lsn))

    async def _append(self, entries: Sequence[Entry]) -> None:
        """A full disk is waited out: what is queued stays in memory, and admission is closed meanwhile."""
        while True:
            try:
                await self._disk.append(entries)
            except LogFullError as error:
                self.disk_full = str(error)
                self._logger.error("disk full", error=str(error))
                await self._clock.sleep(self._limits.disk_retry_ms / 1000)
            else:
                self.disk_full = ""
                return

    async def _shipper(self) -> None:
        while True:
            await self._ship_due.wait()
            self._ship_due.clear()
            while (ship := self._shipments.take()) is not None:
                try:
                    await self._send_range(ship)
                except EntryNotHeldError:
                    await self._send_what_is_left(ship)

    async def _send_range(self, ship: Ship) -> None:
        entries = await self._read(ship.after_lsn, self._limits.ship_bytes_max, ship.through_lsn)
        self._shipments.put_back(ship, entries[-1].lsn if entries else ship.through_lsn)
        await self._send(await self._id_at(ship.after_lsn), tuple(entries))

    async def _send_what_is_left(self, ship: Ship) -> None:
        """The standby lacks entries that are gone here: it needs a snapshot, and finds that out by itself. It goes on
        hearing heartbeats, as of where the log begins."""
        if ship.after_lsn == ship.through_lsn:
            await self._send(await self._id_at(self._disk.first_lsn - 1), ())

    async def _send(self, previous: EntryId, entries: tuple[Entry, ...]) -> None:
        if isinstance(self.state.role, Leader):
            await self._link.send(
                Append(
                    log=self.state.log,
                    configuration=self.state.configuration,
                    previous=previous,
                    commit_lsn=self.state.commit_lsn,
                    entries=entries,
                    probe=self.state.role.probe,
                    relied_on=self.relies_on_peer,
                )
            )

    async def _applier(self) -> None:
        while True:
            await self._apply_due.wait()
            self._apply_due.clear()
            while self.applied_lsn < self.state.commit_lsn:
                started_s = self._clock.now_s()
                entries = await self._read(self.applied_lsn, self._limits.apply_bytes_max, self.state.commit_lsn)
                await self._apply(self.state.log, entries)
                self.applied_lsn = entries[-1].lsn
                self._waiting_for_applied.reached(self.applied_lsn)
                spent_s = self._clock.now_s() - started_s
                await self._clock.sleep(max(0.0, self._limits.apply_interval_ms / 1000 - spent_s))

    async def _asker(self) -> None:
        """One request at a time; only the newest matters. What is still wanted is asked for at every heartbeat: a
        request that waited for the one before and is older than that is wanted no more."""
        while True:
            await self._ask_due.wait()
            self._ask_due.clear()
            assert self._to_ask is not None, "asked for nothing"
            if self._clock.now_s() - self._wanted_s > _WANTED_BEATS * self._limits.heartbeat_ms / 1000:
                continue
            if not self._still_wants(self._to_ask[0]):
                continue
            try:
                stands = await self._witness.compare_and_swap(self.state.log, *self._to_ask)
            except WitnessError as error:
                self._logger.warning("witness lost", error=str(error))
                await self._clock.sleep(self._limits.heartbeat_ms / 1000)
            else:
                self._step(ConfigurationLearned(configuration=stands))

    def _still_wants(self, configuration: Configuration) -> bool:
        """Not a hand-over that was called off meanwhile."""
        role = self.state.role
        if isinstance(role, Leader) and configuration.leader != self.state.centre and not self.state.blank:
            return role.handing_over
        return True

    async def _ticker(self) -> None:
        while True:
            await self._clock.sleep(self._limits.heartbeat_ms / 1000)
            self._suspicion.tick(self._clock.now_s())
            self._step(Tick())
            self._suspect()

    # --- Small helpers ------------------------------------------------------------------------------------------

    async def _read(self, after_lsn: int, bytes_max: int, through_lsn: int) -> list[Entry]:
        if after_lsn >= through_lsn:
            return []
        found = self._tail.read(after_lsn, bytes_max, through_lsn)
        return found if found is not None else await self._disk.read(after_lsn, bytes_max, through_lsn)

    async def _id_at(self, lsn: int) -> EntryId:
        if lsn == self.state.end.lsn:
            return self.state.end
        entry = self._tail.get(lsn)
        return entry.id if entry else await self._disk.id_at(lsn)

    async def _wait_for_progress(self) -> None:
        self._progress.clear()
        await self._progress.wait()

    def _matched(self) -> int:
        return self.state.role.matched_lsn if isinstance(self.state.role, Leader) else self.state.end.lsn


def _brings_entries(message: Message) -> bool:
    return isinstance(message, Append) and bool(message.entries)
