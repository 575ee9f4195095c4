"""From the figures of risk points to indicators, hazard, score and colour. Pure: arrays in, arrays out.

    facts (one row a point) → 13 indicators, each in 0..1 → four groups and the hazard → risk → colour

Each indicator is monotone in its figure. Groups are weighted means; the risk is INFORM's geometric form (De Groeve,
Poljansek, Vernaccini: Index for Risk Management, JRC 2015), so that one good factor cannot hide a bad one:
`risk = (H · (E · V · S)^(1/3) · (1 - M))^(1/3)`. The same facts and weights give the same score to the last bit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.risk.weighing import COLOURS, GROUPS, INDICATORS, Weights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FACTS: Final = (
    *("residents", "present", "occupants", "buildings", "weak", "old", "pipelines", "roads", "sites", "critical"),
    *("waters", "dangers_due", "dangers_in_time", "dangers_open", "dangers_major", "accidents", "sensors"),
    *("sensors_healthy", "anomalies", "rescue_m", "plans", "experts", "stocks", "warning"),
)
"""What is counted of a point: within its reach where there is no other word. `rescue_m`: metres to the nearest rescue
station; `warning`: 0 for none, 1 to 4 for blue to red. All whole numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Arrays of one value a point; `colour` is an index of COLOURS."""

    indicators: dict[str, Floats]
    groups: dict[str, Floats]
    hazard: Floats
    risk: Floats
    colour: Ints


def score(facts: dict[str, Ints], group: list[str], by: Weights) -> Scores:
    """`facts`: FACTS, each of shape (points,); `group`: the points' groups of categories. Raises KeyError for a group
    that the weights do not know."""
    found = indicators(facts, by)
    groups = {name: _mean(name, found, by) for name in GROUPS}
    h = hazard(facts, group, by)
    floored = [
        np.maximum(groups[name], by.floors.get(name, 0)) for name in ("exposure", "vulnerability", "sensitivity")
    ]
    risk = np.cbrt(h * np.cbrt(floored[0] * floored[1] * floored[2]) * (1 - groups["mitigation"]))
    limits = np.array([by.colours[name] for name in ("blue", "yellow", "orange")])
    return Scores(
        indicators=found, groups=groups, hazard=h, risk=risk, colour=np.searchsorted(limits, risk, side="right")
    )


def indicators(facts: dict[str, Ints], by: Weights) -> dict[str, Floats]:
    """The 13, each in 0..1: exposure, vulnerability and sensitivity rise with danger, mitigation with safety."""
    x = {name: facts[name].astype(np.float64) for name in FACTS}
    buildings = np.maximum(x["buildings"], 1)
    raw = {
        "e1": x["residents"],
        "e2": x["present"],
        "e3": x["occupants"],
        "v1": 2 * x["weak"] / buildings + x["old"] / buildings,
        "v2": x["pipelines"],
        "s1": x["sites"],
        "s2": x["critical"],
        "s3": x["waters"],
        "m2": x["sensors_healthy"],
        "m4": np.minimum(x["plans"], 3) + np.minimum(x["experts"], 3) + np.minimum(x["stocks"], 3),
    }
    found = {name: _saturating(figure, by.indicators[name].half) for name, figure in raw.items()}
    found["v3"] = 1 - _saturating(x["roads"], by.indicators["v3"].half)
    # One in time of two that were due, before anything is known: a danger that is closed never makes it worse.
    found["m1"] = (x["dangers_in_time"] + 1) / (x["dangers_due"] + 2)
    found["m3"] = 1 - _saturating(x["rescue_m"], by.indicators["m3"].half)
    return {name: found[name] for name in INDICATORS}


def hazard(facts: dict[str, Ints], group: list[str], by: Weights) -> Floats:
    """H in 0..1: the base rate of the category's group, raised by what is found."""
    rules = by.hazard
    dangers = facts["dangers_open"] + (rules.major_danger - 1) * facts["dangers_major"]
    warnings = np.array([0.0, *(rules.warning_share[name] for name in COLOURS)])
    safe = 1 - np.array([rules.base[name] for name in group], np.float64)
    safe = safe * (1 - rules.danger_share * _saturating(dangers.astype(np.float64), rules.danger_half))
    safe = safe * (1 - rules.accident_share * _saturating(facts["accidents"].astype(np.float64), rules.accident_half))
    safe = safe * (1 - rules.anomaly_share * _saturating(facts["anomalies"].astype(np.float64), rules.anomaly_half))
    result: Floats = 1 - safe * (1 - warnings[facts["warning"]])
    return result


def _saturating(figure: Floats, half: float) -> Floats:
    result: Floats = figure / (figure + half)
    return result


def _mean(group: str, found: dict[str, Floats], by: Weights) -> Floats:
    members = [(found[name], by.indicators[name].weight) for name in INDICATORS if by.indicators[name].group == group]
    total = np.zeros_like(members[0][0])
    for values, weight in members:
        total = total + weight * values
    result: Floats = total / sum(weight for _, weight in members)
    return result
