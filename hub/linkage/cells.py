"""The grid cells of buildings that are new or have moved: what the linkage computes by itself."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from hub.grid import cell_texts, cells_of

CELLS_SQL: Final = "select grid_id, district, street from grid_cells"


def grid_ids(lon: pa.Array, lat: pa.Array) -> pa.Array:
    """Cell of each place, shape (n,), strings. `lon` and `lat` are degrees in WGS 84, float64, without nulls."""
    assert not lon.null_count, "a place without a longitude"
    assert not lat.null_count, "a place without a latitude"
    return cell_texts(cells_of(lon.to_numpy(), lat.to_numpy()))


def with_cells(rows: pa.RecordBatch, cells: pa.Table) -> pa.RecordBatch:
    """Rows of `building_links` without a grid cell get theirs, with district and street of the cell if it is among
    `cells` (the columns of CELLS_SQL: some ten thousand rows a city), else with the reason."""
    ids = grid_ids(rows["lon"], rows["lat"])
    places = pc.index_in(ids, value_set=cells["grid_id"].combine_chunks())
    unknown = pc.binary_join_element_wise("grid cell", ids, "is not known", " ")
    found = {
        "grid_id": ids,
        "district": pc.coalesce(_taken(cells["district"], places), rows["district"]),
        "street": _taken(cells["street"], places),
        "reason": pc.if_else(places.is_null(), unknown, pa.scalar(None, pa.string())),
    }
    columns = [found.get(name, rows[name]) for name in rows.schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def _taken(values: pa.ChunkedArray, places: pa.Array) -> pa.Array:
    """The values at these places; null for a place that is null."""
    return values.combine_chunks().take(places)
