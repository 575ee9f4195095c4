"""Alerts as they are, and what people do with them: take, then close. Reads no clock.

Whether a state may follow is checked on what was acknowledged last (`strong`), and once more by the hub itself: of two
records after the same one, the second is refused here with the word of the first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from hub.catalogue.contract import Contract
from hub.errors import BadRequestError
from hub.warning.hub_port import Hub
from hub.warning.records import CLOSED, HUB, STATES, TAKEN, Alert, alerts_of, next_row, sending

_ONE: Final = "select * from alerts where alert_id = $alert_id"
_ALL: Final = """
select *, count(*) over (partition by alert_id)::integer as records from alerts
qualify row_number() over (partition by alert_id
        order by case state when 'closed' then 3 when 'taken' then 2 else 1 end desc) = 1
    and ($state is null or state = $state)
order by "at" desc, alert_id
limit $rows
"""
_BY_MAX: Final = 100


def current(hub: Hub, alert_id: str) -> Alert:
    """Raises BadRequestError when there is none."""
    found = alerts_of(hub.ask(_ONE, {"alert_id": alert_id}).rows())
    if alert_id not in found:
        raise BadRequestError(f"there is no alert {alert_id!r}", hint="`cityhub warn list` shows all")
    return found[alert_id]


def listed(hub: Hub, *, state: str | None = None, rows_max: int = 1000) -> list[dict[str, Any]]:
    """The newest row of each alert, the newest first, of those that are in a state now."""
    if state is not None and state not in STATES:
        raise BadRequestError(f"there is no state {state!r}", hint=f"one of {', '.join(STATES)}")
    return hub.ask(_ALL, {"state": state, "rows": rows_max}).rows()


def take(hub: Hub, contract: Contract, alert_id: str, *, by: str, at: datetime) -> Mapping[str, Any]:
    """The row that says so. Raises BadRequestError when it is not `sent`, or somebody was faster."""
    return _bring(hub, contract, alert_id, TAKEN, by=by, at=at, note="")


def close(hub: Hub, contract: Contract, alert_id: str, *, by: str, at: datetime, note: str = "") -> Mapping[str, Any]:
    """As `take`; it must be `taken`."""
    return _bring(hub, contract, alert_id, CLOSED, by=by, at=at, note=note)


def _bring(
    hub: Hub, contract: Contract, alert_id: str, state: str, *, by: str, at: datetime, note: str
) -> Mapping[str, Any]:
    if not by.strip() or len(by) > _BY_MAX:
        raise BadRequestError(f"who does it has a name of at most {_BY_MAX} characters", hint="--by NAME")
    if by == HUB:
        raise BadRequestError(f"{HUB} is the hub's own name", hint="say who you are: --by NAME")
    alert = current(hub, alert_id)
    if alert.state == state and alert.last["by"] == by:
        return alert.last  # Asked again after an answer that was lost.
    row = next_row(alert, state, at=at, by=by, evidence={"note": note} if note else None)
    (receipt,) = hub.send([sending(contract, row, alert.records)])
    if receipt.duplicate:
        alert = current(hub, alert_id)
        if (alert.state, alert.last["by"]) != (state, by):
            next_row(alert, state, at=at, by=by)
            raise BadRequestError(f"alert {alert_id} was changed meanwhile", hint="look again, then try again")
        return alert.last
    return row
