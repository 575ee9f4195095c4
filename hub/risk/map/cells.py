"""Grid cells as the map draws them: centres, and one shape for all. Pure.

Over the 90 km of the city the shape of H3 cells of resolution 9 (some 200 m from centre to corner) changes by 1.3 m at
most, so that one mean shape stands for every cell and a corner need not be written 120,000 times.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from h3ronpy import cells_parse
from h3ronpy.vector import cells_to_wkb_polygons

from hub.grid import cells_of, centres_of

_HEXAGON_BYTES: Final = (
    125  # Well-known binary: 13 bytes of header, then 7 corners of two doubles, the first one twice.
)
Reals: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def indices(grid_ids: pa.Array) -> pa.Array:
    """H3 indices, uint64, of ids as text; null where a text is none."""
    return pa.array(cells_parse(grid_ids, set_failing_to_invalid=True))


def centres(cells: pa.Array) -> tuple[Reals, Reals]:
    """Longitude and latitude, degrees, shape (n,); `cells` has no nulls."""
    return centres_of(cells.to_numpy())


def shape(cells: pa.Array) -> Reals:
    """Mean corners relative to the centre, degrees, shape (6, 2), longitude first; of no cells: nothing, (0, 2)."""
    polygons = [one for one in pa.array(cells_to_wkb_polygons(cells)).to_pylist() if len(one) == _HEXAGON_BYTES]
    if not polygons:
        return np.empty((0, 2))
    raw = np.frombuffer(b"".join(polygons), np.uint8).reshape(len(polygons), _HEXAGON_BYTES)[:, 13:]
    corners = raw.copy().view("<f8").reshape(len(polygons), 7, 2)[:, :6]
    result: Reals = (corners - corners.mean(axis=1, keepdims=True)).mean(axis=0)
    return result


def cell_of(lon: Reals, lat: Reals, cells: pa.Array) -> Ints:
    """Which of `cells` each place lies in, shape (n,); -1 for none of them."""
    if not len(cells) or not len(lon):
        return np.full(len(lon), -1, np.int64)
    of_places = cells_of(lon, lat)
    known = cells.to_numpy()
    order = np.argsort(known)
    at = order[np.minimum(np.searchsorted(known, of_places, sorter=order), len(known) - 1)]
    result: Ints = np.where(known[at] == of_places, at, -1)
    return result
