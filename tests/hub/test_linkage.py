"""Goal: the registries of links are what the agencies' registries say, however they came to be so.

Method: the linkage over its port at a DuckDB in memory that merges rows as a centre does and keeps a ledger. Small
cities with known links; a random series of upserts and deletes with runs in between, against one run at the end.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import duckdb
import pyarrow as pa
import pytest
from h3ronpy import cells_parse, cells_resolution
from h3ronpy.vector import cells_to_coordinates
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.ingest.sections import Operation
from hub.linkage.cells import grid_ids
from hub.linkage.hub_port import Answer, LinkLimits
from hub.linkage.memory import Linked
from hub.linkage.run import link
from hub.store import tables

NOW: Final = datetime(2026, 7, 1, 8)
TODAY: Final = date(2026, 7, 1)
SOURCES: Final = ("residents", "insured_people", "legal_persons", "buildings", "grid_cells")
LINKS: Final = ("building_links", "person_links", "legal_person_links")
CENTRE: Final = {"lon": 114.0579, "lat": 22.5431}
PLACES: Final = [(114.0579, 22.5431), (113.9300, 22.5300), (114.2500, 22.7200)]
CELLS: Final = grid_ids(*(pa.array(values) for values in zip(*PLACES, strict=True))).to_pylist()


@dataclass
class City:
    """A hub in memory: `lsn` counts exchanges, all in log ops; `sent` has rows by data set and operation."""

    contracts: Mapping[str, Contract]
    producer: str = "run-1"
    lsn: int = 0
    sent: dict[tuple[str, Operation], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = duckdb.connect(config={"threads": 1})
        self.database.execute("create schema hot")
        for name in (*SOURCES, *LINKS, "linkage_runs", "exchanges"):
            for sql in (*tables.create_table(self.contracts[name]), tables.create_view(self.contracts[name])):
                self.database.execute(sql)

    def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
        table = self.database.cursor().sql(sql, params=dict(parameters) or None).to_arrow_table()
        return Answer(position={"ecc": 0, "ops": self.lsn}, batches=iter(table.to_batches()))

    def send(self, data_set: str, rows: pa.RecordBatch, operation: Operation) -> None:
        self.write(data_set, rows, operation, self.producer)
        self.sent[data_set, operation] = self.sent.get((data_set, operation), 0) + rows.num_rows

    def settle(self) -> None:
        """Everything is written at once."""

    def write(self, data_set: str, rows: pa.RecordBatch, operation: Operation, producer: str) -> None:
        contract = self.contracts[data_set]
        assert rows.schema.equals(contract.key_schema if operation is Operation.DELETE else contract.schema)
        full = pa.Table.from_batches([rows])
        for column in contract.columns:
            if column.name not in rows.schema.names:
                full = full.append_column(column.name, pa.nulls(rows.num_rows, column.arrow))
        marked = full.append_column(tables.DELETE_FLAG, pa.array([operation is Operation.DELETE] * rows.num_rows))
        self.database.register(tables.INCOMING, marked.append_column(tables.ORDER, pa.array(range(rows.num_rows))))
        self.database.execute(tables.merge_rows(contract))
        self.lsn += 1
        entry = ["ops", self.lsn, producer, self.lsn, data_set, operation.value, rows.num_rows, 0, NOW, 0]
        self.database.execute(f"insert into hot.exchanges values ({', '.join('?' * len(entry))})", entry)

    def put(self, data_set: str, *rows: dict[str, Any], producer: str = "agency") -> None:
        schema = self.contracts[data_set].schema
        self.write(data_set, pa.RecordBatch.from_pylist(list(rows), schema=schema), Operation.UPSERT, producer)

    def drop(self, data_set: str, *keys: dict[str, Any]) -> None:
        schema = self.contracts[data_set].key_schema
        self.write(data_set, pa.RecordBatch.from_pylist(list(keys), schema=schema), Operation.DELETE, "agency")

    def link(self, *, on: date = TODAY, from_scratch: bool = False, part_rows: int = 2) -> dict[str, Linked]:
        """Few rows to a part, so that there are several; each run under a name of its own."""
        self.producer = f"run-{self.lsn}"
        self.sent.clear()
        limits = LinkLimits(part_rows_max=part_rows, exchange_rows=3)
        done = link(self, self.contracts, now=NOW, held_on=on, from_scratch=from_scratch, limits=limits)
        return {one.data_set: one for one in done}

    def rows(self, data_set: str) -> list[dict[str, Any]]:
        (key,) = self.contracts[data_set].key
        rows: list[dict[str, Any]] = self.database.sql(f"from {data_set} order by {key}").to_arrow_table().to_pylist()
        return rows

    def links(self) -> dict[str, list[dict[str, Any]]]:
        return {name: self.rows(name) for name in LINKS}


@pytest.fixture
def city() -> Iterator[City]:
    """Two people and two firms in one of two buildings; the grid cell of the other one is not known."""
    city = City(builtin_contracts())
    city.put("grid_cells", {"grid_id": CELLS[0], "district": "福田区", "street": "莲花街道"})
    city.put("buildings", building("b1", 0), building("b2", 1))
    city.put("legal_persons", firm("f1", representative_id="p1"), firm("f2", status="deregistered"))
    city.put("residents", person("p1"), person("p2"))
    city.put("insured_people", insured("p1", "f1"))
    yield city
    city.database.close()


def building(code: str, place: int) -> dict[str, Any]:
    lon, lat = PLACES[place]
    return {"building_code": code, "district": "南山区", "lon": lon, "lat": lat}


def person(code: str, building_code: str | None = "b1") -> dict[str, Any]:
    return {"resident_id": code, "building_code": building_code}


def firm(code: str, status: str = "active", **more: Any) -> dict[str, Any]:
    return {"credit_code": code, "status": status, "building_code": "b1", **more}


def insured(code: str, employer: str, until: date | None = None) -> dict[str, Any]:
    since = date(2020, 1, 1)
    return {"resident_id": code, "credit_code": employer, "insured_since": since, "insured_until": until}


def reasons(city: City, data_set: str) -> list[str | None]:
    return [row["reason"] for row in city.rows(data_set)]


def test_the_cell_of_a_place_lies_around_it() -> None:
    """Method: back from the cell to its centre, no further away than a cell of resolution 9 reaches."""
    cells = cells_parse(pa.array(CELLS))
    assert set(pa.array(cells_resolution(cells)).to_pylist()) == {9}
    centres = cells_to_coordinates(cells)
    for (lon, lat), lat_there, lon_there in zip(
        PLACES, *(pa.array(centres[name]) for name in ("lat", "lng")), strict=True
    ):
        north, east = lat_there.as_py() - lat, (lon_there.as_py() - lon) * math.cos(math.radians(lat))
        assert math.hypot(north, east) * 111_195 < 220


def test_everything_is_linked(city: City) -> None:
    done = city.link()
    assert {name: (one.upserted, one.links, one.unlinked) for name, one in done.items()} == {
        "building_links": (2, 2, 1),
        "person_links": (2, 2, 0),
        "legal_person_links": (2, 2, 1),
    }
    first, second = city.rows("building_links")
    assert (first["grid_id"], first["district"], first["street"]) == (CELLS[0], "福田区", "莲花街道")
    assert (first["residents"], first["legal_persons"], first["reason"]) == (2, 2, None)
    assert (second["grid_id"], second["district"], second["street"]) == (CELLS[1], "南山区", None)
    assert second["reason"] == f"grid cell {CELLS[1]} is not known"
    linked = {"building_code": "b1", "grid_id": CELLS[0], "reason": None}
    assert city.rows("person_links") == [
        {"resident_id": "p1", **linked, "credit_code": "f1"},
        {"resident_id": "p2", **linked, "credit_code": None},
    ]
    assert city.rows("legal_person_links")[0] == {"credit_code": "f1", **linked, "representative_id": "p1"}


def test_a_second_run_sends_nothing(city: City) -> None:
    """Method: once by the ledger, once by comparing everything; then one row of a source changes."""
    city.link()
    lsn = city.lsn
    assert not any(one.changed for one in city.link().values())
    assert city.lsn == lsn
    city.link(from_scratch=True)
    assert {name for name, _ in city.sent} == {"linkage_runs"}
    city.put("residents", person("p2", "b2"))
    done = city.link()
    assert {name: (one.upserted, one.deleted) for name, one in done.items()} == {
        "building_links": (2, 0),  # One resident less here, one more there.
        "person_links": (1, 0),
        "legal_person_links": (0, 0),
    }
    assert done["person_links"].changed == "building_links, residents"


@pytest.mark.parametrize(
    ("source", "due"),
    [
        ("residents", LINKS),
        ("legal_persons", LINKS),
        ("insured_people", ("person_links",)),
        ("buildings", ("building_links",)),
        ("grid_cells", ("building_links",)),
    ],
)
def test_who_depends_on_what(city: City, source: str, due: tuple[str, ...]) -> None:
    """Method: a source is sent again as it is. What depends on buildings and cells does so through their links, which
    stay as they are."""
    city.link()
    city.put(source, *city.rows(source))
    done = city.link()
    assert tuple(name for name, one in done.items() if one.changed == source) == due
    assert {name for name, _ in city.sent} == {"linkage_runs"}


def test_what_is_not_linked_says_why(city: City) -> None:
    city.put("residents", person("p1", None), person("p2", "b9"), person("p3", "b2"), person("p4"))
    city.put("insured_people", insured("p1", "f2"), insured("p2", "f9"), insured("p4", "f1", date(2026, 6, 30)))
    city.put("legal_persons", firm("f1", building_code=None, representative_id="p9"), firm("f3"))
    city.link()
    assert reasons(city, "person_links") == [
        "has no building code; employer f2 was deregistered",
        "building b9 is not known; employer f9 is not known",
        f"grid cell {CELLS[1]} is not known",
        None,
    ]
    assert reasons(city, "legal_person_links") == [
        "has no building code; representative is not a resident",
        "has no representative",
        "has no representative",
    ]


def test_rows_that_go_take_their_links_along(city: City) -> None:
    city.link()
    city.drop("residents", {"resident_id": "p1"})
    city.drop("buildings", {"building_code": "b2"})
    done = city.link()
    assert [one.deleted for one in done.values()] == [1, 1, 0]
    assert [row["resident_id"] for row in city.rows("person_links")] == ["p2"]
    assert reasons(city, "legal_person_links")[0] == "representative is not a resident"


def test_a_building_that_moves_takes_its_people_along(city: City) -> None:
    city.link()
    city.put("buildings", building("b1", 2))
    city.link()
    assert {row["grid_id"] for row in city.rows("person_links")} == {CELLS[2]}
    city.put("grid_cells", {"grid_id": CELLS[2], "district": "龙岗区", "street": "坂田街道"})
    city.link()
    assert set(reasons(city, "person_links")) == {None}
    assert city.rows("building_links")[0]["street"] == "坂田街道"


def test_an_employment_ends_with_its_day(city: City) -> None:
    """Method: nothing changes but the day."""
    city.put("insured_people", insured("p1", "f1", TODAY))
    assert city.link()["person_links"].changed == "everything is compared"
    assert city.rows("person_links")[0]["credit_code"] == "f1"
    done = city.link(on=date(2026, 7, 2))
    assert {name: one.changed for name, one in done.items() if one.changed} == {"person_links": "the day"}
    assert city.rows("person_links")[0]["credit_code"] is None


def test_links_that_others_changed_are_put_right(city: City) -> None:
    """Method: a row written by hand, and a run that broke off before it was remembered."""
    city.link()
    right = city.links()
    city.put("person_links", {"resident_id": "p1", "reason": "by hand"}, {"resident_id": "nobody"})
    assert city.link()["person_links"].changed == "person_links"
    assert city.links() == right
    city.put("residents", person("p1", "b2"))
    city.producer = "run-that-breaks-off"
    steps = link(city, city.contracts, now=NOW, held_on=TODAY)
    next(steps)
    city.link()
    left = city.links()
    city.link(from_scratch=True)
    assert city.links() == left


CODES: Final = st.sampled_from("1234")
MAYBE: Final = st.none() | CODES
DAYS: Final = st.sampled_from([None, date(2026, 6, 30), TODAY])
ROWS: Final = {
    "residents": st.builds(lambda key, b: person(f"p{key}", b and f"b{b}"), CODES, MAYBE),
    "buildings": st.builds(lambda key, place: building(f"b{key}", place), CODES, st.integers(0, 2)),
    "grid_cells": st.builds(
        lambda place, street: {"grid_id": CELLS[place], "district": "福田区", "street": street},
        st.integers(0, 2),
        st.sampled_from(["甲街道", "乙街道"]),
    ),
    "legal_persons": st.builds(
        lambda key, status, b, p: firm(f"f{key}", status, building_code=b and f"b{b}", representative_id=p and f"p{p}"),
        CODES,
        st.sampled_from(["active", "deregistered"]),
        MAYBE,
        MAYBE,
    ),
    "insured_people": st.builds(lambda key, f, until: insured(f"p{key}", f"f{f}", until), CODES, CODES, DAYS),
}
CHANGES: Final = st.sampled_from(sorted(ROWS)).flatmap(
    lambda name: st.tuples(st.just(name), st.booleans(), st.lists(ROWS[name], min_size=1, max_size=3))
)


GROUPS: Final = st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=15, deadline=None)
@given(GROUPS)
def test_in_steps_as_in_one(groups: list[list[tuple[str, bool, list[dict[str, Any]]]]]) -> None:
    """Goal: links that are brought up to date in steps are those of one run from scratch, and of a model.
    Method: a city in which all is linked; random upserts and deletes of few keys; a run after each group of them."""
    city = City(builtin_contracts())
    try:
        _fill(city)
        city.link()
        for group in groups:
            for name, delete, rows in group:
                (key,) = city.contracts[name].key
                if delete:
                    city.drop(name, *({key: row[key]} for row in rows))
                else:
                    city.put(name, *rows)
            city.link()
        in_steps = city.links()
        assert in_steps == model(*(city.rows(name) for name in SOURCES))
        for name in (*LINKS, "linkage_runs"):
            city.database.execute(f"delete from hot.{name}")
        city.link(part_rows=1_000)
        assert in_steps == city.links()
    finally:
        city.database.close()


def _fill(city: City) -> None:
    keys = range(1, 5)
    cells = [{"grid_id": cell, "district": "福田区", "street": "甲街道"} for cell in CELLS]
    city.put("grid_cells", *cells)
    city.put("buildings", *(building(f"b{key}", key % 3) for key in keys))
    city.put("legal_persons", *(firm(f"f{key}", building_code=f"b{key}", representative_id=f"p{key}") for key in keys))
    city.put("residents", *(person(f"p{key}", f"b{key}") for key in keys))
    city.put("insured_people", *(insured(f"p{key}", f"f{key}") for key in keys))


Rows = list[dict[str, Any]]


def model(people: Rows, insurances: Rows, firms: Rows, buildings: Rows, cells: Rows) -> dict[str, Rows]:
    """The links, a row at a time, by the rules in words."""
    streets = {row["grid_id"]: (row["district"], row["street"]) for row in cells}
    residents = {row["resident_id"] for row in people}
    status = {row["credit_code"]: row["status"] for row in firms}
    employers = {
        row["resident_id"]: row["credit_code"]
        for row in insurances
        if row["insured_until"] is None or row["insured_until"] >= TODAY
    }
    of_buildings: dict[str, dict[str, Any]] = {}
    for row in buildings:
        code, cell = row["building_code"], CELLS[PLACES.index((row["lon"], row["lat"]))]
        district, street = streets.get(cell, (row["district"], None))
        of_buildings[code] = {
            "building_code": code,
            "grid_id": cell,
            "district": district,
            "street": street,
            "lon": row["lon"],
            "lat": row["lat"],
            "residents": sum(one["building_code"] == code for one in people),
            "legal_persons": sum(one["building_code"] == code for one in firms),
            "reason": None if cell in streets else f"grid cell {cell} is not known",
        }

    def housed(code: str | None) -> tuple[dict[str, Any], list[str]]:
        found = of_buildings.get(code or "")
        if found is None:
            missing = "has no building code" if code is None else f"building {code} is not known"
            return {"building_code": None, "grid_id": None}, [missing]
        reason = found["reason"]
        return {"building_code": code, "grid_id": found["grid_id"]}, [] if reason is None else [reason]

    of_people, of_firms = [], []
    for row in people:
        place, why = housed(row["building_code"])
        employer = employers.get(row["resident_id"])
        if employer is not None and status.get(employer) != "active":
            why.append(f"employer {employer} {'was deregistered' if employer in status else 'is not known'}")
            employer = None
        of_people.append({"resident_id": row["resident_id"], **place, "credit_code": employer, "reason": _joined(why)})
    for row in firms:
        place, why = housed(row["building_code"])
        representative = row["representative_id"]
        if representative not in residents:
            why.append("has no representative" if representative is None else "representative is not a resident")
            representative = None
        of_firms.append(
            {"credit_code": row["credit_code"], **place, "representative_id": representative, "reason": _joined(why)}
        )
    return {
        "building_links": list(of_buildings.values()),
        "person_links": of_people,
        "legal_person_links": of_firms,
    }


def _joined(reasons: list[str]) -> str | None:
    return "; ".join(reasons) or None
