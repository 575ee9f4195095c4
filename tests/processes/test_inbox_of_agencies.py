"""`cityhub inbox` and `cityhub load` against a real pair, and kill -9 of both sides.

Goal: whoever dies whenever, each file is loaded exactly once and ends in one place; references are looked up where they
lead; a whole file of bad rows is kept.
Method: the command as a process, files with known rows, answers counted at both centres.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xlsxwriter
from conftest import until

from hub.catalogue.contract import Contract
from hub.client import HubClient
from hub.config import CENTRES
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses

SEED = 20170082
ROUNDS = 8


@contextmanager
def watching(city: CityProcesses, folder: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "hub.cli", "inbox", str(folder), "--settle", "0.1", "--every", "0.1", *arguments]
    environment = {**os.environ, "CITYHUB_CITY": str(city.path), "COLUMNS": "200"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def once(city: CityProcesses, folder: Path) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, reports, what was said."""
    with watching(city, folder, "--once", "--json") as process:
        printed, said = process.communicate(timeout=60)
    return process.returncode, [json.loads(line) for line in printed.decode().splitlines()], said.decode()


def readings_file(path: Path, rows: int, sensor: int, encoding: str = "gb18030") -> None:
    """Readings of one sensor, one a second; written aside and renamed."""
    lines = [
        f"2017-04-12 {row // 3600 % 24:02}:{row // 60 % 60:02}:{row % 60:02},{sensor},{row % 97}.5,0"
        for row in range(rows)
    ]
    part = path.with_name(path.name + ".part")
    part.write_text("\n".join(["观测时间,传感器编号,读数,质量码", *lines]) + "\n", encoding=encoding)
    part.rename(path)


def count(client: HubClient, sql: str, centre: str = "ops") -> int:
    (row,) = client.query(sql, centre=centre, strong=True).table().to_pylist()
    return int(next(iter(row.values())))


def test_a_folder_is_handled_once(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Goal: what is there is loaded, reported and moved, and the exit code tells of what was rejected. Method: a good
    file, one that is damaged after its first rows, one of another agency, a workbook with a mapping, and the same file
    under another name."""
    folder = tmp_path / "environment"
    folder.mkdir()
    assert once(city, tmp_path) == (0, [], "")
    readings_file(folder / "readings_1.csv", 30_000, sensor=901)
    code, (report,), _ = once(city, tmp_path)
    assert (code, report["outcome"], report["accepted"], report["exchanges"]) == (0, "done", 30_000, 2)
    readings_file(folder / "readings_1_again.csv", 30_000, sensor=901)
    readings_file(folder / "residents.csv", 1, sensor=902)
    (folder / "readings_2.csv.gz").write_bytes(b"\x1f\x8b" + b"\0" * 100)
    (folder / "m.toml").write_text(
        'match = "*.xlsx"\ndata_set = "readings"\nsheet = "四月"\ntime_zone = "Asia/Shanghai"\n'
        '[columns]\n"值" = "value"\n[constants]\nquality = "0"\n',
        encoding="utf-8",
    )
    with xlsxwriter.Workbook(folder / "月报.xlsx") as book:
        book.add_worksheet("说明")
        sheet = book.add_worksheet("四月")
        for place, cells in enumerate(
            [["月报"], ["传感器编号", "观测时间", "值"], [903, "2017年4月12日 8:05", "２.5"]]
        ):
            sheet.write_row(place, 0, cells)
    code, reports, _ = once(city, tmp_path)
    found = {report["file"]: report for report in reports}
    assert code == 1
    assert found["readings_1_again.csv"]["loaded_before"] == 2
    assert "is of agency 'public_security'" in found["residents.csv"]["error"]
    assert "is the file complete" in found["readings_2.csv.gz"]["hint"]
    assert found["月报.xlsx"]["put_right"] == {"full-width characters folded": 1}
    assert sorted(path.name for path in (folder / "rejected").iterdir()) == [
        "readings_2.csv.gz", "readings_2.csv.gz.report.json", "residents.csv", "residents.csv.report.json"]  # fmt: skip
    assert count(client, "select count(*) from readings where sensor_id = 901") == 30_000
    assert (
        count(client, "select count(*) from readings where sensor_id = 903 and observed_at = '2017-04-12 00:05'") == 1
    )


def test_a_file_of_bad_rows_is_kept_whole(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Goal: rejected rows that no exchange could hold at once are all kept, each once, also when sent again. Method: a
    file of 20,000 long rows that cannot be read, loaded twice."""
    folder = tmp_path / "environment"
    folder.mkdir()
    rest = "长" * 150
    content = "观测时间,传感器编号,读数,质量码,备注\n" + "".join(f"昨天,{row},1,0,{rest}\n" for row in range(20_000))
    for name in ("readings_bad.csv", "readings_bad_2.csv"):
        (folder / name).write_text(content, encoding="utf-8")
    code, (first, again), _ = once(city, tmp_path)
    assert code == 1
    assert (first["accepted"], first["quarantined"]) == (0, 20_000)
    assert first["exchanges"] == again["loaded_before"] > 2
    sql = "select count(*) n, count(distinct row) d, min(length(content)) c from quarantine where producer = $producer"
    (row,) = client.query(sql, {"producer": first["producer"]}, strong=True).table().to_pylist()
    assert (row["n"], row["d"]) == (20_000, 20_000)
    assert row["c"] > 150


def test_references_are_looked_up(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Goal: rows that lead nowhere are refused by the loader, with rows of the moment before known. Method: a registry
    and events that refer to it, by text and by number, loaded one after the other."""
    title = {"zh": "物", "en": "Things"}
    for name, kind, key, reference in (
        ("places", "registry", ["code"], None),
        ("visits", "event", [], "places"),
    ):
        columns: list[dict[str, Any]] = [
            {"name": "code", "type": "string", "title": title, "required": kind == "registry"},
            {"name": "number", "type": "int32", "title": {"zh": "号", "en": "Number"}},
        ]
        for column in columns if reference else ():
            column["reference"] = {"data_set": reference, "column": column["name"], "enforced": True}
        client.apply_contract(
            Contract.model_validate(
                {"name": name, "agency": "test", "home": "ops", "kind": kind, "key": key, "title": title,
                 "columns": columns}
            )
        )  # fmt: skip
    folder = tmp_path / "test"
    folder.mkdir()
    codes = [f"甲'{row}" for row in range(25_000)]
    (folder / "places.csv").write_text(
        "code,号\n" + "".join(f"{code},{row}\n" for row, code in enumerate(codes)), "utf-8"
    )
    time.sleep(0.01)
    lines = [*(f"{code},{row}" for row, code in enumerate(codes)), "乙,1", f"{codes[3]},25000", f"{codes[3]},"]
    (folder / "visits.csv").write_text("code,号\n" + "\n".join(lines) + "\n", "utf-8")
    code, (_, report), said = once(city, tmp_path)
    assert (code, report["file"], report["accepted"], report["quarantined"]) == (1, "visits.csv", 25_001, 2), said
    assert report["kinds"] == {"code … is not in places": 1, "number … is not in places": 1}


def test_centres_that_are_away_are_waited_for(own_city: CityProcesses, tmp_path: Path) -> None:
    """Goal: files stay until somebody takes them, and Ctrl-C ends the watch cleanly. Method: both centres are killed,
    a file comes, they come back; then SIGINT. A second watcher is refused."""
    root = tmp_path / "in"
    (root / "environment").mkdir(parents=True)
    for centre in CENTRES:
        own_city.kill(centre)
    readings_file(root / "environment" / "readings.csv", 1_000, sensor=1)
    code, reports, said = once(own_city, root)
    assert (code, reports) == (3, [])
    assert "is the centre running" in said
    with watching(own_city, root, "--json") as process:
        time.sleep(2)
        assert (root / "environment" / "readings.csv").exists()
        assert once(own_city, root)[0] == 2
        own_city.start(*CENTRES)
        assert process.stdout is not None
        report = json.loads(process.stdout.readline())
        assert (report["outcome"], report["accepted"]) == ("done", 1_000)
        process.send_signal(signal.SIGINT)
        _, said_by_watcher = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in said_by_watcher


def test_kill_9_of_the_inbox_and_of_centres(own_city: CityProcesses, tmp_path: Path) -> None:
    """Goal: no row lost, none doubled, every file in one place. Method: files come in while the inbox, and now and then
    a centre, is killed at random moments and started again."""
    rng = random.Random(SEED)
    root = tmp_path / "in"
    folder = root / "environment"
    folder.mkdir(parents=True)
    for turn in range(ROUNDS):
        for one in range(2):
            readings_file(folder / f"readings_{turn}_{one}.csv", 60_000, sensor=2 * turn + one + 1)
        with watching(own_city, root):
            time.sleep(rng.uniform(0.7, 2.5))
            if turn % 3 == 2:
                centre = rng.choice(CENTRES)
                own_city.kill(centre)
                own_city.start(centre)
    with watching(own_city, root):
        until(lambda: not list(folder.glob("*.csv")), seconds=90)
    done = sorted(path.name for path in (folder / "done").iterdir() if not path.name.endswith(".report.json"))
    assert done == sorted(f"readings_{turn}_{one}.csv" for turn in range(ROUNDS) for one in range(2)), f"seed {SEED}"
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "done").glob("*.report.json")]
    assert [report["accepted"] for report in reports] == [60_000] * 2 * ROUNDS
    assert not (folder / "rejected").exists()
    with own_city.client() as client:
        for centre in CENTRES:
            sql = "select count(*) from (select sensor_id from readings group by sensor_id having count(*) = 60000)"
            assert count(client, sql, centre) == 2 * ROUNDS, f"seed {SEED}"
            assert count(client, "select count(*) from readings", centre) == 60_000 * 2 * ROUNDS
        assert equal_digests(client) == []
