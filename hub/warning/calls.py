"""Who to call for an alert: experts by hazard, and the nearest rescue stations of a fitting kind (S15, S7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hub.warning.hub_port import Hub
from hub.warning.rules import Calls

_EXPERTS: Final = """
select expert_id, name, field, hazards, organisation, phone, available
from experts
where list_has_any(string_split(hazards, ';'), string_split($hazards, ';'))
order by available desc, list_contains(string_split(hazards, ';'), string_split($hazards, ';')[1]) desc, expert_id
limit $rows
"""
# Great-circle distance on a sphere of 6,371,009 m (haversine); without a place, stations of the district.
_STATIONS: Final = """
select station_id, name, kind, district, people, vehicles, phone,
    round(2 * 6371.009 * asin(sqrt(power(sin(radians(lat - $lat) / 2), 2)
        + cos(radians($lat)) * cos(radians(lat)) * power(sin(radians(lon - $lon) / 2), 2))), 2) as km
from rescue_stations
where list_contains(string_split($kinds, ';'), kind) and ($lon is not null or $district is null or district = $district)
order by km, list_position(string_split($kinds, ';'), kind), station_id
limit $rows
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCall:
    """Rows of `experts` and `rescue_stations`, who is to be called first coming first; stations with `km` from the
    alert's place, None if it has none."""

    hazards: tuple[str, ...]
    experts: list[dict[str, Any]]
    stations: list[dict[str, Any]]


def who_to_call(hub: Hub, calls: Calls, alert: Mapping[str, Any]) -> ToCall:
    """Of a row of `alerts`. A category that the rules do not know has nobody: hazards are then empty."""
    call = calls.categories.get(str(alert["category"]))
    if call is None:
        return ToCall(hazards=(), experts=[], stations=[])
    where = {"lon": alert["lon"], "lat": alert["lat"], "district": alert["district"]}
    experts = hub.ask(_EXPERTS, {"hazards": ";".join(call.hazards), "rows": calls.experts_max})
    stations = hub.ask(_STATIONS, {"kinds": ";".join(call.stations), "rows": calls.stations_max, **where})
    return ToCall(hazards=call.hazards, experts=experts.rows(), stations=stations.rows())
