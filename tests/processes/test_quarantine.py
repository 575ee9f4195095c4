"""Goal: rejected rows can be listed, taken out, mended and sent again; each one comes in once, and what still fails
stays open.

Method: files with faults loaded into a real pair by the commands, mended as a clerk would, in pieces, twice, and after
a run that broke off between a row and its resolution.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from hub.catalogue.load import parse_contract
from hub.cli.app import app
from hub.client import HubClient
from hub.quarantine import resubmission
from simulator.drill.processes import CityProcesses

Row = dict[str, Any]
FAULTY = """sensor_id,observed_at,value,quality
1,2026-01-01 00:00:00,20.5,0
2,昨天,1,0
3,2026-01-01 00:00:02,warm,0
4
"""


def cityhub(city: CityProcesses, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--city", str(city.path)])
    assert result.exit_code == code, result.output
    return result.stdout


def listed(city: CityProcesses, data_set: str) -> dict[str, int]:
    rows = json.loads(cityhub(city, "quarantine", "list", "-d", data_set, "--json"))
    return {row["kind"]: row["rows"] for row in rows}


def exported(city: CityProcesses, data_set: str, file: Path) -> list[Row]:
    cityhub(city, "quarantine", "export", "-d", data_set, "-o", str(file))
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write(file: Path, rows: list[Row]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def resubmitted(city: CityProcesses, data_set: str, file: Path, *more: str, code: int = 0) -> tuple[int, int, int]:
    out = cityhub(city, "quarantine", "resubmit", str(file), "-d", data_set, "--json", *more, code=code)
    facts = json.loads(out)
    return facts["resolved"], facts["failed"], facts["not_open"]


def mended(row: Row) -> Row:
    """What a clerk makes of a row of FAULTY."""
    if "_raw" in row:
        row = {"sensor_id": row["_raw"], "observed_at": "2026-01-01 00:00:03", "value": 4, "quality": 0} | row
    return {name: {"昨天": "2026-01-01 00:00:01", "warm": "25"}.get(value, value) for name, value in row.items()}


def test_rows_are_mended_in_two_goes(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Method: of three faulty rows one is mended, then all, in a file that holds them all each time."""
    source, file = tmp_path / "readings.csv", tmp_path / "open.jsonl"
    source.write_text(FAULTY, encoding="utf-8")
    cityhub(city, "load", str(source), "-d", "readings")
    assert sum(listed(city, "readings").values()) == 3
    assert "observed_at: … is no timestamp" in listed(city, "readings")
    rows = exported(city, "readings", file)
    assert [row["_quarantine"].rpartition("/")[2] for row in rows] == ["1", "2", "3"]
    assert rows[2]["_raw"] == "4"
    assert "昨天" in rows[0]["_reason"]
    assert resubmitted(city, "readings", file, code=1) == (0, 3, 0)
    write(file, [mended(rows[0]), *rows[1:]])
    assert resubmitted(city, "readings", file, code=1) == (1, 2, 0)
    assert resubmitted(city, "readings", file, code=1) == (0, 2, 1)
    assert [row["_quarantine"] for row in exported(city, "readings", tmp_path / "left.jsonl")] == [
        row["_quarantine"] for row in rows[1:]
    ]
    write(file, [mended(row) for row in [*rows, *rows]])
    assert resubmitted(city, "readings", file) == (2, 0, 4)
    assert listed(city, "readings") == {}
    for centre in ("ops", "ecc"):
        how: Row = {"centre": centre, "strong": True}
        found = client.query("select sensor_id, value from readings order by 1", **how).table().to_pylist()
        assert [row["sensor_id"] for row in found] == [1, 2, 3, 4]
        assert client.query_named("quarantined_rows", {"data_set": "readings"}, **how).table().num_rows == 0
        before = client.query_named("quarantined_rows", {"data_set": "readings"}, version=1, **how).table()
        assert before.num_rows == 3  # What was rejected stays on the record.
    cityhub(city, "verify")


def test_rows_of_another_file_or_data_set_are_left_out(city: CityProcesses, tmp_path: Path) -> None:
    """Method: ids that the hub never told, none at all, and one of another data set."""
    file = tmp_path / "foreign.jsonl"
    row = {"sensor_id": 9, "observed_at": "2026-01-01", "value": 1, "quality": 0}
    write(file, [row, {**row, "_quarantine": "x"}, {**row, "_quarantine": "someone/1/0"}])
    assert resubmitted(city, "readings", file) == (0, 0, 3)


def test_rows_of_an_exchange_with_a_mapping(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Method: a registry's row that the hub itself rejected; it is mended under a name that a mapping explains."""
    contract = client.contract("sensors")
    place = {"district": "福田区", "lon": 114.05, "lat": 92.5}
    bad = [{"sensor_id": 77, "kind": "noise", "unit": "dB", **place}]
    with client.producer("agency/7") as producer:
        batch = pa.RecordBatch.from_pylist(bad, schema=contract.schema)
        assert producer.send("sensors", batch).result().rows_rejected == 1
    assert [kind.replace("…", "*") for kind in listed(city, "sensors")] == ["lat * is above 23 °"]
    (row,) = exported(city, "sensors", file := tmp_path / "open.jsonl")
    assert row["_quarantine"] == "agency/7/1/0"
    assert row["lat"] == 92.5
    write(file, [{**{name: value for name, value in row.items() if name != "lat"}, "纬 度": 22.5}])
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[columns]\n"纬 度" = "lat"\n', encoding="utf-8")
    assert resubmitted(city, "sensors", file, "--mapping", str(mapping)) == (1, 0, 0)
    (found,) = client.query("select lat from sensors where sensor_id = 77", strong=True).table().to_pylist()
    assert found == {"lat": 22.5}


def test_a_run_that_broke_off_is_finished(
    city: CityProcesses, client: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a row comes in once, although the run ended before it was recorded as resolved."""
    source, file = tmp_path / "more.csv", tmp_path / "open.jsonl"
    source.write_text(FAULTY.replace("\n2,", "\n52,"), encoding="utf-8")
    cityhub(city, "load", str(source), "-d", "readings")
    rows = exported(city, "readings", file)
    write(file, [mended(row) for row in rows if row.get("sensor_id") == "52"])
    with monkeypatch.context() as patched:
        patched.setattr(resubmission, "_resolutions", _breaks_off)
        cityhub_fails(city, file)
    assert resubmitted(city, "readings", file) == (1, 0, 0)
    assert resubmitted(city, "readings", file) == (0, 0, 1)
    sql = "select count(*) as n from readings where sensor_id = 52"
    assert client.query(sql, strong=True).table().to_pylist() == [{"n": 1}]


VISITS = """
[[contract]]
name = "visits"
agency = "environment"
home = "ecc"
kind = "event"
title = { zh = "巡检", en = "Visits" }
columns = [
    { name = "sensor_id", type = "int32", required = true, REFERENCE, title = { zh = "编号", en = "Sensor" } },
    { name = "minutes", type = "int32", required = true, title = { zh = "时长", en = "Minutes" } },
]
""".replace("REFERENCE", 'reference = { data_set = "sensors", column = "sensor_id", enforced = true }')


def test_a_row_that_passes_later_comes_in_later(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Goal: a file is not taken for the same when other rows of it pass. Method: a row refers to a sensor that is not
    known when the file is sent first; nothing in the file changes."""
    client.apply_contract(parse_contract(VISITS))
    source, file = tmp_path / "visits.csv", tmp_path / "open.jsonl"
    source.write_text("sensor_id,minutes\n601,soon\n602,5\n", encoding="utf-8")
    sensor = {"kind": "noise", "unit": "dB", "district": "福田区", "lon": 114.05, "lat": 22.5}
    send(client, "sensors", [{"sensor_id": 601, **sensor}])
    cityhub(city, "load", str(source), "-d", "visits")
    rows = exported(city, "visits", file)
    write(file, [{name: "7" if value == "soon" else value for name, value in row.items()} for row in rows])
    assert resubmitted(city, "visits", file, code=1) == (1, 1, 0)
    send(client, "sensors", [{"sensor_id": 602, **sensor}])
    assert resubmitted(city, "visits", file) == (1, 0, 1)
    sql = "select sensor_id, minutes from visits order by 1"
    expected = [{"sensor_id": 601, "minutes": 7}, {"sensor_id": 602, "minutes": 5}]
    assert client.query(sql, strong=True).table().to_pylist() == expected


def send(client: HubClient, data_set: str, rows: list[Row]) -> None:
    with client.producer() as producer:
        batch = pa.RecordBatch.from_pylist(rows, schema=client.contract(data_set).schema)
        assert producer.send(data_set, batch).result().rows_rejected == 0


def cityhub_fails(city: CityProcesses, file: Path) -> None:
    arguments = ["quarantine", "resubmit", str(file), "-d", "readings", "--city", str(city.path)]
    assert isinstance(CliRunner().invoke(app, arguments).exception, RuntimeError)


def _breaks_off(*_: object, **__: object) -> None:
    raise RuntimeError("broke off")
