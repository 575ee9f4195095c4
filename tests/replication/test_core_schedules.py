"""The core under hostile schedules.

Goal: no acknowledged entry is ever lost, changed or applied twice, whatever is lost, delayed, doubled, reordered,
suspected or crashed; and once faults end, both centres converge and are in sync again by themselves.
Method: Hypothesis drives two cores, choosing every delivery, loss, fsync and crash; the invariants are checked after
every step; every schedule ends healed.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from replication.codec import make_entry
from replication.core.effects import Halt, Persist
from replication.core.events import AckReceived, AppendReceived, Connected, Disconnected, Persisted, Tick
from replication.core.messages import Ack, Append
from replication.core.state import Replica, Standby, common_prefix, recover
from replication.core.step import step
from replication.core.types import ORIGIN, Configuration, EntryId, EpochStart, Kind
from simulator.world.pair import CENTRES, Pair

names = st.sampled_from(CENTRES)


class Schedules(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()

    @rule(count=st.integers(1, 3))
    def propose(self, count: int) -> None:
        self.pair.propose(count)

    @rule(name=names, count=st.integers(1, 3))
    def persist(self, name: str, count: int) -> None:
        if self.pair.centres[name].replica is not None:
            self.pair.persist(name, count)

    @precondition(lambda self: self.pair.messages)
    @rule(choice=st.integers(0, 10_000), keep=st.booleans())
    def deliver(self, choice: int, keep: bool) -> None:
        self.pair.deliver(choice % len(self.pair.messages), keep=keep)

    @precondition(lambda self: self.pair.messages)
    @rule(choice=st.integers(0, 10_000))
    def lose(self, choice: int) -> None:
        self.pair.lose(choice % len(self.pair.messages))

    @rule(name=names)
    def tick(self, name: str) -> None:
        if self.pair.centres[name].replica is not None:
            self.pair.event(name, Tick())

    @rule(name=names)
    def suspect(self, name: str) -> None:
        if self.pair.centres[name].replica is not None:
            self.pair.suspect(name)

    @rule(name=names)
    def read_witness(self, name: str) -> None:
        if self.pair.centres[name].replica is not None:
            self.pair.read_witness(name)

    @rule(name=names)
    def reconnect(self, name: str) -> None:
        if self.pair.centres[name].replica is not None:
            self.pair.event(name, Disconnected())
            self.pair.event(name, Connected())

    @rule(name=names, surviving_writes=st.integers(0, 3))
    def crash_and_start(self, name: str, surviving_writes: int) -> None:
        if self.pair.centres[name].replica is not None:
            self.pair.crash(name, surviving_writes)
        else:
            self.pair.start(name)

    @invariant()
    def nothing_is_violated(self) -> None:
        self.pair.check()

    def teardown(self) -> None:
        self.pair.heal()
        self.pair.check()
        self.pair.check_converged()


Schedules.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestSchedules = Schedules.TestCase


def _standby(entries: int = 3, *, epoch: int = 1, applied: int = 0) -> tuple[Replica, list[EntryId]]:
    ids = [ORIGIN]
    for _ in range(entries):
        ids.append(make_entry(after=ids[-1], epoch=epoch, kind=Kind.ROWS, payload=b"x").id)
    replica = recover(
        log="ops",
        centre="ecc",
        peer="ops",
        configuration=Configuration(version=1, epoch=epoch, leader="ops", in_sync=frozenset(CENTRES)),
        pending=None,
        end=ids[-1],
        epochs=(EpochStart(epoch=epoch, first_lsn=1),) if entries else (),
        applied_lsn=applied,
        ship_window_entries_max=4,
    )
    return replica, ids


def _append(previous: EntryId, *, epoch: int, version: int, payloads: list[bytes], commit_lsn: int = 0) -> Append:
    entries = []
    after = previous
    for payload in payloads:
        entries.append(make_entry(after=after, epoch=epoch, kind=Kind.ROWS, payload=payload))
        after = entries[-1].id
    configuration = Configuration(version=version, epoch=epoch, leader="ops", in_sync=frozenset(CENTRES))
    return Append(
        log="ops", configuration=configuration, previous=previous, commit_lsn=commit_lsn, entries=tuple(entries)
    )


def test_older_epoch_is_refused() -> None:
    """Goal: a leader of an older epoch gets no acknowledgement. Method: one append of epoch 1 to a standby in 2."""
    replica, ids = _standby(epoch=2)
    after, effects = step(replica, AppendReceived(message=_append(ids[-1], epoch=1, version=1, payloads=[b"old"])))
    assert after == replica
    (ack,) = effects
    assert ack.message.accepted is False  # type: ignore[union-attr]
    assert ack.message.durable_lsn == 0  # type: ignore[union-attr]
    assert ack.message.configuration.epoch == 2  # type: ignore[union-attr]


def test_divergent_tail_is_cut_and_late_fsync_proves_nothing() -> None:
    """Goal: a new epoch's entries replace a tail that was never committed; a completion that belongs to the tail
    does not acknowledge them. Method: a standby with 3 entries of epoch 1 gets entry 2 of epoch 2."""
    replica, ids = _standby(3, applied=1)
    message = _append(ids[1], epoch=2, version=2, payloads=[b"new"])
    after, effects = step(replica, AppendReceived(message=message))
    assert [type(effect).__name__ for effect in effects] == ["SaveConfiguration", "Truncate", "Persist"]
    assert after.end == message.entries[0].id
    assert after.durable_lsn == 1
    late, nothing = step(after, Persisted(generation=replica.generation, lsn=2))
    assert late == after
    assert nothing == ()
    persist = effects[-1]
    assert isinstance(persist, Persist)
    done, _ = step(after, Persisted(generation=persist.generation, lsn=2))
    assert done.durable_lsn == 2


def test_committed_entry_is_never_cut() -> None:
    """Goal: a leader that lacks committed entries, as only a forced failover makes one, cuts nothing here: the log
    halts and says what would go. Method: a conflict at an applied lsn."""
    replica, ids = _standby(3, applied=2)
    after, effects = step(replica, AppendReceived(message=_append(ids[1], epoch=2, version=2, payloads=[b"new"])))
    assert isinstance(effects[-1], Halt)
    assert "entries 2 to 2" in after.halted
    assert after.end == replica.end


def test_same_epoch_with_another_hash_halts() -> None:
    """Goal: two different entries with one (lsn, epoch) are never papered over. Method: a wrong previous hash."""
    replica, ids = _standby(3)
    forged = EntryId(lsn=3, epoch=1, hash=b"z" * 16)
    after, effects = step(replica, AppendReceived(message=_append(forged, epoch=1, version=1, payloads=[b"a"])))
    assert isinstance(effects[-1], Halt)
    assert after.halted
    assert step(after, AppendReceived(message=_append(ids[-1], epoch=1, version=1, payloads=[b"a"]))) == (after, ())


def test_leader_that_lost_entries_halts() -> None:
    """Goal: a leader whose disk lost what it had confirmed stops and says so. Method: a standby that holds more."""
    replica, ids = _standby(1)
    leader = recover(
        log="ops",
        centre="ops",
        peer="ecc",
        configuration=replica.configuration,
        pending=None,
        end=ids[-1],
        epochs=replica.epochs,
        applied_lsn=0,
        ship_window_entries_max=4,
    )
    ahead = Ack(
        log="ops",
        configuration=replica.configuration,
        accepted=False,
        durable_lsn=0,
        end=EntryId(lsn=5, epoch=1, hash=b"y" * 16),
        epochs=replica.epochs,
    )
    after, effects = step(leader, AckReceived(message=ahead))
    assert isinstance(effects[0], Halt)
    assert "lost entries" in after.halted


def test_newer_configuration_is_saved_before_anything_else() -> None:
    """Goal: rule of order, persist before act. Method: an append that brings a newer version of the same epoch."""
    replica, ids = _standby(1)
    after, effects = step(replica, AppendReceived(message=_append(ids[-1], epoch=1, version=7, payloads=[b"a"])))
    assert type(effects[0]).__name__ == "SaveConfiguration"
    assert after.configuration.version == 7
    assert isinstance(after.role, Standby)


@pytest.mark.parametrize(
    ("ours", "our_end", "theirs", "their_end", "common"),
    [
        ([], 0, [], 0, 0),
        ([(1, 1)], 5, [(1, 1)], 3, 3),
        ([(1, 1)], 5, [], 0, 0),
        ([(1, 1), (2, 4)], 6, [(1, 1)], 5, 3),
        ([(1, 1), (2, 4)], 6, [(1, 1), (2, 4)], 5, 5),
        ([(1, 1), (3, 4)], 6, [(1, 1), (2, 3)], 9, 2),
        ([(1, 1), (2, 4), (3, 6)], 8, [(1, 1), (2, 4)], 9, 5),
    ],
)
def test_common_prefix(
    ours: list[tuple[int, int]], our_end: int, theirs: list[tuple[int, int]], their_end: int, common: int
) -> None:
    """Goal: the longest common prefix is found from the epoch tables alone. Method: worked examples."""
    left = [EpochStart(epoch=epoch, first_lsn=lsn) for epoch, lsn in ours]
    right = [EpochStart(epoch=epoch, first_lsn=lsn) for epoch, lsn in theirs]
    assert common_prefix(left, our_end, right, their_end) == common
    assert common_prefix(right, their_end, left, our_end) == common
