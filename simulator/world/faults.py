"""What can be done to a world: faults begin and end, operators act, load changes. Each is a value, so that a schedule
can be read, and done again. `LEADER` and `STANDBY` name whoever is that at the witness when it is done."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from simulator.world.world import World


class Action(Protocol):
    def do(self, world: "World") -> None: ...


LEADER: Final = "the leader"
STANDBY: Final = "the standby"

Event = tuple[float, Action]
"""(virtual time in seconds, what is done then)."""


def at_s(seconds: float, action: Action) -> Event:
    return seconds, action


# --- Processes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    writes_per_s: float = 0.0
    reads_per_s: float = 0.0
    payload_bytes: int = 0

    def do(self, world: "World") -> None:
        world.clients.load(
            writes_per_s=self.writes_per_s, reads_per_s=self.reads_per_s, payload_bytes=self.payload_bytes
        )


@dataclass(frozen=True, slots=True)
class Kill:
    """With -9. `power`: the whole machine, which then does not even refuse connections."""

    name: str
    power: bool = False

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.injected("power loss" if self.power else "kill", f"{name} is killed")
        world.nodes[name].kill(power_lost=self.power)


@dataclass(frozen=True, slots=True)
class Start:
    """A centre whose disk is damaged is wiped first, as its operator does after reading why it refuses."""

    name: str

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.start(name)


@dataclass(frozen=True, slots=True)
class CrashAt:
    """It dies when it gets to the named point for the `count`th time from now on, and is started again."""

    name: str
    point: str
    count: int = 1

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        node = world.nodes[name]
        node.armed, node.armed_after = self.point, self.count


@dataclass(frozen=True, slots=True)
class Pause:
    name: str

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.injected("pause", f"{name} is paused")
        world.nodes[name].pause()


@dataclass(frozen=True, slots=True)
class Resume:
    name: str
    timers_first: bool = False

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.history.note(name, "goes on")
        world.nodes[name].resume(timers_first=self.timers_first)


# --- Network --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing gets from `source` to `target`; the other way, too, unless `one_way`."""

    source: str
    target: str
    one_way: bool = False

    def do(self, world: "World") -> None:
        source, target = world.named(self.source), world.named(self.target)
        kind = "one-way cut" if self.one_way else "cut"
        world.injected(kind, f"{source} is cut off from {target}{', one way' if self.one_way else ''}")
        world.network.cut(source, target)
        if not self.one_way:
            world.network.cut(target, source)


@dataclass(frozen=True, slots=True)
class Mend:
    source: str
    target: str

    def do(self, world: "World") -> None:
        source, target = world.named(self.source), world.named(self.target)
        world.history.note("fault", f"{source} and {target} are connected again")
        world.network.mend(source, target)
        world.network.mend(target, source)


@dataclass(frozen=True, slots=True)
class Reset:
    """All connections between two nodes end, and may be opened again at once."""

    source: str
    target: str

    def do(self, world: "World") -> None:
        source, target = world.named(self.source), world.named(self.target)
        world.injected("reset", f"connections between {source} and {target} are reset")
        world.network.reset(source, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsen:
    """One direction becomes slow and loses messages. Without arguments it is as good as new."""

    source: str
    target: str
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    late: float = 0.0

    def do(self, world: "World") -> None:
        source, target = world.named(self.source), world.named(self.target)
        edge = world.network.edges[source, target]
        edge.delay_s, edge.jitter_s, edge.loss, edge.late = self.delay_s, self.jitter_s, self.loss, self.late
        text = f"{source} to {target}: {self.delay_s:.3f} s, loss {self.loss:.2f}, late {self.late:.2f}"
        if edge.wrong:
            world.injected("late calls" if self.late else "slow link", text)


# --- Disk and clock -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DiskFull:
    name: str
    full: bool = True

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        if self.full:
            world.injected("disk full", f"the disk of {name} is full")
        world.centres[name].faults.full = self.full


@dataclass(frozen=True, slots=True)
class Stall:
    """Each fsync takes `seconds` longer, each apply `apply_s`."""

    name: str
    seconds: float
    apply_s: float = 0.0

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        if self.seconds:
            world.injected("disk stall", f"an fsync at {name} takes {self.seconds:.3f} s")
        if self.apply_s:
            world.injected("slow apply", f"an apply at {name} takes {self.apply_s:.3f} s")
        faults = world.centres[name].faults
        faults.stall_s, faults.apply_stall_s = self.seconds, self.apply_s


@dataclass(frozen=True, slots=True)
class FailFsync:
    """The next one fails: the process ends, and starts again."""

    name: str

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.injected("failed fsync", f"the next fsync at {name} fails")
        world.centres[name].faults.fails = True


@dataclass(frozen=True, slots=True)
class Damage:
    """Of something durable, while the centre is down and the other one holds everything: else it is spared."""

    name: str

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.damage(name)


@dataclass(frozen=True, slots=True)
class Wipe:
    """As `Damage`, but all is gone, and the next start is a blank one."""

    name: str

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.wipe(name)


@dataclass(frozen=True, slots=True)
class Drift:
    """A clock that runs at `rate`."""

    name: str
    rate: float

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        if self.rate != 1:
            world.injected("clock drift", f"the clock of {name} runs at {self.rate:.3f}")
        world.nodes[name].clock.set_rate(self.rate)


@dataclass(frozen=True, slots=True)
class Jump:
    """A clock that jumps ahead."""

    name: str
    seconds: float

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.injected("clock jump", f"the clock of {name} jumps {self.seconds:.3f} s ahead")
        world.nodes[name].clock.jump(self.seconds)


# --- Operators ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandOver:
    """Whoever leads is asked to hand over to the other."""

    def do(self, world: "World") -> None:
        world.hand_over()


@dataclass(frozen=True, slots=True)
class Lead:
    """A centre is asked to lead at once."""

    name: str

    def do(self, world: "World") -> None:
        name = world.named(self.name)
        world.lead(name)


@dataclass(frozen=True, slots=True)
class Maintenance:
    """While it is on nobody is suspected."""

    on: bool

    def do(self, world: "World") -> None:
        world.set_maintenance(on=self.on)


@dataclass(frozen=True, slots=True)
class Restore:
    """All faults end, and the schedule goes on."""

    def do(self, world: "World") -> None:
        world.restore()


@dataclass(frozen=True, slots=True)
class Heal:
    """All faults end for good: once the world has converged, it ends."""

    def do(self, world: "World") -> None:
        world.heal()
