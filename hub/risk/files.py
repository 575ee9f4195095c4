"""The columns that a run reads of each data set, and the small data sets whole."""

from collections.abc import Mapping
from typing import Final

import duckdb
import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.risk.extract import Extract, source
from hub.risk.tasks import parts_of_files

DATA_SETS: Final[dict[str, tuple[str, ...]]] = {
    "risk_points": ("risk_point_id", "category", '"group"', "district", "street", "lon", "lat", "reach"),
    "readings": ("sensor_id", "observed_at", "value", "quality"),
    "sensors": ("sensor_id", "kind", "lon", "lat"),
    "buildings": ("building_code", "lon", "lat", "structure", "built_year"),
    "residents": ("building_code",),
    "legal_persons": ("building_code", "status"),
    "presence": ("grid_id", "observed_at", "people"),
    "schools": ("lon", "lat", "pupils"),
    "hospitals": ("lon", "lat", "beds"),
    "welfare_homes": ("lon", "lat", "beds"),
    "venues": ("lon", "lat", "capacity"),
    "rail_stations": ("lon", "lat"),
    "base_stations": ("lon", "lat"),
    "water_stations": ("lon", "lat", "class"),
    "hidden_dangers": ("lon", "lat", "level", "found_at", "closed_at", "due_on"),
    "accidents": ("lon", "lat", "happened_at"),
    "pipelines": ("from_lon", "from_lat", "to_lon", "to_lat", "medium"),
    "road_sections": ("from_lon", "from_lat", "to_lon", "to_lat"),
    "rescue_stations": ("lon", "lat"),
    "emergency_plans": ("category",),
    "emergency_supplies": ("district", "item"),
    "experts": ("field", "available"),
    "weather_warnings": ("issued_at", "ends_at", "level", "district"),
}


class Files:
    """Small data sets whole, each in a DuckDB that knows the files."""

    def __init__(self, extract: Extract, contracts: Mapping[str, Contract]) -> None:
        self._extract = extract
        self._contracts = contracts

    def source(self, data_set: str, paths: list[str] | None = None) -> str:
        """SQL of the columns of DATA_SETS."""
        listed = self._extract.paths(data_set) if paths is None else paths
        return source(self._contracts[data_set], listed, DATA_SETS[data_set])

    def parts(self, data_set: str, parts: int) -> list[str]:
        """The same of each part of the files."""
        return [self.source(data_set, paths) for paths in parts_of_files(self._extract.files[data_set], parts)]

    def table(self, data_set: str, rest: str = "") -> pa.Table:
        return self.ask(f"select * from {self.source(data_set)} {rest}")

    def ask(self, sql: str, **tables: pa.Table) -> pa.Table:
        with duckdb.connect() as connection:
            for name, table in tables.items():
                connection.register(name, table)
            return connection.sql(sql).to_arrow_table()
