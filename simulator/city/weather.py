"""Rain that moves over the city: storms as bells that travel along a line, each with its own hours.

The rate at a place and moment is the sum over storms of `peak · exp(-d² / 2r²)`, d being the distance from where the
storm's middle is then. The first storm is planted: it passes over the middle of the city and is the heaviest of all.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from simulator.city.chance import Floats, Ints, stream
from simulator.city.plan import START_MS
from simulator.city.rows import DAY_MS

_HOUR_MS: Final = 3_600_000
_KM: Final = 111.2  # A degree of latitude.
_KM_LON: Final = 102.7  # A degree of longitude at 22.55° N.
_STORMS_A_DAY: Final = 2
PLANTED_MM_H: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """`lon` and `lat` are where its middle is at `begins_ms`; it travels `east` and `north` km/h; `radius` is in km,
    `peak` in mm/h."""

    begins_ms: int
    hours: float
    lon: float
    lat: float
    east: float
    north: float
    radius: float
    peak: float


@cache
def storms(seed: int, day: int) -> tuple[Storm, ...]:
    """The storms that begin on a day, counted from the city's first."""
    random = stream(seed, "storms", day)
    first = START_MS + day * DAY_MS
    made = [
        Storm(
            begins_ms=first + int(random.uniform(0, 20) * _HOUR_MS),
            hours=random.uniform(1, 4),
            lon=random.uniform(113.75, 114.3),
            lat=random.uniform(22.45, 22.75),
            east=random.uniform(-5, 20),
            north=random.uniform(-8, 8),
            radius=random.uniform(3, 9),
            peak=random.uniform(4, 35),
        )
        for _ in range(_STORMS_A_DAY)
    ]
    if day == 0:
        planted = Storm(
            begins_ms=first + 8 * _HOUR_MS,
            hours=3,
            lon=113.9,
            lat=22.55,
            east=12,
            north=1,
            radius=6,
            peak=PLANTED_MM_H,
        )
        made.insert(0, planted)
    return tuple(made)


def rain(seed: int, at_ms: Ints, lon: Floats, lat: Floats) -> Floats:
    """Rate of rain, mm/h; the arguments broadcast against each other."""
    shape = np.broadcast_shapes(at_ms.shape, lon.shape, lat.shape)
    rate = np.zeros(shape)
    if not rate.size:
        return rate
    day = (at_ms - START_MS) // DAY_MS
    for number in range(int(day.min()) - 1, int(day.max()) + 1):
        for storm in storms(seed, number) if number >= 0 else ():
            hours = (at_ms - storm.begins_ms) / _HOUR_MS
            falls = (hours >= 0) & (hours <= storm.hours)
            if falls.any():
                east = (lon - storm.lon) * _KM_LON - storm.east * hours
                north = (lat - storm.lat) * _KM - storm.north * hours
                away = (east**2 + north**2) / (2 * storm.radius**2)
                rate += np.where(falls, storm.peak * np.exp(-np.minimum(away, 50)), 0)
    return rate
