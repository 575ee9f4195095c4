"""The city as files: Parquet files of its data sets."""

from collections.abc import Callable, Collection
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from hub.catalogue.load import builtin_contracts
from hub.errors import ConfigurationError
from simulator.city.contents import contents
from simulator.city.plan import City


def write_tables(
    city: City, folder: Path, data_sets: Collection[str], progress: Callable[[str, int], None]
) -> dict[str, int]:
    """Rows of each file `DATA_SET.parquet`; all data sets if none is named. Raises ConfigurationError."""
    if unknown := set(data_sets) - builtin_contracts().keys():
        raise ConfigurationError(f"there is no data set {', '.join(sorted(unknown))}")
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}
    for data_set, parts in groupby(contents(city), key=lambda one: one[0]):
        if data_sets and data_set not in data_sets:
            for _, part in parts:
                progress(data_set, part.num_rows)
            continue
        schema = builtin_contracts()[data_set].schema
        with pq.ParquetWriter(folder / f"{data_set}.parquet", schema, compression="zstd") as writer:
            for _, part in parts:
                writer.write_batch(part)
                rows[data_set] = rows.get(data_set, 0) + part.num_rows
                progress(data_set, part.num_rows)
    return rows
