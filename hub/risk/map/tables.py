"""What the hub answers to `map.sql`: one row of lists, taken apart into tables. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import pyarrow as pa

from hub.catalogue.contract import Title
from hub.risk import weighing
from hub.risk.weighing import INDICATORS

LEVELS: Final = tuple(reversed(weighing.COLOURS))
"""The gravest first."""
SHARES: Final = (*INDICATORS, "hazard", *weighing.GROUPS)
SQL: Final = files("hub.risk.map").joinpath("map.sql").read_text(encoding="utf-8")

_TEXT, _REAL, _INT = pa.string(), pa.float64(), pa.int64()
_POINTS: Final = pa.schema(
    [
        *((name, _TEXT) for name in ("risk_point_id", "name", "category", "group", "credit_code", "building_code")),
        *((name, _TEXT) for name in ("district", "street")),
        *((name, _REAL) for name in ("lon", "lat", "reach", *SHARES, "risk")),
        *((name, _TEXT) for name in ("colour", "previous_colour", "reasons", "inputs")),
    ]
)
_CELLS: Final = pa.schema(
    [
        ("grid_id", _TEXT),
        *((name, _INT) for name in ("residents", "present", "firms", "buildings", "dangers_open", "risk_points")),
        ("risk_max", _REAL),
    ]
)
_ROLLUPS: Final = pa.schema(
    [
        ("kind", _TEXT),
        ("name", _TEXT),
        *((name, _INT) for name in ("points", *LEVELS)),
        ("risk_max", _REAL),
        ("risk_mean", _REAL),
    ]
)
_DISTRICTS: Final = pa.schema([("district", _TEXT), ("name_en", _TEXT), ("lon", _REAL), ("lat", _REAL)])


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTables:
    """One run. `run` is its row of `risk_runs`; `points` (the highest risk last), `cells`, `rollups` and `districts`
    have the columns that `map.sql` names. `titles`: those of the columns of `risk_scores`; `position` and `centre` say
    where it was read."""

    run: Mapping[str, Any]
    points: pa.Table
    cells: pa.Table
    rollups: pa.Table
    districts: pa.Table
    titles: Mapping[str, Title]
    position: Mapping[str, int]
    centre: str


def tables_of(
    answer: pa.Table, *, titles: Mapping[str, Title], position: Mapping[str, int], centre: str
) -> MapTables | None:
    """None when there is no such run."""
    runs = answer["runs"].to_pylist()[0]
    if not runs:
        return None
    return MapTables(
        run=runs[0],
        points=_table(answer, "points", _POINTS),
        cells=_table(answer, "cells", _CELLS),
        rollups=_table(answer, "rollups", _ROLLUPS),
        districts=_table(answer, "districts", _DISTRICTS),
        titles=titles,
        position=position,
        centre=centre,
    )


def _table(answer: pa.Table, name: str, schema: pa.Schema) -> pa.Table:
    """A list of no rows comes as null."""
    rows = answer[name].combine_chunks().flatten()
    if not len(rows):
        return schema.empty_table()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(rows)]).select(schema.names).cast(schema)
