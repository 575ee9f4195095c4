"""Major hazard sources, GB 18218-2018 (identification of major hazard installations for hazardous chemicals), 4.3:
R = α · Σ βᵢ · qᵢ / Qᵢ, and the level that follows from R, 1 the gravest.

α goes by the people who live within 500 m of the plant's edge, β by the chemical: a gas by its name, all else by its
kind. The tables are in `major_hazard.toml`.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hub.risk.formulas.arrays import Floats, Values, floats
from hub.risk.formulas.tables import Row, Table, read_table

Ints = npt.NDArray[np.int64]


class Alpha(Row):
    people_min: int = Field(ge=0)
    alpha: float = Field(gt=0)


class Level(Row):
    level: int = Field(ge=1, le=4)
    r_min: float = Field(ge=0)


class MajorHazard(Table):
    """As `major_hazard.toml` has it; `alpha` and `levels` from the highest bound down to 0."""

    alpha: tuple[Alpha, ...]
    levels: tuple[Level, ...]
    gases: Mapping[str, float]
    kinds: Mapping[str, float]


@cache
def builtin_table() -> MajorHazard:
    return read_table(__package__, "major_hazard.toml", MajorHazard)


def alpha(people: Values, table: MajorHazard) -> Floats:
    """α of the number of people within 500 m, table 5."""
    bounds = [row.people_min for row in reversed(table.alpha)]
    factors = floats([row.alpha for row in reversed(table.alpha)])
    return np.asarray(factors[np.searchsorted(bounds, floats(people), side="right") - 1], np.float64)


def beta(chemical: str, kind: str, table: MajorHazard) -> float:
    """β of a chemical: by its Chinese name if it is a gas of table 3, else by its kind in table 4."""
    return table.gases.get(chemical, table.kinds[kind])


def r_values(quantity: Values, critical: Values, beta: Values, source: Ints, alpha: Values) -> Floats:
    """R of each source, shape of `alpha`. Stock i of `quantity` tonnes (critical quantity and β beside it, all of shape
    (n,)) lies at source `source[i]`, an index into `alpha`. Quantities are ≥ 0, critical ones > 0."""
    parts = floats(beta) * floats(quantity) / floats(critical)
    factors = floats(alpha)
    return np.asarray(factors * np.bincount(source, weights=parts, minlength=len(factors)), np.float64)


def levels(r: Values, table: MajorHazard) -> Ints:
    """Level of each R, table 6: 1 from R = 100 on, 2 from 50, 3 from 10, else 4."""
    bounds = [row.r_min for row in reversed(table.levels)]
    grades = np.array([row.level for row in reversed(table.levels)], np.int64)
    return np.asarray(grades[np.searchsorted(bounds, floats(r), side="right") - 1], np.int64)
