"""The rules of one log as an executable model: two centres, a witness, and every order of events there can be.

A state holds what is durable, what is volatile, and every message ever sent: messages never leave, so each may be
lost, delayed, doubled and overtaken. A centre may crash, or learn late of a configuration, at any point; one may be
wiped. `Rules` names every rule: one that is switched off is relaxed. `model_search` looks through the states.

What keeps the states few, and hides nothing:
1. A centre that is down is one that does nothing for a while: a crash and the restart after it are one step.
2. More messages never forbid a step: an append leaves as soon as there is something new to ship, an ack at once.
3. A centre learns a configuration in a step of its own, whatever message carried it.
4. A message that nobody will ever act on is forgotten.

Left out on purpose: how the place to ship from is found. An append carries all that the leader ships of its log.

This module reads no clock, does no I/O and draws no randomness.
"""

from collections.abc import Iterator

from simulator.world.model_state import (
    ALONE,
    BOTH,
    CENTRES,
    ECC,
    FIRST,
    NONE,
    OPS,
    Ack,
    Append,
    BlankUntil,
    Centre,
    Completion,
    Completions,
    Configuration,
    Copy,
    Entry,
    Kind,
    Limits,
    Log,
    Members,
    Rules,
    State,
    Step,
    TailCut,
    holds,
)

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
    return within and all(holds(copy, lsn, entry) for lsn, entry in state.acknowledged)


def _text(configuration: Configuration) -> str:
    in_sync = " and ".join(CENTRES[centre] for centre in sorted(configuration.in_sync))
    version, epoch, leader, _ = configuration
    return f"version {version}: {CENTRES[leader]} leads epoch {epoch}, in_sync {in_sync}"
