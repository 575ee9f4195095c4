"""The one entrance: `step(state, event) -> (state, effects)`.

A newer configuration is adopted wherever it arrives and made durable before anything else happens. A replica
that has halted answers nothing any more.
"""

from dataclasses import replace
from typing import assert_never

from replication.core import leader, standby
from replication.core.effects import Effect, Persist, SaveConfiguration, SendAck
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
from replication.core.state import Leader, Replica, Standby, Step, role_in, then
from replication.core.types import Configuration


def step(state: Replica, event: Event) -> Step:
    if state.halted:
        return state, ()
    match event:
        case AppendReceived(message=message) | AckReceived(message=message):
            return then(adopt(state, message.configuration), lambda adopted: _handle(adopted, event))
        case ConfigurationLearned():
            return adopt(state, event.configuration)
        case _:
            return _handle(state, event)


def adopt(state: Replica, configuration: Configuration) -> Step:
    """Steps up or down as a newer configuration says; an older or equal one changes nothing."""
    if configuration.version <= state.configuration.version:
        return state, ()
    after = replace(state, configuration=configuration, pending=None)
    effects: list[Effect] = []
    if not state.blank:  # What is not saved makes the next start a blank one, too.
        effects.append(SaveConfiguration(configuration=configuration, pending=None))
    if configuration.epoch != state.configuration.epoch:
        assert configuration.epoch > state.configuration.epoch, "a newer version has an older epoch"
        role = role_in(configuration, state.centre, state.durable_lsn)
        if isinstance(state.role, Leader) and isinstance(role, Standby):  # The peer may not know yet that it leads.
            effects.append(SendAck(message=standby.ack(after, role, accepted=False)))
        after = replace(after, role=role, generation=state.generation + 1)
        if state.durable_lsn < state.end.lsn:  # Completions still on their way will be of the older generation.
            effects.append(Persist(generation=after.generation, entries=()))
    if isinstance(after.role, Leader):
        return then((after, tuple(effects)), leader.reconfigured)
    return after, tuple(effects)


def _handle(state: Replica, event: Event) -> Step:
    match state.role:
        case Leader() as role:
            return _as_leader(state, role, event)
        case Standby() as role:
            return _as_standby(state, role, event)
        case _:
            assert_never(state.role)


def _as_leader(state: Replica, role: Leader, event: Event) -> Step:
    if state.blank:
        return leader.resign(state) if isinstance(event, Tick) else (state, ())
    match event:
        case Proposed():
            return leader.propose(state, event)
        case Persisted():
            return leader.persisted(state, role, event) if event.generation == state.generation else (state, ())
        case AckReceived():
            return leader.acked(state, role, event)
        case Tick():
            return then(leader.heartbeat(state, role), leader.ask_again)
        case PeerMissing():
            return leader.go_solo(state)
        case Connected():
            return leader.connected(state, role)
        case Disconnected():
            return leader.disconnected(state, role)
        case AppendReceived():
            return _refuse(state, event)
        case _:
            return _asked_of_leader(state, role, event)


def _asked_of_leader(
    state: Replica, role: Leader, event: ConfigurationLearned | ProofAsked | HandOverAsked | HandOverCalledOff
) -> Step:
    match event:
        case ProofAsked():
            return leader.ask_proof(state, role, event)
        case HandOverAsked() | HandOverCalledOff():
            return leader.hand_over(state, role, wanted=isinstance(event, HandOverAsked))
        case ConfigurationLearned():
            return state, ()
        case _:
            assert_never(event)


def _as_standby(state: Replica, role: Standby, event: Event) -> Step:
    match event:
        case Persisted():
            return standby.persisted(state, role, event) if event.generation == state.generation else (state, ())
        case AppendReceived():
            if event.message.configuration.epoch < state.configuration.epoch:
                return _refuse(state, event)
            return standby.received(state, role, event)
        case PeerMissing():
            return standby.ask_to_lead(state)
        case Proposed():
            raise AssertionError("a standby was given a proposal")
        case ProofAsked() | HandOverAsked() | HandOverCalledOff():
            return state, ()
        case AckReceived() | Tick() | Connected() | Disconnected() | ConfigurationLearned():
            return state, ()
        case _:
            assert_never(event)


def _refuse(state: Replica, event: AppendReceived) -> Step:
    """Tells the sender of an older epoch which configuration stands: it will step down."""
    assert event.message.configuration.epoch < state.configuration.epoch, "two leaders in one epoch"
    role = state.role if isinstance(state.role, Standby) else Standby()
    return state, (SendAck(message=standby.ack(state, role, accepted=False)),)
