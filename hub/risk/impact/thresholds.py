"""Where zones end, and what that means. `thresholds.toml` has the sources."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from pydantic import Field

from hub.errors import BadRequestError
from hub.risk.formulas.tables import Row, Table, read_table
from hub.risk.impact.substances import Name, Substance

COLOURS: Final = ("red", "orange", "yellow", "blue")


class Threshold(Row):
    """`limit` in kPa or kW/m²."""

    limit: float = Field(gt=0)
    colour: str
    meaning: Name


class ToxicLevel(Row):
    name: str
    meaning: Name


class Thresholds(Table):
    overpressure: tuple[Threshold, ...]
    heat_flux: tuple[Threshold, ...]
    toxic: Mapping[str, ToxicLevel]


@cache
def builtin_thresholds() -> Thresholds:
    return read_table(__package__, "thresholds.toml", Thresholds)


def toxic_levels(substance: Substance, table: Thresholds) -> list[tuple[float, ToxicLevel]]:
    """(ppm, level) of those that a substance has, the highest first. Raises BadRequestError if it has none."""
    discomfort, disabling, deadly = substance.aegl or (0.0, 0.0, 0.0)
    values = {"aegl_3": deadly, "idlh": substance.idlh or 0.0, "aegl_2": disabling, "aegl_1": discomfort}
    found = [(ppm, table.toxic[name]) for name, ppm in values.items() if ppm > 0]
    if not found:
        raise BadRequestError(
            f"no toxic levels are known of {substance.name.zh}", hint="add them to substances.toml, or choose a fire"
        )
    return sorted(found, key=lambda one: one[0], reverse=True)
