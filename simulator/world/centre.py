"""One centre of a simulated world: the real core, driver and suspicion over simulated disk, link, clock and witness.

A start is as a hub's: the log is recovered, the configuration loaded; a centre without one asks the witness what
stands. Only then connections are taken.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from replication.core.events import Event
from replication.core.invariants import violations
from replication.core.state import Replica, extend_epochs, recover
from replication.core.types import ORIGIN, Configuration, EntryId, Kind
from replication.driver import Driver
from replication.errors import LogDamagedError, LogFailedError, NotLeadingError, ReplicationError, WitnessError
from simulator.world.clients import Request
from simulator.world.connection import End
from simulator.world.disk import DiskFaults, FakeDisk, Files
from simulator.world.history import Broken, Committed, Halted, Held, Read
from simulator.world.link import REPLICATE, SimulatedLink
from simulator.world.node import Node, Setting
from simulator.world.process import Process
from simulator.world.witness import WitnessLine

LOG: Final = "ops"
_PROBE_BITS: Final = 62
_WITNESS_RETRY_S: Final = 0.1


class WatchedDriver(Driver):
    """The real driver; `watch` sees it after every step, with the state before."""

    def __init__(self, replica: Replica, *, watch: "Callable[[WatchedDriver, Replica], None]", **ports: object) -> None:
        self._watch = watch
        super().__init__(replica, **ports)  # type: ignore[arg-type]  # as the caller gave them

    @property
    def backlog_bytes(self) -> int:
        """Queued for the disk."""
        return self._to_write_bytes

    @property
    def flight_bytes(self) -> int:
        """Proposed and not committed."""
        return self._proposals.size_bytes

    def _step(self, event: Event) -> None:
        before = self.state
        super()._step(event)
        if self.state is not before:
            self._watch(self, before)


class Centre(Node):
    """`judge(lsn, id)` tells the world of acknowledged entries, and `held` what each copy holds then."""

    expected = (LogDamagedError, LogFailedError)
    fatal = (LogDamagedError,)

    def __init__(self, name: str, peer: str, setting: Setting, first: Configuration, world: "Acknowledgements") -> None:
        super().__init__(name, setting)
        self.peer = peer
        self.files = Files(saved=(first, None))
        self.faults = DiskFaults()
        self.driver: WatchedDriver | None = None
        self.backlog_bytes_peak = 0
        self._orders = 0
        self._requests: dict[Request, None] = {}
        self._world = world
        self._commit_seen = 0

    # --- The process --------------------------------------------------------------------------------------------

    async def main(self, process: Process) -> None:
        setting, files = self._setting, self.files
        entries = files.recover()
        line = WitnessLine(process, setting.network, setting.rng, self.clock, setting.limits)
        saved = files.saved or (await self._standing(line), None)
        replica = recover(
            log=LOG,
            centre=self.name,
            peer=self.peer,
            configuration=saved[0],
            pending=saved[1],
            end=entries[-1].id if entries else ORIGIN,
            epochs=extend_epochs((), entries),
            applied_lsn=len(files.applied),
            ship_window_entries_max=setting.limits.ship_window_entries_max,
            blank=files.saved is None,
        )
        disk = FakeDisk(files, entries, self.faults, process, setting.history)
        link = SimulatedLink(
            process, self.peer, setting.network, rng=setting.rng, limits=setting.limits, history=setting.history
        )
        self._commit_seen = replica.commit_lsn
        driver = WatchedDriver(
            replica,
            watch=self._watched,
            disk=disk,
            link=link,
            clock=self.clock,
            witness=line,
            apply=disk.apply,
            limits=setting.limits,
            changed=line.beat_now,
            first_probe=setting.rng.getrandbits(_PROBE_BITS),
        )
        self.driver = driver

        def accept(end: End, purpose: str) -> None:
            if purpose == REPLICATE:
                process.spawn(link.serve(end, driver))

        process.accept = accept
        async with asyncio.TaskGroup() as tasks:
            for work in (driver.run(), link.run(driver), line.run(driver)):
                tasks.create_task(work)

    async def _standing(self, line: WitnessLine) -> Configuration:
        while True:
            try:
                return await line.configuration(LOG)
            except WitnessError:
                await self.clock.sleep(_WITNESS_RETRY_S)

    def lost(self, process: Process, *, power_lost: bool) -> None:
        self.driver, self._orders = None, 0
        self.files.crash(self._setting.rng, power_lost=power_lost)
        requests, self._requests = self._requests, {}
        for request in requests:
            request.answer("unknown", 0, "")

    # --- For operators ------------------------------------------------------------------------------------------

    def hand_over(self) -> None:
        self._order(lambda driver: driver.hand_over())

    def lead(self) -> None:
        self._order(lambda driver: driver.lead())

    def _order(self, order: Callable[[Driver], Coroutine[Any, Any, bool]]) -> None:
        process, driver = self.process, self.driver
        if process is None or driver is None:
            return

        async def carry_out() -> None:
            self._orders += 1
            done = await order(driver)
            self._orders -= 1
            self._setting.history.note(self.name, "has done what it was told" if done else "could not do it")

        process.loop.call_soon(lambda: process.spawn(carry_out()))

    def settled_on(self, configuration: Configuration) -> bool:
        """Whether it knows that this stands, and neither asks for another nor does what it was told."""
        if self.driver is None or self._orders:
            return False
        return self.driver.state.configuration == configuration and self.driver.state.pending is None

    # --- Watching -----------------------------------------------------------------------------------------------

    def _watched(self, driver: WatchedDriver, before: Replica) -> None:
        state, history = driver.state, self._setting.history
        if wrong := violations(state):
            self._break("; ".join(wrong))
        self.backlog_bytes_peak = max(self.backlog_bytes_peak, driver.backlog_bytes)
        if state.commit_lsn > self._commit_seen:
            if driver.leads:
                self._acknowledge(state)
            self._commit_seen = state.commit_lsn
        if state.halted and not before.halted:
            history.add(Halted(centre=self.name, reason=state.halted))

    def _break(self, text: str) -> None:
        self._setting.history.add(Broken(who=self.name, text=text))
        self._setting.timeline.stop()

    def _acknowledge(self, state: Replica) -> None:
        entries = tuple(self.files.ids[self._commit_seen : state.commit_lsn])
        if len(self.files.ids) < state.commit_lsn:
            self._break(f"acknowledges {state.commit_lsn} and has {len(self.files.ids)} on its own disk")
            return
        held = self._world.acknowledged(self._commit_seen, entries)
        self._setting.history.add(
            Committed(
                centre=self.name,
                epoch=state.configuration.epoch,
                entries=entries,
                standing=self._world.standing,
                held=held,
            )
        )

    # --- For clients, called in the process ---------------------------------------------------------------------

    def write(self, request: Request) -> None:
        driver = self.driver
        if driver is None or driver.flight_bytes >= self._setting.limits.flight_bytes_max:
            request.answer("refused", 0, "")
            return
        self._requests[request] = None
        try:
            lsn, committed = driver.propose(Kind.ROWS, request.payload)
        except NotLeadingError as error:
            self._answer(request, "refused", leader=error.leader)
        except ReplicationError:
            self._answer(request, "refused")
        else:
            committed.add_done_callback(lambda done: self._committed(request, lsn, done))

    def _committed(self, request: Request, lsn: int, done: "asyncio.Future[None]") -> None:
        if done.cancelled():
            return
        if done.exception() is None:
            self._answer(request, "acknowledged", lsn=lsn)
        else:
            self._answer(request, "unknown")

    def read(self, request: Request) -> None:
        if self.process is not None and self.driver is not None:
            self.process.spawn(self._read(request, self.driver))

    async def _read(self, request: Request, driver: Driver) -> None:
        self._requests[request] = None
        try:
            await driver.applied(await driver.prove())
        except ReplicationError:
            self._answer(request, "refused")
            return
        seen_lsn = len(self.files.applied)
        self._setting.history.add(
            Read(centre=self.name, began_s=request.began_s, floor_lsn=request.floor_lsn, seen_lsn=seen_lsn)
        )
        self._answer(request, "acknowledged")

    def _answer(self, request: Request, outcome: str, *, lsn: int = 0, leader: str = "") -> None:
        if request in self._requests:
            del self._requests[request]
            request.answer(outcome, lsn, leader)


class Acknowledgements:
    """What any client was told, by lsn; the first to say so defines it. `standing` is what stands at the witness."""

    def __init__(self, first: Configuration) -> None:
        self.standing = first
        self.centres: dict[str, Centre] = {}
        self.ids: list[EntryId] = []

    def acknowledged(self, after_lsn: int, entries: tuple[EntryId, ...]) -> Held:
        new = entries[max(0, len(self.ids) - after_lsn) :]
        self.ids += new
        return self.held()

    def held(self) -> Held:
        """As `simulator.world.history.Held`."""
        lsn = len(self.ids)
        return tuple((name, _at(centre.files.ids, lsn)) for name, centre in self.centres.items() if centre.files.counts)


def _at(ids: list[EntryId], lsn: int) -> EntryId | None:
    if lsn == 0:
        return ORIGIN
    return ids[lsn - 1] if len(ids) >= lsn else None
