"""Goal: open data come out of a real pair whole, in versions that do not change, with nobody to be recognised in them.

Method: the command against real centres; files are read again and compared with what was sent; it is broken off at the
two points where a version counts and is not yet shown, or does not count.
"""

import json
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from conftest import until
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from hub.errors import HubError, UnavailableError
from hub.open_data import publish, registry
from hub.open_data.files import sha256_of
from hub.open_data.folder import Versions
from simulator.drill.processes import CityProcesses

DISTRICTS = ("福田区", "南山区", "盐田区")


def cityhub(city: CityProcesses, *arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--city", str(city.path), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code in (0, 1) else result.output


def send(client: HubClient, data_set: str, rows: list[dict[str, Any]]) -> None:
    contract = client.contract(data_set)
    full = [{column.name: row.get(column.name) for column in contract.columns} for row in rows]
    with client.producer(log=contract.home) as producer:
        receipt = producer.send(data_set, pa.RecordBatch.from_pylist(full, schema=contract.schema)).result()
    assert receipt.rows_rejected == 0
    until(lambda: client.status("ecc").logs[0].apply_lag_entries == client.status("ecc").logs[1].apply_lag_entries == 0)


def resident(number: int, district: str, born_on: date) -> dict[str, Any]:
    """With an ID number of the right check digit."""
    body = f"440305{born_on:%Y%m%d}{number:03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    check = "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]
    return {
        "resident_id": body + check,
        "name": "张三",
        "sex": "female",
        "birth_date": born_on,
        "district": district,
        "phone": "13800000000",
    }


def recorded(client: HubClient, data_set: str) -> list[dict[str, Any]]:
    sql = "select * from publications where data_set = ? order by version"
    rows: list[dict[str, Any]] = client.query(sql, [data_set], strong=True).table().to_pylist()
    return rows


@pytest.fixture(scope="module")
def people(city: CityProcesses) -> list[dict[str, Any]]:
    """Nine of one crowd, five of another, four of a third: with k = 5 the last ones are withheld."""
    with city.client() as client:
        crowds = zip(DISTRICTS, (9, 5, 4), (1983, 1990, 2001), strict=True)
        rows = [
            resident(number, district, date(year, number + 1, 7))
            for district, count, year in crowds
            for number in range(count)
        ]
        send(client, "residents", rows)
    return rows


def test_people_are_published_in_crowds_only(
    city: CityProcesses, client: HubClient, people: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Method: published, published again without a change, then with one more of the small crowd."""
    (first,) = cityhub(city, "publish", "residents", "--out", str(tmp_path))
    assert (first["state"], first["version"], first["rows"], first["rows_withheld"]) == ("published", 1, 14, 4)
    assert first["k"] == 5
    version = tmp_path / "residents" / "v1"
    table = pq.read_table(version / "residents.parquet")
    assert table.schema.names == ["sex", "birth_date", "district"]
    assert Counter((row["district"], row["birth_date"]) for row in table.to_pylist()) == {
        (DISTRICTS[0], 1980): 9,
        (DISTRICTS[1], 1990): 5,
    }
    assert pa_csv.read_csv(version / "residents.csv").to_pylist() == table.to_pylist()
    text = (version / "residents.csv").read_text(encoding="utf-8-sig")
    assert not any(str(person[name]) in text for person in people for name in ("resident_id", "name", "phone"))
    (row,) = recorded(client, "residents")
    assert row["checksum"] == sha256_of(version / "residents.parquet")
    assert (row["version"], row["rows"], row["rows_withheld"], row["k"]) == (1, 14, 4, 5)
    assert {part.partition("=")[0] for part in row["position"].split(",")} == {"ecc", "ops"}

    (again,) = cityhub(city, "publish", "residents", "--out", str(tmp_path))
    assert (again["state"], again["version"]) == ("unchanged", 1)
    before = {file.name: file.read_bytes() for file in version.iterdir()}
    send(client, "residents", [resident(50, DISTRICTS[2], date(2002, 1, 1))])
    (second,) = cityhub(city, "publish", "residents", "--out", str(tmp_path), "--centre", "ops")
    assert (second["state"], second["version"], second["rows"], second["rows_withheld"]) == ("published", 2, 19, 0)
    assert {file.name: file.read_bytes() for file in version.iterdir()} == before
    assert len(recorded(client, "residents")) == 2
    catalog = json.loads((tmp_path / "catalog.jsonld").read_text(encoding="utf-8"))
    (dataset,) = catalog["dcat:dataset"]
    assert dataset["dcat:version"] == "2"
    for one in dataset["dcat:distribution"]:
        file = tmp_path / one["dcat:downloadURL"]["@id"]
        assert str(file.stat().st_size) == one["dcat:byteSize"]["@value"]
        assert sha256_of(file) == one["spdx:checksum"]["spdx:checksumValue"]["@value"]
    metadata = json.loads((tmp_path / "residents" / "v2" / "metadata.jsonld").read_text(encoding="utf-8"))
    assert metadata["@context"]["@base"] == "../../"
    assert {key: value for key, value in metadata.items() if key != "@context"} == dataset


def test_a_version_is_shown_once_it_counts(
    city: CityProcesses, client: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method: broken off after the version was recorded, and with an answer that never came; then files are lost."""
    send(client, "shelters", [shelter(number) for number in range(10)])
    out = ("publish", "shelters", "--out", str(tmp_path))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Versions, "show", interrupted)
        cityhub(city, *out, code=130)
    assert [row["version"] for row in recorded(client, "shelters")] == [1]
    assert not (tmp_path / "shelters" / "v1").exists()
    assert cityhub(city, *out)[0]["state"] == "unchanged"
    assert sorted(one.name for one in (tmp_path / "shelters" / "v1").iterdir()) == [
        "metadata.jsonld",
        "shelters.csv",
        "shelters.parquet",
    ]

    record = registry.record

    def unanswered(*given: Any) -> None:
        record(*given)
        raise UnavailableError("no answer", definite=False)

    send(client, "shelters", [shelter(10)])
    with monkeypatch.context() as patched:
        patched.setattr(registry, "record", unanswered)
        cityhub(city, *out, code=3)
    send(client, "shelters", [shelter(11)])
    assert cityhub(city, *out)[0]["version"] == 3
    assert pq.read_metadata(tmp_path / "shelters" / "v2" / "shelters.parquet").num_rows == 11
    assert len(recorded(client, "shelters")) == 3

    other = tmp_path / "other"
    (restored,) = cityhub(city, "publish", "shelters", "--out", str(other))
    assert (restored["state"], restored["version"]) == ("restored", 3)
    for name in ("shelters.parquet", "shelters.csv", "metadata.jsonld"):
        assert (other / "shelters" / "v3" / name).read_bytes() == (tmp_path / "shelters" / "v3" / name).read_bytes()
    assert cityhub(city, "publish", "shelters", "--out", str(other))[0]["state"] == "unchanged"
    (other / "shelters" / "v3").rename(other / "shelters" / "v7")
    assert "not on record" in cityhub(city, "publish", "shelters", "--out", str(other), code=2)


def test_files_that_fail_their_judgement_leave_nothing(
    city: CityProcesses,
    client: HubClient,
    people: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise HubError("only 2 rows look alike")

    before = recorded(client, "residents")
    monkeypatch.setattr(publish, "verify", refuse)
    assert "look alike" in cityhub(city, "publish", "residents", "--out", str(tmp_path), code=5)
    assert [one.name for one in tmp_path.iterdir()] == [".lock"]
    assert recorded(client, "residents") == before


def test_a_number_that_somebody_else_took_is_no_version(client: HubClient) -> None:
    """Method: two records of one version, of different contents; then the first one again."""
    facts: dict[str, Any] = {"rows": 1, "rows_withheld": 0, "k": 0, "position": "ops=1"}
    moment = datetime(2026, 1, 1)
    ours, theirs = (registry.Version(version=1, published_at=moment, checksum=letter * 64, **facts) for letter in "ab")
    registry.record(client, "venues", theirs)
    with pytest.raises(UnavailableError, match="somebody else"):
        registry.record(client, "venues", ours)
    assert registry.record(client, "venues", theirs).checksum == theirs.checksum


def test_everything_that_is_open_is_published(city: CityProcesses, client: HubClient, tmp_path: Path) -> None:
    """Method: all of it twice; what holds no rows has no version; the catalogue that the city exports names the same
    data sets as open."""
    send(client, "schools", [{**shelter(1), "school_id": "s1", "kind": "primary", "pupils": 900}])
    found = cityhub(city, "publish", "--all", "--out", str(tmp_path))
    states = {one["data_set"]: one["state"] for one in found}
    opened = {name for name, one in client.contracts().items() if one.publication is not None}
    assert states.keys() == opened
    assert states["schools"] == "published"
    assert states["traffic_flow"] == "empty"
    assert not (tmp_path / "traffic_flow").exists()
    assert {one["state"] for one in cityhub(city, "publish", "--all", "--out", str(tmp_path))} == {"unchanged", "empty"}
    file = tmp_path / "catalogue.jsonld"
    done = CliRunner().invoke(app, ["catalogue", "export", "--open-only", "-o", str(file), "--city", str(city.path)])
    assert done.exit_code == 0, done.output
    nodes = json.loads(file.read_text(encoding="utf-8"))["dcat:dataset"]
    assert {node["dct:identifier"] for node in nodes} == opened


def test_what_cannot_be_published_says_so(city: CityProcesses, tmp_path: Path) -> None:
    out = ("--out", str(tmp_path))
    assert "publication = {}" in cityhub(city, "publish", "experts", *out, code=4)
    assert "no data set" in cityhub(city, "publish", "nothing", *out, code=4)
    cityhub(city, "publish", *out, code=2)
    cityhub(city, "publish", "sensors", "--all", *out, code=2)
    cityhub(city, "publish", "sensors", "--centre", "moon", *out, code=2)
    failed = cityhub(city, "publish", "districts", "experts", *out, code=1)
    assert [(one["data_set"], one["state"]) for one in failed] == [("districts", "empty"), ("experts", "failed")]


def shelter(number: int) -> dict[str, Any]:
    return {
        "shelter_id": f"s{number}",
        "name": f"避难场所{number}",
        "indoor": True,
        "district": DISTRICTS[0],
        "lon": 114.05,
        "lat": 22.54,
        "capacity": 100,
    }
