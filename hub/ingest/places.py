"""Puts the places of a contract's rows right: longitude and latitude that were exchanged, and other datums. Pure.

A row's coordinates were exchanged if each lies outside of its column's limits and within the other's. Limits that have
values in common tell nothing, and then nothing is exchanged.
"""

from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.catalogue.contract import Column, Contract
from hub.ingest.datum import Degrees, to_wgs84
from hub.ingest.mapping import Datum

EXCHANGED: Final = "longitude and latitude exchanged"
MOVED: Final = "places moved to WGS 84"
_Flags = npt.NDArray[np.bool_]


def put_places_right(rows: pa.RecordBatch, contract: Contract, datum: Datum) -> tuple[pa.RecordBatch, Counter[str]]:
    """Rows in the contract's schema, and what was done → number of rows that it was done to.

    A place of which one half is missing or not finite stays as it is.
    """
    done: Counter[str] = Counter()
    if contract.place is None or not rows.num_rows:
        return rows, done
    lon_column, lat_column = (contract.column(name) for name in contract.place)
    lon, lat = (rows[name].to_numpy(zero_copy_only=False) for name in contract.place)
    exchanged = _exchanged(lon, lat, lon_column, lat_column)
    if exchanged.any():
        done[EXCHANGED] = int(exchanged.sum())
        lon, lat = np.where(exchanged, lat, lon), np.where(exchanged, lon, lat)
    if datum != "wgs84":
        whole = np.isfinite(lon) & np.isfinite(lat)
        done[MOVED] = int(whole.sum())
        moved_lon, moved_lat = to_wgs84(lon[whole], lat[whole], datum)
        lon, lat = lon.copy(), lat.copy()
        lon[whole], lat[whole] = moved_lon, moved_lat
    for column, values in ((lon_column, lon), (lat_column, lat)) if +done else ():
        rows = _with(rows, column.name, values)
    return rows, +done


def _exchanged(lon: Degrees, lat: Degrees, lon_column: Column, lat_column: Column) -> _Flags:
    lon_limits, lat_limits = _limits(lon_column), _limits(lat_column)
    if lon_limits is None or lat_limits is None or not _apart(lon_limits, lat_limits):
        return np.zeros(len(lon), np.bool_)
    return _within(lon, lat_limits) & _within(lat, lon_limits)


def _limits(column: Column) -> tuple[float, float] | None:
    domain = column.domain
    if domain is None or domain.min is None or domain.max is None:
        return None
    return domain.min, domain.max


def _apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[1] < other[0] or other[1] < one[0]


def _within(values: Degrees, limits: tuple[float, float]) -> _Flags:
    inside: _Flags = (values >= limits[0]) & (values <= limits[1])
    return inside


def _with(rows: pa.RecordBatch, name: str, values: Degrees) -> pa.RecordBatch:
    old = rows[name]
    gone = old.is_null().to_numpy(zero_copy_only=False) if old.null_count else None
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), pa.array(values, mask=gone))
