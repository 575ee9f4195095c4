"""Districts, street offices, grid cells, buildings."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city.places import districts, grid_cells, streets
from simulator.city.plan import USES, City
from simulator.city.registries.placing import Batches, named, placed, without
from simulator.city.rows import batch, pick


def district_rows(city: City) -> Batches:
    inside = [one.outline.representative_point() for one in districts()]
    yield batch(
        "districts",
        {
            "district": city.district_names,
            "division_code": strings(digits(city.divisions, 6)),
            "name_en": pa.array([one.name_en for one in districts()]),
            "lon": np.array([point.x for point in inside]).round(6),
            "lat": np.array([point.y for point in inside]).round(6),
            "area": np.array([one.outline.area * 111.2 * 102.7 for one in districts()]).round(1),
        },
    )


def street_rows(city: City) -> Batches:
    offices = streets()
    yield batch(
        "streets",
        {
            "district": pick(city.district_names, offices.district),
            "street": city.street_names,
            "lon": offices.lon.round(6),
            "lat": offices.lat.round(6),
        },
    )


def grid_rows(city: City) -> Batches:
    names, centres = grid_cells()
    yield batch("grid_cells", {"grid_id": names} | placed(city, centres))


def building_rows(city: City) -> Batches:
    made = city.buildings
    count = len(made.use)
    yield batch(
        "buildings",
        {
            "building_code": city.building_codes,
            "name": named(pick(city.street_names, made.places.street), "号楼", count),
            "address": named(
                pc.binary_join_element_wise(
                    pick(city.district_names, made.places.district), pick(city.street_names, made.places.street), ""
                ),
                "号",
                count,
            ),
            "use": pick(USES, made.use),
            "structure": pick(("concrete", "steel", "brick_concrete"), made.structure),
            "floors": made.floors.astype(np.int16),
            "height": made.height,
            "floor_area": made.floor_area,
            "built_year": made.built_year.astype(np.int16),
        }
        | without(placed(city, made.places), "street"),
    )
