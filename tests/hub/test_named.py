"""Goal: named queries are read from their files, and their parameters are what their types say.

Method: the built-in ones against the guard and the contracts; files and values that are wrong.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hub.catalogue.load import builtin_contracts, contract_to_json
from hub.errors import ConfigurationError, QueryError
from hub.query.named import NamedQuery, builtin_queries, parse_query
from hub.query.run import describe
from hub.query.statements import Statements
from hub.store.store import Store
from replication.codec import make_entry
from replication.core.types import ORIGIN, Kind
from replication.segments import SegmentFiles

TEXT = """/*
title = { zh = "某", en = "Some" }
description = "For tests."
data_sets = ["sensors"]
parameters = [
    { name = "n", type = "int32", description = "A number.", default = 5 },
    { name = "day", type = "date", description = "A day.", optional = true },
]
*/
select $n, $day
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Every built-in contract in force."""
    files = SegmentFiles.open(tmp_path / "segments")
    store = Store.open(tmp_path / "store.duckdb", files, memory_bytes_max=1 << 28, threads=1, temp_bytes_max=1 << 20)
    after = ORIGIN
    entries = []
    for contract in builtin_contracts().values():
        if contract.home != "each":
            entries.append(
                make_entry(after=after, epoch=1, kind=Kind.CONTRACT, payload=contract_to_json(contract).encode())
            )
            after = entries[-1].id
    store.apply("ops", entries)
    yield store
    store.close()


def test_builtin_queries_are_what_they_say(store: Store) -> None:
    """Method: each is let through by the guard, uses exactly its parameters, and names the data sets it reads."""
    statements = Statements(store, bytes_max=1 << 16)
    queries = builtin_queries().all()
    assert len(queries) >= 10
    for query in queries:
        schema, statement = describe(store, statements, query.sql)
        assert schema.names
        assert set(statement.parameters) == {one.name for one in query.parameters}
        read = {name for name in store.contracts() if re.search(rf"\b{name}\b", query.sql)}
        assert set(query.data_sets) == read, query.name


def query() -> NamedQuery:
    return parse_query("some.v3.sql", TEXT)


def test_a_file_is_a_query() -> None:
    found = query()
    assert (found.name, found.version, found.sql) == ("some", 3, "select $n, $day")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("some.sql", TEXT),
        ("some.v1.sql", "select 1"),
        ("some.v1.sql", TEXT.replace("int32", "int33")),
        ("some.v1.sql", TEXT.replace("title", "titel")),
        ("some.v1.sql", TEXT.replace("= 5", "= ")),
    ],
)
def test_wrong_files_are_told(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        parse_query(name, text)


def test_parameters_become_their_type() -> None:
    assert query().bind({}) == {"n": 5, "day": None}
    assert query().bind({"n": "7", "day": "2026-07-01"}) == {"n": 7, "day": date(2026, 7, 1)}
    with pytest.raises(QueryError, match=r"n must be int32.*day must be date"):
        query().bind({"n": 1.5, "day": "soon"})
    with pytest.raises(QueryError, match="no parameter 'm'"):
        query().bind({"m": 1})


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("boolean", "true", True),
        ("boolean", False, False),
        ("int64", 3.0, 3),
        ("float64", "1.5", 1.5),
        ("string", "x", "x"),
        ("decimal(9,2)", "1.25", Decimal("1.25")),
        ("timestamp", "2026-07-01T08:00:00+08:00", datetime(2026, 7, 1)),
        ("timestamp", "2026-07-01", datetime(2026, 7, 1)),
    ],
)
def test_every_type(kind: str, given: object, value: object) -> None:
    found = parse_query("some.v1.sql", TEXT.replace('type = "int32"', f'type = "{kind}"').replace(", default = 5", ""))
    assert found.bind({"n": given})["n"] == value


@pytest.mark.parametrize(("kind", "given"), [("boolean", 1), ("int64", True), ("string", 5), ("timestamp", "now")])
def test_values_of_another_type_are_refused(kind: str, given: object) -> None:
    found = parse_query("some.v1.sql", TEXT.replace('type = "int32"', f'type = "{kind}"').replace(", default = 5", ""))
    with pytest.raises(QueryError, match="must be"):
        found.bind({"n": given})
