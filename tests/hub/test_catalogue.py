"""Contracts: the built-in ones, what a wrong file is told, and which changes are allowed."""

from pathlib import Path
from typing import Any

import pytest

from hub.catalogue.change import check_change
from hub.catalogue.contract import Contract
from hub.catalogue.load import (
    builtin_contracts,
    contract_from_json,
    contract_to_json,
    load_contracts,
    parse_contract,
)
from hub.errors import ContractError

LEVELS = """
[[contract]]
name = "levels"
agency = "water"
home = "ops"
kind = "event"
key = ["station"]
title = { zh = "水位", en = "Levels" }
columns = [
    { name = "station", type = "string", required = true, title = { zh = "站", en = "Station" } },
    { name = "level", type = "float32", unit = "m", title = { zh = "水位", en = "Level" } },
]
"""


def changed(contract: Contract, **parts: Any) -> Contract:
    """The contract with other parts, checked anew, one version on unless `parts` says."""
    return Contract.model_validate(contract.model_dump() | {"version": contract.version + 1} | parts)


def columns_of(contract: Contract, **changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [column.model_dump() | changes.get(column.name, {}) for column in contract.columns]


def test_builtin_contracts_are_sound() -> None:
    """Goal: what ships can be used, and the sizes the design counts on hold.
    Method: load all, send each through JSON, and add up the widths of `readings`."""
    contracts = load_contracts()
    assert {"weather_observations", "buildings", "sensors", "readings", "incidents", "quarantine"} <= contracts.keys()
    for name, contract in contracts.items():
        assert contract.name == name
        assert contract_from_json(contract_to_json(contract)) == contract
    assert sum(field.type.bit_width for field in contracts["readings"].schema) == 17 * 8
    assert all(column.required for column in contracts["readings"].columns)
    assert {contracts[name].home for name in ("incidents", "dispatches")} == {"ecc"}


def test_contracts_come_from_every_directory(tmp_path: Path) -> None:
    """Goal: an agency's own folder adds to others, and a name is defined once.
    Method: two folders with different contracts, then the same contract in both."""
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, text in ((first, LEVELS), (second, LEVELS.replace('"levels"', '"flows"'))):
        folder.mkdir()
        (folder / "water.toml").write_text(text, encoding="utf-8")
    assert load_contracts(first, second).keys() == {"levels", "flows"}
    (second / "more.toml").write_text(LEVELS, encoding="utf-8")
    with pytest.raises(ContractError, match=r"more\.toml: data set levels: defined twice"):
        load_contracts(first, second)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"float32"', '"real"', r"data set levels: columns\[1\] level: unknown type 'real'"),
        ('agency = "water"\n', "", "data set levels: agency is missing"),
        ('home = "ops"', 'home = "here"', "data set levels: home: Input should be 'ops', 'ecc' or 'each'"),
        ('kind = "event"', 'kind = "event"\ncolour = "blue"', "data set levels: colour is not known"),
        ('key = ["station"]', 'key = ["level"]', "key column 'level' must be required"),
        ('unit = "m"', "domain = { min = 5, max = 2 }", "column level, domain: min 5 is above max 2"),
        ('unit = "m"', 'domain = { pattern = "a" }', "a pattern, length_max or code is for strings, not for float32"),
        ("required = true", 'required = true, domain = { pattern = "(?=a)" }', "column station, domain: pattern"),
        ("required = true", "required = true, domain = { values = [1] }", r"values \[1\] are no list of string"),
        ("required = true", "required = true, domain = { min = 1 }", "min and max are for numbers, not for string"),
        ("[[contract]]", "[[contracts]]", "unknown contracts"),
        ("[[contract]]", "[[contract", "no TOML"),
    ],
)
def test_a_wrong_contract_is_told_where(tmp_path: Path, before: str, after: str, words: str) -> None:
    """Goal: whoever writes a contract learns file, data set and field at once.
    Method: one fault at a time in an otherwise sound file."""
    (tmp_path / "water.toml").write_text(LEVELS.replace(before, after), encoding="utf-8")
    with pytest.raises(ContractError, match=words) as caught:
        load_contracts(tmp_path)
    assert str(caught.value).startswith("water.toml: ")


def test_a_limit_must_fit_its_type() -> None:
    """Goal: no domain that the checks could not compare. Method: a limit beyond int8, an endless one."""
    for limit, words in (("max = 300", "300 is outside int8"), ("max = inf", "must be finite")):
        text = LEVELS.replace('type = "float32", unit = "m"', f'type = "int8", domain = {{ {limit} }}')
        with pytest.raises(ContractError, match=words):
            parse_contract(text, origin="water.toml")


def test_no_contracts_is_an_error(tmp_path: Path) -> None:
    """Goal: a wrong path is noticed. Method: an empty folder, a missing one, broken JSON, two tables for one."""
    with pytest.raises(ContractError, match="holds no contracts"):
        load_contracts(tmp_path)
    with pytest.raises(ContractError, match="no directory of contracts"):
        load_contracts(tmp_path / "absent")
    with pytest.raises(ContractError, match="JSON"):
        contract_from_json('{"name": 1}')
    with pytest.raises(ContractError, match="2 contracts where one is expected"):
        parse_contract(LEVELS + LEVELS)


def test_allowed_changes_pass() -> None:
    """Goal: a contract can grow. Method: each allowed change alone, and no change at all."""
    old = builtin_contracts()["buildings"]
    optional = {"name": "owner", "type": "string", "title": {"zh": "业主", "en": "Owner"}}
    check_change(old, old)
    for new in (
        changed(old, columns=[*columns_of(old), optional]),
        changed(old, columns=columns_of(old, use={"required": False, "domain": None, "unit": "x"})),
        changed(old, columns=columns_of(old, floors={"domain": {"min": 1, "max": 10}, "sensitivity": "open"})),
        changed(old, title={"zh": "楼", "en": "Houses"}, description="", agency="planning"),
    ):
        check_change(old, new)


def test_other_changes_are_refused() -> None:
    """Goal: rows stored under the old contract stay readable. Method: each forbidden change alone."""
    old = builtin_contracts()["buildings"]
    required = {"name": "owner", "type": "string", "required": True, "title": {"zh": "业主", "en": "Owner"}}
    swapped = columns_of(old)
    swapped[3], swapped[1] = swapped[1], swapped[3]
    for parts, words in (
        ({"name": "houses"}, "name cannot change from buildings to houses"),
        ({"home": "ecc"}, "home cannot change"),
        ({"kind": "event"}, "kind cannot change"),
        ({"key": ("building_code", "district")}, r"key cannot change from \(building_code\)"),
        ({"version": 3}, "version is 3, but after version 1 comes 2"),
        ({"version": 1, "agency": "x"}, "version is 1"),
        ({"columns": columns_of(old, floors={"type": "int32"})}, "floors cannot change from int16 to int32"),
        ({"columns": columns_of(old, height={"required": True})}, "height cannot become required"),
        ({"columns": [*columns_of(old), required]}, "new column owner is required"),
        ({"columns": columns_of(old)[:-1]}, "column 11 is built_year and must stay so, found nothing"),
        ({"columns": swapped}, "column 1 is name and must stay so, found address"),
    ):
        with pytest.raises(ContractError, match=words):
            check_change(old, changed(old, **parts))
