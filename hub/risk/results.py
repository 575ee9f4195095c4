"""A run's results as rows of the data sets `risk_runs`, `risk_scores`, `risk_rollups` and `risk_cells`. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.risk.gathering import Gathered
from hub.risk.score import FACTS, Scores
from hub.risk.weighing import COLOURS, INDICATORS, Weights

WORDS: Final = {
    "e1": "影响范围内居民多 many residents within reach",
    "e2": "在场人员密集 many people present",
    "e3": "敏感场所人员多 many people in sensitive sites",
    "v1": "建筑老旧或结构薄弱 old or weak buildings",
    "v2": "管线密集 many pipelines crossed",
    "v3": "道路可达性差 poor road access",
    "s1": "临近学校医院养老机构 schools, hospitals or homes near",
    "s2": "临近关键基础设施 critical infrastructure near",
    "s3": "临近水源 water sources near",
    "m1": "隐患整改不及时 hidden dangers not closed in time",
    "m2": "监测覆盖不足 few healthy sensors",
    "m3": "救援力量较远 rescue far away",
    "m4": "预案专家物资不足 few plans, experts or stocks",
}
_REASONS: Final = 4


def score_rows(
    run_id: str, gathered: Gathered, scores: Scores, by: Weights, before: Mapping[str, str], contract: Contract
) -> pa.RecordBatch:
    """`before`: risk point → colour in the run before."""
    ids = gathered.points["risk_point_id"].to_pylist()
    count = len(ids)
    colours = [COLOURS[place] for place in scores.colour.tolist()]
    columns: dict[str, Any] = {
        "run_id": [run_id] * count,
        "risk_point_id": ids,
        "scored_at": [gathered.at_ms] * count,
        "weights_version": [by.version] * count,
        **scores.indicators,
        "hazard": scores.hazard,
        **scores.groups,
        "risk": scores.risk,
        "colour": colours,
        "previous_colour": [before.get(one) for one in ids],
        "reasons": reasons(gathered, scores),
        "inputs": inputs(gathered),
    }
    return _batch(contract, columns)


def reasons(gathered: Gathered, scores: Scores) -> list[str]:
    """The hazard's causes first, then what is most against each point: words and figures."""
    badness = np.stack(
        [1 - scores.indicators[name] if name.startswith("m") else scores.indicators[name] for name in INDICATORS]
    )
    worst = np.argsort(-badness, axis=0, kind="stable")[:_REASONS].T.tolist()
    causes = (
        ("dangers_open", "未整改隐患 open hidden dangers"),
        ("accidents", "历史事故 accidents on file"),
        ("anomalies", "监测异常小时 sensor hours beyond normal"),
        ("warning", "气象预警等级 weather warning in force, of 4"),
    )
    figures = {name: gathered.facts[name].tolist() for name, _ in causes}
    found = []
    for point, places in enumerate(worst):
        parts = [f"{word}: {figures[name][point]}" for name, word in causes if figures[name][point]]
        parts += [
            f"{WORDS[INDICATORS[place]]} ({INDICATORS[place].upper()} {badness[place, point]:.2f})" for place in places
        ]
        found.append("; ".join(parts))
    return found


def inputs(gathered: Gathered) -> list[str]:
    """All facts of each point as JSON, from which its score can be worked out again."""
    columns = [gathered.facts[name].tolist() for name in FACTS]
    groups = gathered.points["group"].to_pylist()
    return [
        json.dumps({"group": group, **dict(zip(FACTS, row, strict=True))})
        for group, row in zip(groups, zip(*columns, strict=True), strict=True)
    ]


def rollup_rows(run_id: str, gathered: Gathered, scores: Scores, contract: Contract) -> pa.RecordBatch:
    points = gathered.points.append_column("risk", pa.array(scores.risk)).append_column(
        "colour", pa.array([COLOURS[place] for place in scores.colour.tolist()])
    )
    with duckdb.connect() as connection:
        connection.register("points", points)
        table = connection.sql(_ROLLUPS, params=[run_id, gathered.at_ms]).to_arrow_table()
    return _batch(contract, {name: table[name].combine_chunks() for name in table.schema.names})


def cell_rows(run_id: str, gathered: Gathered, scores: Scores, contract: Contract) -> pa.RecordBatch:
    highest: dict[str, float] = {}
    for cell, risk in zip(gathered.points["grid_id"].to_pylist(), scores.risk.tolist(), strict=True):
        highest[cell] = max(risk, highest.get(cell, 0.0))
    cells = gathered.cells
    columns = {name: cells[name].combine_chunks() for name in cells.schema.names if name != "cell"}
    count = cells.num_rows
    risk_max = [highest.get(cell, 0.0) for cell in cells["grid_id"].to_pylist()]
    own = {"run_id": [run_id] * count, "scored_at": [gathered.at_ms] * count, "risk_max": risk_max}
    return _batch(contract, columns | own)


def run_row(contract: Contract, **facts: Any) -> pa.RecordBatch:
    return _batch(contract, {name: [value] for name, value in facts.items()})


def _batch(contract: Contract, columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    arrays = []
    for field in contract.schema:
        values = columns[field.name]
        arrays.append(values.cast(field.type) if isinstance(values, pa.Array) else pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=contract.schema)


_ROLLUPS: Final = """
select $1 as run_id, make_timestamp($2 * 1000) as scored_at, kind, name, count(*)::integer as points,
    count(*) filter (where colour = 'red')::integer as red,
    count(*) filter (where colour = 'orange')::integer as orange,
    count(*) filter (where colour = 'yellow')::integer as yellow,
    count(*) filter (where colour = 'blue')::integer as blue,
    max(risk) as risk_max, avg(risk) as risk_mean
from (
    select 'city' as kind, '全市' as name, * from points
    union all select 'district', district, * from points
    union all select 'street', district || ' ' || street, * from points
    union all select 'category', category, * from points
    union all select 'group', "group", * from points
    union all select 'grid', grid_id, * from points
    order by risk_point_id
)
group by kind, name
order by kind, name
"""
