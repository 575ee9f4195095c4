"""Danger of work by LEC, Graham and Kinney (1980): D = L · E · C, likelihood × exposure × consequence, and its colour.

Scales and bounds are in `lec.toml`. The bounds 320, 160 and 70 are those of Chinese practice; Kinney and Wiruth (NWC TP
5865, 1976) drew the first two at 400 and 200.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hub.risk.formulas.arrays import Floats, Values, floats
from hub.risk.formulas.tables import Row, Table, read_table


class Colour(Row):
    colour: str
    danger_min: float = Field(ge=0)


class Lec(Table):
    """As `lec.toml` has it; `colours` from the gravest on, the scales rise."""

    likelihood: tuple[float, ...]
    exposure: tuple[float, ...]
    consequence: tuple[float, ...]
    colours: tuple[Colour, ...]


@cache
def builtin_table() -> Lec:
    return read_table(__package__, "lec.toml", Lec)


def danger(likelihood: Values, exposure: Values, consequence: Values) -> Floats:
    """D, dimensionless: 0.05 to 10,000 over the scales of the table."""
    return floats(likelihood) * floats(exposure) * floats(consequence)


def colours(dangers: Values, table: Lec) -> npt.NDArray[np.str_]:
    """Colour of each D; a bound belongs to the graver one."""
    bounds = [row.danger_min for row in reversed(table.colours)]
    names = np.array([row.colour for row in reversed(table.colours)])
    return np.asarray(names[np.searchsorted(bounds, floats(dangers), side="right") - 1])
