"""Two cores of one log and a witness, on an adversarial network and disk: every choice is the caller's, nothing is
random here.

Messages, those to and from the witness too, may be lost, delayed, doubled and reordered without limit. A crash loses
what was not fsynced, except a prefix that the caller chooses. Anybody may be suspected at any time, a leadership handed
over and that called off again, and one copy's disk lost for good while the other copy holds everything. `acknowledged`
remembers what any client was ever told, and `check` holds every state against it.
"""

from collections import deque
from dataclasses import dataclass, field, replace

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
    Proposed,
    Tick,
)
from replication.core.invariants import violations
from replication.core.messages import Ack, Append
from replication.core.state import Leader, Replica, extend_epochs, may_propose, members, recover
from replication.core.step import step
from replication.core.types import ORIGIN, Configuration, Entry, EntryId, Kind

CENTRES = ("ops", "ecc")
WITNESS = "witness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """To the witness: put `configuration` in force if the version before it stands."""

    sender: str
    configuration: Configuration


Message = Append | Ack | Request | Configuration


@dataclass(kw_only=True)
class Centre:
    """One centre: its core while it runs, and what its disk holds. `queue`: writes not fsynced yet; `blank`: the disk
    was lost and no configuration has been saved since."""

    name: str
    configuration: Configuration
    pending: frozenset[str] | None = None
    replica: Replica | None = None
    disk: list[Entry] = field(default_factory=list)
    queue: deque[Persist | Truncate] = field(default_factory=deque)
    applied: list[bytes] = field(default_factory=list)
    blank: bool = False

    def id_at(self, lsn: int) -> EntryId:
        return self.disk[lsn - 1].id if lsn else ORIGIN


class Pair:
    """The world of one log. Starts with both centres up and connected."""

    def __init__(self, *, window_entries_max: int = 4) -> None:
        self._window_entries_max = window_entries_max
        first = Configuration(version=1, epoch=1, leader="ops", in_sync=frozenset(CENTRES))
        self.centres = {name: Centre(name=name, configuration=first) for name in CENTRES}
        self.witness = first
        self.messages: list[tuple[str, Message]] = []
        self.acknowledged: dict[int, bytes] = {}
        self.proposed = 0
        self.transcript: list[str] = []
        for name in CENTRES:
            self.start(name)
        for name in CENTRES:
            self.event(name, Connected())

    # --- What may happen ----------------------------------------------------------------------------------------

    def propose(self, count: int) -> None:
        """The leader gets new entries, if there is one that runs."""
        for name, replica in self._running():
            if may_propose(replica):
                entries: list[Entry] = []
                for _ in range(count):
                    self.proposed += 1
                    payload = f"entry {self.proposed}".encode()
                    after = entries[-1].id if entries else replica.end
                    epoch = replica.configuration.epoch
                    entries.append(make_entry(after=after, epoch=epoch, kind=Kind.ROWS, payload=payload))
                self.event(name, Proposed(entries=tuple(entries)))

    def persist(self, name: str, count: int) -> None:
        """The disk finishes the first `count` queued writes with one fsync."""
        centre = self.centres[name]
        writes = [centre.queue.popleft() for _ in range(min(count, len(centre.queue)))]
        for write in writes:
            self._write(centre, write)
        persists = [write.generation for write in writes if isinstance(write, Persist)]
        if persists:
            self.event(name, Persisted(generation=persists[-1], lsn=len(centre.disk)))

    def deliver(self, index: int, *, keep: bool = False) -> None:
        """Delivers any message under way; with `keep` it stays under way and may arrive again."""
        to, message = self.messages[index] if keep else self.messages.pop(index)
        if isinstance(message, Request):
            self._answer(message)
        elif self.centres[to].replica is not None:
            match message:
                case Append():
                    self.event(to, AppendReceived(message=message))
                case Ack():
                    self.event(to, AckReceived(message=message))
                case Configuration():
                    self.event(to, ConfigurationLearned(configuration=message))

    def read_witness(self, name: str) -> None:
        """The centre learns what stands at the witness now."""
        self.event(name, ConfigurationLearned(configuration=self.witness))

    def suspect(self, name: str) -> None:
        """The centre believes its peer gone, rightly or not."""
        self.event(name, PeerMissing())

    def hand_over(self, name: str, *, wanted: bool) -> None:
        """The operator asks for a hand-over, or the driver calls it off."""
        self.event(name, HandOverAsked() if wanted else HandOverCalledOff())

    def wipe(self, name: str) -> None:
        """A stopped centre's disk is replaced by an empty one, if the other one is in sync and has its disk. What was
        under way to and from it has arrived by then or is lost: connections end with their process."""
        centre, other = self.centres[name], self.centres[_other(name)]
        if other.name in self.witness.in_sync and not other.blank:
            self.messages = [
                (to, message)
                for to, message in self.messages
                if to == WITNESS and isinstance(message, Request) and message.sender != name
            ]
            centre.disk, centre.applied, centre.pending, centre.blank = [], [], None, True
            self.transcript.append(f"{name} loses its disk")

    def reconnect(self, name: str) -> None:
        self.event(name, Disconnected())
        self.event(name, Connected())

    def lose(self, index: int) -> None:
        self.messages.pop(index)

    def crash(self, name: str, surviving_writes: int) -> None:
        """The process dies; of the writes not fsynced, the first ones may have reached the disk all the same."""
        centre = self.centres[name]
        for _ in range(min(surviving_writes, len(centre.queue))):
            self._write(centre, centre.queue.popleft())
        centre.queue.clear()
        centre.replica = None
        self.transcript.append(f"{name} crashes with {len(centre.disk)} entries")

    def start(self, name: str) -> None:
        centre = self.centres[name]
        centre.replica = recover(
            log="ops",
            centre=name,
            peer=_other(name),
            configuration=self.witness if centre.blank else centre.configuration,
            pending=centre.pending,
            end=centre.id_at(len(centre.disk)),
            epochs=extend_epochs((), centre.disk),
            applied_lsn=len(centre.applied),
            ship_window_entries_max=self._window_entries_max,
            blank=centre.blank,
        )
        self.transcript.append(f"{name} starts with {len(centre.disk)} entries, {len(centre.applied)} applied")

    def heal(self) -> None:
        """All faults end: both run, nothing is lost any more, and heartbeats go on until nothing changes."""
        for name in CENTRES:
            if self.centres[name].replica is None:
                self.start(name)
            self.hand_over(name, wanted=False)
            self.reconnect(name)
        for _ in range(6 + self.proposed):
            for name in CENTRES:
                self.read_witness(name)
                self.event(name, Tick())
            while self.messages or any(centre.queue for centre in self.centres.values()):
                for name in CENTRES:
                    self.persist(name, 100)
                while self.messages:
                    self.deliver(0)

    # --- What must hold -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises AssertionError with the transcript."""
        for name, replica in self._running():
            wrong = violations(replica)
            assert not wrong, self._report(f"{name}: {wrong}")
        for centre in (self.centres[name] for name in self.witness.in_sync):
            if centre.blank:  # Its copy was lost; the other one is held to account.
                continue
            name, held = centre.name, centre.disk
            for lsn, payload in self.acknowledged.items():
                assert len(held) >= lsn, self._report(f"acknowledged entry {lsn} is not at {name}")
                assert held[lsn - 1].payload == payload, self._report(f"entry {lsn} differs at {name}")
        for centre in self.centres.values():
            for lsn, applied in enumerate(centre.applied, 1):
                assert self.acknowledged.get(lsn) == applied, self._report(f"{centre.name} applied {applied!r}")

    def check_converged(self) -> None:
        """After `heal`: both are in sync again, both logs are equal, all in them is committed and applied at both."""
        left, right = self.centres.values()
        assert self.witness.in_sync == set(CENTRES), self._report(f"{self.witness} stands")
        assert [entry.hash for entry in left.disk] == [entry.hash for entry in right.disk], self._report("logs differ")
        for centre in (left, right):
            assert centre.replica is not None
            assert not centre.replica.halted, self._report(centre.replica.halted)
            assert centre.replica.configuration == self.witness, self._report(f"{centre.name} has not learned it")
            assert len(centre.applied) == len(centre.disk), self._report(f"{centre.name} did not apply all")

    # --- The driver's part --------------------------------------------------------------------------------------

    def event(self, name: str, event: Event) -> None:
        centre = self.centres[name]
        assert centre.replica is not None
        centre.replica, effects = step(centre.replica, event)
        self.transcript.append(f"{name}: {event}")
        for effect in effects:
            self._run(centre, effect)
        self._begin_epoch(centre)

    def _begin_epoch(self, centre: Centre) -> None:
        """As the driver does: a leadership begins with an entry of its own."""
        replica = centre.replica
        assert replica is not None
        if may_propose(replica) and replica.end.epoch != replica.configuration.epoch:
            epoch = replica.configuration.epoch
            payload = f"{centre.name} leads epoch {epoch}".encode()
            entry = make_entry(after=replica.end, epoch=epoch, kind=Kind.EPOCH, payload=payload)
            self.event(centre.name, Proposed(entries=(entry,)))

    def _answer(self, request: Request) -> None:
        if self.witness.version == request.configuration.version - 1:
            self.witness = request.configuration
            self.transcript.append(f"witness grants {request.configuration}")
        self.messages.append((request.sender, self.witness))

    def _run(self, centre: Centre, effect: Effect) -> None:
        assert centre.replica is not None
        match effect:
            case SaveConfiguration():
                centre.configuration, centre.pending, centre.blank = effect.configuration, effect.pending, False
            case Persist() | Truncate():
                centre.queue.append(effect)
            case SendAck():
                self.messages.append((_other(centre.name), effect.message))
            case Ship():
                self._ship(centre, effect)
            case Commit():
                self._commit(centre, effect.lsn)
            case AskWitness():
                request = Request(sender=centre.name, configuration=effect.configuration)
                self.messages.append((WITNESS, request))
            case Proved():
                pass
            case Halt():
                self.transcript.append(f"{centre.name} halts: {effect.reason}")

    def _ship(self, centre: Centre, ship: Ship) -> None:
        """One message an entry, so that the network can do its worst."""
        assert centre.replica is not None
        heartbeat = Append(
            log="ops",
            configuration=centre.replica.configuration,
            previous=centre.id_at(ship.after_lsn),
            commit_lsn=centre.replica.commit_lsn,
            relied_on=_other(centre.name) in members(centre.replica),
        )
        appends = [
            replace(heartbeat, previous=centre.id_at(lsn - 1), entries=(centre.disk[lsn - 1],))
            for lsn in range(ship.after_lsn + 1, ship.through_lsn + 1)
        ]
        self.messages += [(_other(centre.name), append) for append in appends or [heartbeat]]

    def _commit(self, centre: Centre, lsn: int) -> None:
        assert centre.replica is not None
        for entry in centre.disk[len(centre.applied) : lsn]:
            payload = bytes(entry.payload)
            if isinstance(centre.replica.role, Leader):
                assert self.acknowledged.setdefault(entry.lsn, payload) == payload, self._report("acknowledged twice")
            centre.applied.append(payload)

    @staticmethod
    def _write(centre: Centre, write: Persist | Truncate) -> None:
        if isinstance(write, Truncate):
            del centre.disk[write.after_lsn :]
        else:
            centre.disk += write.entries

    def _running(self) -> list[tuple[str, Replica]]:
        return [(name, one.replica) for name, one in self.centres.items() if one.replica is not None]

    def _report(self, what: str) -> str:
        return "\n".join([what, *self.transcript])


def _other(name: str) -> str:
    return CENTRES[1 - CENTRES.index(name)]
