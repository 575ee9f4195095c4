"""Who and what is inside each zone, by the zone's formula. Pure.

A grid cell counts by its share inside: of its 49 cells of H3 resolution 11, some 45 m apart, those whose centres are.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from h3ronpy import cells_parse, change_resolution_list
from h3ronpy.vector import cells_to_coordinates

from hub.risk.formulas.arrays import Floats
from hub.risk.impact.fetch import Buildings, Presence, Site
from hub.risk.impact.plane import Plane
from hub.risk.impact.shapes import Shape
from hub.risk.impact.zones import Zone

_PARTS_RESOLUTION: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Of one zone, with all zones within it. `present` is None where nobody counted."""

    residents: int
    present: int | None
    buildings: int
    buildings_by_use: dict[str, int]
    sites: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInside:
    """`zone` is the gravest that it lies in, an index."""

    site: Site
    zone: int
    distance_m: float


def count_inside(
    plane: Plane, zones: Sequence[Zone], buildings: Buildings, presence: Presence, sites: Sequence[SiteInside]
) -> list[Inside]:
    x, y = plane.to_metres(buildings.lon, buildings.lat)
    shares = PartsOfCells(plane, presence.grid_id)
    found = []
    for index, zone in enumerate(zones):
        inside = zone.shape.contains(x, y)
        uses = Counter(buildings.use[inside].tolist())
        present = float(presence.people @ shares.inside(zone.shape))
        found.append(
            Inside(
                residents=int(buildings.residents[inside].sum()),
                present=None if presence.at is None else round(present),
                buildings=int(inside.sum()),
                buildings_by_use=dict(uses.most_common()),
                sites=sum(one.zone <= index for one in sites),
            )
        )
    return found


def sites_inside(plane: Plane, zones: Sequence[Zone], sites: Sequence[Site]) -> list[SiteInside]:
    """Those within any zone, the gravest zone first, then the nearest."""
    x, y = plane.to_metres([one.lon for one in sites], [one.lat for one in sites])
    within = [zone.shape.contains(x, y) for zone in zones]
    found = [
        SiteInside(site=site, zone=zone, distance_m=round(float(np.hypot(x[index], y[index])), 1))
        for index, site in enumerate(sites)
        if (zone := next((which for which, flags in enumerate(within) if flags[index]), None)) is not None
    ]
    return sorted(found, key=lambda one: (one.zone, one.distance_m, one.site.id))


class PartsOfCells:
    """Grid cells, each cut into smaller ones."""

    def __init__(self, plane: Plane, grid_ids: pa.Array) -> None:
        self._cells = len(grid_ids)
        if self._cells:
            parts = pa.array(change_resolution_list(cells_parse(grid_ids), _PARTS_RESOLUTION))
            self._owner = parts.value_parent_indices().to_numpy()
            places = pa.table(cells_to_coordinates(parts.flatten()))
            self._x, self._y = plane.to_metres(places["lng"].to_numpy(), places["lat"].to_numpy())

    def inside(self, shape: Shape) -> Floats:
        """Share of each cell within a shape, 0 to 1."""
        if not self._cells:
            return np.empty(0)
        inside = shape.contains(self._x, self._y)
        parts = np.bincount(self._owner, minlength=self._cells)
        return np.asarray(np.bincount(self._owner, weights=inside, minlength=self._cells) / parts, np.float64)
