"""Goal: the quality of what agencies sent is measured at a real pair, recorded once, and rises when rows are put right.

Method: a file with known faults by the commands; scores by hand; the named query against the command's roll-up.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from simulator.drill.processes import CityProcesses

TEXT = """sensor_id,observed_at,value,quality
1,2026-01-01 00:00:00,20.5,0
1,2026-01-01 00:00:01,20.5,0
2,2026-01-01 00:00:00,20.5,0
2,昨天,20.5,0
"""


def cityhub(city: CityProcesses, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--city", str(city.path)])
    assert result.exit_code == code, result.output
    return result.stdout


def measured(city: CityProcesses, *arguments: str) -> dict[str, dict[str, Any]]:
    facts = json.loads(cityhub(city, "quality", "--json", *arguments))
    return {one["data_set"]: one for one in facts["data_sets"]}


def test_scores_are_measured_and_recorded(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    file.write_text(TEXT, encoding="utf-8")
    cityhub(city, "load", str(file), "-d", "readings")
    (before,) = measured(city, "readings", "--record").values()
    assert (before["rows"], before["rows_rejected"]) == (3, 1)
    assert before["measures"]["validity"] == pytest.approx(0.75)
    assert before["measures"]["uniqueness"] == 1
    mended = tmp_path / "open.jsonl"
    cityhub(city, "quarantine", "export", "-d", "readings", "-o", str(mended))
    mended.write_text(mended.read_text(encoding="utf-8").replace('"昨天"', '"2026-01-02"'), encoding="utf-8")
    cityhub(city, "quarantine", "resubmit", str(mended), "-d", "readings")
    after = measured(city, "--record", "--centre", "ecc")
    assert (after["readings"]["rows"], after["readings"]["rows_rejected"]) == (4, 0)
    assert after["readings"]["measures"]["validity"] == 1
    assert after["readings"]["score"] > before["score"]
    assert "exchanges" not in after
    rows = client.query("select data_set, score from quality_scores order by measured_at", strong=True).table()
    assert rows["data_set"].to_pylist()[0] == "readings"
    assert rows.num_rows == 1 + len(after)


def test_the_roll_up_by_agency_is_the_named_query(city: CityProcesses, client: HubClient) -> None:
    facts = json.loads(cityhub(city, "quality", "--json", "--record"))
    rows = client.query_named("quality_by_agency", strong=True).table().to_pylist()
    assert {row["agency"]: row["score"] for row in rows} == {
        one["agency"]: pytest.approx(one["score"], abs=0.006) for one in facts["agencies"]
    }
    assert "environment" in cityhub(city, "quality")
    cityhub(city, "quality", "nothing", code=4)
