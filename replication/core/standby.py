"""The standby's side: receive → place → persist → acknowledge → commit.

1. An append whose `previous` is not found is answered with what this log holds.
2. Entries held already are skipped; where an entry of another epoch stands in their place, this log's tail was
   never acknowledged by a leader that still counts: it is cut, never at or below the commit lsn.
3. An entry is acknowledged once it is durable and known to be the leader's own.
4. Only what is durable here and committed by the leader is applied.
5. A standby whose disk was lost says so, until the leader relies on it no more; from then on it is one that has
   much to catch up with.
6. A standby that its own configuration names in in_sync may ask to lead when the leader is missing.
"""

from dataclasses import replace

from replication.core.effects import AskWitness, Commit, Effect, Persist, SaveConfiguration, SendAck, Truncate
from replication.core.events import AppendReceived, Persisted
from replication.core.messages import Ack, Append
from replication.core.state import (
    Replica,
    Standby,
    Step,
    cut_epochs,
    epoch_at,
    extend_epochs,
    halt,
    in_force_after,
    then,
)
from replication.core.types import Entry, EntryId


def received(state: Replica, standby: Standby, event: AppendReceived) -> Step:
    """The caller has adopted the message's configuration: its epoch is ours."""
    message = event.message
    standby = replace(standby, probe=message.probe)  # Not the highest: a leader started again counts from elsewhere.
    state = replace(state, role=standby)
    if state.blank and not message.relied_on:
        known = replace(state, blank=False)
        save = SaveConfiguration(configuration=known.configuration, pending=None)
        return then((known, (save,)), lambda after: _placed(after, standby, message))
    return _placed(state, standby, message)


def _placed(state: Replica, standby: Standby, message: Append) -> Step:
    previous = message.previous
    if previous.lsn > state.end.lsn or epoch_at(state.epochs, previous.lsn) != previous.epoch:
        return state, (SendAck(message=ack(state, standby, accepted=False)),)
    if previous.lsn == state.end.lsn and previous.hash != state.end.hash:
        return halt(state, f"entry {previous.lsn} of epoch {previous.epoch} differs between the centres")
    new = _not_held(state, message)
    verified = max(standby.verified_lsn, message.entries[-1].lsn if message.entries else previous.lsn)
    standby = replace(
        standby, verified_lsn=verified, leader_commit_lsn=max(standby.leader_commit_lsn, message.commit_lsn)
    )
    if not new:
        after, effects = _commit(state, standby)
        return after, (SendAck(message=ack(after, standby, accepted=True)), *effects)
    after, effects = _extend(state, _before(message, new[0]), new)
    after, commits = _commit(after, standby)
    return after, (*effects, *commits)


def persisted(state: Replica, standby: Standby, event: Persisted) -> Step:
    assert event.lsn <= state.end.lsn, "persisted beyond the end of the log"
    after = replace(state, durable_lsn=max(state.durable_lsn, event.lsn))
    after, effects = _commit(after, standby)
    return after, (SendAck(message=ack(after, standby, accepted=True)), *effects)


def ask_to_lead(state: Replica) -> Step:
    """In the next epoch, alone. Nothing changes here until the witness has granted it."""
    if state.centre not in state.configuration.in_sync or state.blank:
        return state, ()
    alone = frozenset({state.centre})
    return state, (AskWitness(configuration=in_force_after(state, alone, leader=state.centre)),)


def ack(state: Replica, standby: Standby, *, accepted: bool) -> Ack:
    return Ack(
        log=state.log,
        configuration=state.configuration,
        accepted=accepted,
        durable_lsn=min(state.durable_lsn, standby.verified_lsn),
        end=state.end,
        epochs=state.epochs,
        probe=standby.probe,
        blank=state.blank,
    )


def _not_held(state: Replica, message: Append) -> tuple[Entry, ...]:
    for index, entry in enumerate(message.entries):
        if entry.lsn > state.end.lsn or epoch_at(state.epochs, entry.lsn) != entry.epoch:
            return message.entries[index:]
    return ()


def _before(message: Append, first: Entry) -> EntryId:
    index = first.lsn - message.previous.lsn - 1
    return message.entries[index - 1].id if index else message.previous


def _extend(state: Replica, before: EntryId, new: tuple[Entry, ...]) -> Step:
    effects: list[Effect] = []
    if state.end.lsn > before.lsn:
        if before.lsn < state.commit_lsn:
            return halt(
                state,
                f"{state.peer} was made leader without entries {before.lsn + 1} to {state.commit_lsn}, which were "
                f"acknowledged and stand here: wipe this centre's copy to seed it anew, once they are saved",
            )
        effects.append(Truncate(after_lsn=before.lsn))
        state = replace(
            state,
            end=before,
            durable_lsn=min(state.durable_lsn, before.lsn),
            epochs=cut_epochs(state.epochs, before.lsn),
            generation=state.generation + 1,
        )
    if new[0].previous_hash != state.end.hash:
        return halt(state, f"entry {new[0].lsn} from {state.peer} is not linked to entry {state.end.lsn} here")
    effects.append(Persist(generation=state.generation, entries=new))
    return replace(state, end=new[-1].id, epochs=extend_epochs(state.epochs, new)), tuple(effects)


def _commit(state: Replica, standby: Standby) -> Step:
    lsn = min(standby.leader_commit_lsn, standby.verified_lsn, state.durable_lsn)
    state = replace(state, role=standby)
    if lsn <= state.commit_lsn:
        return state, ()
    return replace(state, commit_lsn=lsn), (Commit(lsn=lsn),)
