"""Tables → what the page's script reads: columns of JSON, small before they are compressed. Pure.

numbers   integers: shares × 1,000, risk × 10,000, coordinates × 100,000 from `origin` (about a metre)
texts     of few values: numbers into a list
"""

import json
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.risk.map.cells import cell_of, centres, indices, shape
from hub.risk.map.tables import LEVELS, SHARES, MapTables

_SHARE: Final = 1_000
_RISK: Final = 10_000
_DEGREE: Final = 100_000
_COUNTS: Final = ("residents", "present", "firms", "buildings", "dangers_open", "risk_points")
_OWN_TEXTS: Final = ("risk_point_id", "name", "credit_code", "building_code", "reasons", "inputs")
_FEW_TEXTS: Final = ("category", "group", "district", "street")


def payload(tables: MapTables) -> dict[str, Any]:
    """As JSON takes it; `template/payload.js` reads it."""
    outlines = _outlines()
    every = [corner for one in outlines.values() for ring in one for corner in ring]
    origin = [min(corner[axis] for corner in every) for axis in (0, 1)]
    cells = tables.cells.append_column("index", indices(tables.cells["grid_id"].combine_chunks()))
    cells = cells.filter(pc.is_valid(cells["index"]))
    return {
        "origin": [round(value, 5) for value in origin],
        "titles": {name: {"zh": title.zh, "en": title.en} for name, title in sorted(tables.titles.items())},
        "districts": _districts(tables.districts, outlines, origin),
        "points": _points(tables.points, cells["index"].combine_chunks(), origin),
        "unplaced": int(tables.run["points"]) - tables.points.num_rows,
        "cells": _cells(cells, origin),
    }


def _outlines() -> dict[str, list[list[list[float]]]]:
    """Rings of each district, by its name; inner rings count as rings."""
    source = files("hub.risk.map").joinpath("data", "districts.geojson").read_text(encoding="utf-8")
    return {
        one["properties"]["name"]: [ring for polygon in one["geometry"]["coordinates"] for ring in polygon]
        for one in json.loads(source)["features"]
    }


def _districts(
    named: pa.Table, outlines: dict[str, list[list[list[float]]]], origin: list[float]
) -> list[dict[str, Any]]:
    rows = {row["district"]: row for row in named.to_pylist()}
    result = []
    for name in list(dict.fromkeys([*outlines, *rows])):
        row = rows.get(name, {})
        rings = [_flat(ring, origin) for ring in outlines.get(name, [])]
        result.append({"zh": name, "en": row.get("name_en") or name, "rings": rings})
    return result


def _flat(ring: list[list[float]], origin: list[float]) -> list[int]:
    """x, y, x, y, … from the origin."""
    return [round((corner[axis] - origin[axis]) * _DEGREE) for corner in ring for axis in (0, 1)]


def _points(points: pa.Table, cells: pa.Array, origin: list[float]) -> dict[str, Any]:
    lon, lat = (points[name].to_numpy() for name in ("lon", "lat"))
    columns: dict[str, Any] = {name: points[name].to_pylist() for name in _OWN_TEXTS}
    columns |= {name: _few(points[name]) for name in _FEW_TEXTS}
    columns |= {name: _whole(points[name].to_numpy(), _SHARE) for name in SHARES}
    levels = pa.array(LEVELS)
    return columns | {
        "lon": _whole(lon - origin[0], _DEGREE),
        "lat": _whole(lat - origin[1], _DEGREE),
        "reach": _whole(points["reach"].to_numpy(), 1),
        "risk": _whole(points["risk"].to_numpy(), _RISK),
        "colour": pc.index_in(points["colour"], value_set=levels).to_pylist(),
        "previous_colour": pc.fill_null(pc.index_in(points["previous_colour"], value_set=levels), -1).to_pylist(),
        "cell": cell_of(lon, lat, cells).tolist(),
    }


def _cells(cells: pa.Table, origin: list[float]) -> dict[str, Any]:
    index = cells["index"].combine_chunks()
    lon, lat = centres(index) if len(index) else (np.empty(0), np.empty(0))
    return {name: cells[name].to_pylist() for name in _COUNTS} | {
        "id": cells["grid_id"].to_pylist(),
        "lon": _whole(lon - origin[0], _DEGREE),
        "lat": _whole(lat - origin[1], _DEGREE),
        "risk_max": _whole(cells["risk_max"].to_numpy(), _RISK),
        "shape": (shape(index) * _DEGREE).round(2).ravel().tolist(),
    }


def _few(texts: pa.ChunkedArray) -> dict[str, Any]:
    """Numbers into the values, in the order of their first rows."""
    coded = texts.combine_chunks().dictionary_encode()
    return {"values": coded.dictionary.to_pylist(), "of": pc.fill_null(coded.indices, -1).to_pylist()}


def _whole(values: Any, factor: int) -> list[int]:
    return np.rint(np.asarray(values, np.float64) * factor).astype(np.int64).tolist()  # type: ignore[no-any-return]
