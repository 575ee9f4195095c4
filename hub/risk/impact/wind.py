"""Wind of a toxic plume where nobody says it: the newest observation near the place."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from hub.risk.impact.plane import Plane
from hub.risk.impact.reading import Reading

_M_S_PER_MPH: Final = 0.44704
_FRESH: Final = timedelta(hours=3)
_OBSERVED: Final = """
select s.lon, s.lat, o.wind_speed, o.wind_direction, o.observed_at
from weather_observations o join weather_stations s using (station)
where o.observed_at > $since::timestamp and o.wind_speed is not null and s.lon is not null and s.lat is not null
qualify row_number() over (partition by station order by o.observed_at desc) = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """`from_degrees` is None where the station does not tell it; `at` is naive UTC."""

    wind_m_s: float
    from_degrees: float | None
    at: datetime


def observed_wind(reading: Reading, plane: Plane) -> Observed | None:
    """Of the nearest station that observed within three hours of the newest observation of all. Raises HubError."""
    (last,) = reading.table("select max(observed_at) as at from weather_observations").to_pylist()
    if last["at"] is None:
        return None
    rows = reading.table(_OBSERVED, {"since": last["at"] - _FRESH}).to_pylist()
    if not rows:
        return None
    x, y = plane.to_metres([row["lon"] for row in rows], [row["lat"] for row in rows])
    nearest = rows[int(np.argmin(np.hypot(x, y)))]
    direction = nearest["wind_direction"]
    return Observed(
        wind_m_s=nearest["wind_speed"] * _M_S_PER_MPH,
        from_degrees=None if direction is None else float(direction),
        at=nearest["observed_at"],
    )
