"""The city's sensors and what they report: daily rhythm, rain, faults, gaps, and planted events.

    City → sensors → rounds of ten seconds → readings, batch by batch

A sensor reports every 10, 60 or 600 s. A reading is `base + swing · sin(2π · (time of day + phase)) + noise`, rounded
to its step and never below zero; rainfall sensors report the rain that falls where they stand, and water rises with it.
Every day one sensor in twenty is silent for a while, and one in fifty is stuck at one value, marked as doubtful.

The first gas sensor is planted: for `LEAK_MS` from `LEAK_AT_MS` on it reads `LEAK_VALUE`, far above all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simulator.city.chance import Flags, Ints, stream
from simulator.city.places import Places, scattered
from simulator.city.plan import START_MS, City
from simulator.city.readings import KINDS
from simulator.city.rows import DAY_MS, batch, days, pick
from simulator.city.weather import rain

ROUND_MS: Final = 10_000
GAS_ALARM: Final = 25.0  # %LEL, as gas detectors are set.
LEAK_AT_MS: Final = START_MS + 9 * 3_600_000
LEAK_MS: Final = 600_000
LEAK_VALUE: Final = 62.0
_ROUNDS_A_BATCH_ROWS: Final = 120_000
_DAY_ROUNDS: Final = DAY_MS // ROUND_MS
_INTERVALS: Final = (1, 6, 60)  # In rounds,
_INTERVAL_SHARES: Final = (0.6, 0.25, 0.15)  # and how many of the sensors report so often.
_SILENT_SHARE: Final = 0.05
_STUCK_SHARE: Final = 0.02
_RAIN_EVERY: Final = 6  # Rounds for which the rain is taken as even.
_DOUBTFUL: Final = 1
_GAS: Final = next(place for place, one in enumerate(KINDS) if one.name == "gas")
_RAINFALL: Final = next(place for place, one in enumerate(KINDS) if one.name == "rainfall")
_WATER: Final = next(place for place, one in enumerate(KINDS) if one.name == "water_level")
_RISE: Final = 0.02  # Metres of water for each mm/h.


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """One row a sensor, numbered from 1; `kind` is an index of KINDS, `interval` counts rounds."""

    places: Places
    kind: Ints
    interval: Ints
    installed: Ints


def sensors_of(city: City) -> Sensors:
    random = stream(city.seed, "sensors")
    count = city.sensors
    kind = random.integers(0, len(KINDS), count)
    kind[0] = _GAS
    interval = random.choice(_INTERVALS, count, p=_INTERVAL_SHARES)
    interval[0] = 1
    places = scattered(random, count)
    made = city.buildings.places
    fullest = int(np.argmax(np.diff(city.person_starts)))  # Where the leak is, many people live.
    for mine, theirs in ((places.street, made.street), (places.lon, made.lon), (places.lat, made.lat)):
        mine[0] = theirs[fullest]
    return Sensors(
        places=places,
        kind=kind,
        interval=interval,
        installed=15_400 + random.integers(0, 5_000, count),
    )


def sensors(city: City) -> Iterator[pa.RecordBatch]:
    """Rows of data set `sensors`."""
    all_of_them = sensors_of(city)
    places = all_of_them.places
    yield batch(
        "sensors",
        {
            "sensor_id": np.arange(1, city.sensors + 1, dtype=np.int32),
            "kind": pick([one.name for one in KINDS], all_of_them.kind),
            "unit": pick([one.unit for one in KINDS], all_of_them.kind),
            "lon": places.lon,
            "lat": places.lat,
            "district": pick(city.district_names, places.district),
            "installed_on": days(all_of_them.installed),
        },
    )


def readings(city: City, rows: int) -> Iterator[pa.RecordBatch]:
    """The first `rows` rows of data set `readings`, in the order of time."""
    source = Instruments(city)
    step = max(1, _ROUNDS_A_BATCH_ROWS // city.sensors)
    first = 0
    while rows > 0:
        made = source.between(first, first + step).slice(0, rows)
        rows -= made.num_rows
        first += step
        if made.num_rows:
            yield made


class Instruments:
    """The sensors' constants as arrays. Rounds count from the city's first midnight."""

    def __init__(self, city: City) -> None:
        self._city = city
        self.sensors = sensors_of(city)
        random = stream(city.seed, "instruments")
        count = city.sensors
        facts = [(one.base, one.swing, one.noise, one.step) for one in KINDS]
        base, swing, noise, step = np.array(facts, np.float32).T[:, self.sensors.kind]
        self._base = base * random.uniform(0.8, 1.2, count).astype(np.float32)
        self._swing, self._noise, self._step = swing, noise, step
        self._phase = random.uniform(0, 1, count)
        self._offset = random.integers(0, self.sensors.interval)
        self._delay_ms = np.arange(count) * ROUND_MS // count
        self._ids = np.arange(1, count + 1, dtype=np.int32)
        self._wet = np.flatnonzero((self.sensors.kind == _RAINFALL) | (self.sensors.kind == _WATER))
        self._share = np.where(self.sensors.kind == _RAINFALL, 1.0, _RISE).astype(np.float32)

    def between(self, first: int, end: int) -> pa.RecordBatch:
        """Readings of the rounds from `first` to before `end`, of which none crosses a midnight but at its edge."""
        day_end = (first // _DAY_ROUNDS + 1) * _DAY_ROUNDS
        if end > day_end:
            both = (self.between(first, day_end), self.between(day_end, end))
            return pa.concat_batches(both)
        rounds = np.arange(first, end)[:, None]
        silent, stuck = self._troubles(first // _DAY_ROUNDS)
        due = (rounds + self._offset) % self.sensors.interval == 0
        due &= ~_during(silent, rounds)
        value = self._values(rounds)
        where = np.flatnonzero(due)
        flags = np.where(_during(stuck, rounds), np.int8(_DOUBTFUL), np.int8(0)).ravel()[where]
        values = np.where(flags > 0, np.broadcast_to(self._base, value.shape).ravel()[where], value.ravel()[where])
        at_ms = START_MS + rounds * ROUND_MS + self._delay_ms
        values[leaks(self._ids[where % len(self._ids)], at_ms.ravel()[where])] = LEAK_VALUE
        return batch(
            "readings",
            {
                "observed_at": at_ms.ravel()[where].view("datetime64[ms]"),
                "sensor_id": np.take(self._ids, where % len(self._ids)),
                "value": values,
                "quality": flags,
            },
        )

    def _values(self, rounds: Ints) -> npt.NDArray[np.float32]:
        random = stream(self._city.seed, "readings", int(rounds[0, 0]))
        count = len(self._ids)
        value = random.standard_normal((len(rounds), count), np.float32)
        value *= self._noise
        # The rhythm hardly changes within the minutes of a batch: it is drawn at both ends and laid between.
        ends = np.sin(2 * np.pi * (rounds[[0, -1]] / _DAY_ROUNDS + self._phase))
        share = np.linspace(0, 1, len(rounds), dtype=np.float32)[:, None]
        value += self._base + self._swing * ends[0].astype(np.float32)
        value += share * (self._swing * (ends[1] - ends[0]).astype(np.float32))
        self._add_rain(value, rounds)
        value /= self._step
        np.rint(value, out=value)
        value *= self._step
        return np.maximum(value, 0, out=value)

    def _add_rain(self, value: npt.NDArray[np.float32], rounds: Ints) -> None:
        places = self.sensors.places
        wet = self._wet
        at_ms = START_MS + rounds[::_RAIN_EVERY] * ROUND_MS
        rate = rain(self._city.seed, at_ms, places.lon[wet], places.lat[wet]).astype(np.float32)
        rate *= self._share[wet]
        value[:, wet] += np.repeat(rate, _RAIN_EVERY, axis=0)[: len(rounds)]

    def _troubles(self, day: int) -> tuple[Ints, Ints]:
        """Rounds in which each sensor is silent, and stuck, on a day: shape (2, sensors), empty where end is begin."""
        random = stream(self._city.seed, "troubles", day)
        troubles = []
        for share in (_SILENT_SHARE, _STUCK_SHARE):
            begin = day * _DAY_ROUNDS + random.integers(0, _DAY_ROUNDS, len(self._ids))
            long = np.where(random.random(len(self._ids)) < share, random.integers(6, 720, len(self._ids)), 0)
            long[0] = 0  # What is planted is always seen.
            troubles.append(np.stack((begin, begin + long)))
        return troubles[0], troubles[1]


def leaks(sensor_ids: npt.NDArray[np.int32], at_ms: Ints) -> Flags:
    """Which readings are those of the planted leak."""
    found: Flags = (sensor_ids == 1) & (at_ms >= LEAK_AT_MS) & (at_ms < LEAK_AT_MS + LEAK_MS)
    return found


def _during(span: Ints, rounds: Ints) -> Flags:
    within: Flags = (rounds >= span[0]) & (rounds < span[1])
    return within
