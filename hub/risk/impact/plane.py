"""Metres around a place: the plane that touches the WGS 84 ellipsoid there.

    x = N cos φ Δλ     y = M Δφ     N = a / √w, M = a (1 - e²) / w^1.5, w = 1 - e² sin² φ

(Snyder, Map Projections, USGS PP 1395, 1987, eq. 4-18 to 4-20.) At 20 km from the place distances are right within
0.2 %, at 2 km within 0.02 %: the radii are those of the place itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hub.risk.formulas.arrays import Floats, Values, floats

_AXIS_M: Final = 6_378_137.0
_ECCENTRICITY_SQUARED: Final = 0.00669437999014


@dataclass(frozen=True, slots=True)
class Bounds:
    """Degrees, ends included."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class Plane:
    """`lon` and `lat` in degrees lie at (0, 0); x is east, y north."""

    lon: float
    lat: float

    @property
    def metres_a_degree(self) -> tuple[float, float]:
        """East and north."""
        phi = np.radians(self.lat)
        w = 1 - _ECCENTRICITY_SQUARED * np.sin(phi) ** 2
        east = _AXIS_M / np.sqrt(w) * np.cos(phi)
        north = _AXIS_M * (1 - _ECCENTRICITY_SQUARED) / w**1.5
        return float(np.radians(east)), float(np.radians(north))

    def to_metres(self, lon: Values, lat: Values) -> tuple[Floats, Floats]:
        east, north = self.metres_a_degree
        return (floats(lon) - self.lon) * east, (floats(lat) - self.lat) * north

    def to_degrees(self, x_m: Values, y_m: Values) -> tuple[Floats, Floats]:
        east, north = self.metres_a_degree
        return self.lon + floats(x_m) / east, self.lat + floats(y_m) / north

    def bounds(self, x_m: Values, y_m: Values, margin_m: float = 0.0) -> Bounds:
        """Of places in metres, and so much farther on each side."""
        x, y = floats(x_m), floats(y_m)
        lon, lat = self.to_degrees((x.min() - margin_m, x.max() + margin_m), (y.min() - margin_m, y.max() + margin_m))
        return Bounds(float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1]))
