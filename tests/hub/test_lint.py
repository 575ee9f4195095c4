"""What is doubtful in contracts is found, and nothing is in the built-in ones.

Method: a contract without findings, and for each rule changes of it that break the rule and no other.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.catalogue.contract import Contract
from hub.catalogue.lint import Finding, coverage, lint
from hub.catalogue.load import agencies, builtin_contracts
from hub.cli.app import app

SOUND: dict[str, Any] = {
    "name": "levels",
    "agency": "water",
    "home": "ops",
    "kind": "event",
    "time_column": "observed_at",
    "systems": ["S8"],
    "place": ["lon", "lat"],
    "title": {"zh": "水位", "en": "Levels"},
    "publication": {"quasi_identifiers": ["reader"], "generalise": {"reader": "first:1"}},
    "columns": [
        {"name": "gauge", "type": "string", "domain": {"length_max": 16}, "sensitivity": "open"},
        {"name": "observed_at", "type": "timestamp", "sensitivity": "open"},
        {"name": "depth", "type": "float32", "unit": "m", "sensitivity": "open"},
        {"name": "reader", "type": "string", "domain": {"length_max": 40}, "sensitivity": "personal"},
        {"name": "phone", "type": "string", "domain": {"pattern": "[0-9]+"}, "sensitivity": "personal"},
        {"name": "remark", "type": "string", "domain": {"values": ["a"]}},
        {"name": "lon", "type": "float64", "unit": "°", "required": True, "domain": {"min": 113.6, "max": 115.5}},
        {"name": "lat", "type": "float64", "unit": "°", "required": True, "domain": {"min": 22.2, "max": 23.0}},
    ],
}
TITLE = {"zh": "列", "en": "Column"}
GAUGES = Contract.model_validate(
    {
        **SOUND,
        "name": "gauges",
        "kind": "registry",
        "key": ["gauge"],
        "columns": [{"name": one["name"], "title": TITLE, **one, "required": True} for one in SOUND["columns"]],
    }
)


def levels(columns: dict[str, dict[str, Any]] | None = None, **parts: Any) -> Contract:
    """The sound contract with other parts, and other words of some columns."""
    changes = columns or {}
    full = [{"title": TITLE, **one, **changes.get(one["name"], {})} for one in SOUND["columns"]]
    return Contract.model_validate({**SOUND, "columns": full, **parts})


def found(contract: Contract) -> list[tuple[str, str, str]]:
    assert all(one.data_set == contract.name for one in lint([contract], known={"gauges": GAUGES}))
    return [(one.rule, one.column, one.message) for one in lint([contract], known={"gauges": GAUGES})]


def refers(to: str, data_set: str = "gauges") -> dict[str, Any]:
    return {"reference": {"data_set": data_set, "column": to}}


def opened(**parts: Any) -> dict[str, Any]:
    return {"publication": {"quasi_identifiers": ["reader"], "generalise": {"reader": "first:1"}} | parts}


BROKEN: list[tuple[str, str, str, Contract]] = [
    ("agency", "", "none of the source units", levels(agency="weather")),
    ("systems", "", "none of the city's systems", levels(systems=[])),
    ("systems", "", "no system 'S21'", levels(systems=["S8", "S21"])),
    ("titles", "", "no Chinese character", levels(title={"zh": "Levels", "en": "Levels"})),
    ("titles", "gauge", "holds Chinese", levels({"gauge": {"title": {"zh": "站", "en": "站 station"}}})),
    ("units", "depth", "has no unit", levels({"depth": {"unit": ""}})),
    ("units", "depth", "lies nowhere", levels({"depth": {"unit": "see scale"}})),
    ("units", "depth", "lies nowhere", levels({"depth": {"unit": "see lon"}})),
    ("units", "depth", "lies nowhere", levels({"depth": {"unit": "see nowhere.gauge"}})),
    ("time", "", "without a time column", levels(time_column=None)),
    ("references", "gauge", "which does not exist", levels({"gauge": refers("gauge", "posts")})),
    ("references", "gauge", "which does not exist", levels({"gauge": refers("post")})),
    ("references", "gauge", "which is float32", levels({"gauge": refers("depth")})),
    ("references", "gauge", "no part of its key", levels({"gauge": refers("reader")})),
    ("elements", "observed_at", "is date, the data element", levels({"observed_at": {"type": "date"}})),
    ("publication", "reader", "no rule 'last:1'", levels(**opened(generalise={"reader": "last:1"}))),
    ("publication", "reader", "is not for string", levels(**opened(generalise={"reader": "year"}))),
    (
        "publication",
        "remark",
        "internal and so never goes out",
        levels(**opened(generalise={"reader": "as_is", "remark": "as_is"})),
    ),
    (
        "publication",
        "remark",
        "secret and so never goes out",
        levels({"remark": {"sensitivity": "secret"}}, **opened(generalise={"reader": "as_is", "remark": "first:1"})),
    ),
    ("publication", "reader", "does not go out", levels(**opened(generalise={}))),
    ("publication", "reader", "is no quasi identifier", levels(**opened(quasi_identifiers=[]))),
    (
        "publication",
        "phone",
        "tells who somebody is",
        levels(**opened(generalise={"reader": "as_is", "phone": "first:3"})),
    ),
    ("publication", "depth", "cannot be written as CSV", levels({"depth": {"type": "list(float32)"}})),
    ("persons", "phone", "mark it as personal", levels({"phone": {"sensitivity": "internal"}})),
    (
        "persons",
        "remark",
        "mark it as personal",
        levels({"remark": {"domain": {"code": "resident_id"}, "sensitivity": "internal"}}),
    ),
    ("place", "", "says where it lies", levels(place=None)),
    ("domains", "gauge", "text without a limit", levels({"gauge": {"domain": None}})),
    ("domains", "remark", "text without a limit", levels({"remark": {"domain": {}}})),
]

SOUND_TOO = [
    levels(),
    GAUGES,
    levels({"depth": {"unit": "see remark"}}),
    levels({"depth": {"unit": "see gauges.remark"}}),
    levels({"gauge": refers("gauge")}),
    levels({"lat": {"domain": {"min": 20, "max": 23}}}, place=None),
    levels({"lat": {"required": False}}, place=None),
    levels({"gauge": {"domain": None}}, home="each", time_column=None),
    levels({"depth": {"name": "level"}}),
    levels(publication=None),
]


@pytest.mark.parametrize(("rule", "column", "words", "contract"), BROKEN)
def test_a_rule_finds_what_breaks_it(rule: str, column: str, words: str, contract: Contract) -> None:
    ((its_rule, its_column, message),) = found(contract)
    assert (its_rule, its_column) == (rule, column)
    assert words in message


@pytest.mark.parametrize("contract", SOUND_TOO)
def test_what_is_right_is_left_alone(contract: Contract) -> None:
    assert found(contract) == []


def test_a_publication_needs_something_to_show() -> None:
    contract = levels({one: {"sensitivity": "internal"} for one in ("gauge", "observed_at", "depth")}, publication={})
    assert [message for _, _, message in found(contract)] == [
        "no column goes out: mark as open what the public may see"
    ]


def test_the_built_in_catalogue_is_clean() -> None:
    contracts = builtin_contracts().values()
    assert lint(contracts) == []
    assert coverage(contracts) == []


def test_a_catalogue_covers_units_and_systems() -> None:
    """Method: one data set; then the built-in catalogue without one unit and one system."""
    assert len(coverage([levels()])) == len(agencies()) - 2 + 17
    few = [one for one in builtin_contracts().values() if one.agency != "ocean" and "S15" not in one.systems]
    wanted = ["source unit ocean has no data set", "system S10 has no data set", "system S15 has no data set"]
    assert [one.message for one in coverage(few)] == wanted


def test_the_command(tmp_path: Path) -> None:
    """Method: nothing found; a file of two data sets with findings; a folder; a file that is no contract."""
    run = CliRunner().invoke
    assert "nothing found" in run(app, ["contract", "lint"]).stdout
    text = """
[[contract]]
name = "NAME"
agency = "water"
home = "ops"
kind = "registry"
key = ["station"]
systems = ["S8"]
title = { zh = "水位", en = "Levels" }
columns = [{ name = "station", type = "string", required = true, title = { zh = "站", en = "Station" } }]
"""
    file = tmp_path / "levels.toml"
    file.write_text(text.replace("NAME", "a") + text.replace("NAME", "b"), encoding="utf-8")
    for source in (file, tmp_path):
        result = run(app, ["contract", "lint", str(source), "--json"])
        assert result.exit_code == 1
        findings = [Finding(**one) for one in json.loads(result.stdout)]
        assert [(one.data_set, one.column, one.rule) for one in findings] == [
            ("a", "station", "domains"),
            ("b", "station", "domains"),
        ]
    assert "text without a limit" in run(app, ["contract", "lint", str(file)]).stdout.replace("\n", " ")
    for wrong in ("[[contract]", "", "[[contract]]\nname = 'c'"):
        file.write_text(wrong, encoding="utf-8")
        assert run(app, ["contract", "lint", str(file)]).exit_code == 4
