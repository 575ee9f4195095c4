"""The leader's side: propose → persist → ship → match → commit.

1. A proposed entry is persisted here first and shipped only once it is durable: a leader that restarts
   therefore holds everything that the standby may hold of its epoch.
2. The standby's acks raise `matched_lsn`; the commit lsn is the lowest durable lsn of in_sync ∪ pending.
3. To go solo, or to take the standby back once it holds all that was committed, the leader makes the set it asks
   for durable as `pending`, asks the witness, and asks again until any newer version is learned: it never gives a
   request up, since the witness may still grant it. A leader that starts again counts all that its log held by then
   as committed before: its store may be behind what it acknowledged.
4. A planned hand-over asks for the peer as leader of the next epoch with in_sync unchanged, once nothing is
   proposed any more and the standby is durable at the end. No set changes: granted late, or never, nothing is lost.
5. That it still leads is proved by an ack of this epoch that echoes a probe.
6. A leader whose disk was lost commits nothing and asks for its peer to lead alone.
7. After a reconnect the leader probes with an empty append; the standby's answer tells where to ship from.
"""

from dataclasses import replace

from replication.core.effects import AskWitness, Commit, Effect, Persist, Proved, SaveConfiguration, Ship
from replication.core.events import AckReceived, Persisted, ProofAsked, Proposed
from replication.core.messages import Ack
from replication.core.state import (
    Leader,
    Replica,
    Step,
    common_prefix,
    extend_epochs,
    halt,
    in_force_after,
    may_propose,
    members,
    then,
)


def propose(state: Replica, event: Proposed) -> Step:
    assert may_propose(state), "a proposal to a leader that takes none"
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
    after = _counted(state, replace(leader, peer_blank=ack.blank), ack)
    if ack.blank:
        after = then(after, go_solo)
    if leader.probe and ack.probe <= leader.probe:
        return then((state, (Proved(probe=ack.probe),)), lambda _: after)
    return after


def _counted(state: Replica, leader: Leader, ack: Ack) -> Step:
    if ack.end.epoch == state.configuration.epoch and ack.end.lsn > state.durable_lsn:
        return halt(
            state,
            f"{state.peer} holds entries through {ack.end.lsn} of epoch {ack.end.epoch}, {state.centre} only through "
            f"{state.durable_lsn}: the log at {state.centre} lost entries that it had confirmed",
        )
    if not ack.accepted:
        start = common_prefix(state.epochs, state.durable_lsn, ack.epochs, ack.end.lsn)
        matched = min(leader.matched_lsn, start)  # A standby that was wiped holds less than it once confirmed.
        rewound = replace(leader, sent_lsn=start, matched_lsn=matched, streaming=True, joining=False)
        if start < state.commit_lsn and state.peer in state.configuration.in_sync:
            return then(_advance(state, rewound, rewound=True), go_solo)
        return _advance(state, rewound, rewound=True)
    matched = max(leader.matched_lsn, ack.durable_lsn)
    sent = max(leader.sent_lsn, matched)
    return _advance(state, replace(leader, matched_lsn=matched, sent_lsn=sent, streaming=True))


def go_solo(state: Replica) -> Step:
    """Asks to lead alone, unless a request is under way or this centre is alone already."""
    if state.halted or state.pending is not None or state.peer not in state.configuration.in_sync:
        return state, ()
    assert isinstance(state.role, Leader), "only a leader goes solo"
    unheard = replace(state.role, streaming=False, joining=False)  # It is asked back in once it is heard again.
    return _ask(replace(state, role=unheard), frozenset({state.centre}))


def ask_again(state: Replica) -> Step:
    """Asks for what is pending. When nothing is, goes on with what a start left open: a leader that is alone has
    acknowledged all that it holds."""
    assert isinstance(state.role, Leader), "only a leader asks again by itself"
    if state.pending is None:
        return _advance(state, state.role)
    return state, (AskWitness(configuration=in_force_after(state, state.pending, leader=state.centre)),)


def ask_proof(state: Replica, leader: Leader, event: ProofAsked) -> Step:
    return heartbeat(state, replace(leader, probe=event.probe))


def hand_over(state: Replica, leader: Leader, *, wanted: bool) -> Step:
    return _advance(state, replace(leader, handing_over=wanted))


def resign(state: Replica) -> Step:
    """Asked for by a leader that holds nothing: its peer is in sync and holds everything."""
    if state.peer not in state.configuration.in_sync:
        return state, ()
    return state, (AskWitness(configuration=in_force_after(state, frozenset({state.peer}), leader=state.peer)),)


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
    """What the standby confirmed is asked again in the next connection: it may come back with another disk."""
    return _advance(state, replace(leader, streaming=False, joining=False, matched_lsn=0))


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
    acknowledged = max(after.commit_lsn, leader.inherited_lsn)
    if leader.joining and leader.matched_lsn >= acknowledged and after.pending is None:
        asked, asking = _ask(after, frozenset({after.centre, after.peer}))
        return asked, (*effects, *asking)
    return after, (*effects, *_handing_over(after, leader))


def _handing_over(state: Replica, leader: Leader) -> tuple[Effect, ...]:
    both = state.configuration.in_sync
    ready = leader.handing_over and state.peer in both and state.pending is None
    if not ready or leader.matched_lsn < state.end.lsn:
        return ()
    return (AskWitness(configuration=in_force_after(state, both, leader=state.peer)),)


def _joins(state: Replica, leader: Leader) -> bool:
    near = state.durable_lsn - leader.matched_lsn <= state.ship_window_entries_max
    may_join = leader.streaming and not leader.peer_blank and state.peer not in members(state)
    return may_join and (leader.joining or near)


def _ask(state: Replica, in_sync: frozenset[str]) -> Step:
    """What is asked for is durable before the request leaves."""
    after = replace(state, pending=in_sync)
    save = SaveConfiguration(configuration=after.configuration, pending=in_sync)
    asked, request = ask_again(after)
    return asked, (save, *request)
