"""Blast of a vapour cloud or an explosive by its TNT equivalent.

    W = a · b · Qc · M / 4500        TNT equivalent, kg (CCPS, Guidelines for Chemical Process Quantitative Risk
                                     Analysis, 2nd ed. 2000, 2.2.1; b of Chinese practice, AQ/T 3046-2013)
    Z = x / W^(1/3)                  scaled distance, m/kg^(1/3) (Hopkinson-Cranz)
    P = 1772/Z³ - 114/Z² + 108/Z     peak overpressure, kPa (C. A. Mills, The design of concrete structure to resist
                                     explosions and weapon effects, 1987)

a is the share of the energy that goes into the blast: 0.04 for vapour clouds (0.0002 to 0.149), 1 for explosives. b is
1.8 on the ground, which reflects, and 1 in free air: Mills' relation is one of free air, within 15 to 30 % of Kinney
and Graham's from Z = 3 to 20. With b = 1.8 it lies within 15 % of Kingery and Bulmash's surface bursts (Swisdak's fit,
1994) from Z = 4 to 23.8 m/kg^(1/3) of TNT on the ground, that is from 70 to 5 kPa, and above them when nearer. P falls
with Z everywhere: 108 Z² - 228 Z + 5316 has no root.
"""

from typing import Final

import numpy as np

from hub.risk.formulas.arrays import Floats, Values, floats
from hub.risk.formulas.inverse import distance_where

TNT_KJ_KG: Final = 4500.0
GROUND: Final = 1.8
_Z_NEAR: Final = 1e-2
_Z_FAR: Final = 1e6


def tnt_kg(mass_kg: Values, heat_kj_kg: Values, share: Values, ground: float = GROUND) -> Floats:
    """TNT equivalent in kg of a mass that gives off `heat_kj_kg`, `share` (a) of it into the blast."""
    return floats(share) * ground * floats(heat_kj_kg) * floats(mass_kg) / TNT_KJ_KG


def overpressure_kpa(distance_m: Values, tnt_kg: Values) -> Floats:
    """Peak side-on overpressure in kPa; distances and masses are > 0."""
    return _of_scaled(floats(distance_m) / np.cbrt(floats(tnt_kg)))


def distance_of_overpressure_m(pressure_kpa: Values, tnt_kg: Values) -> Floats:
    """How far an overpressure reaches, in metres; > 0."""
    pressure = floats(pressure_kpa)
    return distance_where(_of_scaled, pressure, near_m=_Z_NEAR, far_m=_Z_FAR) * np.cbrt(floats(tnt_kg))


def _of_scaled(z: Floats) -> Floats:
    return 1772 / z**3 - 114 / z**2 + 108 / z
