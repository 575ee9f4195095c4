"""The city at one scale: how many of each there are, who lives and sits where. Everything else follows from it.

    City(scale, seed) → buildings (places, uses, room) → persons and legal persons into them → tables, feeds, answers

Persons and legal persons are numbered through the buildings: building b has persons `person_starts[b]` to
`person_starts[b + 1]` - 1, and likewise legal persons. Equal arguments give equal cities; nothing here reads a clock.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from hub.ingest.codes import strings
from simulator.city import identities
from simulator.city.chance import SEED, Floats, Ints, apportioned, stream
from simulator.city.places import Places, districts, grid_of, scattered, streets

RECORDS: Final = 10_600_000_000  # At scale 1, as the proposal counts them.
EXCHANGES_A_DAY: Final = 5_000_000
START: Final = np.datetime64("2026-06-01", "ms")  # The city's first midnight, UTC.
START_MS: Final = int(START.astype(np.int64))

USES: Final = ("residential", "office", "commercial", "industrial", "school", "hospital", "public", "other")
_USE_SHARES: Final = (0.62, 0.08, 0.09, 0.14, 0.02, 0.005, 0.02, 0.025)
_DWELLERS: Final = np.array([1, 0, 0.02, 0.05, 0.02, 0, 0, 0.1])  # By use: how thickly people live there,
_FIRMS: Final = np.array([0.02, 1, 0.8, 0.25, 0.02, 0.02, 0.1, 0.2])  # and legal persons sit there.


@dataclass(frozen=True, slots=True, kw_only=True)
class Buildings:
    """One row a building; `use` is an index of USES, areas are in m², heights in m."""

    places: Places
    use: Ints
    structure: Ints
    floors: Ints
    height: Floats
    floor_area: Floats
    built_year: Ints


@dataclass(frozen=True)
class City:
    """`scale` 1 is the whole city, 20 million people; 0.0001 is the smallest. With fewer readings than its records ask
    for there are so many fewer records."""

    scale: float
    seed: int = SEED
    readings_max: int = RECORDS * 10

    def __post_init__(self) -> None:
        if not 0.0001 <= self.scale <= 10:
            raise ValueError(f"a city has a scale from 0.0001 to 10, not {self.scale:g}")

    def count(self, at_scale_1: int, least: int = 1) -> int:
        return max(least, round(at_scale_1 * self.scale))

    @property
    def people(self) -> int:
        return self.count(20_000_000)

    @property
    def firms(self) -> int:
        return self.count(4_000_000)

    @property
    def sensors(self) -> int:
        return self.count(10_000, least=100)

    @property
    def records(self) -> int:
        return round(RECORDS * self.scale)

    @property
    def exchanges_a_day(self) -> int:
        return round(EXCHANGES_A_DAY * self.scale)

    @cached_property
    def buildings(self) -> Buildings:
        count = self.count(600_000)
        random = stream(self.seed, "buildings")
        places = scattered(random, count)
        floors = np.clip(random.gamma(2.0, 4.0, count).astype(np.int64) + 1, 1, 120)
        return Buildings(
            places=places,
            use=_some_of_each(random.choice(len(USES), count, p=_USE_SHARES)),
            structure=random.choice(3, count, p=(0.7, 0.08, 0.22)),
            floors=floors,
            height=(floors * random.uniform(2.9, 4.2, count)).round(1),
            floor_area=(floors * random.uniform(120.0, 1_500.0, count)).round(1),
            built_year=2025 - np.minimum(random.gamma(2.0, 8.0, count).astype(np.int64), 60),
        )

    @cached_property
    def building_codes(self) -> pa.Array:
        places = self.buildings.places
        numbers = np.arange(len(places.street))
        return strings(identities.building_codes(numbers, self.divisions[places.district], places.street))

    @cached_property
    def building_grids(self) -> pa.Array:
        return grid_of(self.buildings.places.lon, self.buildings.places.lat)

    @cached_property
    def person_starts(self) -> Ints:
        """Shape (buildings + 1,)."""
        return _starts(self.buildings.floor_area * _DWELLERS[self.buildings.use], self.people)

    @cached_property
    def firm_starts(self) -> Ints:
        """Shape (buildings + 1,)."""
        return _starts(self.buildings.floor_area * _FIRMS[self.buildings.use], self.firms)

    @cached_property
    def divisions(self) -> Ints:
        """Division code of each district."""
        return np.array([one.code for one in districts()])

    @cached_property
    def district_names(self) -> pa.Array:
        return pa.array([one.name for one in districts()])

    @cached_property
    def street_names(self) -> pa.Array:
        return pa.array(streets().name)

    def home_of(self, persons: Ints) -> Ints:
        """The building each person lives in."""
        result: Ints = np.searchsorted(self.person_starts, persons, side="right") - 1
        return result

    def seat_of(self, firms: Ints) -> Ints:
        """The building each legal person sits in."""
        result: Ints = np.searchsorted(self.firm_starts, firms, side="right") - 1
        return result

    def is_female(self, persons: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        mixed = (persons.astype(np.uint64) + np.uint64(self.seed)) * np.uint64(0x9E3779B97F4A7C15)
        return (mixed >> np.uint64(40)) % np.uint64(100) < 47

    def person_codes(self, persons: Ints) -> pa.Array:
        return strings(identities.person_codes(persons, self.is_female(persons)))

    def firm_codes(self, firms: Ints) -> pa.Array:
        district = self.buildings.places.district[self.seat_of(firms)]
        return strings(identities.credit_codes(firms, self.divisions[district]))


def _some_of_each(use: Ints) -> Ints:
    """The first buildings are one of each use, so that the smallest city has a school and a hospital."""
    use[: len(USES)] = np.arange(len(USES))
    return use


def _starts(weights: Floats, total: int) -> Ints:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(apportioned(weights, total))))
