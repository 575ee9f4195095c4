"""Grid cells (H3, resolution 9) as numbers, whole columns at a time: of places, of texts, around places.

DuckDB knows no H3. Places are degrees in WGS 84, float64, without nulls.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from h3ronpy import cells_parse, cells_to_string, grid_disk
from h3ronpy.vector import cells_to_coordinates, coordinates_to_cells

Cells = npt.NDArray[np.uint64]
Degrees = npt.NDArray[np.float64]

RESOLUTION: Final = 9
# Centres of neighbours are 335 m apart at least in the city, so that a ring reaches 290 m farther than the one within
# it; no place of a cell is farther from its centre than 203 m (measured over the city's cells, here with a margin).
_RING_M: Final = 280.0
_CELL_RADIUS_M: Final = 215.0


def cells_of(lon: Degrees, lat: Degrees) -> Cells:
    return _numbers(coordinates_to_cells(lat, lon, RESOLUTION))


def cells_of_text(texts: pa.Array) -> Cells:
    """Raises ValueError for a text that is no cell."""
    return _numbers(cells_parse(texts.cast(pa.large_string())))


def cell_texts(cells: Cells) -> pa.Array:
    return pa.array(cells_to_string(cells)).cast(pa.string())


def centres_of(cells: Cells) -> tuple[Degrees, Degrees]:
    """Longitude and latitude of each cell's centre."""
    found = pa.table(cells_to_coordinates(cells))
    return found["lng"].to_numpy(), found["lat"].to_numpy()


def cells_around(lon: Degrees, lat: Degrees, radius_m: Degrees) -> tuple[npt.NDArray[np.int64], Cells]:
    """(index of the place, cell): every cell that has a place within the radius of it, and some beyond."""
    own = cells_of(lon, lat)
    rings = np.ceil((radius_m + 2 * _CELL_RADIUS_M) / _RING_M).astype(np.int64)
    places: list[npt.NDArray[np.int64]] = []
    cells: list[Cells] = []
    for count in np.unique(rings).tolist():
        here = np.flatnonzero(rings == count)
        disks = pa.array(grid_disk(own[here], count))
        lengths = np.diff(disks.offsets.to_numpy())
        places.append(np.repeat(here, lengths))
        cells.append(disks.flatten().to_numpy())
    if not places:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    return np.concatenate(places), np.concatenate(cells)


def _numbers(cells: object) -> Cells:
    found: Cells = pa.array(cells).to_numpy()
    return found
