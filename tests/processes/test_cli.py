"""The command `cityhub`, as people run it.

Goal: every command works, prints JSON where asked, ends with its documented exit code, and tells what to do when it
fails; Ctrl-C of `up` leaves nothing running.
Method: the command as a process against a real pair.
"""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.drill.processes import CityProcesses


def cityhub(city: CityProcesses, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hub.cli", *arguments]
    environment = {**os.environ, "CITYHUB_CITY": str(city.path), "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, timeout=60, env=environment)


def answered(city: CityProcesses, *arguments: str) -> str:
    done = cityhub(city, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_load_of_the_real_weather_file_twice(city: CityProcesses) -> None:
    """Goal: every row is accounted for, and a second load adds nothing. Method: the file with real gaps."""
    data = files("simulator.city") / "data"
    with as_file(data / "weather_hourly_2013.csv.gz") as file, as_file(data / "weather_mapping.toml") as mapping:
        load = ("load", str(file), "-d", "weather_observations", "--mapping", str(mapping), "--json")
        first = json.loads(answered(city, *load))
        again = json.loads(answered(city, *load))
    assert first["rows"] == 26_115
    assert first["accepted"] + first["quarantined"] == 26_115
    assert first["loaded_before"] == 0
    assert again["loaded_before"] == again["exchanges"] == first["exchanges"]
    for centre in ("ops", "ecc"):
        position = f"ops={first['position']['ops']}"
        sql = "select count(*) n, count(wind_gust) gusts from weather_observations"
        rows = json.loads(answered(city, "query", sql, "--centre", centre, "-f", "json", "--at-least", position))
        assert rows[0]["n"] == first["accepted"]
        assert 0 < rows[0]["gusts"] < rows[0]["n"]


def test_load_of_a_gb18030_file_with_chinese_columns(city: CityProcesses, tmp_path: Path) -> None:
    """Method: a compressed CSV in GB18030, with one row that cannot be read."""
    text = "传感器编号,观测时间,读数,质量码\n1,2026-01-01 00:00:00,20.5,0\n2,昨天,1,0\n"
    file = tmp_path / "readings.csv.gz"
    file.write_bytes(gzip.compress(text.encode("gb18030")))
    found = json.loads(answered(city, "load", str(file), "-d", "readings", "--json"))
    assert (found["accepted"], found["quarantined"]) == (1, 1)
    assert "昨天" in next(iter(found["reasons"]))
    sql = f"select content, reason from quarantine where producer = '{found['producer']}'"
    at_least = f"ops={found['position']['ops']}"
    (row,) = json.loads(answered(city, "query", sql, "-f", "json", "--at-least", at_least))
    assert "昨天" in row["content"]


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet", "arrow"])
def test_query_in_every_format(city: CityProcesses, tmp_path: Path, form: str) -> None:
    """Method: the same three rows, read back by another library."""
    target = tmp_path / "answer"
    answered(city, "query", "select range n, '深圳' c from range(3)", "-f", form, "-o", str(target))
    if form == "parquet":
        assert pq.read_table(target).to_pylist()[2] == {"n": 2, "c": "深圳"}
    elif form == "arrow":
        assert pa.ipc.open_stream(target.read_bytes()).read_all().num_rows == 3
    else:
        text = target.read_text(encoding="utf-8")
        assert text.count("深圳") == 3
        if form == "json":
            assert json.loads(text)[2] == {"n": 2, "c": "深圳"}


def test_status_verify_datasets_describe(city: CityProcesses) -> None:
    status = json.loads(answered(city, "status", "--json"))
    assert {log["role"] for log in status["ops"]["logs"]} == {"leader", "standby"}
    assert "committed" in answered(city, "status")
    verified = json.loads(answered(city, "verify", "--json"))
    assert verified["equal"] is True
    assert {"readings", "incidents", "exchanges"} <= {row["data_set"] for row in verified["data_sets"]}
    assert "传感器读数" in answered(city, "datasets")
    described = json.loads(answered(city, "describe", "readings", "--json"))
    assert [column["name"] for column in described["columns"]] == ["observed_at", "sensor_id", "value", "quality"]


def test_contract_apply(city: CityProcesses, tmp_path: Path) -> None:
    """Method: a contract file is put in force, and again."""
    file = tmp_path / "benches.toml"
    file.write_text(
        '[[contract]]\nname = "benches"\nagency = "urban_management"\nhome = "ops"\n'
        'kind = "registry"\nkey = ["bench"]\n'
        'title = { zh = "长椅", en = "Benches" }\n'
        'columns = [{ name = "bench", type = "int32", required = true, title = { zh = "编号", en = "Bench" } }]\n',
        encoding="utf-8",
    )
    (first,) = json.loads(answered(city, "contract", "apply", str(file), "--json"))
    (again,) = json.loads(answered(city, "contract", "apply", str(file), "--json"))
    assert first["changed"]
    assert not again["changed"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("query", "delete from readings"), 4, "reads only"),
        (("query", "select 1", "--centre", "mars"), 2, "no centre"),
        (("query", "select 1", "-f", "xml"), 2, "one of table"),
        (("query", "select 1", "--at-least", "ops"), 2, "LOG=LSN"),
        (("describe", "nothing"), 4, "cityhub datasets"),
        (("load", "/no/such.csv", "-d", "readings"), 2, "does not exist"),
        (("status", "--city", "/no/such.toml"), 2, "no topology file"),
    ],
)
def test_errors_say_what_to_do(city: CityProcesses, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = cityhub(city, *arguments)
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_nobody_answers(tmp_path: Path) -> None:
    """Goal: exit 3 and a sentence when no centre runs."""
    done = cityhub(CityProcesses(tmp_path), "verify")
    assert done.returncode == 3
    assert "is the centre running" in done.stderr.decode()


def test_up_starts_all_three_and_ctrl_c_stops_them(tmp_path: Path) -> None:
    """Method: SIGINT once all addresses are printed; no child is left."""
    city = CityProcesses(tmp_path)
    command = [sys.executable, "-m", "hub.cli", "up", "--city", str(city.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        printed = [up.stdout.readline() for _ in range(4)]
        children = psutil.Process(up.pid).children(recursive=True)
        up.send_signal(signal.SIGINT)
        assert up.wait(20) == 130
    assert re.search(r"ops\s+grpc \S+\s+flight \S+\s+metrics", printed[0])
    assert re.search(r"witness\s+grpc", printed[2])
    assert len(children) == 3
    assert not any(child.is_running() for child in children)
