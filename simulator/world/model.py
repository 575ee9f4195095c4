"""The rules of one log as an executable model: two centres, a witness, and every order of events there can be.

A state holds what is durable, what is volatile, and every message ever sent: messages never leave, so each may be
lost, delayed, doubled and overtaken. A centre may crash, or learn late of a configuration, at any point; one may be
wiped. `explore` visits all states breadth first within limits and returns the shortest way to a violation; `walk`
follows one random way under wider limits. `Rules` names every rule: one that is switched off is relaxed.

What keeps the states few, and hides nothing:
1. A centre that is down is one that does nothing for a while: a crash and the restart after it are one step.
2. More messages never forbid a step: an append leaves as soon as there is something new to ship, an ack at once.
3. A centre learns a configuration in a step of its own, whatever message carried it.
4. A message that nobody will ever act on is forgotten.

Left out on purpose: how the place to ship from is found. An append carries all that the leader ships of its log.

This module reads no clock, does no I/O and takes its randomness from the caller's seed.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

Centre = int
Members = frozenset[Centre]
CENTRES: Final = ("ops", "ecc")
OPS: Final[Centre] = 0
ECC: Final[Centre] = 1
NOBODY: Final[Members] = frozenset()
BOTH: Final[Members] = frozenset({OPS, ECC})
ALONE: Final[tuple[Members, Members]] = (frozenset({OPS}), frozenset({ECC}))


# --- Rules and limits -----------------------------------------------------------------------------------------------


class TailCut(Enum):
    """When a standby cuts a tail of an older epoch that its leader's log does not hold."""

    WHEN_MET = "when another entry takes its place"
    AT_ONCE = "with the first append that ends before it"
    NEVER = "never"


class Completions(Enum):
    """Which completion of an fsync counts."""

    OF_THIS_GENERATION = "asked for since the last cut and change of epoch"
    OF_THIS_EPOCH = "asked for in this epoch"
    ANY = "any"


class BlankUntil(Enum):
    """When a centre whose disk was wiped may commit, be taken for in sync and ask to lead again."""

    PUT_OUT = "it learns a configuration of a later epoch that does not name it in in_sync"
    NEXT_EPOCH = "it learns a configuration of a later epoch"
    NOT_IN_SYNC = "it finds that in_sync does not name it"
    STARTED = "it has started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the centres and the witness keep to; the defaults are the protocol."""

    witness_compares_versions: bool = True
    union_with_pending: bool = True
    joins_when_caught_up: bool = True
    pending_is_durable: bool = True
    requests_are_repeated: bool = True
    only_in_sync_promotes: bool = True
    only_newer_is_adopted: bool = True
    configuration_is_durable: bool = True
    older_appends_are_refused: bool = True
    older_acks_are_refused: bool = True
    tail_cut: TailCut = TailCut.WHEN_MET
    only_verified_is_acked: bool = True
    only_durable_is_shipped: bool = True
    completions: Completions = Completions.OF_THIS_GENERATION
    hands_over_within_in_sync: bool = True
    resigns_to_in_sync: bool = True
    blank_asks_witness: bool = True
    blank_until: BlankUntil = BlankUntil.PUT_OUT


PROTOCOL: Final = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far the model goes. Crashes and messages need no limit: without one the states are finite all the same.

    `planned`: leaders hand over and resign. `fsyncs_apart`: a write, its fsync and the completion are three steps
    instead of one. `states_max` ends an exploration after the level of steps that reaches it.
    """

    entries_max: int = 2
    values_max: int = 2
    version_max: int = 4
    epoch_max: int = 3
    wipes_max: int = 0
    planned: bool = False
    fsyncs_apart: bool = False
    states_max: int = 500_000


# --- States ---------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """`value` is given away once: it stands for the payload and the hash."""

    epoch: int
    value: int


Log = tuple[Entry, ...]


class Configuration(NamedTuple):
    version: int
    epoch: int
    leader: Centre
    in_sync: Members


FIRST: Final = Configuration(version=1, epoch=1, leader=OPS, in_sync=BOTH)
NONE: Final = Configuration(version=0, epoch=0, leader=-1, in_sync=NOBODY)


class Copy(NamedTuple):
    """One centre. `log`: what it wrote; `disk`: what a crash leaves of it; `durable`: through here it knows its log to
    be on disk. `matched` is volatile: through here the standby's log, on its disk, is known to equal the leader's; a
    standby counts from what the leader shipped, a leader from what was acked. `blank`: wiped, and not let in again."""

    configuration: Configuration = FIRST
    pending: Members | None = None
    log: Log = ()
    disk: Log = ()
    durable: int = 0
    matched: int = 0
    commit: int = 0
    generation: int = 0
    blank: bool = False


class Append(NamedTuple):
    to: Centre
    epoch: int
    log: Log
    commit: int


class Ack(NamedTuple):
    to: Centre
    epoch: int
    lsn: int


class Completion(NamedTuple):
    """The log was on disk through `lsn` when this was sent."""

    to: Centre
    epoch: int
    generation: int
    lsn: int


class State(NamedTuple):
    """`granted`: configurations that somebody may still learn; the last one stands at the witness. `acknowledged`:
    (lsn, entry) of all that a client was ever told; `acknowledgers`: (epoch, centre) of who told it."""

    granted: tuple[Configuration, ...] = (FIRST,)
    copies: tuple[Copy, Copy] = (Copy(), Copy())
    requests: frozenset[Configuration] = frozenset()
    appends: frozenset[Append] = frozenset()
    acks: frozenset[Ack] = frozenset()
    completions: frozenset[Completion] = frozenset()
    acknowledged: frozenset[tuple[int, Entry]] = frozenset()
    acknowledgers: frozenset[tuple[int, Centre]] = frozenset()
    values: int = 0
    wipes: int = 0


START: Final = State()


class Kind(Enum):
    APPEND = auto()
    ASK_SET = auto()
    ASK_EPOCH = auto()
    GRANT = auto()
    LEARN = auto()
    RECEIVE = auto()
    ACK = auto()
    FSYNC = auto()
    COMPLETE = auto()
    CRASH = auto()
    WIPE = auto()


class Step(NamedTuple):
    kind: Kind
    label: str
    state: State


# --- What must hold -------------------------------------------------------------------------------------------------


def violation(state: State) -> str:
    """A sentence about what is wrong with a state; empty when nothing is."""
    return _lost(state) or _cut(state) or _two_values(state) or _two_leaders(state)


def _lost(state: State) -> str:
    for lsn, entry in state.acknowledged:
        for centre in state.granted[-1].in_sync:
            copy = state.copies[centre]
            if not copy.blank and not _holds(copy, lsn, entry):
                return (
                    f"acknowledged entry {lsn} (value {entry.value}) is not at {CENTRES[centre]}, which in_sync names"
                )
        if not any(_holds(copy, lsn, entry) for copy in state.copies):
            return f"acknowledged entry {lsn} (value {entry.value}) is on no disk"
    return ""


def _holds(copy: Copy, lsn: int, entry: Entry) -> bool:
    return len(copy.disk) >= lsn and copy.disk[lsn - 1] == entry


def _cut(state: State) -> str:
    for name, copy in zip(CENTRES, state.copies, strict=True):
        if len(copy.log) < copy.commit:
            return f"committed entry {len(copy.log) + 1} was cut at {name}"
        for lsn, entry in enumerate(copy.log[: copy.commit], 1):
            if (lsn, entry) not in state.acknowledged:
                return f"committed entry {lsn} at {name} is not the one that was acknowledged"
    return ""


def _two_values(state: State) -> str:
    if len({lsn for lsn, _ in state.acknowledged}) < len(state.acknowledged):
        return f"two entries are acknowledged at one lsn: {sorted(state.acknowledged)}"
    return ""


def _two_leaders(state: State) -> str:
    if len({epoch for epoch, _ in state.acknowledgers}) < len(state.acknowledgers):
        return f"two leaders acknowledged in one epoch: {sorted(state.acknowledgers)}"
    return ""


# --- What may happen ------------------------------------------------------------------------------------------------


def steps(state: State, limits: Limits, rules: Rules) -> Iterator[Step]:
    """Everything that may happen next."""
    for centre in (OPS, ECC):
        copy = state.copies[centre]
        if copy.configuration.version == NONE.version:
            yield _first_read(state, centre, rules)
            continue
        if copy.blank:
            yield from _resigns(state, centre, limits, rules)
        elif _leads(copy, centre):
            yield from _leader_steps(state, centre, limits, rules)
        else:
            yield from _standby_steps(state, centre, limits, rules)
        yield from _learns(state, centre, rules)
        yield from _disk_steps(state, centre, limits, rules)
    yield from _grants(state, rules)
    for append in state.appends:
        yield from _receives(state, append, limits, rules)
    for ack in state.acks:
        yield from _is_acked(state, ack, rules)
    for completion in state.completions:
        yield from _completes(state, completion, rules)


def _leads(copy: Copy, centre: Centre) -> bool:
    return copy.configuration.leader == centre


def _leader_steps(state: State, centre: Centre, limits: Limits, rules: Rules) -> Iterator[Step]:
    copy, name, peer = state.copies[centre], CENTRES[centre], 1 - centre
    within = peer in copy.configuration.in_sync
    if len(copy.log) < limits.entries_max and state.values < limits.values_max:
        yield _appends(state, centre, limits, rules)
    if copy.pending is None and copy.configuration.version < limits.version_max:
        if within:
            yield _asks(state, centre, ALONE[centre], f"{name} asks to be alone")
        elif copy.matched >= copy.commit or not rules.joins_when_caught_up:
            yield _asks(state, centre, BOTH, f"{name} asks {CENTRES[peer]} back in")
    if copy.pending is not None and not rules.requests_are_repeated:
        given_up = state._replace(copies=_with(state, centre, copy._replace(pending=None)))
        yield Step(Kind.ASK_SET, f"{name} gives its request up", _led(given_up, centre, rules))
    if limits.planned:
        if (within or not rules.hands_over_within_in_sync) and copy.matched == copy.durable == len(copy.log):
            label = f"{name} asks to hand over to {CENTRES[peer]}"
            yield from _asks_for_epoch(state, centre, peer, BOTH, label, limits)
        yield from _resigns(state, centre, limits, rules)


def _standby_steps(state: State, centre: Centre, limits: Limits, rules: Rules) -> Iterator[Step]:
    if centre in state.copies[centre].configuration.in_sync or not rules.only_in_sync_promotes:
        yield from _asks_for_epoch(state, centre, centre, ALONE[centre], f"{CENTRES[centre]} asks to lead", limits)


def _resigns(state: State, centre: Centre, limits: Limits, rules: Rules) -> Iterator[Step]:
    """Asks that the peer lead the next epoch alone, whoever leads this one."""
    peer = 1 - centre
    if peer in state.copies[centre].configuration.in_sync or not rules.resigns_to_in_sync:
        label = f"{CENTRES[centre]} asks that {CENTRES[peer]} lead alone"
        yield from _asks_for_epoch(state, centre, peer, ALONE[peer], label, limits)


def _asks_for_epoch(
    state: State, centre: Centre, leader: Centre, in_sync: Members, label: str, limits: Limits
) -> Iterator[Step]:
    """Such a request leaves nothing behind at the sender: it may go on, forget it or ask for something else."""
    before = state.copies[centre].configuration
    if before.version >= limits.version_max or before.epoch >= limits.epoch_max:
        return
    wanted = Configuration(before.version + 1, before.epoch + 1, leader, in_sync)
    if wanted not in state.requests and wanted.version > state.granted[-1].version:
        yield Step(Kind.ASK_EPOCH, label, state._replace(requests=state.requests | {wanted}))


def _asks(state: State, centre: Centre, in_sync: Members, label: str) -> Step:
    """What is asked for is pending from here on, and asked for again."""
    copy = state.copies[centre]
    before = copy.configuration
    wanted = Configuration(before.version + 1, before.epoch, centre, in_sync)
    copies = _with(state, centre, copy._replace(pending=in_sync))
    return Step(Kind.ASK_SET, label, state._replace(copies=copies, requests=state.requests | {wanted}))


def _appends(state: State, centre: Centre, limits: Limits, rules: Rules) -> Step:
    copy, value = state.copies[centre], state.values + 1
    written = _written(copy, (*copy.log, Entry(copy.configuration.epoch, value)), len(copy.log), limits)
    after = state._replace(copies=_with(state, centre, written), values=value)
    label = f"{CENTRES[centre]} appends value {value} at lsn {len(written.log)}"
    return Step(Kind.APPEND, label, _led(after, centre, rules))


def _with(state: State, centre: Centre, copy: Copy) -> tuple[Copy, Copy]:
    ops, ecc = state.copies
    return (copy, ecc) if centre == OPS else (ops, copy)


# --- Configurations -------------------------------------------------------------------------------------------------


def _grants(state: State, rules: Rules) -> Iterator[Step]:
    standing = state.granted[-1]
    for request in state.requests:
        if rules.witness_compares_versions and request.version != standing.version + 1:
            continue
        granted = (*(one for one in state.granted if one != request), request)
        live = state.requests
        if rules.witness_compares_versions:
            live = frozenset(one for one in live if one.version > request.version)
        after = state._replace(granted=_learnable(granted, state.copies, rules), requests=live)
        yield Step(Kind.GRANT, f"the witness grants {_text(request)}", after)


def _learnable(
    granted: tuple[Configuration, ...], copies: tuple[Copy, Copy], rules: Rules
) -> tuple[Configuration, ...]:
    """What somebody may still adopt, and what stands."""
    if len(granted) == 1 or not rules.only_newer_is_adopted:
        return granted
    known = min(copies[OPS].configuration.version, copies[ECC].configuration.version)
    return (*(one for one in granted[:-1] if one.version > known), granted[-1])


def _learns(state: State, centre: Centre, rules: Rules) -> Iterator[Step]:
    own = state.copies[centre].configuration
    for configuration in state.granted:
        newer = configuration.version > own.version
        if newer or (not rules.only_newer_is_adopted and configuration != own):
            yield _adopts(state, centre, configuration, rules)


def _adopts(state: State, centre: Centre, configuration: Configuration, rules: Rules) -> Step:
    copy = state.copies[centre]
    after = copy._replace(
        configuration=configuration,
        pending=None,
        matched=copy.matched if configuration.epoch == copy.configuration.epoch else 0,
        blank=copy.blank and _stays_blank(centre, copy.configuration, configuration, rules),
    )
    label = f"{CENTRES[centre]} learns {_text(configuration)}"
    return Step(Kind.LEARN, label, _led(_adopted(state, centre, after, rules), centre, rules))


def _stays_blank(centre: Centre, before: Configuration, after: Configuration, rules: Rules) -> bool:
    """What was sent before the wipe may still be under way and let this centre in, or let it lead, for what it held
    then. A later version is too late for such requests and a later epoch for such acks, if none of them was granted
    first: in_sync would name this centre."""
    match rules.blank_until:
        case BlankUntil.PUT_OUT:
            return after.epoch == before.epoch or centre in after.in_sync
        case BlankUntil.NEXT_EPOCH:
            return after.epoch == before.epoch
        case BlankUntil.NOT_IN_SYNC:
            return centre in after.in_sync
        case BlankUntil.STARTED:
            return False


def _first_read(state: State, centre: Centre, rules: Rules) -> Step:
    """A centre without a configuration asks the witness, and waits for the answer to this very question."""
    standing = state.granted[-1] if rules.blank_asks_witness else FIRST
    ended = rules.blank_until is BlankUntil.STARTED or (
        rules.blank_until is BlankUntil.NOT_IN_SYNC and centre not in standing.in_sync
    )
    started = state.copies[centre]._replace(configuration=standing, blank=not ended)
    label = f"{CENTRES[centre]} starts blank with {_text(standing)}"
    return Step(Kind.LEARN, label, _led(_adopted(state, centre, started, rules), centre, rules))


def _adopted(state: State, centre: Centre, copy: Copy, rules: Rules) -> State:
    """Without what this centre will never act on again, now that its epoch has risen."""
    copies = _with(state, centre, copy)
    return state._replace(
        granted=_learnable(state.granted, copies, rules),
        copies=copies,
        appends=frozenset(one for one in state.appends if one.to != centre or _may_reach(copy, one, rules)),
        acks=frozenset(one for one in state.acks if one.to != centre or _may_reach(copy, one, rules)),
    )


def _may_reach(copy: Copy, message: Append | Ack, rules: Rules) -> bool:
    """Whether this copy, whose epoch only rises, may still act on a message."""
    if message.epoch >= copy.configuration.epoch:
        return True
    refused = rules.older_appends_are_refused if isinstance(message, Append) else rules.older_acks_are_refused
    return not (refused and rules.only_newer_is_adopted and rules.configuration_is_durable)


# --- Entries --------------------------------------------------------------------------------------------------------


def _led(state: State, centre: Centre, rules: Rules) -> State:
    """What a leader does of itself after every step: commits, acknowledges, ships. A blank one does nothing."""
    copy, peer = state.copies[centre], 1 - centre
    if copy.blank or not _leads(copy, centre):
        return state
    members = copy.configuration.in_sync
    if copy.pending is not None and rules.union_with_pending:
        members = members | copy.pending
    commit = min(copy.durable, copy.matched) if peer in members else copy.durable
    if commit > copy.commit:
        told = {(lsn, copy.log[lsn - 1]) for lsn in range(copy.commit + 1, commit + 1)}
        state = state._replace(
            copies=_with(state, centre, copy._replace(commit=commit)),
            acknowledged=state.acknowledged | told,
            acknowledgers=state.acknowledgers | {(copy.configuration.epoch, centre)},
        )
    return _shipped(state, centre, rules)


def _shipped(state: State, centre: Centre, rules: Rules) -> State:
    copy, peer = state.copies[centre], 1 - centre
    log = copy.log[: copy.durable] if rules.only_durable_is_shipped else copy.log
    append = Append(peer, copy.configuration.epoch, log, copy.commit)
    if append in state.appends or not _may_reach(state.copies[peer], append, rules):
        return state
    return state._replace(appends=state.appends | {append})


def _receives(state: State, append: Append, limits: Limits, rules: Rules) -> Iterator[Step]:
    copy, centre = state.copies[append.to], append.to
    if _leads(copy, centre) or not _is_current(append.epoch, copy, refused=rules.older_appends_are_refused):
        return
    log = _placed(copy, append, rules)
    after = copy if log == copy.log else _written(copy, log, _common(copy.log, log), limits)
    matched = max(copy.matched, len(append.log))
    commit = max(copy.commit, min(append.commit, matched, after.durable))
    if matched > after.matched or commit > after.commit:
        after = after._replace(matched=matched, commit=commit)
    acks = _acks(state, centre, after, append.epoch, rules)
    if after is not copy or acks is not state.acks:
        values = [entry.value for entry in log]
        label = f"{CENTRES[centre]} receives the log of epoch {append.epoch} and holds values {values}"
        yield Step(Kind.RECEIVE, label, state._replace(copies=_with(state, centre, after), acks=acks))


def _is_current(epoch: int, copy: Copy, *, refused: bool) -> bool:
    return epoch == copy.configuration.epoch or (epoch < copy.configuration.epoch and not refused)


def _placed(copy: Copy, append: Append, rules: Rules) -> Log:
    """The log after an append."""
    common = _common(copy.log, append.log)
    if rules.tail_cut is TailCut.NEVER:
        return copy.log + append.log[len(copy.log) :]
    if common < len(append.log):
        return append.log
    older = len(copy.log) > common and copy.log[common].epoch < append.epoch
    return append.log if older and rules.tail_cut is TailCut.AT_ONCE else copy.log


def _common(left: Log, right: Log) -> int:
    """Length of the longest common prefix."""
    length = min(len(left), len(right))
    return next((index for index in range(length) if left[index] != right[index]), length)


def _acks(state: State, centre: Centre, copy: Copy, epoch: int, rules: Rules) -> frozenset[Ack]:
    """All acks, with the one that this standby sends now."""
    peer = 1 - centre
    lsn = min(copy.durable, copy.matched) if rules.only_verified_is_acked else copy.durable
    ack = Ack(peer, epoch, lsn)
    if not lsn or ack in state.acks or not _may_reach(state.copies[peer], ack, rules):
        return state.acks
    return state.acks | {ack}


def _is_acked(state: State, ack: Ack, rules: Rules) -> Iterator[Step]:
    copy = state.copies[ack.to]
    current = _is_current(ack.epoch, copy, refused=rules.older_acks_are_refused)
    if current and _leads(copy, ack.to) and ack.lsn > copy.matched:
        after = state._replace(copies=_with(state, ack.to, copy._replace(matched=ack.lsn)))
        label = f"{CENTRES[ack.to]} learns that lsn {ack.lsn} is durable at {CENTRES[1 - ack.to]}"
        yield Step(Kind.ACK, label, _led(after, ack.to, rules))


# --- Disks ----------------------------------------------------------------------------------------------------------


def _written(copy: Copy, log: Log, kept: int, limits: Limits) -> Copy:
    """After a write that keeps the first `kept` entries."""
    if not limits.fsyncs_apart:
        return copy._replace(log=log, disk=log, durable=len(log))
    generation = copy.generation + (kept < len(copy.log))
    return copy._replace(log=log, durable=min(copy.durable, kept), generation=generation)


def _disk_steps(state: State, centre: Centre, limits: Limits, rules: Rules) -> Iterator[Step]:
    copy, name = state.copies[centre], CENTRES[centre]
    if limits.fsyncs_apart:
        yield from _fsyncs(state, centre)
    # A cut may reach the disk before what was written after it does.
    for disk in {copy.disk, copy.disk[: _common(copy.disk, copy.log)]}:
        restarted = _restarted(copy, disk, rules)
        if restarted != copy or state.completions:
            after = state._replace(copies=_with(state, centre, restarted))
            after = _led(_without_completions(after, centre), centre, rules)
            yield Step(Kind.CRASH, f"{name} crashes and restarts with {len(disk)} entries", after)
    if state.wipes < limits.wipes_max and _holds_all(state, 1 - centre):
        blank = Copy(configuration=NONE, blank=True)
        wiped = _without_completions(state._replace(copies=_with(state, centre, blank), wipes=state.wipes + 1), centre)
        yield Step(Kind.WIPE, f"{name} is wiped", wiped)


def _fsyncs(state: State, centre: Centre) -> Iterator[Step]:
    copy = state.copies[centre]
    completion = Completion(centre, copy.configuration.epoch, copy.generation, len(copy.log))
    known = completion in state.completions or copy.durable == len(copy.log)
    if copy.disk != copy.log or not known:
        copies = _with(state, centre, copy._replace(disk=copy.log))
        after = state._replace(copies=copies, completions=state.completions | {completion})
        yield Step(Kind.FSYNC, f"{CENTRES[centre]} fsyncs through lsn {len(copy.log)}", after)


def _completes(state: State, completion: Completion, rules: Rules) -> Iterator[Step]:
    copy, centre = state.copies[completion.to], completion.to
    counts = {
        Completions.OF_THIS_GENERATION: completion.epoch == copy.configuration.epoch
        and completion.generation == copy.generation,
        Completions.OF_THIS_EPOCH: completion.epoch == copy.configuration.epoch,
        Completions.ANY: True,
    }[rules.completions]
    lsn = min(completion.lsn, len(copy.log))
    if not counts or lsn <= copy.durable:
        return
    durable = copy._replace(durable=lsn)
    after = state._replace(copies=_with(state, centre, durable))
    if _leads(copy, centre):
        after = _led(after, centre, rules)
    else:
        after = after._replace(acks=_acks(state, centre, durable, copy.configuration.epoch, rules))
    yield Step(Kind.COMPLETE, f"{CENTRES[centre]} learns that its fsync through lsn {completion.lsn} is done", after)


def _restarted(copy: Copy, disk: Log, rules: Rules) -> Copy:
    if not rules.configuration_is_durable:
        copy = copy._replace(configuration=FIRST, pending=None)
    if not rules.pending_is_durable:
        copy = copy._replace(pending=None)
    return copy._replace(log=disk, disk=disk, durable=len(disk), matched=0, generation=0)


def _without_completions(state: State, centre: Centre) -> State:
    """A completion does not outlive its process."""
    if not state.completions:
        return state
    return state._replace(completions=frozenset(one for one in state.completions if one.to != centre))


def _holds_all(state: State, centre: Centre) -> bool:
    """Whether the other centre's wipe is a single failure."""
    copy = state.copies[centre]
    within = centre in state.granted[-1].in_sync and not copy.blank
    return within and all(_holds(copy, lsn, entry) for lsn, entry in state.acknowledged)


# --- Ways through the states ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, and the steps that lead there."""

    sentence: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.sentence, *(f"{number:3}. {label}" for number, label in enumerate(self.steps, 1))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """`depth`: levels of steps taken. `complete`: every state within the limits was visited."""

    states: int
    depth: int
    complete: bool
    violation: Violation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    end: State
    violation: Violation | None = None


Parents = dict[State, State | None]


def explore(
    limits: Limits, rules: Rules = PROTOCOL, *, start: State = START, wrong: Callable[[State], str] = violation
) -> Exploration:
    """Breadth first from `start`, until nothing is new, something is wrong, or `states_max` is reached.

    `wrong` may as well look for what must be possible: the shortest way there is returned the same.
    """
    parents: Parents = {start: None}
    level, depth = [start], 0
    while level and len(parents) < limits.states_max:
        level, depth = _next_level(level, parents, limits, rules), depth + 1
        for state in level:
            if sentence := wrong(state):
                found = Violation(sentence=sentence, steps=_way(state, parents, limits, rules))
                return Exploration(states=len(parents), depth=depth, complete=False, violation=found)
    return Exploration(states=len(parents), depth=depth, complete=not level)


def _next_level(level: list[State], parents: Parents, limits: Limits, rules: Rules) -> list[State]:
    found = []
    for state in level:
        for step in steps(state, limits, rules):
            if step.state not in parents:
                parents[step.state] = state
                found.append(step.state)
    return found


def _way(state: State, parents: Parents, limits: Limits, rules: Rules) -> tuple[str, ...]:
    """Finds the labels by taking the steps again: to keep them would double the memory."""
    labels: list[str] = []
    while (parent := parents[state]) is not None:
        label = next(step.label for step in steps(parent, limits, rules) if step.state == state)
        labels.append(label + _told(parent, state))
        state = parent
    return tuple(reversed(labels))


def walk(seed: int, steps_max: int, limits: Limits, rules: Rules = PROTOCOL) -> Walk:
    """One random way, checked after every step. Each walk weighs the kinds of steps anew (swarm testing)."""
    rng = random.Random(seed)
    weights = {kind: 0.01 + rng.random() ** 2 for kind in Kind}
    state = START
    labels: list[str] = []
    for _ in range(steps_max):
        choices = list(steps(state, limits, rules))
        if not choices:
            break
        step = rng.choices(choices, [weights[choice.kind] for choice in choices])[0]
        labels.append(step.label + _told(state, step.state))
        state = step.state
        if sentence := violation(state):
            return Walk(end=state, violation=Violation(sentence=sentence, steps=tuple(labels)))
    return Walk(end=state)


def _told(before: State, after: State) -> str:
    told = sorted(after.acknowledged - before.acknowledged)
    return "".join(f"; acknowledges lsn {lsn} (value {entry.value})" for lsn, entry in told)


def _text(configuration: Configuration) -> str:
    in_sync = " and ".join(CENTRES[centre] for centre in sorted(configuration.in_sync))
    version, epoch, leader, _ = configuration
    return f"version {version}: {CENTRES[leader]} leads epoch {epoch}, in_sync {in_sync}"
