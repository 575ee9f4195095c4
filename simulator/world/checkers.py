"""What must hold of a history: one function a property, from a finished history to what is wrong with it.

`SAFETY` holds of every history that injects what `simulator.world.faults` knows, `LIVENESS` of those that end with a
`Heal`. `Calm` and `Bounds` hold of histories whose faults are known to be few or small: their numbers are the caller's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from replication.codec import HEADER_BYTES
from replication.core.types import Configuration, EntryId
from replication.limits import ReplicationLimits
from simulator.world.history import (
    Applied,
    Broken,
    Committed,
    Converged,
    Cut,
    Ended,
    Granted,
    Halted,
    Healed,
    Held,
    History,
    Injected,
    Read,
    Saved,
    Wrote,
    name_of,
)

_EPOCH_BYTES_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, and when it came to light."""

    at_s: float
    text: str


Check = Callable[[History], list[Finding]]


def findings(history: History, checks: tuple[Check, ...]) -> list[Finding]:
    """Of all checks, the earliest first; each names its property."""
    found = [Finding(at_s=one.at_s, text=f"{check.__name__}: {one.text}") for check in checks for one in check(history)]
    return sorted(found, key=lambda one: one.at_s)


# --- Safety ---------------------------------------------------------------------------------------------------------


def nothing_breaks(history: History) -> list[Finding]:
    """No assertion of the code under test fails, and no log halts: both would take a double fault."""
    broken = [Finding(at_s=at_s, text=f"{one.who}: {one.text}") for at_s, one in history.of(Broken)]
    return broken + [Finding(at_s=at_s, text=f"{one.centre} halts: {one.reason}") for at_s, one in history.of(Halted)]


def acknowledged_entries_survive(history: History) -> list[Finding]:
    """Every member of in_sync holds all that was acknowledged: at each acknowledgement, each grant, and the end."""
    found = []
    head: EntryId | None = None
    standing: Configuration | None = None
    for at_s, record in history.records:
        match record:
            case Committed():
                last = record.entries[-1]
                head = last if head is None or last.lsn > head.lsn else head
                standing = record.standing
            case Granted():
                standing = record.configuration
            case Ended():
                standing = record.standing
            case _:
                continue
        if head is not None:
            found += [Finding(at_s=at_s, text=text) for text in _lacking(record.held, standing, head)]
    return found


def _lacking(held: Held, standing: Configuration, head: EntryId) -> list[str]:
    return [
        f"{centre} is in sync and holds {entry or 'nothing'} where {head} was acknowledged"
        for centre, entry in held
        if centre in standing.in_sync and entry != head
    ]


def one_chain(history: History) -> list[Finding]:
    """One entry was acknowledged at each lsn, lsns step by one, and epochs never fall."""
    chain: list[EntryId] = []
    found = []
    for at_s, one in history.of(Committed):
        for entry in one.entries:
            if wrong := _breaks_chain(chain, entry):
                found.append(Finding(at_s=at_s, text=f"{entry} is acknowledged, {wrong}"))
            elif entry.lsn > len(chain):
                chain.append(entry)
    return found


def _breaks_chain(chain: list[EntryId], entry: EntryId) -> str:
    if entry.lsn > len(chain) + 1:
        return f"and nothing after {len(chain)}"
    if entry.lsn <= len(chain):
        return "" if chain[entry.lsn - 1] == entry else f"and {chain[entry.lsn - 1]} was"
    return f"after {chain[-1]}" if chain and chain[-1].epoch > entry.epoch else ""


def logs_end_as_acknowledged(history: History) -> list[Finding]:
    """At the end each copy in sync holds the chain that was acknowledged, entry by entry."""
    chain = {entry.lsn: entry for _, one in history.of(Committed) for entry in one.entries}
    return [
        Finding(at_s=at_s, text=f"{copy.centre} holds another entry than {entry}")
        for at_s, ended in history.of(Ended)
        for copy in ended.copies
        if copy.centre in dict(ended.held) and copy.centre in ended.standing.in_sync
        for entry in chain.values()
        if entry not in copy.log[entry.lsn - 1 : entry.lsn]
    ]


def one_leader_per_epoch(history: History) -> list[Finding]:
    """In one epoch one centre acknowledges; the witness's versions step by one and its epochs never fall."""
    found = []
    leaders: dict[int, str] = {}
    for at_s, one in history.of(Committed):
        if leaders.setdefault(one.epoch, one.centre) != one.centre:
            found.append(Finding(at_s=at_s, text=f"{leaders[one.epoch]} and {one.centre} lead epoch {one.epoch}"))
    for (_, before), (at_s, after) in pairwise(history.of(Granted)):
        old, new = before.configuration, after.configuration
        if new.version != old.version + 1 or new.epoch - old.epoch != (new.leader != old.leader):
            found.append(Finding(at_s=at_s, text=f"{name_of(new)}, after {name_of(old)}"))
    return found


def configurations_never_go_back(history: History) -> list[Finding]:
    """What a centre saves is of the version before or a later one, and was in force."""
    found = []
    granted = {one.configuration for _, one in history.of(Granted)}
    newest: dict[str, Configuration] = {}
    for at_s, one in history.of(Saved):
        before = newest.get(one.centre)
        if before is not None and one.configuration.version < before.version:
            found.append(Finding(at_s=at_s, text=f"{one.centre} goes back to {name_of(one.configuration)}"))
        if one.configuration.version > 1 and one.configuration not in granted:
            found.append(Finding(at_s=at_s, text=f"{one.centre} saves {name_of(one.configuration)}, never granted"))
        newest[one.centre] = one.configuration
    return found


def no_acknowledgement_alone_before_the_grant(history: History) -> list[Finding]:
    """A leader whose peer does not hold an entry acknowledges it only where the witness has taken the peer out."""
    found = []
    for at_s, one in history.of(Committed):
        last = one.entries[-1]
        missing = [centre for centre in one.standing.in_sync if dict(one.held).get(centre, last) != last]
        lacks = [centre for centre in missing if not _holds_later(one.held, centre, last)]
        if one.centre not in dict(one.held) or lacks:
            found.append(Finding(at_s=at_s, text=f"{one.centre} acknowledges {last} while {lacks} lacks it"))
    return found


def _holds_later(held: Held, centre: str, entry: EntryId) -> bool:
    """Held is told of the highest acknowledged lsn, which may be later than this entry."""
    there = dict(held)[centre]
    return there is not None and there.lsn > entry.lsn


def nothing_applied_is_cut(history: History) -> list[Finding]:
    """A reader sees applied entries only: none was unacknowledged when applied, none is cut later."""
    found = []
    acknowledged: dict[int, EntryId] = {}
    for at_s, record in history.records:
        match record:
            case Committed():
                for entry in record.entries:
                    acknowledged.setdefault(entry.lsn, entry)
            case Applied():
                found += [
                    Finding(at_s=at_s, text=f"{record.centre} applies {entry}, which nobody acknowledged")
                    for entry in record.entries
                    if acknowledged.get(entry.lsn) != entry
                ]
            case Cut():
                if record.entries and record.entries[0].lsn <= record.applied_lsn:
                    found.append(Finding(at_s=at_s, text=f"{record.centre} cuts {record.entries[0]}, applied"))
            case _:
                pass
    return found


def cut_tails_were_never_acknowledged(history: History) -> list[Finding]:
    """Neither before the cut nor later."""
    acknowledged = {entry for _, one in history.of(Committed) for entry in one.entries}
    return [
        Finding(at_s=at_s, text=f"{one.centre} cuts {entry}, which was acknowledged")
        for at_s, one in history.of(Cut)
        for entry in one.entries
        if entry in acknowledged
    ]


def strong_reads_miss_nothing(history: History) -> list[Finding]:
    """A strong read sees all that was acknowledged before it began, whoever acknowledged it."""
    return [
        Finding(at_s=at_s, text=f"{one.centre} shows {one.seen_lsn}, and {one.floor_lsn} was acknowledged before")
        for at_s, one in history.of(Read)
        if one.seen_lsn < one.floor_lsn
    ]


def clients_were_told_the_truth(history: History) -> list[Finding]:
    """An acknowledged write is applied once, a refused one never, an unknown one at most once."""
    found = []
    for at_s, ended in history.of(Ended):
        for copy in ended.copies:
            if copy.centre not in ended.standing.in_sync or copy.centre not in dict(ended.held):
                continue
            times: dict[bytes, int] = {}
            for _, payload in copy.applied:
                times[payload] = times.get(payload, 0) + 1
            behind = len(copy.applied) < len(copy.log)
            for wrote_s, one in history.of(Wrote):
                wrong = _untrue(one, times.get(one.payload, 0), behind=behind)
                if wrong:
                    found.append(Finding(at_s=max(at_s, wrote_s), text=f"{one.payload!r} {wrong} at {copy.centre}"))
    return found


def _untrue(write: Wrote, times: int, *, behind: bool) -> str:
    if times > 1:
        return f"was applied {times} times"
    if write.outcome == "refused" and times:
        return "was refused and applied"
    if write.outcome == "acknowledged" and not times and not behind:
        return "was acknowledged and not applied"
    return ""


# --- Liveness -------------------------------------------------------------------------------------------------------


def converges_after_healing(history: History) -> list[Finding]:
    """Faults are gone, both centres in sync by themselves, logs and applied states equal, all applied."""
    healed_s = [at_s for at_s, _ in history.of(Healed)]
    if not healed_s:
        return []
    found = []
    for at_s, ended in history.of(Ended):
        texts = [f"a fault outlives its healing: {what}" for what in ended.unhealed]
        if len(ended.standing.in_sync) != len(ended.copies):
            texts.append(f"in sync are only {sorted(ended.standing.in_sync)}")
        if len({copy.log for copy in ended.copies}) != 1:
            texts.append("logs differ")
        if len({copy.applied for copy in ended.copies}) != 1:
            texts.append("applied states differ")
        texts += [
            f"{copy.centre} has not learned {name_of(ended.standing)}"
            for copy in ended.copies
            if copy.configuration != ended.standing
        ]
        texts += [
            f"{copy.centre} has applied {len(copy.applied)} of {len(copy.log)}"
            for copy in ended.copies
            if len(copy.applied) != len(copy.log)
        ]
        found += [Finding(at_s=at_s, text=text) for text in texts]
    return found


def writes_go_on_after_healing(history: History) -> list[Finding]:
    """Some write that began after healing is acknowledged."""
    for healed_s, _ in history.of(Healed):
        if not any(one.outcome == "acknowledged" and one.began_s >= healed_s for _, one in history.of(Wrote)):
            return [Finding(at_s=history.records[-1][0], text="no write that began after healing is acknowledged")]
    return []


def strong_reads_go_on_after_healing(history: History) -> list[Finding]:
    """Some strong read that began after healing is answered."""
    for healed_s, _ in history.of(Healed):
        if not any(one.began_s >= healed_s for _, one in history.of(Read)):
            return [Finding(at_s=history.records[-1][0], text="no strong read that began after healing is answered")]
    return []


def nothing_changes_once_converged(history: History) -> list[Finding]:
    """What is at rest stays so: no configuration changes after convergence."""
    converged_s = next((at_s for at_s, _ in history.of(Converged)), float("inf"))
    return [
        Finding(at_s=at_s, text=name_of(one.configuration)) for at_s, one in history.of(Granted) if at_s > converged_s
    ]


def at_most_one_change_of_leader_a_fault(history: History) -> list[Finding]:
    """An operator's order counts as one, too."""
    faults = sum(1 for _ in history.of(Injected))
    changes = role_changes(history)
    text = f"{changes} changes of leader for {faults} faults"
    return [Finding(at_s=history.records[-1][0], text=text)] if changes > faults else []


def logs_stay_small(history: History) -> list[Finding]:
    """A log holds each write once and one entry an epoch, nothing else."""
    writes_bytes = sum(HEADER_BYTES + len(one.payload) for _, one in history.of(Wrote))
    found = []
    for at_s, ended in history.of(Ended):
        bytes_max = writes_bytes + _EPOCH_BYTES_MAX * ended.standing.epoch
        found += [
            Finding(at_s=at_s, text=f"{copy.centre}'s log has {copy.log_bytes} bytes, more than {bytes_max}")
            for copy in ended.copies
            if copy.log_bytes > bytes_max
        ]
    return found


SAFETY: Final[tuple[Check, ...]] = (
    nothing_breaks,
    acknowledged_entries_survive,
    one_chain,
    logs_end_as_acknowledged,
    one_leader_per_epoch,
    configurations_never_go_back,
    no_acknowledgement_alone_before_the_grant,
    nothing_applied_is_cut,
    cut_tails_were_never_acknowledged,
    strong_reads_miss_nothing,
    clients_were_told_the_truth,
    logs_stay_small,
)
LIVENESS: Final[tuple[Check, ...]] = (
    converges_after_healing,
    writes_go_on_after_healing,
    strong_reads_go_on_after_healing,
    nothing_changes_once_converged,
    at_most_one_change_of_leader_a_fault,
)


# --- With numbers ---------------------------------------------------------------------------------------------------


def no_change_of_configuration(history: History) -> list[Finding]:
    """For faults that stay below the threshold."""
    return [Finding(at_s=at_s, text=name_of(one.configuration)) for at_s, one in history.of(Granted)]


def role_changes(history: History) -> int:
    """How often another centre began to lead."""
    granted = [one.configuration for _, one in history.of(Granted)]
    return granted[-1].epoch - 1 if granted else 0


def leaders_change(at_most: int) -> Check:
    """The leader changes no oftener."""

    def leaders_change(history: History) -> list[Finding]:
        changes = role_changes(history)
        text = f"{changes} changes of leader, at most {at_most} for these faults"
        return [Finding(at_s=history.records[-1][0], text=text)] if changes > at_most else []

    return leaders_change


def writes_resume(from_s: float, until_s: float) -> Check:
    """A write that began after `from_s` is acknowledged by `until_s`."""

    def writes_resume(history: History) -> list[Finding]:
        for at_s, one in history.of(Wrote):
            if one.outcome == "acknowledged" and one.began_s >= from_s and at_s <= until_s:
                return []
        return [Finding(at_s=until_s, text=f"no write that began after {from_s:.3f} s is acknowledged")]

    return writes_resume


def converges_within(seconds: float) -> Check:
    """From healing on."""

    def converges_within(history: History) -> list[Finding]:
        ended_s = history.records[-1][0]
        for healed_s, _ in history.of(Healed):
            converged_s = next((at_s for at_s, _ in history.of(Converged)), ended_s)
            if converged_s - healed_s > seconds:
                text = f"{converged_s - healed_s:.2f} s after healing, at most {seconds:.2f} s"
                return [Finding(at_s=converged_s, text=text)]
        return []

    return converges_within


def in_sync_at(when_s: float) -> Check:
    """Both centres are in sync at that time."""

    def in_sync_at(history: History) -> list[Finding]:
        before = [one.configuration for at_s, one in history.of(Granted) if at_s <= when_s]
        alone = bool(before) and len(before[-1].in_sync) < 2
        return [Finding(at_s=when_s, text=name_of(before[-1]))] if alone else []

    return in_sync_at


def queues_stay_bounded(limits: ReplicationLimits, payload_bytes_max: int) -> Check:
    """What waits for a disk: the backlog, one message more, and what a leader has in flight."""
    entry_bytes = HEADER_BYTES + payload_bytes_max
    bytes_max = limits.persist_backlog_bytes_max + limits.ship_bytes_max + limits.flight_bytes_max + 2 * entry_bytes

    def queues_stay_bounded(history: History) -> list[Finding]:
        return [
            Finding(at_s=at_s, text=f"{copy.backlog_bytes_peak} bytes waited at {copy.centre}, at most {bytes_max}")
            for at_s, ended in history.of(Ended)
            for copy in ended.copies
            if copy.backlog_bytes_peak > bytes_max
        ]

    return queues_stay_bounded


def longest_pause_s(history: History, *, from_s: float, until_s: float) -> float:
    """The longest time in which no write was acknowledged."""
    times = [at_s for at_s, one in history.of(Wrote) if one.outcome == "acknowledged" and from_s <= at_s <= until_s]
    return max(after - before for before, after in pairwise([from_s, *times, until_s]))
