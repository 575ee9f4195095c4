"""One pass of early warning over a time [since, until), over the port of a hub. Reads no clock.

1. Which spells go on at `since`, as the alerts tell.
2. Each detector's stretches, part by part, through `spells.step`: what begins, rises, ends.
3. What is not in the hub yet is sent: new alerts first, then those that are over. Each has its one place in the hub, so
   that a pass that is made again, whole or in parts, or by two at once, sends nothing twice.
4. The pass is remembered.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from hub.catalogue.contract import Contract
from hub.errors import HubError
from hub.position import raise_to
from hub.warning import memory
from hub.warning.dangers import Dangers
from hub.warning.detector import Detector
from hub.warning.hub_port import Hub
from hub.warning.rain import Rain
from hub.warning.records import (
    CLOSED,
    HUB,
    Alert,
    alert_id,
    alerts_of,
    next_row,
    sending,
    sent_row,
    spell_of,
    spells_at,
)
from hub.warning.rules import Rules
from hub.warning.sensors import Sensors
from hub.warning.spells import Ended, Event, Spell, before_the_pass, step

Progress = Callable[[str, datetime], None]
"""Called with a cause and until when it was looked at."""
# The alerts of the hub that are not closed, and those of late.
_KNOWN: Final = """
with ours as (select alert_id from alerts where state = 'sent' and "by" = $hub),
over as (
    select alert_id from alerts group by alert_id
    having bool_or(state = 'closed') and min("at") < $long_ago::timestamp
)
select a.* exclude (evidence) from alerts a semi join ours using (alert_id) anti join over using (alert_id)
"""
_OF_KEYS: Final = """
select * exclude (evidence) from alerts where list_contains(string_split($keys, $between), alert_id)
"""
_BETWEEN: Final = "\n"
_ATTEMPTS: Final = 3


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a pass found, and what of it was new. Rows are those of data set `alerts`."""

    since: datetime
    until: datetime
    looked_at: dict[str, int] = field(default_factory=dict)
    sent: list[Mapping[str, Any]] = field(default_factory=list)
    closed: list[Mapping[str, Any]] = field(default_factory=list)
    position: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Over:
    alert_id: str
    at: datetime
    evidence: Mapping[str, Any]


def detectors(rules: Rules) -> tuple[Detector, ...]:
    """They keep what they asked for: make them once for many passes."""
    return Sensors(rules), Rain(rules), Dangers(rules)


def time_of_pass(
    hub: Hub, rules: Rules, *, now: datetime, since: datetime | None, until: datetime | None
) -> tuple[datetime, datetime]:
    """From where the last pass ended to the newest reading or rain that there is, not after `now`. Moments are naive
    UTC."""
    if until is None:
        sql = (
            "select (select max(observed_at) from readings where observed_at < $now::timestamp) as reading, "
            "(select max(observed_at) from rainfall where observed_at < $now::timestamp) as rain"
        )
        settled = now - timedelta(seconds=rules.passes.settle_s)
        (row,) = hub.ask(sql, {"now": settled}).rows()
        newest = [at for at in row.values() if at is not None]
        until = min(settled, max(newest) + timedelta(milliseconds=1)) if newest else settled
    if since is None:
        (last,) = hub.ask(memory.LAST, {"producer": memory.PRODUCER}).rows()
        found = memory.remembered(last["step"], rules.passes.remember_s)
        since = found or until - timedelta(hours=rules.passes.first_hours)
    return min(since, until), until


def run_pass(
    hub: Hub,
    contract: Contract,
    rules: Rules,
    looking: Iterable[Detector],
    *,
    since: datetime,
    until: datetime,
    dry_run: bool = False,
    remember: bool = True,
    progress: Progress = lambda cause, until: None,
) -> Outcome:
    """`contract` is that of data set `alerts`. Raises HubError; the pass can then be made again. To `remember` a pass
    that goes beyond now would let the next ones begin after what is still to come."""
    outcome = Outcome(since=since, until=until)
    known = _known(hub, rules, since)
    raised: list[dict[str, Any]] = []
    ended: list[_Over] = []
    for detector in looking:
        open_grades = _open_grades(known.values())
        for event in _events(hub, detector, spells_at(known.values(), since), outcome, progress):
            place, key = (event.spell.cause, event.spell.place), alert_id(event.spell)
            if isinstance(event, Ended):
                open_grades.pop(place, None)
                ended.append(_Over(key, event.at, {"reason": "the cause has ended"}))
                continue
            # Rows that came late make a spell begin earlier: whoever was warned of it is not warned once more.
            if key not in known and event.spell.grade > open_grades.get(place, 0):
                found = detector.found(hub, event)
                raised.append(sent_row(event, found, version=rules.version, position=outcome.position))
            if event.before:
                lower = alert_id(replace(event.spell, grade=event.before))
                ended.append(_Over(lower, event.spell.at, {"reason": "a higher level was sent", "alert_id": key}))
    if dry_run:
        outcome.sent += raised
        everything = {**known, **alerts_of(raised)}
        outcome.closed += _closings(everything, ended)
        return outcome
    _send_new(hub, contract, raised, outcome)
    _close(hub, contract, {**known, **alerts_of(raised)}, ended, outcome)
    if remember and outcome.looked_at:  # Where nothing has come yet, what comes may be older.
        hub.send([memory.to_remember(contract, until, rules.passes.remember_s)])
    return outcome


def _known(hub: Hub, rules: Rules, since: datetime) -> dict[str, Alert]:
    long_ago = since - timedelta(days=rules.passes.known_days)
    return alerts_of(hub.ask(_KNOWN, {"hub": HUB, "long_ago": long_ago}).rows())


def _events(
    hub: Hub, detector: Detector, going_on: dict[tuple[str, str], Spell], outcome: Outcome, progress: Progress
) -> Iterable[Event]:
    spells: dict[tuple[str, str], Spell | None] = {**going_on}
    for number, (begins, until) in enumerate(detector.parts(outcome.since, outcome.until)):
        events: list[Event] = []
        for stretch in detector.stretches(hub, begins, until, first=not number):
            key = stretch.cause, stretch.place
            if stretch.ends < outcome.since:
                spells[key] = before_the_pass(spells.get(key), stretch)
                continue
            outcome.looked_at[stretch.cause] = outcome.looked_at.get(stretch.cause, 0) + stretch.moments
            spells[key], happened = step(spells.get(key), stretch, detector.lasting)
            events += happened
        raise_to(outcome.position, hub.position)
        yield from events
        progress(detector.causes[0], until)


def _open_grades(alerts: Iterable[Alert]) -> dict[tuple[str, str], int]:
    """The highest level that is open at each cause and place."""
    grades: dict[tuple[str, str], int] = {}
    for alert in alerts:
        spell = spell_of(alert.alert_id, alert.sent["at"])
        if spell is not None and alert.state != CLOSED:
            place = spell.cause, spell.place
            grades[place] = max(grades.get(place, 0), spell.grade)
    return grades


def _send_new(hub: Hub, contract: Contract, rows: list[dict[str, Any]], outcome: Outcome) -> None:
    receipts = hub.send([sending(contract, row, 0) for row in rows])
    for row, receipt in zip(rows, receipts, strict=True):
        if receipt.rows_rejected:
            raise HubError(f"alert {row['alert_id']} failed a check", hint="data set quarantine has the reason")
        if not receipt.duplicate:
            outcome.sent.append(row)


def _close(hub: Hub, contract: Contract, alerts: Mapping[str, Alert], ended: list[_Over], outcome: Outcome) -> None:
    """What is over is closed, unless it is. Where somebody was faster with another record, it is looked at again."""
    for _ in range(_ATTEMPTS):
        rows = _closings(alerts, ended)
        if not rows:
            return
        receipts = hub.send([sending(contract, row, alerts[row["alert_id"]].records) for row in rows])
        outcome.closed += (row for row, receipt in zip(rows, receipts, strict=True) if not receipt.duplicate)
        keys = _BETWEEN.join(row["alert_id"] for row in rows)
        alerts = alerts_of(hub.ask(_OF_KEYS, {"keys": keys, "between": _BETWEEN}).rows())


def _closings(alerts: Mapping[str, Alert], ended: Iterable[_Over]) -> list[dict[str, Any]]:
    """Rows that close those that are not closed."""
    return [
        next_row(alerts[one.alert_id], CLOSED, at=one.at, by=HUB, evidence=one.evidence)
        for one in ended
        if one.alert_id in alerts and alerts[one.alert_id].state != CLOSED
    ]
