"""The leader's side: propose → persist → ship → match → commit.

1. A proposed entry is persisted here first and shipped only once it is durable: a leader that restarts
   therefore holds everything that the standby may hold of its epoch.
2. The standby's acks raise `matched_lsn`; the commit lsn is the lowest durable lsn of in_sync ∪ pending.
3. After a reconnect the leader probes with an empty append; the standby's answer tells where to ship from.
"""

from dataclasses import replace

from replication.core.effects import Commit, Effect, Persist, Ship
from replication.core.events import AckReceived, Persisted, Proposed
from replication.core.state import Leader, Replica, Step, common_prefix, extend_epochs, halt, members


def propose(state: Replica, event: Proposed) -> Step:
    first, last = event.entries[0], event.entries[-1]
    assert first.lsn == state.end.lsn + 1, "a proposal does not follow the end of the log"
    assert first.previous_hash == state.end.hash, "a proposal is not linked to the end of the log"
    assert first.epoch == last.epoch == state.configuration.epoch, "a proposal is not of the current epoch"
    after = replace(state, end=last.id, epochs=extend_epochs(state.epochs, event.entries))
    return after, (Persist(generation=state.generation, entries=event.entries),)


def persisted(state: Replica, leader: Leader, event: Persisted) -> Step:
    assert event.lsn <= state.end.lsn, "persisted beyond the end of the log"
    after = replace(state, durable_lsn=max(state.durable_lsn, event.lsn))
    return _advance(after, leader)


def acked(state: Replica, leader: Leader, event: AckReceived) -> Step:
    ack = event.message
    if ack.configuration.epoch != state.configuration.epoch:
        return state, ()  # An ack for another leadership proves nothing about this one.
    if ack.end.epoch == state.configuration.epoch and ack.end.lsn > state.durable_lsn:
        return halt(
            state,
            f"{state.peer} holds entries through {ack.end.lsn} of epoch {ack.end.epoch}, {state.centre} only through "
            f"{state.durable_lsn}: the log at {state.centre} lost entries that it had confirmed",
        )
    if not ack.accepted:
        start = common_prefix(state.epochs, state.durable_lsn, ack.epochs, ack.end.lsn)
        matched = min(leader.matched_lsn, start)  # A standby that was wiped holds less than it once confirmed.
        return _advance(state, Leader(sent_lsn=start, matched_lsn=matched, streaming=True), rewound=True)
    matched = max(leader.matched_lsn, ack.durable_lsn)
    sent = max(leader.sent_lsn, matched)
    return _advance(state, replace(leader, matched_lsn=matched, sent_lsn=sent, streaming=True))


def heartbeat(state: Replica, leader: Leader) -> Step:
    """An empty append at the place shipped to last; before streaming, a probe at the end of the durable log."""
    lsn = leader.sent_lsn if leader.streaming else state.durable_lsn
    return replace(state, role=leader), (Ship(after_lsn=lsn, through_lsn=lsn),)


def connected(state: Replica, leader: Leader) -> Step:
    return heartbeat(state, replace(leader, streaming=False))


def disconnected(state: Replica, leader: Leader) -> Step:
    return replace(state, role=replace(leader, streaming=False)), ()


def _advance(state: Replica, leader: Leader, *, rewound: bool = False) -> Step:
    """Ships what the window has room for, then commits what all members hold."""
    effects: list[Effect] = []
    commit = state.durable_lsn
    if state.peer in members(state):
        commit = min(commit, leader.matched_lsn)
    committed = commit > state.commit_lsn
    after = replace(state, commit_lsn=max(commit, state.commit_lsn))
    if leader.streaming:
        through = min(state.durable_lsn, leader.matched_lsn + state.ship_window_entries_max)
        through = max(through, leader.sent_lsn)
        if through > leader.sent_lsn or committed or rewound:
            effects.append(Ship(after_lsn=leader.sent_lsn, through_lsn=through))
        leader = replace(leader, sent_lsn=through)
    if committed:
        effects.append(Commit(lsn=commit))
    return replace(after, role=leader), tuple(effects)
