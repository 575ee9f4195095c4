"""Everything that counts for a risk point, as things with a place: one relation of all sources, laid on grid cells."""

import numpy as np
import pyarrow as pa

from hub.grid import cells_of, cells_of_text, centres_of
from hub.risk.files import Files
from hub.risk.people import People
from hub.risk.weighing import Weights


def things_of(read: Files, people: People, states: pa.Table, at_ms: int, by: Weights) -> tuple[pa.Table, pa.Table]:
    """Everything that has a place, and everything that runs from one to another, on its cell."""
    at = f"make_timestamp({at_ms * 1000})"
    sensors = read.source("sensors")
    structures = ", ".join(f"'{one}'" for one in by.old.structures)
    old = f"year({at}) - built_year >= {by.old.years}"
    waters = "('river', 'reservoir', 'lake', 'water_works')"
    works = "('water_works', 'sewage_works', 'pump')"
    kinds = [
        *(
            f"select '{kind}', 0, lon, lat, {amount} from houses"
            for kind, amount in (
                ("residents", "residents"),
                ("firms", "firms"),
                ("buildings", "1"),
                ("weak", f"(structure in ({structures}))::bigint"),
                ("old", f"({old})::bigint"),
            )
        ),
        *(
            f"select 'sites', 0, lon, lat, 1 from {read.source(name)}"
            for name in ("schools", "hospitals", "welfare_homes")
        ),
        f"select 'occupants', 0, lon, lat, pupils from {read.source('schools')}",
        *(f"select 'occupants', 0, lon, lat, beds from {read.source(name)}" for name in ("hospitals", "welfare_homes")),
        f"select 'occupants', 0, lon, lat, coalesce(capacity, 0) // 10 from {read.source('venues')}",
        *(f"select 'critical', 0, lon, lat, 1 from {read.source(name)}" for name in ("rail_stations", "base_stations")),
        f"select 'critical', 0, lon, lat, 1 from {read.source('water_stations')} where class in {works}",
        f"select 'waters', 0, lon, lat, 1 from {read.source('water_stations')} where class in {waters}",
        f"select 'accidents', 0, lon, lat, 1 from {read.source('accidents')} where happened_at < {at}",
        f"select 'sensors', {by.reach['sensor']}, lon, lat, 1 from {sensors}",
        *(
            f"select '{kind}', {by.reach['sensor']}, lon, lat, {amount} from {sensors} join states using (sensor_id)"
            for kind, amount in (("sensors_healthy", "healthy"), ("anomalies", "anomalies"))
        ),
        *(
            f"select '{kind}', 0, lon, lat, 1 from {read.source('hidden_dangers')} where found_at < {at} and {which}"
            for kind, which in (
                ("dangers_open", f"(closed_at is null or closed_at >= {at})"),
                ("dangers_major", f"(closed_at is null or closed_at >= {at}) and level = 'major'"),
                ("dangers_due", f"(closed_at < {at} or due_on < {at}::date)"),
                ("dangers_in_time", f"closed_at < {at} and (due_on is null or closed_at::date <= due_on)"),
            )
        ),
    ]
    columns = "kind, within_m, lon, lat, amount"
    houses = read.ask(
        "select b.*, coalesce(r.n, 0) as residents, coalesce(f.n, 0) as firms "
        f"from {read.source('buildings')} b left join residents r using (building_code) "
        "left join firms f using (building_code)",
        residents=people.residents,
        firms=people.firms,
    )
    union = " union all ".join(kinds)
    placed = read.ask(
        "select kind, within_m::double as within_m, lon as from_lon, lat as from_lat, lon as to_lon, lat as to_lat, "
        f"amount::bigint as amount from ({union}) t({columns}) "
        "where lon is not null and lat is not null and amount <> 0",
        houses=houses,
        states=states,
    )
    ends = "from_lon, from_lat, to_lon, to_lat"
    passing = read.ask(
        f"select kind, within_m::double as within_m, {ends}, 1::bigint as amount from ("
        f"select 'pipelines' as kind, 0 as within_m, {ends} from {read.source('pipelines')} "
        "where medium in ('gas', 'oil', 'water', 'power', 'heat') "
        f"union all select 'roads', {by.reach['road']}, {ends} from {read.source('road_sections')})"
    )
    return pa.concat_tables([_on_cells(placed), _present(people.present)]), _on_cells(passing)


def _on_cells(things: pa.Table) -> pa.Table:
    return things.append_column(
        "cell", pa.array(cells_of(things["from_lon"].to_numpy(), things["from_lat"].to_numpy()))
    )


def _present(present: pa.Table) -> pa.Table:
    """People present as things in the middle of their cell. Texts that are no cells were refused by the contract."""
    cells = cells_of_text(present["grid_id"].combine_chunks())
    lon, lat = (pa.array(degrees) for degrees in centres_of(cells))
    count = len(cells)
    return pa.table(
        {
            "kind": pa.repeat("present", count),
            "within_m": pa.array(np.zeros(count)),
            "from_lon": lon,
            "from_lat": lat,
            "to_lon": lon,
            "to_lat": lat,
            "amount": present["people"],
            "cell": pa.array(cells),
        }
    )
