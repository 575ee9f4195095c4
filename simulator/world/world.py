"""A world of two centres and a witness in one event loop and one seed: the real core, driver, suspicion and witness
host over simulated disks, links, clocks and processes.

    history = World(seed=7).run(at_s(1, Load(writes_per_s=50)), at_s(5, Kill("ops")), at_s(9, Heal()), until_s=30)

All that is random comes from the seed: the same seed and events make the same history, byte for byte.
"""

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog

from replication.core.types import Configuration
from replication.limits import ReplicationLimits
from replication.witness import Decision, Facts
from simulator.world.centre import LOG, Acknowledgements, Centre
from simulator.world.clients import Clients
from simulator.world.faults import LEADER, STANDBY, Event
from simulator.world.history import Broken, Converged, Copy, Ended, Granted, Healed, History, Injected
from simulator.world.loop import LivelockError, Timeline
from simulator.world.network import Network
from simulator.world.node import Node, Setting
from simulator.world.pair import CENTRES
from simulator.world.process import Process
from simulator.world.witness import IDENTITY, WITNESS, WitnessFiles, WitnessServer

FIRST: Final = Configuration(version=1, epoch=1, leader="ops", in_sync=frozenset(CENTRES))
_POLL_S: Final = 0.05
_SLOWEST: Final = 10
_WRITES_PER_S: Final = 5
_READS_PER_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take when nothing is wrong: one way through the network, an fsync, an apply, a decision of the
    witness, the start of a process. In seconds; each link and process draws its own, up to this."""

    way_s: float = 0.002
    write_s: float = 0.003
    apply_s: float = 0.003
    decide_s: float = 0.003
    start_s: float = 0.5


class World:
    """`centres` and `nodes` are keyed by name. `calm_s`: how long it is still watched once it has converged."""

    def __init__(
        self,
        seed: int,
        *,
        limits: ReplicationLimits | None = None,
        pace: Pace | None = None,
        calm_s: float = 0.0,
    ) -> None:
        rng = random.Random(f"world {seed}")
        self.timeline = Timeline()
        self._loop = self.timeline.new_loop()
        self.history = History(seed, self._loop.time)
        self.limits = limits or ReplicationLimits()
        self.network = Network(self._loop, random.Random(f"network {seed}"), (*CENTRES, WITNESS))
        setting = Setting(
            timeline=self.timeline,
            loop=self._loop,
            network=self.network,
            history=self.history,
            limits=self.limits,
            rng=rng,
        )
        self.told = Acknowledgements(FIRST)
        self.centres: Mapping[str, Centre] = {
            name: Centre(name, _other(name), setting, FIRST, self.told) for name in CENTRES
        }
        self.told.centres.update(self.centres)
        self.witness = WitnessNode(setting, self._granted)
        self.nodes: Mapping[str, Node] = {**self.centres, WITNESS: self.witness}
        self.clients = Clients(
            self._loop, random.Random(f"clients {seed}"), self.history, self.centres, lambda: len(self.told.ids)
        )
        self._draw(pace or Pace(), rng)
        self._healed_s = 0.0
        self._calm_s = calm_s
        self._converged_s: float | None = None

    def run(self, *events: Event, until_s: float) -> History:
        """Until then, or until it has converged after a `Heal`, or something is broken."""
        for node in self.nodes.values():
            self._loop.call_soon(node.start)
        for when_s, action in events:
            self._loop.call_at(when_s, action.do, self)
        with _quiet():
            try:
                self.timeline.run(until_s)
            except (AssertionError, LivelockError) as error:
                self.history.add(Broken(who="world", text=repr(error)))
            self.history.add(self._end())
            for node in self.nodes.values():
                node.kill()
            self._loop.close()
        return self.history

    def _draw(self, pace: Pace, rng: random.Random) -> None:
        def drawn(seconds: float) -> float:
            return rng.uniform(seconds / _SLOWEST, seconds)

        for edge in self.network.edges.values():
            edge.base_s = drawn(pace.way_s)
        for centre in self.centres.values():
            centre.faults.write_s, centre.faults.apply_s = drawn(pace.write_s), drawn(pace.apply_s)
        for node in self.nodes.values():
            node.thread_s, node.start_s = drawn(pace.decide_s), drawn(pace.start_s)

    # --- For actions --------------------------------------------------------------------------------------------

    @property
    def standing(self) -> Configuration:
        """What stands at the witness."""
        return self.told.standing

    def named(self, name: str) -> str:
        """The node that a name means now."""
        leader = self.standing.leader
        return {LEADER: leader, STANDBY: _other(leader)}.get(name, name)

    def injected(self, kind: str, text: str) -> None:
        self.history.add(Injected(kind=kind, text=text))

    def start(self, name: str) -> None:
        centre = self.centres.get(name)
        if centre is not None and centre.process is None and centre.files.damaged:
            self.history.note(name, "is wiped by its operator")
            centre.files.wipe()
        self.nodes[name].start()

    def damage(self, name: str) -> None:
        files = self.centres[name].files
        if self._may_lose(name) and files.synced:
            self.injected("damage", f"the disk of {name} is damaged")
            files.damage(self.network.rng)

    def wipe(self, name: str) -> None:
        if self._may_lose(name):
            self.injected("wipe", f"the disk of {name} is lost")
            self.centres[name].files.wipe()

    def hand_over(self) -> None:
        for centre in self.centres.values():
            if centre.driver is not None and centre.driver.leads and centre.process is not None:
                self.injected("hand-over", f"{centre.name} is asked to hand over")
                centre.hand_over()

    def lead(self, name: str) -> None:
        centre = self.centres[name]
        if centre.driver is not None and not centre.driver.leads:
            self.injected("order to lead", f"{name} is told to lead")
            centre.lead()

    def set_maintenance(self, *, on: bool) -> None:
        self.history.note("fault", f"maintenance is {'on' if on else 'off'}")
        self.witness.set_maintenance(on=on)

    def restore(self) -> None:
        for edge, state in self.network.edges.items():
            self.network.mend(*edge)
            state.heal()
        for node in self.nodes.values():
            node.armed = ""
            node.clock.set_rate(1.0)
            node.resume()
            self.start(node.name)
        for centre in self.centres.values():
            centre.faults.heal()
        self.set_maintenance(on=False)
        self.history.note("fault", "none any more")

    def heal(self) -> None:
        self.restore()
        self.history.add(Healed())
        self._healed_s = self._loop.time()
        self.clients.load(writes_per_s=_WRITES_PER_S, reads_per_s=_READS_PER_S)
        self._loop.call_later(_POLL_S, self._poll)

    # --- Healing ------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Once both are in sync and writes and reads are answered the load ends; once all is applied, the world.
        Operators look after a centre that refuses its disk only after they healed the rest."""
        for name in CENTRES:
            self.start(name)
        if self._converged_s is None and self._in_sync():
            self._converged_s = self._loop.time()
            self.history.add(Converged())
            self.clients.load(writes_per_s=0, reads_per_s=0)
        if self._converged_s is not None and self._loop.time() - self._converged_s >= self._calm_s and self._at_rest():
            self.timeline.stop()
        else:
            self._loop.call_later(_POLL_S, self._poll)

    def _in_sync(self) -> bool:
        """And nothing that was begun before may still change that."""
        return (
            self.standing.in_sync == set(CENTRES)
            and min(self.clients.newest_acknowledged_s, self.clients.newest_answered_s) >= self._healed_s
            and not any(self.network.calls_under_way.values())
            and all(centre.settled_on(self.standing) for centre in self.centres.values())
        )

    def _at_rest(self) -> bool:
        if self.clients.waiting or not self._in_sync():
            return False
        ends = {
            (driver.state.end, driver.applied_lsn)
            for centre in self.centres.values()
            if (driver := centre.driver) is not None
        }
        return len(ends) == 1 and all(end.lsn == applied for end, applied in ends)

    def _end(self) -> Ended:
        copies = tuple(
            Copy(
                centre=name,
                log=tuple(centre.files.ids),
                applied=tuple(centre.files.applied),
                log_bytes=len(centre.files.data),
                backlog_bytes_peak=centre.backlog_bytes_peak,
                configuration=centre.driver.state.configuration if centre.driver else None,
            )
            for name, centre in self.centres.items()
        )
        return Ended(standing=self.standing, copies=copies, held=self.told.held(), unhealed=tuple(self._unhealed()))

    def _unhealed(self) -> Iterator[str]:
        for (source, target), edge in self.network.edges.items():
            if edge.wrong:
                yield f"the link from {source} to {target}"
        for name, node in self.nodes.items():
            if node.process is None or node.paused or node.armed:
                yield f"the process of {name}"
        if self.witness.maintenance:
            yield "maintenance"
        for name, centre in self.centres.items():
            if centre.faults.full or centre.faults.fails or centre.faults.stall_s or centre.files.damaged:
                yield f"the disk of {name}"

    def _may_lose(self, name: str) -> bool:
        """Whether one copy more may be lost: the process is down, and the other copy holds everything, also if what
        this centre has asked the witness is granted still."""
        other = _other(name)
        return (
            self.nodes[name].process is None
            and self.centres[name].files.counts
            and self.centres[other].files.counts
            and other in self.standing.in_sync
            and not self.network.calls_under_way[name]
        )

    def _granted(self, decision: Decision) -> None:
        if not decision.changed:
            return
        self.told.standing = decision.after.standings[LOG]
        self.history.add(Granted(configuration=self.told.standing, held=self.told.held()))


class WitnessNode(Node):
    def __init__(self, setting: Setting, granted: Callable[[Decision], None]) -> None:
        super().__init__(WITNESS, setting)
        self._files = WitnessFiles(Facts(identity=IDENTITY, standings={LOG: FIRST}), granted)
        self._server: WitnessServer | None = None

    async def main(self, process: Process) -> None:
        setting = self._setting
        self._server = WitnessServer(
            process, self._files, setting.network, self.clock, centres=CENTRES, limits=setting.limits
        )
        await self._server.run()

    def lost(self, process: Process, *, power_lost: bool) -> None:
        self._server = None

    @property
    def maintenance(self) -> bool:
        return self._files.facts.maintenance

    def set_maintenance(self, *, on: bool) -> None:
        """At once, as if it were on record before; nobody is asked when the witness is down."""
        self._files.facts = replace(self._files.facts, maintenance=on)
        if self._server is not None and self.process is not None:
            self.process.spawn(self._server.set_maintenance(on=on))


def _other(name: str) -> str:
    return CENTRES[1 - CENTRES.index(name)]


@contextmanager
def _quiet() -> Iterator[None]:
    """The drivers' log lines say what the transcript says."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
