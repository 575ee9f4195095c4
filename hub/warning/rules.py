"""`rules.toml` as typed data. Raises pydantic's ValidationError for a file that is wrong. Pure but for reading it."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

LEVELS: Final = ("blue", "yellow", "orange", "red")
"""Lowest first; the grade of a level is its place, counted from 1."""
Level = Literal["blue", "yellow", "orange", "red"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Model):
    """From where on each level holds; a level without a bound is never reached."""

    blue: float | None = None
    yellow: float | None = None
    orange: float | None = None
    red: float | None = None

    def by_grade(self) -> dict[str, float]:
        """Parameters `g1` to `g4` of the SQL; infinity where there is no bound."""
        bounds = (self.blue, self.yellow, self.orange, self.red)
        return {f"g{grade}": float("inf") if bound is None else bound for grade, bound in enumerate(bounds, 1)}


class Lasting(_Model):
    after_s: int = Field(gt=0)
    level: Level


class SensorKind(Bounds):
    """`falls`: whether a fall warns as a rise does."""

    category: str
    falls: bool
    step: float = Field(gt=0)


class SensorRules(_Model):
    k: float = Field(gt=0)
    bound_steps_min: float = Field(gt=0)
    in_a_row: int = Field(ge=1)
    in_a_row_threshold: int = Field(ge=1)
    within_s: int = Field(gt=0)
    quiet_s: int = Field(gt=0)
    history_days: int = Field(ge=1)
    weekly_days: int = Field(ge=7)
    history_readings_min: int = Field(ge=1)
    hours_at_once: int = Field(ge=1)
    times: Bounds
    lasting: tuple[Lasting, ...]
    kinds: dict[str, SensorKind]


class RainRules(_Model):
    category: str
    stations: int = Field(ge=1)
    reach_km: float = Field(gt=0)
    quiet_s: int = Field(gt=0)
    hours_at_once: int = Field(ge=1)
    shares: Bounds


class DangerRules(_Model):
    category: str
    weeks: int = Field(ge=4)
    rising_weeks: int = Field(ge=1)
    deviation_min: float = Field(gt=0)
    overdue_min: int = Field(ge=1)
    deviations: Bounds
    overdue_shares: Bounds


class Call(_Model):
    hazards: tuple[str, ...]
    stations: tuple[str, ...]


class Calls(_Model):
    experts_max: int = Field(ge=1)
    stations_max: int = Field(ge=1)
    categories: dict[str, Call]


class Passes(_Model):
    first_hours: int = Field(ge=1)
    remember_s: int = Field(gt=0)
    settle_s: int = Field(ge=0)
    known_days: int = Field(ge=1)
    evidence_rows_max: int = Field(ge=1)


class Rules(_Model):
    """As `rules.toml` has them."""

    version: int = Field(ge=1)
    sensors: SensorRules
    rain: RainRules
    dangers: DangerRules
    calls: Calls
    passes: Passes


@cache
def builtin_rules() -> Rules:
    return Rules.model_validate(tomllib.loads(files(__package__).joinpath("rules.toml").read_text(encoding="utf-8")))


def sql(name: str) -> str:
    """A statement beside this module."""
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
