"""The vocabulary of the model: rules that can be relaxed, limits, states, and what must hold of each state."""

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
            if not copy.blank and not holds(copy, lsn, entry):
                return (
                    f"acknowledged entry {lsn} (value {entry.value}) is not at {CENTRES[centre]}, which in_sync names"
                )
        if not any(holds(copy, lsn, entry) for copy in state.copies):
            return f"acknowledged entry {lsn} (value {entry.value}) is on no disk"
    return ""


def holds(copy: Copy, lsn: int, entry: Entry) -> bool:
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
