"""Noisy readings by the million: arrival times jitter, sensors come in no order, values have noise in their last
digits, so that a row takes more than 3 bytes however it is compressed. Deterministic."""

from typing import Final

import numpy as np
import pyarrow as pa

from hub.catalogue.load import builtin_contracts

_SENSORS: Final = 10_000
_ROUND_MS: Final = 1_000
_JITTER_MS: Final = 50
_START_MS: Final = 1_491_955_200_000  # 2017-04-12 00:00 UTC


def noisy_readings(rows: int, seed: int) -> pa.Table:
    """Rounds of all sensors, one a second."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(_SENSORS).astype(np.int32) + np.int32(1)
    rounds = -(-rows // _SENSORS)
    columns = {
        "observed_at": _START_MS + np.repeat(np.arange(rounds) * _ROUND_MS, _SENSORS)[:rows]
        + rng.integers(0, _JITTER_MS, rows),
        "sensor_id": np.tile(order, rounds)[:rows],
        "value": np.round(20 + 5 * np.sin(np.arange(rows) / 1e5) + rng.normal(0, 0.5, rows), 3).astype(np.float32),
        "quality": (rng.random(rows) < 0.01).astype(np.int8),
    }  # fmt: skip
    schema = builtin_contracts()["readings"].schema
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def later(rows: pa.Table, times: int) -> pa.Table:
    """The same readings, taken so many times of their own length later."""
    length_ms = -(-rows.num_rows // _SENSORS) * _ROUND_MS * times
    moved = pa.array(rows["observed_at"].to_numpy().astype(np.int64) + length_ms, pa.timestamp("ms"))
    return rows.set_column(0, rows.schema.field(0), moved)
