"""Shapes of zones, in metres around the place of the accident. Each tells who is inside by its formula; its outline is
for maps and bounds, and never for counting."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from hub.risk.formulas import plume
from hub.risk.formulas.arrays import Flags, Floats

_CORNERS: Final = 128
_CUTS: Final = 64
_PLACE_M: Final = 1.0


class Shape(Protocol):
    """`reach_m` is the farthest that it gets from the place; 0 for one that is empty."""

    @property
    def reach_m(self) -> float: ...

    def contains(self, x_m: Floats, y_m: Floats) -> Flags: ...

    def outline(self) -> tuple[Floats, Floats]:
        """Corners (x, y), counter-clockwise, the first again at the end. The shape lies within their bounds, but for
        0.03 % of a circle's radius."""
        ...


@dataclass(frozen=True, slots=True)
class Circle:
    reach_m: float

    def contains(self, x_m: Floats, y_m: Floats) -> Flags:
        return np.asarray(np.hypot(x_m, y_m) <= self.reach_m) & (self.reach_m > 0)

    def outline(self) -> tuple[Floats, Floats]:
        angle = np.linspace(0, 2 * np.pi, _CORNERS + 1)
        angle[-1] = 0.0
        return self.reach_m * np.cos(angle), self.reach_m * np.sin(angle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plume:
    """Where the air near the ground has at least `limit_kg_m3`, up to `reach_m` downwind, and the place itself. The
    wind blows from `from_degrees`, clockwise from north."""

    limit_kg_m3: float
    rate_kg_s: float
    wind_m_s: float
    from_degrees: float
    spread: plume.Spread
    reach_m: float

    def contains(self, x_m: Floats, y_m: Floats) -> Flags:
        east, north = self._downwind()
        along, across = x_m * east + y_m * north, y_m * east - x_m * north
        found = plume.concentration_kg_m3(
            along, across, 0.0, rate_kg_s=self.rate_kg_s, wind_m_s=self.wind_m_s, spread=self.spread
        )
        at_the_place = np.hypot(x_m, y_m) < _PLACE_M  # Where the formula has no value, and the air nothing else.
        return np.asarray(((found >= self.limit_kg_m3) & (along <= self.reach_m) | at_the_place) & (self.reach_m > 0))

    def outline(self) -> tuple[Floats, Floats]:
        # Denser where the contour bends: at both ends.
        along = self.reach_m * (1 - np.cos(np.linspace(0, np.pi, _CUTS))) / 2
        half = np.zeros(_CUTS)
        half[1:] = plume.half_width_m(
            along[1:], self.limit_kg_m3, rate_kg_s=self.rate_kg_s, wind_m_s=self.wind_m_s, spread=self.spread
        )
        east, north = self._downwind()
        across = np.concatenate((-half, half[::-1]))
        whole = np.concatenate((along, along[::-1]))
        return whole * east - across * north, whole * north + across * east

    def _downwind(self) -> tuple[float, float]:
        """Where it blows to: a step of one metre, east and north."""
        angle = np.radians(self.from_degrees)
        return -float(np.sin(angle)), -float(np.cos(angle))
