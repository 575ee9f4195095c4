"""Zones of a scenario: one for each threshold, the gravest first; each lies within those after it. Pure."""

from dataclasses import dataclass

from hub.risk.formulas import blast, fireball, plume, pool_fire
from hub.risk.impact.assumptions import Assumptions
from hub.risk.impact.scenario import Scenario
from hub.risk.impact.shapes import Circle, Plume, Shape
from hub.risk.impact.substances import Name
from hub.risk.impact.thresholds import COLOURS, Threshold, Thresholds, toxic_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """`cut` where the zone goes on beyond what was followed."""

    name: str
    limit: float
    unit: str
    meaning: Name
    colour: str
    shape: Shape
    cut: bool = False


def zones_of(scenario: Scenario, thresholds: Thresholds, assumptions: Assumptions) -> list[Zone]:
    match scenario.kind:
        case "explosion":
            return _blast_zones(scenario, thresholds)
        case "pool_fire":
            return _pool_zones(scenario, thresholds, assumptions)
        case "fireball":
            return _fireball_zones(scenario, thresholds, assumptions)
        case "toxic_plume":
            return _plume_zones(scenario, thresholds, assumptions)


def _blast_zones(scenario: Scenario, thresholds: Thresholds) -> list[Zone]:
    heat, share = scenario.substance.blast_heat, scenario.substance.tnt_share
    assert heat is not None
    assert share is not None
    tnt_kg = blast.tnt_kg(scenario.mass_kg, heat, share)
    return [
        _ring(one, "kPa", float(blast.distance_of_overpressure_m(one.limit, tnt_kg))) for one in thresholds.overpressure
    ]


def _pool_zones(scenario: Scenario, thresholds: Thresholds, assumptions: Assumptions) -> list[Zone]:
    """No zone is smaller than the pool itself."""
    substance = scenario.substance
    assert substance.density is not None
    assert substance.heat_of_combustion is not None
    radius = pool_fire.pool_radius_m(scenario.mass_kg, substance.density, assumptions.pool_depth_m)
    rate = _burning_rate(scenario, assumptions)
    power = pool_fire.radiated_kw(
        radius,
        pool_fire.flame_height_m(radius, rate),
        rate,
        substance.heat_of_combustion,
        assumptions.pool_radiated_share,
    )
    return [
        _ring(
            one,
            "kW/m²",
            max(
                float(radius),
                float(pool_fire.distance_of_heat_flux_m(one.limit, power, assumptions.pool_transmissivity)),
            ),
        )
        for one in thresholds.heat_flux
    ]


def _burning_rate(scenario: Scenario, assumptions: Assumptions) -> float:
    substance = scenario.substance
    if substance.burning_rate is not None:
        return substance.burning_rate
    needed = (substance.heat_of_combustion, substance.latent_heat, substance.heat_capacity, substance.boiling_point)
    heat, latent, capacity, boiling = (0.0 if one is None else one for one in needed)
    return float(pool_fire.burning_rate_kg_m2_s(heat, latent, capacity, boiling, assumptions.air_c))


def _fireball_zones(scenario: Scenario, thresholds: Thresholds, assumptions: Assumptions) -> list[Zone]:
    heat = scenario.substance.heat_of_combustion
    assert heat is not None
    return [
        _ring(
            one,
            "kW/m²",
            float(
                fireball.distance_of_heat_flux_m(
                    one.limit, scenario.mass_kg, heat, assumptions.fireball_radiated_share, assumptions.vapour_pa
                )
            ),
        )
        for one in thresholds.heat_flux
    ]


def _plume_zones(scenario: Scenario, thresholds: Thresholds, assumptions: Assumptions) -> list[Zone]:
    weather = scenario.weather
    assert weather is not None
    spread = plume.builtin_table().classes[weather.stability]
    rate = scenario.mass_kg / assumptions.release_s
    wind = max(weather.wind_m_s, assumptions.wind_min_m_s)
    zones = []
    for colour, (ppm, level) in zip(COLOURS, toxic_levels(scenario.substance, thresholds), strict=False):
        limit = float(plume.kg_m3_of_ppm(ppm, scenario.substance.molar_mass))
        reach = plume.reach_m(limit, rate_kg_s=rate, wind_m_s=wind, spread=spread, far_m=assumptions.plume_reach_m)
        shape = Plume(
            limit_kg_m3=limit,
            rate_kg_s=rate,
            wind_m_s=wind,
            from_degrees=weather.from_degrees,
            spread=spread,
            reach_m=reach,
        )
        zones.append(
            Zone(
                name=f"{level.name} {ppm:g} ppm",
                limit=ppm,
                unit="ppm",
                meaning=level.meaning,
                colour=colour,
                shape=shape,
                cut=reach >= assumptions.plume_reach_m,
            )
        )
    return zones


def _ring(threshold: Threshold, unit: str, radius_m: float) -> Zone:
    return Zone(
        name=f"{threshold.limit:g} {unit}",
        limit=threshold.limit,
        unit=unit,
        meaning=threshold.meaning,
        colour=threshold.colour,
        shape=Circle(radius_m),
    )
