"""One score out of the measures of a data set, and one out of those of an agency. Pure but for the weights' file."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

from hub.quality.measures import Measures


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Model):
    validity: float = Field(gt=0)
    completeness: float = Field(ge=0)
    uniqueness: float = Field(ge=0)
    linkage: float = Field(ge=0)


class Sample(_Model):
    rows: int = Field(gt=0)


class Rules(_Model):
    """As `weights.toml` has them."""

    weights: Weights
    sample: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A data set with its measures and score, 0 to 100."""

    data_set: str
    agency: str
    rows: int
    rows_rejected: int
    measures: Measures
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyScore:
    agency: str
    data_sets: int
    rows: int
    rows_rejected: int
    score: float


def builtin_rules() -> Rules:
    text = files(__package__).joinpath("weights.toml").read_text(encoding="utf-8")
    return Rules.model_validate(tomllib.loads(text))


def score(measures: Measures, weights: Weights) -> float:
    """The weighted mean of the measures that there are, 0 to 100."""
    shares: Mapping[str, float | None] = asdict(measures)
    all_weights: Mapping[str, float] = weights.model_dump()
    weighed = [(all_weights[name], share) for name, share in shares.items() if share is not None]
    return 100 * sum(weight * share for weight, share in weighed) / sum(weight for weight, _ in weighed)


def by_agency(scored: Iterable[Scored]) -> list[AgencyScore]:
    """The worst first. A data set counts by the order of magnitude of its rows, log10(10 + rows): billions of readings
    do not hide a registry. The named query `quality_by_agency` counts the same way."""
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.agency, []).append(one)
    rolled = [
        AgencyScore(
            agency=agency,
            data_sets=len(group),
            rows=sum(one.rows for one in group),
            rows_rejected=sum(one.rows_rejected for one in group),
            score=sum(one.score * _magnitude(one) for one in group) / sum(map(_magnitude, group)),
        )
        for agency, group in groups.items()
    ]
    return sorted(rolled, key=lambda one: (one.score, one.agency))


def _magnitude(one: Scored) -> float:
    return math.log10(10 + one.rows + one.rows_rejected)
