"""The synthetic city in two real centres.

Goal: the commands load a city, its known answers are right at both centres, a second load adds nothing, a day comes
from all source units and, broken off and begun again, is there once.
Method: the smallest city by the commands; a day by its parts.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import start_with_catalogue
from typer.testing import CliRunner

from hub.cli.app import app as hub_app
from simulator.city.plan import City
from simulator.city.replay import replay_day
from simulator.cli.city import app
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses

SCALE = "0.0001"
PLAN = City(float(SCALE))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with CityProcesses(tmp_path_factory.mktemp("city")) as processes:
        start_with_catalogue(processes)
        yield processes


def cityhub(city: CityProcesses, *words: str, code: int = 0) -> Any:
    which = app if words[0] in ("load", "check", "replay") else hub_app
    done = CliRunner().invoke(which, [*words, "--city", str(city.path), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_a_city_is_loaded_once_and_known(city: CityProcesses) -> None:
    first = cityhub(city, "load", "--scale", SCALE)
    assert sum(first["rows"].values()) == PLAN.records
    assert first["rejected"] == 0
    again = cityhub(city, "load", "--scale", SCALE)
    assert again["position"] == first["position"], "what is there already makes no entries"
    answers = cityhub(city, "check", "--scale", SCALE)
    assert len(answers) == 2 * 13
    assert all(one["right"] for one in answers)
    other = cityhub(city, "check", "--scale", "0.0002", code=1)
    assert not all(one["right"] for one in other), "another city has other answers"


def test_a_day_that_was_broken_off_is_there_once(city: CityProcesses) -> None:
    """Method: six hours, then the whole day with the same producers."""
    part = replay_day(city.addresses, PLAN, day=401, hours=6)
    whole = replay_day(city.addresses, PLAN, day=401)
    assert part.exchanges == whole.duplicates > 0
    assert len(whole.by_agency) == 29
    assert whole.rows_rejected == 0
    with city.client() as client:
        sql = "select count(*) n, sum(rows)::bigint r from exchanges where producer like '%-day-401-%'"
        for centre in client.centres:
            (row,) = client.query(sql, centre=centre, at_least=whole.position).table().to_pylist()
            assert row == {"n": whole.exchanges, "r": whole.rows}
        assert not equal_digests(client)
    assert all(one["right"] for one in cityhub(city, "check", "--scale", SCALE)), "a day changes no known answer"


def test_a_day_at_a_speed(city: CityProcesses) -> None:
    """Method: an hour at 3,600 times its speed takes a second, not less."""
    done = cityhub(city, "replay", "--scale", SCALE, "--day", "402", "--hours", "2", "--speed", "3600")
    assert done["seconds"] > 0.9
    assert done["exchanges"] > 0


def test_files_and_tables(tmp_path: Path) -> None:
    """Goal: `generate` writes what the plan holds, `files` what an inbox takes."""
    done = CliRunner().invoke(app, ["generate", str(tmp_path), "--scale", SCALE, "-d", "residents", "--json"])
    assert json.loads(done.stdout)["rows"] == {"residents": PLAN.people}
    assert [path.name for path in tmp_path.iterdir()] == ["residents.parquet"]
    done = CliRunner().invoke(app, ["generate", str(tmp_path), "-d", "nonsense"])
    assert done.exit_code == 2
    assert "there is no data set nonsense" in done.stderr
    done = CliRunner().invoke(app, ["files", str(tmp_path / "inbox"), "--scale", "77"])
    assert done.exit_code == 2
    assert "a city has a scale from 0.0001 to 10" in done.stderr


README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^\| (S\d+) [^|]*\| `cityhub ([^`]*)` \|$", README, re.MULTILINE))


@pytest.mark.parametrize("system", SHOWN)
def test_every_system_is_shown_by_its_command(
    city: CityProcesses, system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the table of the README works as it is written. Method: each command; queries must answer with rows."""
    monkeypatch.chdir(tmp_path)
    words = [
        *shlex.split(SHOWN[system]),
        "--city",
        str(city.path),
        *(("-f", "json") if "query" in SHOWN[system] else ("--json",)),
    ]
    done = CliRunner().invoke(hub_app, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout), "there is something to show"


def test_the_readme_shows_all_systems_that_are_data() -> None:
    assert set(SHOWN) == {f"S{number}" for number in (1, 2, 3, 5, 6, *range(8, 18))}
