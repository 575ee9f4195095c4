"""GCJ-02 and BD-09 to WGS 84: Chinese maps shift every place by some hundred metres. Pure, whole columns at a time.

Formula of GCJ-02: the one that is published (googollee/eviltransform, wandergis/coordtransform), on the Krasovsky 1940
ellipsoid. It has no closed inverse; the place whose shift leads to the given one is found by iterating p ← p + (given -
shifted(p)), which gains two to three digits a turn as the shift hardly changes over some metres. BD-09 turns and moves
GCJ-02 once more, and is undone in the same way. After two turns 6 cm are left at most, after four 2 µm.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.ingest.mapping import Datum

Degrees = npt.NDArray[np.float64]
_Shift = Callable[[Degrees, Degrees], tuple[Degrees, Degrees]]

_AXIS_M: Final = 6_378_245.0
_ECCENTRICITY_SQUARED: Final = 0.00669342162296594323
_BD_ANGLE: Final = np.pi * 3000.0 / 180.0
_TURNS: Final = 4


def to_wgs84(lon: Degrees, lat: Degrees, datum: Datum) -> tuple[Degrees, Degrees]:
    """Longitudes and latitudes in degrees, shape (n,), of places within China; NaN stays NaN."""
    if datum == "wgs84":
        return lon, lat
    if datum == "bd09":
        lon, lat = _undone(gcj02_to_bd09, lon, lat)
    return _undone(wgs84_to_gcj02, lon, lat)


def wgs84_to_gcj02(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Degrees, shape (n,)."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    waves = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + waves
    north += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + waves
    east += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    angle = np.radians(lat)
    bend = 1.0 - _ECCENTRICITY_SQUARED * np.sin(angle) ** 2
    metres_a_radian_north = _AXIS_M * (1.0 - _ECCENTRICITY_SQUARED) / (bend * np.sqrt(bend))
    metres_a_radian_east = _AXIS_M / np.sqrt(bend) * np.cos(angle)
    return lon + np.degrees(east / metres_a_radian_east), lat + np.degrees(north / metres_a_radian_north)


def gcj02_to_bd09(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Degrees, shape (n,)."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_ANGLE)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_ANGLE)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def _undone(shift: _Shift, lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    found_lon, found_lat = lon, lat
    for _ in range(_TURNS):
        shifted_lon, shifted_lat = shift(found_lon, found_lat)
        found_lon, found_lat = found_lon + lon - shifted_lon, found_lat + lat - shifted_lat
    return found_lon, found_lat
