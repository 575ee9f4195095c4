"""The catalogue as linked data has what DCAT-AP requires, says what contracts say, and shows nobody too much.

Method: the built-in catalogue, node by node, against the mandatory and recommended properties; one data set in full.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.catalogue.dcat import CONTEXT, Distribution, Release, catalog, dataset, document
from hub.catalogue.load import agencies, builtin_contracts
from hub.catalogue.publication import outgoing
from hub.cli.app import app

MOMENT = datetime(2026, 11, 27, 1, 2, 3, 456789)
REQUIRED = {
    "dcat:Catalog": {"dct:title", "dct:description", "dct:publisher", "dcat:dataset"},
    "dcat:Dataset": {
        *("dct:title", "dct:description", "dct:publisher", "dct:identifier", "dcat:keyword", "dcat:theme"),
        *("dct:accrualPeriodicity", "dct:spatial", "dct:accessRights", "csvw:tableSchema"),
    },
    "dcat:Distribution": {"dcat:accessURL", "dct:license", "dct:format", "dcat:byteSize", "spdx:checksum"},
    "foaf:Agent": {"foaf:name"},
    "csvw:Column": {"csvw:name", "csvw:title", "csvw:datatype"},
}
RIGHTS = "http://publications.europa.eu/resource/authority/access-right/"


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within, itself too."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from nodes(one)
    elif isinstance(value, list):
        for one in value:
            yield from nodes(one)


def release(**parts: Any) -> Release:
    file = Distribution(
        address="residents/v3/residents.csv", media_type="text/csv", file_type="CSV", size_bytes=12, sha256="ab" * 32
    )
    facts: dict[str, Any] = {
        "version": 3,
        "issued": MOMENT,
        "position": "ops=7",
        "rows": 20,
        "rows_withheld": 4,
        "crowd_rows_min": 5,
        "first": "",
        "last": "",
        "distributions": (file,),
    }
    return Release(**facts | parts)


@pytest.mark.parametrize("public", [False, True])
def test_every_node_is_well_formed(public: bool) -> None:
    """Goal: a reader of DCAT-AP and of JSON-LD finds what it must. Method: types and their properties; every term has
    a prefix that the context knows; every value has a language or a type, not both; identifiers are not used twice."""
    chosen = [one for one in builtin_contracts().values() if one.publication is not None or not public]
    whole = document(catalog([dataset(one, public=public) for one in chosen], modified=MOMENT))
    assert json.loads(json.dumps(whole)) == whole
    assert len(whole["dcat:dataset"]) == len(chosen)
    datasets = [node["@id"] for node in whole["dcat:dataset"]]
    assert len(set(datasets)) == len(datasets)
    for node in nodes({key: value for key, value in whole.items() if key != "@context"}):
        assert REQUIRED.get(node.get("@type", ""), set()) <= node.keys(), node
        assert None not in node.values()
        for key in (*node, *([node["@type"]] if "@type" in node else [])):
            assert key.startswith("@") or key.partition(":")[0] in CONTEXT, key
        if "@value" in node:
            assert node.keys() in ({"@value"}, {"@value", "@language"}, {"@value", "@type"})
    for node in whole["dcat:dataset"]:
        for term in ("dct:title", "dct:description"):
            assert {one["@language"] for one in node[term]} == {"zh", "en"}
    publishers = {node["dct:publisher"]["@id"].rpartition(":")[2] for node in whole["dcat:dataset"]}
    assert public or publishers == agencies().keys()


def test_rights_follow_the_most_sensitive_column() -> None:
    contracts = builtin_contracts()
    for name, right in (("residents", "NON_PUBLIC"), ("fire_hydrants", "RESTRICTED"), ("sensors", "PUBLIC")):
        assert dataset(contracts[name])["dct:accessRights"]["@id"] == RIGHTS + right
    assert dataset(contracts["residents"], public=True)["dct:accessRights"]["@id"] == RIGHTS + "PUBLIC"


def test_the_public_is_shown_what_goes_out() -> None:
    """Method: columns and standards of every open data set, as released, beside its contract."""
    for contract in builtin_contracts().values():
        if contract.publication is None:
            continue
        shown = dataset(contract, release())
        names = [one["csvw:name"] for one in shown["csvw:tableSchema"]["csvw:column"]["@list"]]
        assert names == [one.name for one in outgoing(contract)]
        hidden = {column.name for column in contract.columns} - set(names)
        assert not hidden & set(shown["csvw:tableSchema"].get("csvw:primaryKey", ()))


def test_a_released_data_set() -> None:
    """Method: the version of people, property by property; then a span of time."""
    node = document(dataset(builtin_contracts()["residents"], release()), base="../../")
    assert node["@context"]["@base"] == "../../"
    assert node["dcat:version"] == "3"
    assert node["dct:issued"] == {"@type": "xsd:dateTime", "@value": "2026-11-27T01:02:03.456Z"}
    assert "dct:temporal" not in node
    ((words,),) = [[one["@value"] for one in node["dct:provenance"]["dct:description"]]]
    assert words == "Read at position ops=7; 20 rows, 4 withheld; at least 5 rows look alike."
    (file,) = node["dcat:distribution"]
    assert file["dcat:accessURL"] == file["dcat:downloadURL"] == {"@id": "residents/v3/residents.csv"}
    assert file["dct:license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}
    assert file["dcat:mediaType"]["@id"].endswith("media-types/text/csv")
    assert file["spdx:checksum"]["spdx:checksumValue"]["@value"] == "ab" * 32
    columns = {one["csvw:name"]: one for one in node["csvw:tableSchema"]["csvw:column"]["@list"]}
    assert columns["birth_date"]["csvw:datatype"] == {"csvw:base": "int"}
    assert columns["birth_date"]["dct:description"] == "decade"
    assert "csvw:primaryKey" not in node["csvw:tableSchema"]
    spans = dataset(builtin_contracts()["readings"], release(first="2026-01-01T00:00:00", last="2026-02-01T00:00:00"))
    assert spans["dct:temporal"]["dcat:startDate"] == {"@type": "xsd:dateTime", "@value": "2026-01-01T00:00:00"}


def test_keys_references_and_limits_are_told() -> None:
    schema = dataset(builtin_contracts()["rainfall"])["csvw:tableSchema"]
    assert schema["csvw:primaryKey"] == ["station", "observed_at"]
    (link,) = schema["csvw:foreignKey"]
    assert link["csvw:reference"]["csvw:resource"] == {"@id": "urn:cityhub:data-set:weather_stations"}
    columns = {one["csvw:name"]: one for one in schema["csvw:column"]["@list"]}
    assert columns["rain"]["schema:unitText"] == "mm"
    assert columns["rain"]["csvw:datatype"] == {"csvw:base": "float", "csvw:minimum": 0.0, "csvw:maximum": 60.0}
    place = dataset(builtin_contracts()["ocean_stations"])["dct:spatial"]["dcat:bbox"]["@value"]
    assert place == "POLYGON((113.0 21.5, 116.5 21.5, 116.5 23.0, 113.0 23.0, 113.0 21.5))"


def test_the_command_needs_no_city_for_what_comes_with_the_hub() -> None:
    done = CliRunner().invoke(app, ["catalogue", "export", "--built-in", "--open-only"])
    assert done.exit_code == 0, done.output
    opened = {one.name for one in builtin_contracts().values() if one.publication is not None}
    assert {node["dct:identifier"] for node in json.loads(done.stdout)["dcat:dataset"]} == opened
