"""The score of risk points.

Goal: each indicator is monotone in its figure and within 0 and 1; what is better never makes a score worse; a score can
be worked out again from what is stored; the weights file is held to its rules.
Method: Hypothesis over facts; the formula written once more in plain Python.
"""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts
from hub.errors import ConfigurationError
from hub.risk.gathering import Gathered
from hub.risk.results import cell_rows, rollup_rows, score_rows
from hub.risk.score import FACTS, Scores, score
from hub.risk.weighing import COLOURS, GROUPS, INDICATORS, read_weights, weights

BY = weights()
COUNTED = st.integers(0, 10_000)


@st.composite
def one_point(draw: st.DrawFn) -> dict[str, int]:
    facts = {name: draw(COUNTED) for name in FACTS}
    facts["warning"] = draw(st.integers(0, 4))
    facts["buildings"] = draw(st.integers(0, 500))
    facts["weak"] = draw(st.integers(0, facts["buildings"]))
    facts["old"] = draw(st.integers(0, facts["buildings"]))
    facts["dangers_in_time"] = draw(st.integers(0, facts["dangers_due"]))
    facts["dangers_major"] = draw(st.integers(0, facts["dangers_open"]))
    return facts


def scored(*points: dict[str, int], group: str = "gas") -> Scores:
    facts = {name: np.array([point[name] for point in points], np.int64) for name in FACTS}
    return score(facts, [group] * len(points), BY)


@given(one_point())
def test_everything_lies_between_0_and_1(point: dict[str, int]) -> None:
    found = scored(point)
    for values in (*found.indicators.values(), *found.groups.values(), found.hazard, found.risk):
        assert 0 <= values[0] <= 1
    assert list(found.indicators) == list(INDICATORS)


RISES = ("residents", "present", "occupants", "weak", "old", "pipelines", "sites", "critical", "waters")
FALLS = ("roads", "sensors_healthy", "plans", "experts", "stocks")


@settings(max_examples=200)
@given(
    point=one_point(),
    name=st.sampled_from((*RISES, *FALLS, "dangers_open", "accidents", "anomalies", "rescue_m")),
    more=st.integers(1, 1_000),
)
def test_a_score_is_monotone(point: dict[str, int], name: str, more: int) -> None:
    """Goal: more of what is dangerous never lowers a score, more of what protects never raises it."""
    if name in ("weak", "old"):
        point = {**point, "buildings": point["buildings"] + more}
    before, after = scored(point).risk[0], scored({**point, name: point[name] + more}).risk[0]
    if name in FALLS:
        assert after <= before
    else:
        assert after >= before


@settings(max_examples=200)
@given(point=one_point(), major=st.booleans(), overdue=st.booleans())
def test_a_hidden_danger_that_is_closed_never_raises_a_score(point: dict[str, int], major: bool, overdue: bool) -> None:
    """Method: one more that is open, due or not yet; then the same one closed, late or in time."""
    open_one = {
        **point,
        "dangers_open": point["dangers_open"] + 1,
        "dangers_major": point["dangers_major"] + major,
        "dangers_due": point["dangers_due"] + overdue,
    }
    closed = {
        **point,
        "dangers_due": point["dangers_due"] + 1,
        "dangers_in_time": point["dangers_in_time"] + (not overdue),
    }
    assert scored(closed).risk[0] <= scored(open_one).risk[0]


@given(point=one_point(), group=st.sampled_from(sorted(BY.hazard.base)))
def test_the_formula_by_its_text(point: dict[str, int], group: str) -> None:
    """Method: the indicators' groups and the geometric form once more, with Python's numbers."""
    found = scored(point, group=group)
    means = {}
    for name in GROUPS:
        members = [
            (found.indicators[one][0], BY.indicators[one].weight)
            for one in INDICATORS
            if BY.indicators[one].group == name
        ]
        means[name] = sum(value * weight for value, weight in members) / sum(weight for _, weight in members)
        assert found.groups[name][0] == pytest.approx(means[name])
    e, v, s = (max(means[name], BY.floors[name]) for name in GROUPS[:3])
    risk = math.pow(found.hazard[0] * math.pow(e * v * s, 1 / 3) * (1 - means["mitigation"]), 1 / 3)
    assert found.risk[0] == pytest.approx(risk, rel=1e-12)
    colour = COLOURS[int(found.colour[0])]
    limits = [("blue", BY.colours["blue"]), ("yellow", BY.colours["yellow"]), ("orange", BY.colours["orange"])]
    assert colour == next((name for name, limit in limits if found.risk[0] < limit), "red")


def gathered(*points: dict[str, int]) -> Gathered:
    count = len(points)
    table = pa.table(
        {
            "risk_point_id": [f"Q{number}" for number in range(count)],
            "category": ["gas_01"] * count,
            "group": ["gas"] * count,
            "district": ["南山区"] * count,
            "street": ["西丽街道", "沙河街道"][:count] * (count if count < 2 else count // 2),
            "grid_id": ["89411c16213ffff"] * count,
        }
    )
    facts = {name: np.array([point[name] for point in points], np.int64) for name in FACTS}
    counts = ("residents", "present", "firms", "buildings", "dangers_open", "risk_points")
    cells = pa.table({"grid_id": ["89411c16213ffff"], **{name: pa.array([count], pa.int32()) for name in counts}})
    return Gathered(at_ms=1_780_000_000_000, points=table, facts=facts, cells=cells)


@settings(deadline=None)
@given(one_point(), one_point())
def test_a_stored_score_can_be_worked_out_again(one: dict[str, int], other: dict[str, int]) -> None:
    """Goal: what is stored is enough. Method: facts out of the column `inputs`, scored once more: the same bits."""
    found = gathered(one, other)
    scores = score(found.facts, ["gas", "gas"], BY)
    rows = score_rows("run", found, scores, BY, {"Q0": "red"}, builtin_contracts()["risk_scores"]).to_pylist()
    for row, risk in zip(rows, scores.risk.tolist(), strict=True):
        stored: dict[str, Any] = json.loads(row["inputs"])
        group = stored.pop("group")
        again = score(
            {name: np.array([value]) for name, value in stored.items()}, [group], weights(row["weights_version"])
        )
        assert again.risk[0] == row["risk"] == risk
        assert row["reasons"]
    assert [row["previous_colour"] for row in rows] == ["red", None]


def test_rollups_and_cells_count_the_points() -> None:
    points = [dict.fromkeys(FACTS, number) for number in (0, 4)]
    found = gathered(*points)
    scores = score(found.facts, ["gas", "gas"], BY)
    rows = rollup_rows("run", found, scores, builtin_contracts()["risk_rollups"]).to_pylist()
    assert {row["kind"] for row in rows} == {"city", "district", "street", "category", "group", "grid"}
    for row in rows:
        assert row["points"] == row["red"] + row["orange"] + row["yellow"] + row["blue"]
    assert next(row["points"] for row in rows if row["kind"] == "city") == 2
    (cell,) = cell_rows("run", found, scores, builtin_contracts()["risk_cells"]).to_pylist()
    assert cell["risk_max"] == scores.risk.max()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colours": {"blue": 0.5, "yellow": 0.3, "orange": 0.6}}, "do not rise"),
        ({"indicators": {}}, "other indicators"),
        ({"version": 0}, "greater than or equal to 1"),
        ({"more": 1}, "not permitted"),
    ],
)
def test_wrong_weights_are_told(change: dict[str, Any], words: str) -> None:
    content = BY.model_dump()
    with pytest.raises(ConfigurationError, match=words):
        read_weights({**content, **change})
    assert read_weights(content) == BY


def test_unknown_weights() -> None:
    with pytest.raises(ConfigurationError, match="no weights of version 99"):
        weights(99)
