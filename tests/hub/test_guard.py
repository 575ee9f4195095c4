"""The guard of queries, and the fences behind it.

Goal: a query reads data sets and nothing else, within its limits, and whatever it is refused for has a type.
Method: statements by hand, and ones that Hypothesis builds from what must not be reached, over a real store; the word
CANARY stands wherever no query may look: files, environment, the hub's own tables, DuckDB's catalogue and settings.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts, contract_to_json
from hub.errors import HubError, LimitError, QueryError, UnavailableError
from hub.ingest.sections import Operation, Section, encode_sections
from hub.query.guard import check_sql
from hub.query.run import Limits, RunningQuery
from hub.query.statements import Statements
from hub.store.store import Store
from replication.codec import make_entry
from replication.core.types import ORIGIN, Entry, EntryId, Kind
from replication.segments import SegmentFiles
from simulator.city.readings import readings, sensors

CANARY = "canary"
SQL_BYTES_MAX = 64 << 10
LIMITS = Limits(rows_max=5_000, time_s_max=20.0, batch_rows=1_024, memory_bytes_max=256 << 20)
SENSORS = sensors(10, 1)
READINGS = next(readings(100, 1, sensors=SENSORS, batch_rows=100))


def rows_entry(data_set: str, operation: Operation, rows: pa.RecordBatch, after: EntryId) -> Entry:
    section = Section(data_set=data_set, operation=operation, contract_version=1, rows=rows)
    return make_entry(after=after, epoch=1, kind=Kind.ROWS, payload=encode_sections([section]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that hold the canary, each in a format that DuckDB could read."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in (("secret.csv", f"a\n{CANARY}\n"), ("secret.json", f'{{"a": "{CANARY}"}}'), ("secret", CANARY)):
        (folder / name).write_text(text)
    pq.write_table(pa.table({"a": [CANARY]}), folder / "secret.parquet")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """`readings` and `sensors` with rows; the canary in DuckDB's path, settings, catalogue and the hub's tables."""
    folder = tmp_path_factory.mktemp("store") / CANARY
    folder.mkdir()
    store = Store.open(
        folder / "store.duckdb",
        SegmentFiles.open(folder / "segments"),
        memory_bytes_max=128 << 20,
        threads=1,
        temp_bytes_max=1 << 20,
    )
    entries: list[Entry] = []
    for name in ("readings", "sensors"):
        payload = contract_to_json(builtin_contracts()[name]).encode()
        entries.append(make_entry(after=end(entries), epoch=1, kind=Kind.CONTRACT, payload=payload))
    entries.append(rows_entry("readings", Operation.APPEND, READINGS, end(entries)))
    entries.append(rows_entry("sensors", Operation.UPSERT, SENSORS, end(entries)))
    store.apply("ops", entries)
    cursor = store.cursor()
    cursor.execute(f"insert into hub.applied values ('{CANARY}', 7, 7)")
    cursor.execute(f"create table hub.{CANARY} as select '{CANARY}' as {CANARY}")
    cursor.execute(f"create view hub.{CANARY}_view as select 1")
    cursor.execute(f"create schema {CANARY}")
    cursor.execute(f"comment on table hot.readings is '{CANARY}'")
    cursor.close()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SECRET", CANARY)
        yield store
    store.close()


def end(entries: list[Entry]) -> EntryId:
    return entries[-1].id if entries else ORIGIN


def started(store: Store, sql: str, limits: Limits, *, bytes_max: int = SQL_BYTES_MAX) -> RunningQuery:
    query = RunningQuery(store, Statements(store, bytes_max=bytes_max), limits)
    try:
        query.start(sql)
    except BaseException:
        query.close()
        raise
    return query


def answer(store: Store, sql: str, limits: Limits = LIMITS) -> list[tuple[Any, ...]]:
    query = started(store, sql, limits)
    try:
        return [row for batch in query for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
    finally:
        query.close()


def refused(store: Store, sql: str) -> HubError:
    """The error with which the guard itself refuses, before DuckDB has run anything."""
    cursor = store.cursor()
    try:
        with pytest.raises((QueryError, LimitError)) as caught:
            check_sql(cursor, sql, relations=store.contracts().keys(), bytes_max=SQL_BYTES_MAX)
    finally:
        cursor.close()
    return caught.value


# --- What is let through ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select count(*) from readings", [(100,)]),
        ("select count(*) from main.READINGS", [(100,)]),
        ('Select Count(*) From "Readings" -- 评论\n;', [(100,)]),
        ("table sensors limit 0", []),
        ("from sensors select count(*)", [(10,)]),
        ("values (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
        ("select '深圳' as 城市", [("深圳",)]),
        ("select count(*) from readings r join sensors s using (sensor_id) left join sensors t on true", [(1000,)]),
        ("select count(*) from readings r asof join sensors s on r.sensor_id >= s.sensor_id", [(100,)]),
        ("select count(*) from sensors s, lateral (from readings r where r.sensor_id = s.sensor_id)", [(100,)]),
        ("with a as (select 1 x), b as (select x + 1 y from a) select * from a, b", [(1, 2)]),
        ("with readings as (from readings limit 3) select count(*) from readings", [(3,)]),
        ("with a as (select 1 x) select (with a as (select x + 1 x from a) select x from a), x from a", [(2, 1)]),
        ("with a as materialized (select 1 x) from (with b as (from a) from b)", [(1,)]),
        ("with recursive t(n) as (select 1 union all select n + 1 from t where n < 4) select sum(n) from t", [(10,)]),
        ("with recursive t(n) using key (n) as (select 1 union select n + 1 from t where n < 3) from t order by 1",
         [(1,), (2,), (3,)]),
        ("select count(*) from readings where value > (select min(value) from readings) - 1", [(100,)]),
        ("select 1 where exists (from sensors) and 1 in (select sensor_id from sensors) and 0 < all ([1, 2])", [(1,)]),
        ("select max(n) from (select row_number() over w n from readings window w as (order by value))", [(100,)]),
        ("select sensor_id from sensors qualify rank() over (order by sensor_id) = 2", [(2,)]),
        ("select unnest([1, 2])", [(1,), (2,)]),
        ("from unnest((select list(sensor_id order by sensor_id) from sensors)) limit 2", [(1,), (2,)]),
        ("from range(2)", [(0,), (1,)]),
        ("from generate_series(1, 2) t(i)", [(1,), (2,)]),
        ("select value from json_each('[5]')", [("5",)]),
        ("select 1 union select 1 union all select 2 except select 3 intersect select 3 order by 1", [(1,), (2,)]),
        ("select 1 a union all by name select 2 a", [(1,), (2,)]),
        ("select 2 in (from range(3)), [x + 1 for x in [1]], {'a': 1}.a, 'abc'[2], 5 // 2", [(True, [2], 1, "b", 2)]),
        ("select list_transform([1], lambda x: x + 1), if(true, 1, 2), coalesce(null, 3)", [([2], 1, 3)]),
        ("select date_trunc('hour', timestamp '2026-01-02 03:04:05')::varchar", [("2026-01-02 03:00:00",)]),
        ("select count(*) filter (quality = 0) > 90, median(quality), mode(quality) from readings", [(True, 0.0, 0)]),
        ("select count(*) from (pivot sensors on kind in ('gas') using count(*) group by unit) where gas > 0", [(1,)]),
        ("select count(*) from (unpivot sensors on lon, lat)", [(20,)]),
        ("select column_name from (describe readings) limit 1", [("observed_at",)]),
        ("select count from (summarize sensors) limit 1", [(10,)]),
        ("select now() > timestamp '2026-01-01', random() < 1, today() is not null", [(True, True, True)]),
    ],
)  # fmt: skip
def test_reads_of_data_sets_are_answered(store: Store, sql: str, expected: list[tuple[Any, ...]]) -> None:
    assert answer(store, sql) == expected


# --- What is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "attach 'x.db'",
        "detach x",
        "use hub",
        "install httpfs",
        "load json",
        "copy readings to 'x.csv'",
        "copy (select 1) to 'x.csv'",
        "export database 'x'",
        "import database 'x'",
        "pragma database_list",
        "set memory_limit = '1TB'",
        "set variable x = 1",
        "reset memory_limit",
        "call pragma_version()",
        "create table t (a int)",
        "create temp table t as select 1",
        "create macro m() as 1",
        "insert into readings from readings",
        "update sensors set lon = 0",
        "delete from sensors",
        "truncate sensors",
        "merge into sensors using readings on true when matched then delete",
        "drop view readings",
        "alter table hot.readings add column x int",
        "comment on table hot.readings is 'x'",
        "prepare p as select 1",
        "execute p",
        "deallocate p",
        "begin",
        "commit",
        "checkpoint",
        "vacuum",
        "explain select 1",
        "explain analyze select 1",
        "pivot readings on quality using count(*)",
    ],
)
def test_only_a_select_is_a_query(store: Store, statement: str) -> None:
    """Method: each other statement alone, and after a good one."""
    assert isinstance(refused(store, statement), QueryError)
    assert "one statement" in str(refused(store, f"select 1; {statement}"))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "not 0"),
        (" \n\t", "not 0"),
        (";;", "not 0"),
        ("-- nothing", "not 0"),
        ("/* nothing */", "not 0"),
        ("select 1; select 2", "not 2"),
        ("select 1; -- a\n; select 2", "not 2"),
        ("selec 1", "syntax error"),
        ("select 'open", "unterminated"),
        ("select '\ud800'", "no text"),
        ("select 1 as \"\udfff\"", "no text"),
    ],
)  # fmt: skip
def test_what_is_no_single_statement_is_told(store: Store, sql: str, words: str) -> None:
    error = refused(store, sql)
    assert isinstance(error, QueryError)
    assert words in str(error)


FORBIDDEN_TABLES = (
    "hub.applied",
    "hub.contracts",
    "hub.producers",
    "hot.readings",
    "HUB.Applied",
    '"hub"."applied"',
    "store.hub.applied",
    "other.main.readings",
    "store.hub.applied",
    "memory.main.readings",
    "recurring.readings",
    "information_schema.tables",
    "information_schema.columns",
    "pg_catalog.pg_tables",
    "system.information_schema.tables",
    "main.duckdb_tables",
    "main.sqlite_master",
)
CATALOGUE = (
    "duckdb_tables",
    "duckdb_columns",
    "duckdb_databases",
    "duckdb_views",
    "duckdb_schemas",
    "sqlite_master",
    "sqlite_schema",
    "pragma_database_list",
)
"""Views that DuckDB finds by their bare names, as it does data sets."""
KELVIN = '"duc\u212adb_tables"'
"""Not the view of that name: the Kelvin sign is a k only in lower case, and only to Python."""
TABLE_FUNCTIONS = (
    "read_csv",
    "read_csv_auto",
    "read_parquet",
    "parquet_scan",
    "parquet_metadata",
    "read_text",
    "read_blob",
    "read_json",
    "read_ndjson_objects",
    "sniff_csv",
    "glob",
    "query",
    "query_table",
    "seq_scan",
    "duckdb_tables",
    "duckdb_settings",
    "duckdb_databases",
    "duckdb_secrets",
    "duckdb_logs_parsed",
    "pragma_table_info",
    "pragma_storage_info",
    "which_secret",
    "json_execute_serialized_sql",
    "histogram",
    "histogram_values",
    "sql_auto_complete",
    "test_all_types",
    "arrow_scan",
    "python_map_function",
)
FUNCTIONS = (
    "getenv('SECRET')",
    "main.getenv('SECRET')",
    "system.main.getenv('SECRET')",
    "'SECRET'.getenv()",
    "current_setting('temp_directory')",
    "getvariable('x')",
    "current_database()",
    "current_schemas(true)",
    "current_query()",
    "version()",
    "txid_current()",
    "nextval('x')",
    "write_log('x')",
    "sleep_ms(1)",
    "setseed(0.5)",
    "stats(1)",
    "json_serialize_sql('select 1')",
    "json_serialize_plan('select 1')",
    "pg_get_viewdef(1)",
    "pg_size_pretty(1)",
    "has_table_privilege('hub.applied', 'select')",
    "col_description(1, 1)",
    "in_search_path('a', 'b')",
    "no_such_function(1)",
)


@pytest.mark.parametrize(
    "name", [*FORBIDDEN_TABLES, *CATALOGUE, "readings_2", '"http://127.0.0.1:1/a.csv"', "'s3://a/b'"]
)
def test_other_tables_are_refused_wherever_they_stand(store: Store, name: str) -> None:
    """Method: each name in every place that takes a table or a query."""
    for place in (
        "from {}",
        "table {}",
        "summarize {}",
        "describe {}",
        "show {}",
        "from (describe {})",
        "from (show {})",
        "from readings, {}",
        "from readings natural join {}",
        "from readings positional join {}",
        "from range(1), lateral (from {})",
        "from (pivot {} on log in ('a') using count(*))",
        "from (unpivot {} on log)",
        "from unnest((select list(x) from {} x))",
        "from range((select count(*) from {}))",
        "from json_each((select to_json(x) from {} x))",
        "select (select count(*) from {})",
        "select [(select count(*) from {})]",
        "select 1 where exists (from {})",
        "select 1 where 1 in (from {})",
        "select 1 group by (select count(*) from {})",
        "select 1 having (select count(*) from {}) > 0",
        "select 1 qualify row_number() over (order by (select count(*) from {})) = 1",
        "select 1 order by (select count(*) from {})",
        "select 1 limit (select count(*) from {})",
        "select 1 offset (select count(*) from {})",
        "select distinct on ((select count(*) from {})) 1",
        "select count(*) filter ((select count(*) from {}) > 0)",
        "select sum(1) over (partition by (select count(*) from {}))",
        "select sum(1) over w from range(1) window w as (order by (select count(*) from {}))",
        "select list_transform([1], lambda x: x + (select count(*) from {}))",
        "select case when (select count(*) from {}) > 0 then 1 end",
        "select columns('.*') from {}",
        "select * replace ((select count(*) from {}) as sensor_id) from sensors",
        "values ((select count(*) from {}))",
        "select 1 union all select count(*) from {}",
        "with a as (from {}) select 1",
        "with a as (from {}), b as (select 1) from b",
        "with recursive a as (select 1 union all select count(*) from {}) from a",
        "with a as (insert into {} default values returning *) from a",
        "with a as (delete from {} returning *) from a",
    ):
        assert isinstance(refused(store, place.format(name)), QueryError)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_common_table_expression_is_no_disguise(store: Store, name: str) -> None:
    """Goal: a name counts as a common table expression exactly where DuckDB takes it for one.
    Method: the names of DuckDB's own views, before, within and outside the expression of that name."""
    for sql in (
        "with {0} as (from {0}) from {0}",
        "with {0} as materialized (from {0}) from {0}",
        "with recursive {0} as (from {0}) from {0}",
        "with recursive {0} as (from {0} union all select * from {0} where false) from {0}",
        "with recursive {0}(n) as (select 1 except select n from {0}) from {0}",
        "with a as (from {0}), {0} as (select 1) from a",
        "with recursive a as (from {0}), {0} as (select 1) from a",
        "with a as (with {0} as (select 1) from {0}) from {0}",
        "from (with {0} as (select 1) from {0}) a, {0}",
        "select (with {0} as (select 1 x) select x from {0}), (select count(*) from {0})",
        "(with {0} as (select 1) from {0}) union all (select 1 from {0})",
        "with {0} as (select 1) from main.{0}",
        "with {0} as (select 1) from (show {0})",
    ):
        assert isinstance(refused(store, sql.format(name)), QueryError)
    assert answer(store, f"with {name} as (select 7) from {name.upper()}") == [(7,)]
    assert answer(store, f"with {name}(x) as (select 7), a as (from {name}) select x + 1 from a") == [(8,)]
    recursive = f"with recursive {name}(n) as (select 1 union all select n + 1 from {name} where n < 3) from {name}"
    assert answer(store, recursive) == [(1,), (2,), (3,)]


def test_names_are_compared_as_duckdb_does(store: Store) -> None:
    """Goal: no letter that only Python takes for another one opens a door."""
    assert KELVIN.lower() == '"duckdb_tables"'
    assert isinstance(refused(store, f"with {KELVIN} as (select 1) from duckdb_tables"), QueryError)
    assert isinstance(refused(store, f"with duckdb_tables as (select 1) from {KELVIN}"), QueryError)


@pytest.mark.parametrize("name", TABLE_FUNCTIONS)
def test_other_table_functions_are_refused(store: Store, files: Path, name: str) -> None:
    for call in (f"{name}('{files / 'secret.csv'}')", f"{name.upper()}()", f"main.{name}(1)", f"x.{name}(1)"):
        for sql in (f"from {call}", f"from readings, lateral {call}", f"with a as (from {call}) from a"):
            assert isinstance(refused(store, sql), QueryError)


@pytest.mark.parametrize("call", FUNCTIONS)
def test_functions_about_the_machine_are_refused(store: Store, call: str) -> None:
    """Method: each in every place that takes an expression, arguments of allowed functions among them."""
    for place in (
        "select {}",
        "select lower({}::varchar)",
        "from unnest([{}])",
        "from range({})",
        "from repeat({}, 1)",
        "select unnest([{}])",
        "select [x for x in [{}]]",
        "select max({}) over ()",
        "select 1 order by {}",
        "select 1 limit {}",
        "select string_agg('a', {} order by {})",
        "values ({})",
        "select {{'a': {}}}",
        "from readings join sensors on {}",
        "from readings tablesample 1% where {}",
    ):
        assert isinstance(refused(store, place.format(*[call] * place.count("{}"))), QueryError)


def test_files_are_refused_by_name(store: Store, files: Path) -> None:
    """Method: names and globs that DuckDB would read, quoted in both ways."""
    for name in ("secret.csv", "secret.parquet", "secret.json", "*.csv"):
        for quoted in (f"'{files / name}'", f'"{files / name}"', f"'file://{files / name}'"):
            assert isinstance(refused(store, f"from {quoted}"), QueryError)
            assert isinstance(
                refused(store, f"with {quoted.replace(chr(39), chr(34))} as (from {quoted}) from {quoted}"), QueryError
            )


def test_fences_behind_the_guard_hold_alone(store: Store, files: Path) -> None:
    """Goal: a hole in the guard reads no file and writes nothing. Method: the guard is taken away."""
    path = files / "secret.csv"
    written = files / "written"
    with patch("hub.query.statements.check_sql", lambda cursor, sql, **_: sql):
        for sql in (
            f"from read_csv('{path}')",
            f"from read_text('{path}')",
            f"from '{path}'",
            f"from glob('{files}/*')",
            f"from sniff_csv('{path}')",
            "select getenv('SECRET')",
            f"copy readings to '{written}'",
            f"export database '{written}'",
            f"attach '{written}'",
            "insert into hot.readings from hot.readings",
            "with a as (insert into hot.sensors from hot.sensors returning *) from a",
            "delete from hub.applied",
            "create table hub.x (a int)",
            "set memory_limit = '1TB'",
            "set enable_external_access = true",
            "install httpfs",
            "load httpfs",
        ):
            with pytest.raises(QueryError):
                answer(store, sql)
    assert not written.exists()
    assert answer(store, "select count(*) from readings") == [(100,)]


# --- Any mixture ------------------------------------------------------------------------------------------------------


NESTS = (
    "from ({query}) t",
    "select * from ({query}) order by all limit 100",
    "select columns(*) from ({query})",
    "select to_json(t)::varchar from ({query}) t",
    "select distinct t from ({query}) t where t is not null",
    "select (select to_json(list(x))::varchar from ({query}) x)",
    "select [x for x in (select list(x::varchar) from ({query}) x)]",
    "select max(t::varchar) over (), t from ({query}) t",
    "select list_transform((select list(x::varchar) from ({query}) x), lambda y: lower(y))",
    "select case when exists ({query}) then (select min(x::varchar) from ({query}) x) end",
    "values ((select min(x::varchar) from ({query}) x))",
    "from unnest((select list(x::varchar) from ({query}) x))",
    "from json_each((select to_json(list(x)) from ({query}) x))",
    "from range(1), lateral ({query})",
    "from readings semi join sensors using (sensor_id), ({query}) t limit 100",
    "from (select 1) u positional join ({query})",
    "from (pivot (select 1 k, 2 v) on k in (1) using sum(v)) p, ({query}) t",
    "({query}) union all ({query})",
    "(select 1 a) union all by name ({query})",
    "({query}) except (select * from ({query}) where false)",
    "from (describe {query})",
    "with a as ({query}) from a",
    "with a as ({query}), {view} as (select 1) from a",
    "with {view} as (select 7 as n) from ({query}) t",
    "with {view} as ({query}) from {view}",
    "with {view} as materialized ({query}) select to_json(t)::varchar from {view} t",
    "with recursive {view} as ({query}) from {view}",
    "with recursive {view} as ({query} union all from {view} where false) from {view}",
    "with recursive {view}(n) as (select 1 union all select n + 1 from {view} where n < 3) from ({query}) t, {view}",
    "with a as (with {view} as (select 1) from {view}) from ({query}) t",
    "from (with {view} as (select 1 as n) from {view}) a, ({query}) t",
)
"""What a query is put into; braces take the query and a name that DuckDB's catalogue knows."""


@st.composite
def statements(draw: Callable[..., Any]) -> str:
    """One statement, FILES in place of the folder: something forbidden or a data set, in up to four nests."""

    def one(*choices: str) -> str:
        return str(draw(st.sampled_from(choices)))

    view = one(*CATALOGUE[:2], *CATALOGUE)
    disguises = (view, view, view, KELVIN, one(*CATALOGUE))
    file = one("'FILES/secret.csv'", "'FILES/secret.json'", "'FILES/secret.parquet'", "'FILES/secret'")
    call = f"{one(*TABLE_FUNCTIONS)}({one('', file, repr('hub.applied'))})"
    data_set = one("readings", "main.READINGS", '"Sensors"', "sensors")
    table = one(view, view, view, view.upper(), f"main.{view}", one(*FORBIDDEN_TABLES), call, file, data_set, data_set)
    expression = one(*FUNCTIONS, "current_date", "'a'", "[1, 2]")
    kinds = (f"from {table}", f"from {table}", f"table {table}", f"summarize {table}", f"show {table}")
    text = one(*kinds, f"select {expression}", f"from unnest([{expression}])", f"from range({expression})")
    for nest in draw(st.lists(st.sampled_from(NESTS), max_size=4)):
        if text.startswith(("table", "summarize", "show")):
            text = f"from ({text.removeprefix('table ')})"
        text = nest.replace("{view}", one(*disguises)).replace("{query}", text)
    word, dress = draw(
        st.sampled_from(((" ", "\n\t"), (" ", " /* ' */ "), (" ", ' -- "\n'), ("from", "FROM"), ("", "")))
    )
    text = text.replace(word, dress, draw(st.integers(0, 3))) if word else text
    return text + one("", "", "", ";", " -- end", " /* ; */", "\n", "; pragma version")


ACTS: tuple[str, ...] = (
    "set memory_limit = '1TB'",
    "set global threads = 64",
    "reset operator_memory_limit",
    "pragma enable_profiling",
    "set variable x = 1",
    "create macro m(a) as a + 1",
    "create or replace temp macro now() as table from read_csv('FILES/secret.csv')",
    "create temp table t as select 1",
    "create type mood as enum ('a')",
    "create secret (type s3)",
    "install httpfs",
    "load httpfs",
    "attach 'FILES/other.duckdb' as other",
    "use other",
    "detach store",
    "copy readings to 'FILES/out.csv'",
    "copy (select 1) to 'http://127.0.0.1:1/x'",
    "export database 'FILES/out'",
    "import database 'FILES/out'",
    "call duckdb_settings()",
    "call pragma_version()",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "begin",
    "commit",
    "rollback",
    "checkpoint",
    "vacuum",
    "analyze",
    "explain analyze select 1",
    "insert into readings select * from readings",
    "update sensors set kind = 'gas'",
    "delete from sensors",
    "merge into sensors using sensors s on false when not matched then insert values (1)",
    "drop view readings",
    "alter table readings rename to r",
    "comment on view readings is 'x'",
)


@st.composite
def statement_lists(draw: Callable[..., Any]) -> str:
    """What is no query, alone or before and after one, behind comments and odd white space."""
    gap = st.sampled_from(("", " ", "\n", "/* select 1 */", "-- select 1\n", "/* /* */ ; */", "\t\r\n", "\u00a0"))
    parts = draw(st.lists(st.sampled_from((*ACTS, "select 1", "from readings limit 1")), min_size=1, max_size=4))
    parts.insert(draw(st.integers(0, len(parts))), draw(st.sampled_from(ACTS)))
    return ";".join(f"{draw(gap)}{part.upper() if draw(st.booleans()) else part}{draw(gap)}" for part in parts)


@settings(max_examples=120, deadline=None)
@given(statement_lists())
def test_no_list_and_no_act_is_let_through(store: Store, files: Path, sql: str) -> None:
    """Goal: nothing is set, made, written or loaded. Method: each list holds one act at least; afterwards settings,
    functions, files and rows are as they were."""
    cursor = store.cursor()

    def world() -> list[object]:
        asked = (
            "select name, value from duckdb_settings() where name not like '%memory%' order by all",
            "select count(*) from duckdb_functions()",
            "select count(*) from duckdb_databases()",
            "select count(*), sum(hash(sensor_id, kind)) from main.sensors",
            "select count(*) from main.readings",
        )
        return [*(cursor.execute(one).fetchall() for one in asked), sorted(files.iterdir())]

    before = world()
    with pytest.raises((QueryError, LimitError)):
        answer(store, sql.replace("FILES", str(files)))
    assert world() == before
    cursor.close()


@settings(max_examples=600, deadline=None)
@given(statements())
def test_no_mixture_reaches_what_is_no_data_set(store: Store, files: Path, sql: str) -> None:
    """Goal: a statement is refused with a typed error, or its answer shows nothing but data sets.
    Method: what must not be reached is put into subqueries, joins, expressions and common table expressions that bear
    its name; the canary must not come to light."""
    sql = sql.replace("FILES", str(files))
    try:
        found = answer(store, sql, replace(LIMITS, time_s_max=5.0))
    except (QueryError, LimitError) as error:
        event(f"refused: {str(error)[:24]}")
        return
    event("answered")
    assert CANARY not in repr(found)


# --- Limits -----------------------------------------------------------------------------------------------------------


def limited(**changes: float) -> Limits:
    return replace(LIMITS, **changes)  # type: ignore[arg-type]


def test_a_long_text_is_refused_by_its_bytes(store: Store) -> None:
    """Method: a text that fits to the byte, and one Chinese letter more."""
    sql = "select '市'"
    size = len(sql.encode())
    started(store, sql, LIMITS, bytes_max=size).close()
    with pytest.raises(LimitError, match=f"{size} bytes, this one has {size + 3}"):
        started(store, "select '城市'", LIMITS, bytes_max=size)


@pytest.mark.parametrize(
    "sql",
    [
        "select " + "+".join(["1"] * 900),
        "select " + "not " * 900 + "true",
        "select " + "abs(" * 900 + "1" + ")" * 900,
        "select " + "[" * 900 + "1" + "]" * 900,
        "select * from " + "(select * from " * 900 + "readings" + ")" * 900,
        "with a as (" * 900 + "select 1" + ") select 1" * 900,
        "from range(1) a0 " + " ".join(f"join range(1) a{n} on true" for n in range(1, 1200)),
        "select " + "(" * 5000 + "1" + ")" * 5000,
        "select " + "+".join(["1"] * 9000),
    ],
    ids=["sum", "not", "call", "list", "subquery", "expression", "join", "brackets", "long sum"],
)
def test_deep_nesting_is_refused(store: Store, sql: str) -> None:
    """Goal: no text brings the centre down. Method: each construct nested beyond Python's depth or DuckDB's."""
    assert refused(store, sql)


def test_rows_end_at_their_limit(store: Store) -> None:
    """Method: an answer of exactly so many rows, and of one more, in several batches."""
    limits = limited(rows_max=3_000, batch_rows=1_000)
    assert len(answer(store, "from range(3000)", limits)) == 3_000
    query = started(store, "from range(3001)", limits)
    with pytest.raises(LimitError, match="more than 3000 rows") as caught:
        list(query)
    assert "LIMIT" in caught.value.hint
    query.close()


@pytest.mark.parametrize(
    "sql",
    [
        "select sum(n) from range(1000000000000) t(n)",
        "select * from range(1000000000) a, range(1000000000) b where hash(a.range, b.range) = 1",
        "with recursive t(n) as (select 1 union all select n + 1 from t) select max(n) from t",
    ],
    ids=["aggregate", "join", "recursion"],
)
def test_time_ends_at_its_limit(store: Store, sql: str) -> None:
    started_s = time.monotonic()
    with pytest.raises(LimitError, match=r"more than 0\.2 s"):
        answer(store, sql, limited(time_s_max=0.2))
    assert time.monotonic() - started_s < 5


def test_time_runs_while_nobody_reads(store: Store) -> None:
    """Goal: a client that stops reading does not keep a snapshot. Method: it reads on after its time."""
    query = started(store, "from range(100000000)", limited(time_s_max=0.2, rows_max=1 << 40))
    batches = iter(query)
    next(batches)
    time.sleep(0.4)
    with pytest.raises(LimitError, match=r"more than 0\.2 s"):
        list(batches)
    query.close()


def test_memory_ends_at_its_limit(store: Store) -> None:
    with pytest.raises(LimitError, match="memory"):
        answer(store, "select list(n) from range(100000000) t(n)")
    assert answer(store, "select 1") == [(1,)]


def test_a_cancelled_query_ends(store: Store) -> None:
    """Method: another thread cancels while batches are read; once more after the end, which does nothing."""
    query = started(store, "from range(1000000000000)", limited(rows_max=1 << 60))
    timer = threading.Timer(0.1, query.cancel)
    timer.start()
    with pytest.raises(UnavailableError, match="cancelled"):
        for _ in query:
            pass
    query.close()
    timer.join()
    query.cancel()


def test_an_error_of_duckdb_has_a_type(store: Store) -> None:
    """Method: faults that are found while binding, at the first row, and rows later."""
    for sql in (
        "select no_column from readings",
        "select 'a'::int",
        "select error('x')",
        "select (10000000 - n)::utinyint from range(20000000) t(n)",
        "select $1",
        "select 'a' + interval 1 day",
    ):
        with pytest.raises(QueryError):
            answer(store, sql, limited(rows_max=1 << 40))


def test_a_fault_within_duckdb_ends_one_query(store: Store) -> None:
    """Goal: a query that brings out a fault of DuckDB's does not end the store for all others, nor show the host's
    paths. Method: a statement that has one in the release at hand; where it is mended, it is answered."""
    each = "json_each((select to_json(list(s)) from sensors s))"
    told = ""
    try:
        answer(store, f"select case when exists (from {each}) then (select count(*) from {each}) end")
    except QueryError as error:
        told = str(error)
    assert "Stack Trace" not in told
    assert answer(store, "select count(*) from sensors") == [(10,)]


def test_an_answer_stands_at_one_position(store: Store) -> None:
    """Goal: position and rows belong together, whatever is applied meanwhile. Method: rows are applied after the
    query was started and before it is read."""
    lsn = store.applied()["ecc"]
    query = started(store, "select count(*) from exchanges", LIMITS)
    entry = make_entry(after=EntryId(lsn=lsn, epoch=1), epoch=1, kind=Kind.MARK, payload=b"")
    store.apply("ecc", [entry])
    assert query.position["ecc"] == lsn
    assert [batch.num_rows for batch in query] == [1]
    query.close()
    later = started(store, "select 1", LIMITS)
    assert later.position["ecc"] == lsn + 1
    later.close()


def test_a_transaction_is_used_again_while_it_shows_the_newest_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method: begun and ended, with an apply between, from two limits of memory, and too late."""
    reads = store.reads
    first = reads.begin(1 << 20)
    reads.end(first, reusable=True)
    other = reads.begin(2 << 20)
    assert other is not first
    assert reads.begin(1 << 20) is first
    reads.end(other, reusable=False)
    ticket = store.readers.enter()
    store.readers.drop(["segment"], "ops", 1)
    store.readers.leave(ticket)
    assert store.readers.free(lambda log, lsn: True) == [], "the first may read it still"
    reads.end(first, reusable=True)
    lsn = store.applied()["ops"] + 1
    after = EntryId(lsn=lsn - 1, epoch=1)
    store.apply("ops", [rows_entry("readings", Operation.APPEND, READINGS, after)])
    assert store.readers.free(lambda log, lsn: True) == ["segment"], "what an apply outdates is closed"
    newer = reads.begin(1 << 20)
    assert newer.position["ops"] == lsn
    reads.end(newer, reusable=True)
    monkeypatch.setattr("hub.store.reads._REUSED_S_MAX", 0.0)
    late = reads.begin(1 << 20)
    assert late is not newer
    reads.end(late, reusable=False)
