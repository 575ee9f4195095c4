"""A day of one data set: which rows, when each is, where, and by what chance. What all feeds have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.ingest.codes import digits, strings
from simulator.city.chance import Dice, Floats, Ints
from simulator.city.places import grid_cells, streets
from simulator.city.plan import START_MS, City
from simulator.city.rows import DAY_MS, batch, pick

Columns = dict[str, Any]


@dataclass(frozen=True)
class Day:
    """Some rows of one feed of one day: their indices among `total`, and all that goes by them."""

    city: City
    data_set: str
    number: int
    rows: Ints
    total: int

    @cached_property
    def dice(self) -> Dice:
        return Dice(self.city.seed, f"{self.data_set} {self.number}", self.rows)

    @cached_property
    def at_ms(self) -> Ints:
        """Moments spread evenly over the day."""
        return START_MS + self.number * DAY_MS + self.rows * DAY_MS // self.total

    def series(self, keys: int) -> tuple[Ints, Ints]:
        """(which of the keys, milliseconds): each key once a tick."""
        ticks = -(-self.total // keys)
        return self.rows % keys, START_MS + self.number * DAY_MS + self.rows // keys * (DAY_MS // ticks)

    def names(self, letter: str) -> pa.Array:
        """A code of its own for each row: letter, day, index."""
        number = strings(
            np.concatenate((digits(np.full(len(self.rows), self.number), 4), digits(self.rows, 8)), axis=1)
        )
        return pc.binary_join_element_wise(letter, number, "")

    def places(self, *, salt: int = 70) -> tuple[Columns, Ints]:
        """Where things happen: near a building each. Also the buildings."""
        made = self.city.buildings.places
        house = self.dice.below(len(made.lon), salt)
        street = made.street[house]
        return {
            "district": pick(self.city.district_names, streets().district[street]),
            "lon": made.lon[house],
            "lat": made.lat[house],
        }, house


Make = Callable[[Day], Columns | pa.RecordBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """`exchanges` are those of a day at scale 1, each of `rows` rows. The city's history has a day of them, of
    `history_rows` rows at least, so that the smallest city has something to show."""

    data_set: str
    exchanges: int
    rows: int
    make: Make
    history_rows: Callable[[City], int]

    @property
    def contract(self) -> Contract:
        return builtin_contracts()[self.data_set]

    def exchanges_of(self, city: City) -> int:
        return city.count(self.exchanges)

    def rows_of(self, city: City, day: int) -> int:
        """How many rows there are on a day; day 0 is the history's."""
        return max(self.exchanges_of(city) * self.rows, self.history_rows(city) if day == 0 else 0)

    def batch(self, city: City, day: int, first: int, end: int) -> pa.RecordBatch:
        """The rows from `first` to before `end` of a day."""
        part = Day(city, self.data_set, day, np.arange(first, end), self.rows_of(city, day))
        made = self.make(part)
        return made if isinstance(made, pa.RecordBatch) else batch(self.data_set, made)


def rhythm(day: Day, key: Ints, at_ms: Ints, *, base: float, swing: float, noise: float) -> Floats:
    """A daily wave with its height by the key, and noise; never below zero."""
    wave = np.sin(2 * np.pi * (at_ms % DAY_MS / DAY_MS - 0.3))
    level = base * (0.6 + 0.8 * (key * 0.6180339887 % 1.0))
    return np.maximum(level * (1 + swing * wave) + noise * day.dice.bell(1), 0)


def whole(values: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return values.astype(np.int32)


def codes_of(letter: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(letter, strings(digits(numbers + 1, 6)), "")


@cache
def cells_in_use(city: City) -> pa.Array:
    """The grid cells with a building, at scale 1 nearly all that people are in."""
    names, _ = grid_cells()
    return names.filter(pc.is_in(names, value_set=city.building_grids.unique()))
