"""Steady Gaussian plume over flat, open ground that reflects it (D. B. Turner, Workbook of Atmospheric Dispersion
Estimates, 1970, eq. 3.1), with Martin's dispersion (1976; `dispersion.toml`):

    C = Q / (2 π u σy σz) · exp(-y²/2σy²) · [exp(-(z - H)²/2σz²) + exp(-(z + H)²/2σz²)]

x downwind, y across, z up, in metres from the place of release; Q in kg/s, u in m/s at 10 m, C in kg/m³. Martin's
pieces end at 1 km within 0.5 % of each other and are joined so that σz never falls; close to the source his σz is below
0 in stable air, and is taken for 1 m there. The plume is passive: a heavy cloud such as chlorine's is broader and
flatter at first. Meant for 100 m to some 10 km, u ≥ 1 m/s, and a release that lasts as long as the plume is on its way.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
from pydantic import Field

from hub.risk.formulas.arrays import Flags, Floats, Values, floats
from hub.risk.formulas.tables import Row, Table, read_table

MOLAR_VOLUME_M3: Final = 0.024465  # Of a gas at 25 °C and 101.325 kPa.
_SIGMA_Z_MIN_M: Final = 1.0
_LATERAL: Final = 0.894
_NEAR_M: Final = 1.0
_STEPS: Final = 2_000
_HALVINGS: Final = 50


class Spread(Row):
    """Martin's coefficients of one class: a, and [c, d, f] up to 1 km and beyond."""

    a: float = Field(gt=0)
    near: tuple[float, float, float]
    far: tuple[float, float, float]


class Dispersion(Table):
    classes: Mapping[str, Spread]


@cache
def builtin_table() -> Dispersion:
    return read_table(__package__, "dispersion.toml", Dispersion)


def sigmas_m(x_m: Values, spread: Spread) -> tuple[Floats, Floats]:
    """(σy, σz) at x > 0."""
    x_km = floats(x_m) / 1000
    (c, d, f), (far_c, far_d, far_f) = spread.near, spread.far
    near = c * np.minimum(x_km, 1) ** d + f
    far = far_c * np.maximum(x_km, 1) ** far_d + far_f
    sigma_z = np.where(x_km <= 1, near, np.maximum(far, c + f))
    return np.asarray(spread.a * x_km**_LATERAL, np.float64), np.maximum(sigma_z, _SIGMA_Z_MIN_M)


def concentration_kg_m3(
    x_m: Values, y_m: Values, z_m: Values, *, rate_kg_s: Values, wind_m_s: Values, spread: Spread, height_m: float = 0.0
) -> Floats:
    """0 upwind and at the place of release itself."""
    x, y, z = np.broadcast_arrays(floats(x_m), floats(y_m), floats(z_m))
    sigma_y, sigma_z = sigmas_m(np.where(x > 0, x, 1.0), spread)
    across = np.exp(-(y**2) / (2 * sigma_y**2))
    upright = np.exp(-((z - height_m) ** 2) / (2 * sigma_z**2)) + np.exp(-((z + height_m) ** 2) / (2 * sigma_z**2))
    there = floats(rate_kg_s) / (2 * np.pi * floats(wind_m_s) * sigma_y * sigma_z) * across * upright
    return np.where(x > 0, there, 0.0)


def reach_m(
    limit_kg_m3: float, *, rate_kg_s: float, wind_m_s: float, spread: Spread, far_m: float, height_m: float = 0.0
) -> float:
    """How far downwind a concentration is reached on the ground: 0 if nowhere, `far_m` if that far and farther."""

    def enough(x_m: Values) -> Flags:
        found = concentration_kg_m3(
            x_m, 0.0, 0.0, rate_kg_s=rate_kg_s, wind_m_s=wind_m_s, spread=spread, height_m=height_m
        )
        return np.asarray(found >= limit_kg_m3)

    grid = np.geomspace(_NEAR_M, far_m, _STEPS)
    above = np.flatnonzero(enough(grid))
    if not len(above) or above[-1] == len(grid) - 1:
        return far_m if len(above) else 0.0
    low, high = grid[above[-1]], grid[above[-1] + 1]  # It is crossed once between the two.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return float(low)


def half_width_m(
    x_m: Values, limit_kg_m3: float, *, rate_kg_s: float, wind_m_s: float, spread: Spread, height_m: float = 0.0
) -> Floats:
    """How far to each side of the middle a concentration is reached on the ground, at each x > 0; 0 if not at all:
    y = σy √(2 ln(C(x, 0, 0) / limit))."""
    middle = concentration_kg_m3(
        x_m, 0.0, 0.0, rate_kg_s=rate_kg_s, wind_m_s=wind_m_s, spread=spread, height_m=height_m
    )
    sigma_y, _ = sigmas_m(x_m, spread)
    return np.asarray(sigma_y * np.sqrt(2 * np.log(np.maximum(middle / limit_kg_m3, 1.0))), np.float64)


def kg_m3_of_ppm(ppm: Values, molar_mass_g: Values) -> Floats:
    """Parts per million by volume as mass a volume, at 25 °C."""
    return floats(ppm) * 1e-6 * floats(molar_mass_g) / 1000 / MOLAR_VOLUME_M3
