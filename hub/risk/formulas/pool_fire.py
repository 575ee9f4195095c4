"""Heat of a burning pool: a point source in its middle.

    m = 0.001 Hc / (Cp (Tb - T0) + Hv)           burning rate, kg/(m² s) (Burgess and Zabetakis, Bureau of Mines RI
                                                 6099, 1962); no term Cp where it boils below the air's temperature
    h = 84 r [m / (ρ √(2 g r))]^0.6              height of the flame, m (P. H. Thomas, 9th Symposium on Combustion,
                                                 1963: h/D = 42 […]^0.61; ρ is the air's density)
    Q = (π r² + 2 π r h) m η Hc / (72 m^0.6 + 1) heat that it radiates, kW
    I = Q t / (4 π x²)                           heat flux at a distance, kW/m²

η is the radiated share, 0.13 to 0.35; t the transmissivity of the air. The last two are as Chinese practice has them
(assessments after AQ 8002). Measured burning rates (Babrauskas, Fire Technology 19 (1983) 251-261) go before the first.
"""

from typing import Final

import numpy as np

from hub.risk.formulas.arrays import Floats, Values, floats

GRAVITY_M_S2: Final = 9.81
AIR_KG_M3: Final = 1.2


def burning_rate_kg_m2_s(
    heat_kj_kg: Values, latent_kj_kg: Values, capacity_kj_kg_k: Values, boiling_c: Values, air_c: Values
) -> Floats:
    warming = floats(capacity_kj_kg_k) * np.maximum(floats(boiling_c) - floats(air_c), 0)
    return 0.001 * floats(heat_kj_kg) / (warming + floats(latent_kj_kg))


def pool_radius_m(mass_kg: Values, density_kg_m3: Values, depth_m: Values) -> Floats:
    """Radius of a round pool that all of a mass makes at one depth."""
    return np.sqrt(floats(mass_kg) / (floats(density_kg_m3) * floats(depth_m) * np.pi))


def flame_height_m(radius_m: Values, rate_kg_m2_s: Values, air_kg_m3: float = AIR_KG_M3) -> Floats:
    radius = floats(radius_m)
    froude = floats(rate_kg_m2_s) / (air_kg_m3 * np.sqrt(2 * GRAVITY_M_S2 * radius))
    return np.asarray(84 * radius * froude**0.6, np.float64)


def radiated_kw(
    radius_m: Values, height_m: Values, rate_kg_m2_s: Values, heat_kj_kg: Values, radiated_share: Values
) -> Floats:
    radius, rate = floats(radius_m), floats(rate_kg_m2_s)
    surface = np.pi * radius**2 + 2 * np.pi * radius * floats(height_m)
    return np.asarray(surface * rate * floats(radiated_share) * floats(heat_kj_kg) / (72 * rate**0.6 + 1), np.float64)


def heat_flux_kw_m2(distance_m: Values, power_kw: Values, transmissivity: Values = 1.0) -> Floats:
    """At a distance > 0 from the middle of the pool."""
    return np.asarray(floats(power_kw) * floats(transmissivity) / (4 * np.pi * floats(distance_m) ** 2), np.float64)


def distance_of_heat_flux_m(flux_kw_m2: Values, power_kw: Values, transmissivity: Values = 1.0) -> Floats:
    return np.sqrt(floats(power_kw) * floats(transmissivity) / (4 * np.pi * floats(flux_kw_m2)))
