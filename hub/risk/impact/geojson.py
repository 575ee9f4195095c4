"""An impact as GeoJSON (RFC 7946): WGS 84, longitude first, rings counter-clockwise.

    FeatureCollection
    ├── Polygon, role zone: threshold, unit, meaning_zh, meaning_en, colour, people and buildings inside; widest first
    ├── Point, role place: kind, chemical, mass
    └── Point, role site: name, sort, zone

A zone that is empty has no feature.
"""

from dataclasses import asdict
from typing import Any, Final

import numpy as np

from hub.risk.formulas.arrays import Floats
from hub.risk.impact.count import Inside
from hub.risk.impact.plane import Plane
from hub.risk.impact.run import Impact
from hub.risk.impact.zones import Zone

_DIGITS: Final = 6  # A decimetre.


def geojson_of(impact: Impact) -> dict[str, Any]:
    plane = Plane(impact.scenario.lon, impact.scenario.lat)
    zones = [
        _feature({"type": "Polygon", "coordinates": [_ring(plane, zone)]}, zone_facts(zone, inside))
        for zone, inside in zip(reversed(impact.zones), reversed(impact.inside), strict=True)
        if zone.shape.reach_m > 0
    ]
    scenario = impact.scenario
    place = _feature(
        _point(scenario.lon, scenario.lat),
        {
            "role": "place",
            "kind": scenario.kind,
            "chemical": scenario.substance.name.zh,
            "mass_kg": scenario.mass_kg,
        },
    )
    sites = [
        _feature(
            _point(one.site.lon, one.site.lat),
            {"role": "site", "colour": impact.zones[one.zone].colour, "distance_m": one.distance_m}
            | {name: value for name, value in asdict(one.site).items() if name not in ("lon", "lat")},
        )
        for one in impact.sites
    ]
    return {"type": "FeatureCollection", "features": [*zones, place, *sites]}


def zone_facts(zone: Zone, inside: Inside) -> dict[str, Any]:
    return {
        "role": "zone",
        "name": zone.name,
        "threshold": zone.limit,
        "unit": zone.unit,
        "meaning_zh": zone.meaning.zh,
        "meaning_en": zone.meaning.en,
        "colour": zone.colour,
        "reach_m": round(zone.shape.reach_m, 1),
        "cut": zone.cut,
    } | asdict(inside)


def _ring(plane: Plane, zone: Zone) -> list[list[float]]:
    lon, lat = plane.to_degrees(*zone.shape.outline())
    corners: Floats = np.column_stack((lon, lat)).round(_DIGITS)
    corners = corners[np.append(True, (np.diff(corners, axis=0) != 0).any(axis=1))]
    corners[-1] = corners[0]
    return [[float(one), float(other)] for one, other in corners]


def _point(lon: float, lat: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [lon, lat]}


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}
