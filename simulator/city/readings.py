"""Sensors, their readings, and buildings: deterministic, in the schemas of the contracts of the same names.

    sensors(count, seed) → one batch → readings(rows, seed, sensors=...) → batch, batch, ...

Equal arguments give equal rows, and readings do not depend on how they are cut into batches. Places lie in bounding
boxes within Shenzhen's districts, not yet in their outlines. Nothing here reads a clock.

A reading is `base + swing · sin(2π · (time of day + phase)) + noise`, rounded to the sensor's step as a real
instrument rounds, and never below zero. Row i is the reading of sensor i mod n in round i div n, so times rise, and
no sensor reports twice at one moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.catalogue.load import builtin_contracts

START_MS: Final = 1_491_955_200_000  # 2017-04-12 00:00 UTC
INTERVAL_MS: Final = 10_000
QUALITY_FLAGGED_SHARE: Final = 0.01
_DAY_MS: Final = 86_400_000
_PHASES: Final = 1_440  # Times of day are told apart to the minute.


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a sensor measures: mean, daily swing, noise and rounding step, in `unit`."""

    name: str
    unit: str
    base: float
    swing: float
    noise: float
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _District:
    """A box within a district, in degrees; `code` is its division code, the first six digits of a building code."""

    name: str
    code: str
    west: float
    south: float
    east: float
    north: float


KINDS: Final = (
    Kind(name="water_level", unit="m", base=2.4, swing=0.8, noise=0.03, step=0.01),
    Kind(name="rainfall", unit="mm/h", base=1.5, swing=1.0, noise=0.4, step=0.2),
    Kind(name="pm2_5", unit="µg/m³", base=35.0, swing=12.0, noise=4.0, step=1.0),
    Kind(name="noise", unit="dB(A)", base=58.0, swing=9.0, noise=2.5, step=0.1),
    Kind(name="temperature", unit="°C", base=24.0, swing=4.0, noise=0.3, step=0.1),
    Kind(name="gas", unit="%LEL", base=2.0, swing=0.5, noise=0.3, step=0.1),
)
# Dapeng has no division code of its own: its buildings carry Longgang's.
_DISTRICTS: Final = (
    _District(name="罗湖区", code="440303", west=114.09, south=22.54, east=114.19, north=22.60),
    _District(name="福田区", code="440304", west=114.00, south=22.52, east=114.09, north=22.57),
    _District(name="南山区", code="440305", west=113.88, south=22.48, east=113.99, north=22.60),
    _District(name="宝安区", code="440306", west=113.80, south=22.56, east=113.90, north=22.75),
    _District(name="龙岗区", code="440307", west=114.16, south=22.66, east=114.26, north=22.76),
    _District(name="盐田区", code="440308", west=114.22, south=22.56, east=114.32, north=22.62),
    _District(name="龙华区", code="440309", west=113.99, south=22.61, east=114.09, north=22.74),
    _District(name="坪山区", code="440310", west=114.29, south=22.64, east=114.42, north=22.74),
    _District(name="光明区", code="440311", west=113.88, south=22.72, east=113.98, north=22.83),
    _District(name="大鹏新区", code="440307", west=114.44, south=22.50, east=114.56, north=22.62),
)
_USES: Final = ("residential", "office", "commercial", "industrial", "school", "hospital", "public", "other")
_USE_SHARES: Final = (0.62, 0.08, 0.09, 0.14, 0.02, 0.005, 0.02, 0.025)
_STRUCTURES: Final = ("concrete", "steel", "brick_concrete")
_STRUCTURE_SHARES: Final = (0.7, 0.08, 0.22)


def sensors(count: int, seed: int) -> pa.RecordBatch:
    """`count` rows of data set `sensors`, numbered from 1, kinds and districts mixed."""
    random = np.random.default_rng((seed, 1))
    kind = random.integers(0, len(KINDS), count)
    district, lon, lat = _places(random, count)
    installed = np.datetime64("2012-01-01") + random.integers(0, 5 * 365, count)
    columns = [
        np.arange(1, count + 1, dtype=np.int32),
        _pick([one.name for one in KINDS], kind),
        _pick([one.unit for one in KINDS], kind),
        lon,
        lat,
        _pick([one.name for one in _DISTRICTS], district),
        installed,
    ]
    return _batch("sensors", columns)


def readings(rows: int, seed: int, *, sensors: pa.RecordBatch, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """`rows` rows of data set `readings` in batches of `batch_rows`, the last one shorter.

    Every sensor reports every INTERVAL_MS from START_MS on, one after the other. One reading in a hundred, by chance,
    has another quality than 0.
    """
    assert sensors.num_rows > 0, "no sensors"
    assert batch_rows > 0, batch_rows
    source = _Instruments(sensors, seed)
    for first in range(0, rows, batch_rows):
        yield source.next_batch(first, min(batch_rows, rows - first))


def buildings(count: int, seed: int) -> pa.RecordBatch:
    """`count` rows of data set `buildings`. Codes are the district's six digits and a serial number of 19."""
    random = np.random.default_rng((seed, 3))
    district, lon, lat = _places(random, count)
    floors = np.clip(random.gamma(2.0, 4.0, count).astype(np.int16) + 1, 1, 120)
    codes = np.array([one.code for one in _DISTRICTS])[district]
    serials = np.char.zfill(np.arange(1, count + 1).astype(str), 19)
    numbers = np.arange(1, count + 1).astype(str)
    names = np.array([one.name for one in _DISTRICTS])[district]
    columns = [
        np.strings.add(codes, serials),
        np.strings.add(np.strings.add(names, numbers), "号楼"),
        names,
        None,
        lon,
        lat,
        _pick(_USES, random.choice(len(_USES), count, p=_USE_SHARES)),
        _pick(_STRUCTURES, random.choice(len(_STRUCTURES), count, p=_STRUCTURE_SHARES)),
        floors,
        (floors * random.uniform(2.9, 4.2, count)).round(1).astype(np.float32),
        (floors * random.uniform(120.0, 1_500.0, count)).round(1),
        (1_980 + random.integers(0, 38, count)).astype(np.int16),
    ]
    return _batch("buildings", columns)


class _Instruments:
    """The sensors' constants as arrays, and the two streams of chance: noise and quality."""

    def __init__(self, sensors: pa.RecordBatch, seed: int) -> None:
        random = np.random.default_rng((seed, 2))
        count = sensors.num_rows
        facts = {one.name: (one.base, one.swing, one.noise, one.step) for one in KINDS}
        base, swing, noise, step = np.array([facts[kind] for kind in sensors["kind"].to_pylist()], np.float32).T
        self._ids = sensors["sensor_id"].to_numpy()
        self._base = base * random.uniform(0.8, 1.2, count).astype(np.float32)
        self._noise = noise
        self._step = step
        self._swing = swing
        self._phase = random.integers(0, _PHASES, count)
        self._delay_ms = np.arange(count) * INTERVAL_MS // count
        self._wave = np.sin(2 * np.pi * np.arange(2 * _PHASES) / _PHASES).astype(np.float32)
        self._noises = np.random.default_rng((seed, 4))
        self._qualities = np.random.default_rng((seed, 5))

    def next_batch(self, first: int, count: int) -> pa.RecordBatch:
        """Readings `first` to `first + count - 1`: to be asked for in order."""
        rounds, sensor = np.divmod(np.arange(first, first + count), len(self._ids))
        observed = START_MS + rounds * INTERVAL_MS + self._delay_ms[sensor]
        minute = observed % _DAY_MS // (_DAY_MS // _PHASES)
        value = self._wave[minute + self._phase[sensor]]
        value *= self._swing[sensor]
        value += self._base[sensor]
        noise = self._noises.standard_normal(count, np.float32)
        noise *= self._noise[sensor]
        value += noise
        step = self._step[sensor]
        value = np.maximum(np.rint(value / step) * step, 0)
        return _batch("readings", [observed.view("datetime64[ms]"), self._ids[sensor], value, self._flags(count)])

    def _flags(self, count: int) -> npt.NDArray[np.int8]:
        """0 for good; 1, 2 or 3 for one in a hundred."""
        chance = self._qualities.random(count, np.float32) / np.float32(QUALITY_FLAGGED_SHARE)
        return np.where(chance < 1, 1 + chance * 3, 0).astype(np.int8)


def _places(
    random: np.random.Generator, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A district's place in the list, longitude and latitude for each of `count` things."""
    district = random.integers(0, len(_DISTRICTS), count)
    west, south, east, north = np.array([(one.west, one.south, one.east, one.north) for one in _DISTRICTS]).T
    lon = west[district] + (east - west)[district] * random.random(count)
    lat = south[district] + (north - south)[district] * random.random(count)
    return district, lon.round(6), lat.round(6)


def _pick(names: list[str] | tuple[str, ...], indices: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(indices))


def _batch(data_set: str, columns: list[pa.Array | npt.NDArray[np.generic] | None]) -> pa.RecordBatch:
    """Columns in the order of the contract; None is a column of nulls."""
    schema = builtin_contracts()[data_set].schema
    count = max(len(column) for column in columns if column is not None)
    arrays = [
        pa.nulls(count, field.type) if column is None else pa.array(column, field.type)
        for field, column in zip(schema, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
