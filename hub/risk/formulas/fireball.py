"""Fireball of a BLEVE: a sphere above the place, and the heat of it on the ground.

    D = 5.8 M^(1/3)                        diameter, m
    t = 0.45 M^(1/3) under 30 t,           duration, s; it jumps up by 4 % there, and the emitted flux down
        2.6 M^(1/6) from there on
    H = 0.75 D                             height of its centre, m
    E = η M Hc / (π D² t)                  emitted flux, kW/m²
    τ = 2.02 (p X)^-0.09                   transmissivity over X m of air with p Pa of water vapour, 1 at most
    F = D² / (4 L²)                        view factor of whoever faces it, L from the centre
    I = τ E F                              heat flux, kW/m²
    Y = -14.9 + 2.56 ln(t I^(4/3) / 10⁴)   probit of death, I in W/m² (Eisenberg et al., Vulnerability Model, 1975)

All but the probit: CCPS, Guidelines for Chemical Process Quantitative Risk Analysis, 2nd ed. 2000, 2.2.5. D and t are
the same in CCPS, Guidelines for Vapor Cloud Explosions, Flash Fires and BLEVEs (1994), and in AQ/T 3046-2013, whose
radius is 2.9 M^(1/3); a copy that has 2.6 M^(1/3) for large ones would jump sixfold at 30 t. η is 0.3 when a vessel
bursts below the pressure of its relief valve, 0.4 above it (Hymes, 1983; Roberts, 1982).
"""

from math import erf, sqrt
from typing import Final

import numpy as np

from hub.risk.formulas.arrays import Floats, Values, floats
from hub.risk.formulas.inverse import distance_where

_LARGE_KG: Final = 30_000.0
_NEAR_M: Final = 1e-3
_FAR_M: Final = 1e6
_W_PER_KW: Final = 1e3


def diameter_m(mass_kg: Values) -> Floats:
    return 5.8 * np.cbrt(floats(mass_kg))


def duration_s(mass_kg: Values) -> Floats:
    mass = floats(mass_kg)
    return np.where(mass < _LARGE_KG, 0.45 * np.cbrt(mass), 2.6 * mass ** (1 / 6))


def height_m(mass_kg: Values) -> Floats:
    return 0.75 * diameter_m(mass_kg)


def emitted_kw_m2(mass_kg: Values, heat_kj_kg: Values, radiated_share: Values) -> Floats:
    mass = floats(mass_kg)
    energy = floats(radiated_share) * mass * floats(heat_kj_kg)
    return np.asarray(energy / (np.pi * diameter_m(mass) ** 2 * duration_s(mass)), np.float64)


def transmissivity(path_m: Values, vapour_pa: Values) -> Floats:
    return np.minimum(2.02 * (floats(vapour_pa) * floats(path_m)) ** -0.09, 1.0)


def heat_flux_kw_m2(
    distance_m: Values, mass_kg: Values, heat_kj_kg: Values, radiated_share: Values, vapour_pa: Values
) -> Floats:
    """On the ground, `distance_m` ≥ 0 from the point below the fireball."""
    diameter = diameter_m(mass_kg)
    from_centre = np.hypot(floats(distance_m), height_m(mass_kg))
    view = diameter**2 / (4 * from_centre**2)
    air = transmissivity(from_centre - diameter / 2, vapour_pa)
    return np.asarray(air * emitted_kw_m2(mass_kg, heat_kj_kg, radiated_share) * view, np.float64)


def distance_of_heat_flux_m(
    flux_kw_m2: Values, mass_kg: Values, heat_kj_kg: Values, radiated_share: Values, vapour_pa: Values
) -> Floats:
    """How far a heat flux reaches on the ground; 0 where it is not reached."""
    flux, mass, heat = np.broadcast_arrays(floats(flux_kw_m2), floats(mass_kg), floats(heat_kj_kg))

    def falling(distance_m: Floats) -> Floats:
        return heat_flux_kw_m2(distance_m, mass, heat, radiated_share, vapour_pa)

    return distance_where(falling, flux, near_m=_NEAR_M, far_m=_FAR_M)


def thermal_dose(flux_kw_m2: Values, seconds: Values) -> Floats:
    """t I^(4/3) in s (kW/m²)^(4/3)."""
    return np.asarray(floats(seconds) * floats(flux_kw_m2) ** (4 / 3), np.float64)


def probit_of_death(flux_kw_m2: Values, seconds: Values) -> Floats:
    """Of people without protection; flux and time are > 0."""
    return np.asarray(-14.9 + 2.56 * np.log(thermal_dose(flux_kw_m2, seconds) * _W_PER_KW ** (4 / 3) / 1e4), np.float64)


def probability(probit: Values) -> Floats:
    """The share that a probit stands for, 0 to 1: Φ(Y - 5)."""
    normal = np.vectorize(lambda y: (1 + erf((y - 5) / sqrt(2))) / 2, otypes=[np.float64])
    return floats(normal(floats(probit)))
