"""A plain stream of readings, as load for drills and benchmarks: so many sensors, each every ten seconds.

    sensors(count, seed) → one batch → readings(rows, seed, sensors=...) → batch, batch, ...

Equal arguments give equal rows, and readings do not depend on how they are cut into batches. Nothing here reads a
clock. What a city's sensors report, with gaps, faults and rain, is in `sensing`.

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

from simulator.city.places import districts, scattered
from simulator.city.rows import DAY_MS, batch, pick

START_MS: Final = 1_491_955_200_000  # 2017-04-12 00:00 UTC
INTERVAL_MS: Final = 10_000
QUALITY_FLAGGED_SHARE: Final = 0.01
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


KINDS: Final = (
    Kind(name="water_level", unit="m", base=2.4, swing=0.8, noise=0.03, step=0.01),
    Kind(name="rainfall", unit="mm/h", base=1.5, swing=1.0, noise=0.4, step=0.2),
    Kind(name="pm2_5", unit="µg/m³", base=35.0, swing=12.0, noise=4.0, step=1.0),
    Kind(name="noise", unit="dB(A)", base=58.0, swing=9.0, noise=2.5, step=0.1),
    Kind(name="temperature", unit="°C", base=24.0, swing=4.0, noise=0.3, step=0.1),
    Kind(name="gas", unit="%LEL", base=2.0, swing=0.5, noise=0.3, step=0.1),
)


def sensors(count: int, seed: int) -> pa.RecordBatch:
    """`count` rows of data set `sensors`, numbered from 1, kinds and districts mixed."""
    random = np.random.default_rng((seed, 1))
    kind = random.integers(0, len(KINDS), count)
    places = scattered(random, count)
    installed = np.datetime64("2012-01-01") + random.integers(0, 5 * 365, count)
    return batch(
        "sensors",
        {
            "sensor_id": np.arange(1, count + 1, dtype=np.int32),
            "kind": pick([one.name for one in KINDS], kind),
            "unit": pick([one.unit for one in KINDS], kind),
            "lon": places.lon,
            "lat": places.lat,
            "district": pick([one.name for one in districts()], places.district),
            "installed_on": installed,
        },
    )


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
        minute = observed % DAY_MS // (DAY_MS // _PHASES)
        value = self._wave[minute + self._phase[sensor]]
        value *= self._swing[sensor]
        value += self._base[sensor]
        noise = self._noises.standard_normal(count, np.float32)
        noise *= self._noise[sensor]
        value += noise
        step = self._step[sensor]
        value = np.maximum(np.rint(value / step) * step, 0)
        return batch(
            "readings",
            {
                "observed_at": observed.view("datetime64[ms]"),
                "sensor_id": self._ids[sensor],
                "value": value,
                "quality": self._flags(count),
            },
        )

    def _flags(self, count: int) -> npt.NDArray[np.int8]:
        """0 for good; 1, 2 or 3 for one in a hundred."""
        chance = self._qualities.random(count, np.float32) / np.float32(QUALITY_FLAGGED_SHARE)
        return np.where(chance < 1, 1 + chance * 3, 0).astype(np.int8)
