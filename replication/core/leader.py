"""The leader's side: propose → persist → ship → match → commit.

1. A proposed entry is persisted here first and shipped only once it is durable: a leader that restarts
   therefore holds everything that the standby may hold of its epoch.
2. The standby's acks raise `matched_lsn`; the commit lsn is the lowest durable lsn of in_sync ∪ pending.
3. To go solo, or to take the standby back once it holds all that was committed, the leader makes the set it asks
   for durable as `pending`, asks the witness, and asks again until any newer version is learned: it never gives a
   request up, since the witness may still grant it.
4. After a reconnect the leader probes with an empty append; the standby's answer tells where to ship from.
"""

from dataclasses import replace

from replication.core.effects import AskWitness, Commit, Effect, Persist, SaveConfiguration, Ship
from replication.core.events import AckReceived, Persisted, Proposed
from replication.core.state import (
    Leader,
    Replica,
    Step,
    common_prefix,
    extend_epochs,
    halt,
    in_force_after,
    members,
    then,
)


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
        rewound = Leader(sent_lsn=start, matched_lsn=matched, streaming=True)
        if start < state.commit_lsn and state.peer in state.configuration.in_sync:
            return then(_advance(state, rewound, rewound=True), go_solo)
        return _advance(state, rewound, rewound=True)
    matched = max(leader.matched_lsn, ack.durable_lsn)
    sent = max(leader.sent_lsn, matched)
    return _advance(state, replace(leader, matched_lsn=matched, sent_lsn=sent, streaming=True))


def go_solo(state: Replica) -> Step:
    """Asks to lead alone, unless a request is under way or this centre is alone already."""
    if state.pending is not None or state.peer not in state.configuration.in_sync:
        return state, ()
    return _ask(state, frozenset({state.centre}))


def ask_again(state: Replica) -> Step:
    if state.pending is None:
        return state, ()
    return state, (AskWitness(configuration=in_force_after(state, state.pending, epoch=state.configuration.epoch)),)


def reconfigured(state: Replica) -> Step:
    """After a newer configuration: what it lets commit is committed, what it lets ship is shipped."""
    assert isinstance(state.role, Leader), "only a leader commits by itself"
    return _advance(state, replace(state.role, joining=False))


def heartbeat(state: Replica, leader: Leader) -> Step:
    """An empty append at the place shipped to last; before streaming, a probe at the end of the durable log."""
    lsn = leader.sent_lsn if leader.streaming else state.durable_lsn
    return replace(state, role=leader), (Ship(after_lsn=lsn, through_lsn=lsn),)


def connected(state: Replica, leader: Leader) -> Step:
    return heartbeat(state, replace(leader, streaming=False))


def disconnected(state: Replica, leader: Leader) -> Step:
    return _advance(state, replace(leader, streaming=False, joining=False))


def _advance(state: Replica, leader: Leader, *, rewound: bool = False) -> Step:
    """Ships what the window has room for, commits what all members hold, and asks a caught-up standby back in."""
    effects: list[Effect] = []
    leader = replace(leader, joining=_joins(state, leader))
    commit = state.durable_lsn
    if state.peer in members(state) or leader.joining:
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
    after = replace(after, role=leader)
    if leader.joining and leader.matched_lsn >= after.commit_lsn and after.pending is None:
        asked, asking = _ask(after, frozenset({after.centre, after.peer}))
        return asked, (*effects, *asking)
    return after, tuple(effects)


def _joins(state: Replica, leader: Leader) -> bool:
    near = state.durable_lsn - leader.matched_lsn <= state.ship_window_entries_max
    return leader.streaming and state.peer not in members(state) and (leader.joining or near)


def _ask(state: Replica, in_sync: frozenset[str]) -> Step:
    """What is asked for is durable before the request leaves."""
    after = replace(state, pending=in_sync)
    save = SaveConfiguration(configuration=after.configuration, pending=in_sync)
    asked, request = ask_again(after)
    return asked, (save, *request)
