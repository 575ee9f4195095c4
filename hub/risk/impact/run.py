"""One accident, simulated: zones, and who and what is inside them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from hub.risk.impact.assumptions import Assumptions
from hub.risk.impact.count import Inside, SiteInside, count_inside, sites_inside
from hub.risk.impact.fetch import fetch_buildings, fetch_presence, fetch_sites
from hub.risk.impact.plane import Bounds, Plane
from hub.risk.impact.reading import Reading
from hub.risk.impact.scenario import Scenario
from hub.risk.impact.thresholds import Thresholds
from hub.risk.impact.zones import Zone, zones_of

_MARGIN_SHARE: Final = 0.02  # An outline's corners lie on the contour, and what bulges between them is less than this.
_MARGIN_M: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Of the data that the zones follow from, with `position` all that it takes to work them out again."""

    substances: int
    thresholds: int
    assumptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """`zones` and `inside` beside each other, the gravest first. `present_at` is the hour that people present are of,
    naive UTC."""

    scenario: Scenario
    zones: list[Zone]
    inside: list[Inside]
    sites: list[SiteInside]
    present_at: datetime | None
    centre: str
    position: dict[str, int]
    versions: Versions


def simulate(
    reading: Reading,
    scenario: Scenario,
    thresholds: Thresholds,
    assumptions: Assumptions,
    *,
    substances_version: int,
    hour: int | None = None,
) -> Impact:
    """`hour` is one of the city's clock, 0 to 23. Raises HubError."""
    plane = Plane(scenario.lon, scenario.lat)
    zones = zones_of(scenario, thresholds, assumptions)
    bounds = _bounds(plane, zones)
    buildings = fetch_buildings(reading, bounds)
    presence = fetch_presence(reading, bounds, hour)
    sites = sites_inside(plane, zones, fetch_sites(reading, bounds))
    return Impact(
        scenario=scenario,
        zones=zones,
        inside=count_inside(plane, zones, buildings, presence, sites),
        sites=sites,
        present_at=presence.at,
        centre=reading.centre,
        position=reading.position,
        versions=Versions(
            substances=substances_version, thresholds=thresholds.version, assumptions=assumptions.version
        ),
    )


def _bounds(plane: Plane, zones: list[Zone]) -> Bounds:
    outlines = [zone.shape.outline() for zone in zones]
    x, y = (np.concatenate([one[axis] for one in outlines]) for axis in (0, 1))
    margin_m = _MARGIN_M + _MARGIN_SHARE * max(zone.shape.reach_m for zone in zones)
    return plane.bounds(x, y, margin_m)
