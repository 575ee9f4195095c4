"""State of one replica of one log, and the questions every role asks of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from replication.core.effects import Effect, Halt
from replication.core.types import Configuration, Entry, EntryId, EpochStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """`sent_lsn`: shipped through here; `matched_lsn`: durable at the standby through here.

    `streaming` is False until the standby's position is known in this connection; nothing is shipped before.
    `joining`: a standby that is not in sync has nearly caught up; nothing is committed without it from here on, so
    that it can be asked back in once it holds all that was committed. `probe`: the newest question whether this
    centre still leads. `handing_over`: nothing is proposed, and the peer shall lead once it holds all.
    `peer_blank`: the standby has lost its disk and does not know yet that it is out of in_sync. `inherited_lsn`: what
    was durable here when this leadership, or this start in it, began; any of it may have been acknowledged.
    """

    sent_lsn: int
    inherited_lsn: int = 0
    matched_lsn: int = 0
    streaming: bool = False
    joining: bool = False
    probe: int = 0
    handing_over: bool = False
    peer_blank: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """`verified_lsn`: the log equals the leader's through here; `leader_commit_lsn`: its highest commit lsn heard;
    `probe`: the newest one heard of it."""

    verified_lsn: int = 0
    leader_commit_lsn: int = 0
    probe: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One centre's copy of one log.

    `generation` rises with every change of epoch and every truncation: a `Persisted` of another generation proves
    nothing. `pending` is an in_sync set asked of the witness and not answered yet. `blank`: the disk was lost while
    somebody may still rely on this centre: it leads nothing and asks for nothing until its leader says otherwise.
    """

    log: str
    centre: str
    peer: str
    configuration: Configuration
    pending: frozenset[str] | None
    end: EntryId
    durable_lsn: int
    commit_lsn: int
    epochs: tuple[EpochStart, ...]
    role: Leader | Standby
    generation: int = 0
    ship_window_entries_max: int = 64
    blank: bool = False
    halted: str = ""


Step = tuple[Replica, tuple[Effect, ...]]


def recover(
    *,
    log: str,
    centre: str,
    peer: str,
    configuration: Configuration,
    pending: frozenset[str] | None,
    end: EntryId,
    epochs: tuple[EpochStart, ...],
    applied_lsn: int,
    ship_window_entries_max: int,
    blank: bool = False,
) -> Replica:
    """A replica as it resumes after a start: all that the log holds is durable, all that is applied was committed.
    `blank` when no configuration was found and the witness knows this centre of old."""
    assert applied_lsn <= end.lsn, "the store is ahead of the log"
    return Replica(
        log=log,
        centre=centre,
        peer=peer,
        configuration=configuration,
        pending=pending,
        end=end,
        durable_lsn=end.lsn,
        commit_lsn=applied_lsn,
        epochs=epochs,
        role=role_in(configuration, centre, end.lsn),
        ship_window_entries_max=ship_window_entries_max,
        blank=blank,
    )


def role_in(configuration: Configuration, centre: str, durable_lsn: int) -> Leader | Standby:
    if configuration.leader == centre:
        return Leader(sent_lsn=durable_lsn, inherited_lsn=durable_lsn)
    return Standby()


def may_propose(state: Replica) -> bool:
    """Whether this centre may append entries of its own now."""
    leads = isinstance(state.role, Leader) and not state.role.handing_over
    return leads and not state.blank and not state.halted


def members(state: Replica) -> frozenset[str]:
    """Who must hold an entry before it is acknowledged: with a request in flight, nobody knows which set holds."""
    return state.configuration.in_sync | (state.pending or frozenset())


def in_force_after(state: Replica, in_sync: frozenset[str], *, leader: str) -> Configuration:
    """The next version; another leader begins another epoch."""
    before = state.configuration
    epoch = before.epoch + (leader != before.leader)
    return Configuration(version=before.version + 1, epoch=epoch, leader=leader, in_sync=in_sync)


def epoch_at(epochs: Sequence[EpochStart], lsn: int) -> int:
    """Epoch of the entry at `lsn`, 0 before the first one."""
    return max((start.epoch for start in epochs if start.first_lsn <= lsn), default=0) if lsn else 0


def extend_epochs(epochs: tuple[EpochStart, ...], entries: Sequence[Entry]) -> tuple[EpochStart, ...]:
    for entry in entries:
        if not epochs or entry.epoch > epochs[-1].epoch:
            epochs = (*epochs, EpochStart(epoch=entry.epoch, first_lsn=entry.lsn))
    return epochs


def cut_epochs(epochs: tuple[EpochStart, ...], after_lsn: int) -> tuple[EpochStart, ...]:
    return tuple(start for start in epochs if start.first_lsn <= after_lsn)


def common_prefix(ours: Sequence[EpochStart], our_end: int, theirs: Sequence[EpochStart], their_end: int) -> int:
    """Highest lsn at which both logs hold an entry of the same epoch: within one epoch one leader wrote, and it
    ships only what is durable at itself, so equal (lsn, epoch) means equal entries up to there."""
    bounds = {0}
    for start in ours:
        for other in theirs:
            if start.epoch == other.epoch:
                bounds.add(min(_last_lsn(ours, start.epoch, our_end), _last_lsn(theirs, start.epoch, their_end)))
    return max(lsn for lsn in bounds if epoch_at(ours, lsn) == epoch_at(theirs, lsn))


def _last_lsn(epochs: Sequence[EpochStart], epoch: int, end: int) -> int:
    return min([end, *(start.first_lsn - 1 for start in epochs if start.epoch > epoch)])


def then(before: Step, following: Callable[[Replica], Step]) -> Step:
    """Two steps as one: the effects of both, in order."""
    state, first = before
    state, second = following(state)
    return state, (*first, *second)


def halt(state: Replica, reason: str) -> Step:
    return replace(state, halted=reason), (Halt(reason=reason),)
