"""Goal: `cityhub link` links what is at a real pair, from either centre and over the failure of one, and sends a link
once.

Method: small registries with codes that pass their checks; the command in this process, at both centres; a kill.
"""

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from hub.ingest.codes import credit_checks, organisation_checks, resident_checks
from hub.ingest.sections import Operation
from simulator.drill.processes import CityProcesses

CENTRES: Final = ("ops", "ecc")
DISTRICT: Final = "福田区"
CELL: Final = "89411caa05bffff"
PLACE: Final = {"district": DISTRICT, "lon": 114.0579, "lat": 22.5431}


def checked(body: str, *checks: Any) -> str:
    """A code with its check characters after it."""
    for check in checks:
        body += bytes(check(np.frombuffer(body.encode(), np.uint8).reshape(1, -1))).decode()
    return body


def person(number: int) -> str:
    return checked(f"44030119900101{number:03}", resident_checks)


def firm(number: int) -> str:
    organisation = checked(f"{number:08}", organisation_checks)
    return checked(f"91440300{organisation}", credit_checks)


def building(number: int) -> str:
    return f"440304{number:019}"


def send(client: HubClient, data_set: str, rows: list[dict[str, Any]], operation: Operation | None = None) -> None:
    contract = client.contract(data_set)
    schema = contract.key_schema if operation is Operation.DELETE else contract.schema
    with client.producer() as producer:
        receipt = producer.send(data_set, pa.RecordBatch.from_pylist(rows, schema=schema), operation=operation).result()
    assert receipt.rows_rejected == 0, client.query("select reason from quarantine", strong=True).table().to_pylist()


def linked(city: CityProcesses, *arguments: str) -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(app, ["link", "--json", *arguments, "--city", str(city.path)])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["rejected"] == 0
    return {one["data_set"]: one for one in facts["registries"]}


def fill(client: HubClient, people: int) -> None:
    """So many people in two buildings, every other one at work in one of two firms; the second was deregistered."""
    send(
        client, "grid_cells", [{"grid_id": CELL, "district": DISTRICT, "street": "莲花街道", "lon": 114.0, "lat": 22.5}]
    )
    send(client, "buildings", [{"building_code": building(n), "use": "office", **PLACE} for n in range(2)])
    facts = {"kind": "enterprise", "industry": "information", "district": DISTRICT, "building_code": building(0)}
    firms = [
        {"credit_code": firm(0), "name": "甲", "status": "active", "representative_id": person(0), **facts},
        {"credit_code": firm(1), "name": "乙", "status": "deregistered", **facts},
    ]
    send(client, "legal_persons", firms)
    send(client, "residents", [{"resident_id": person(n), "building_code": building(n % 3)} for n in range(people)])
    employed = range(0, people, 2)
    insured = [{"resident_id": person(n), "credit_code": firm(n % 4 // 2), "insured_since": 0} for n in employed]
    send(client, "insured_people", insured)


def test_linked_at_the_standby_and_read_at_both(city: CityProcesses, client: HubClient) -> None:
    """Method: all three registries from nothing, in several parts; again; after one change and one delete."""
    fill(client, people=90)
    first = linked(city, "--part-rows", "20")
    assert [first[name]["upserted"] for name in ("building_links", "person_links", "legal_person_links")] == [2, 90, 2]
    for centre in CENTRES:
        sql = "select count(*) as n, count(building_code) as housed, count(credit_code) as employed from person_links"
        (counts,) = client.query(sql, centre=centre, strong=True).table().to_pylist()
        assert counts == {"n": 90, "housed": 60, "employed": 23}
        (found,) = client.query_named("person_by_id", {"resident_id": person(0)}, centre=centre).table().to_pylist()
        assert (found["grid_id"], found["street"], found["employer"]) == (CELL, "莲花街道", "甲")
        assert (found["represents"], found["not_linked"]) == ([firm(0)], None)
        rows = client.query_named("people_and_firms_in_building", {"building_code": building(0)}, centre=centre)
        assert [row["kind"] for row in rows.table().to_pylist()] == ["person"] * 30 + ["legal person"]
    assert not any(one["changed"] for one in linked(city).values())
    send(client, "residents", [{"resident_id": person(2), "building_code": building(1)}])
    send(client, "residents", [{"resident_id": person(3)}], Operation.DELETE)
    after = linked(city, "--centre", "ops")
    assert {name: (one["upserted"], one["deleted"]) for name, one in after.items()} == {
        "building_links": (2, 0),  # One came, one is gone.
        "person_links": (1, 1),
        "legal_person_links": (0, 0),
    }
    reasons = client.query_named("unlinked_by_reason", strong=True).table().to_pylist()
    assert {row["kind"] for row in reasons if row["registry"] == "person_links"} == {
        "building … is not known",
        "building … is not known; employer … was deregistered",
        "employer … was deregistered",
    }


def test_linked_while_one_centre_is_away(own_city: CityProcesses) -> None:
    """Method: kill -9 of the centre that leads; the run reads and writes at the other one, and the ledger has each link
    once. The centre that comes back holds the same."""
    with own_city.client() as client:
        fill(client, people=30)
        own_city.kill("ops")
        assert linked(own_city)["person_links"]["upserted"] == 30
        own_city.start("ops")
        assert not any(one["changed"] for one in linked(own_city).values())
        sql = "select sum(rows)::integer as n from exchanges where data_set = 'person_links'"
        for centre in CENTRES:
            assert client.query(sql, centre=centre, at_least=client.position).table().to_pylist() == [{"n": 30}]
        lsn, digests = client.verify_log("ops")
        assert lsn
        assert digests["ops"] == digests["ecc"]
