"""Rows of data set `alerts`: their keys, their evidence, and which state may follow which. Pure.

A key is `cause:place:beginning:level`, such as `sensor:1:20260601T090000.000:red`: the same cause at the same place in
the same spell has the same key whoever finds it and whenever. The record that follows the nth of an alert is exchange n
+ 1 of producer `alert-<key>`, whatever it says: so there is one record after each, and no two that do not know of each
other.

    sent ──people──▶ taken ──people, or the hub when the cause has ended──▶ closed
     └────the hub, when the cause has ended, or a higher level was sent────────▲
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.errors import BadRequestError
from hub.position import position_to_text
from hub.warning.detector import Found
from hub.warning.hub_port import Sending
from hub.warning.rules import LEVELS
from hub.warning.spells import Raised, Spell

DATA_SET: Final = "alerts"
HUB: Final = "cityhub"
"""Who brings alerts into states by itself, in column `by`."""
SENT, TAKEN, CLOSED = "sent", "taken", "closed"
STATES: Final = (SENT, TAKEN, CLOSED)
_EVIDENCE_MAX: Final = 4000
_SUMMARY_MAX: Final = 2000
_NEXT: Final[dict[str, dict[bool, tuple[str, ...]]]] = {
    # By the state it is in, and whether the hub does it.
    SENT: {False: (TAKEN,), True: (CLOSED,)},
    TAKEN: {False: (CLOSED,), True: (CLOSED,)},
    CLOSED: {False: (), True: ()},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert as it is now. `records` counts its rows, `sent` is the first one, `last` the newest; rows have the
    contract's columns."""

    alert_id: str
    records: int
    sent: Mapping[str, Any]
    last: Mapping[str, Any]

    @property
    def state(self) -> str:
        return str(self.last["state"])


def alert_id(spell: Spell) -> str:
    """At the level that the spell has reached."""
    beginning = spell.begins.strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"{spell.cause}:{spell.place}:{beginning}:{LEVELS[spell.grade - 1]}"


def spell_of(key: str, at: datetime) -> Spell | None:
    """The spell of an alert that was sent at a moment; None for a key that is none of ours."""
    cause, _, rest = key.partition(":")
    parts = rest.rsplit(":", 2)
    if len(parts) != 3 or parts[2] not in LEVELS:
        return None
    try:
        begins = datetime.strptime(parts[1], "%Y%m%dT%H%M%S.%f")  # moments are naive UTC
    except ValueError:
        return None
    return Spell(cause=cause, place=parts[0], begins=begins, grade=LEVELS.index(parts[2]) + 1, at=at)


def sent_row(raised: Raised, found: Found, *, version: int, position: Mapping[str, int]) -> dict[str, Any]:
    """`version` is that of the rules, `position` what the rows were read at."""
    spell = raised.spell
    facts = {
        "cause": spell.cause,
        "place": spell.place,
        "begins": f"{spell.begins.isoformat(timespec='milliseconds')}Z",
        "rules_version": version,
        "position": position_to_text(position),
        **found.evidence,
    }
    return {
        "alert_id": alert_id(spell),
        "state": SENT,
        "at": spell.at,
        "level": LEVELS[spell.grade - 1],
        "category": found.category,
        "district": found.district,
        "lon": found.lon,
        "lat": found.lat,
        "summary": found.summary[:_SUMMARY_MAX],
        "evidence": _evidence(facts),
        "by": HUB,
    }


def next_row(
    alert: Alert, state: str, *, at: datetime, by: str, evidence: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The row that brings an alert into a state. Raises BadRequestError when that state cannot follow."""
    allowed = _NEXT[alert.state][by == HUB]
    if state not in allowed:
        done = f"by {alert.last['by'] or 'somebody'} at {alert.last['at']:%Y-%m-%d %H:%M:%S} UTC"
        hint = "take it first" if (alert.state, state) == (SENT, CLOSED) else "`cityhub warn list` shows all"
        raise BadRequestError(f"alert {alert.alert_id} is {alert.state} {done}, and cannot be {state}", hint=hint)
    return {
        **alert.sent,
        "state": state,
        "at": at,
        "by": by,
        "evidence": None if evidence is None else _evidence(evidence),
    }


def sending(contract: Contract, row: Mapping[str, Any], records: int) -> Sending:
    """`records` are those that the alert has before."""
    names = [column.name for column in contract.columns]
    batch = pa.RecordBatch.from_pylist([{name: row.get(name) for name in names}], schema=contract.schema)
    return Sending(producer=f"alert-{row['alert_id']}", sequence=records + 1, rows=batch)


def alerts_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Alert]:
    """By key, out of their rows in any order. Alerts of others, without a row that says `sent`, are left out."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["alert_id"], []).append(row)
    found = {}
    for key, group in grouped.items():
        ordered = sorted(group, key=lambda row: STATES.index(row["state"]))
        if ordered[0]["state"] == SENT:
            found[key] = Alert(alert_id=key, records=len(ordered), sent=ordered[0], last=ordered[-1])
    return found


def spells_at(alerts: Iterable[Alert], since: datetime) -> dict[tuple[str, str], Spell]:
    """The spells that go on at a moment, by cause and place, as the alerts from before it tell: the newest of each
    place at the highest level it had, unless the hub had closed that one by then."""
    newest: dict[tuple[str, str], tuple[Spell, Alert]] = {}
    for alert in alerts:
        spell = spell_of(alert.alert_id, alert.sent["at"])
        if spell is None or spell.at >= since or alert.sent["by"] != HUB:
            continue
        key = spell.cause, spell.place
        if key not in newest or (spell.begins, spell.grade) > (newest[key][0].begins, newest[key][0].grade):
            newest[key] = spell, alert
    going_on = {}
    for key, (spell, alert) in newest.items():
        closed = alert.state == CLOSED
        by_the_hub = closed and alert.last["by"] == HUB
        if by_the_hub and alert.last["at"] < since:
            continue
        going_on[key] = Spell(
            cause=spell.cause,
            place=spell.place,
            begins=spell.begins,
            grade=spell.grade,
            at=spell.at,
            closed_by_people=closed and not by_the_hub,
        )
    return going_on


def _evidence(facts: Mapping[str, Any]) -> str:
    """JSON that fits the column: rows that are too many are left out from the first one on."""
    kept = dict(facts)
    while len(text := json.dumps(kept, ensure_ascii=False, default=str)) > _EVIDENCE_MAX:
        if not kept.get("rows"):
            return json.dumps({"note": "too long"})
        kept["rows"] = kept["rows"][1:]
    return text
