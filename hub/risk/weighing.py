"""The weights file as a model: whatever is wrong with it is told before anything is scored."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.errors import ConfigurationError

NEWEST: Final = 1
INDICATORS: Final = ("e1", "e2", "e3", "v1", "v2", "v3", "s1", "s2", "s3", "m1", "m2", "m3", "m4")
GROUPS: Final = ("exposure", "vulnerability", "sensitivity", "mitigation")
COLOURS: Final = ("blue", "yellow", "orange", "red")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Indicator(_Model):
    group: Literal["exposure", "vulnerability", "sensitivity", "mitigation"]
    half: float = Field(gt=0)
    weight: float = Field(gt=0)


class Hazard(_Model):
    base: dict[str, float]
    danger_half: float = Field(gt=0)
    danger_share: float = Field(ge=0, lt=1)
    accident_half: float = Field(gt=0)
    accident_share: float = Field(ge=0, lt=1)
    anomaly_half: float = Field(gt=0)
    anomaly_share: float = Field(ge=0, lt=1)
    warning_share: dict[Literal["blue", "yellow", "orange", "red"], float]
    major_danger: int = Field(ge=1)


class Sensors(_Model):
    alarms: dict[str, float]
    deviations: float = Field(gt=0)
    days_min: int = Field(ge=2)
    healthy_share: float = Field(gt=0, le=1)


class Old(_Model):
    structures: tuple[str, ...]
    years: int = Field(gt=0)


class Weights(_Model):
    version: int = Field(ge=1)
    colours: dict[Literal["blue", "yellow", "orange"], float]
    indicators: dict[str, Indicator]
    floors: dict[str, float]
    hazard: Hazard
    reach: dict[Literal["road", "sensor", "rescue"], float]
    sensors: Sensors
    old: Old
    experts: dict[str, tuple[str, ...]]


@cache
def weights(version: int = NEWEST) -> Weights:
    """Raises ConfigurationError: there is no such version, or its file is wrong."""
    try:
        text = files("hub.risk.weights").joinpath(f"v{version}.toml").read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"there are no weights of version {version}", hint=f"the newest is {NEWEST}"
        ) from error
    return read_weights(tomllib.loads(text))


def read_weights(content: dict[str, Any]) -> Weights:
    """Raises ConfigurationError."""
    try:
        made = Weights.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"the weights are wrong: {error.errors(include_url=False)[0]['msg']}") from error
    if set(made.indicators) != set(INDICATORS):
        raise ConfigurationError(f"the weights name other indicators than {', '.join(INDICATORS)}")
    if not made.colours["blue"] < made.colours["yellow"] < made.colours["orange"]:
        raise ConfigurationError("the thresholds of colours do not rise")
    return made
