"""Lets one read-only statement over the data sets through, and nothing else.

The statement is parsed by DuckDB itself into its syntax tree, and every node of the tree is looked at: tables must be
data sets or common table expressions in scope, functions must be on a list derived from DuckDB's own catalogue. Below
the guard lie a read-only transaction and a database without access to files, network, extensions or settings: the
guard is there to refuse early, with a reason.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb

from hub.errors import LimitError, QueryError

_HINT: Final = "one SELECT over data sets; `cityhub datasets` lists them"
_TABLE_FUNCTIONS: Final = frozenset({"generate_series", "range", "repeat", "unnest", "json_each", "json_tree"})
# Volatile functions that tell nothing about the machine and change nothing.
_VOLATILE: Final = frozenset(
    {
        "ago",
        "current_date",
        "get_current_time",
        "get_current_timestamp",
        "now",
        "random",
        "today",
        "uuid",
        "uuidv4",
        "uuidv7",
        "gen_random_uuid",
        "transaction_timestamp",
        "error",
    }
)
# Consistent by DuckDB's account, yet about the database and its host rather than about values.
_DENIED_PREFIXES: Final = ("pg_", "has_", "inet_", "json_serialize", "json_deserialize", "duckdb_", "current_", "icu_")
_DENIED: Final = frozenset(
    {
        "user",
        "session_user",
        "get_block_size",
        "version",
        "col_description",
        "obj_description",
        "shobj_description",
        "assert_true",
        "in_search_path",
        "stats",
        "write_log",
        "sleep_ms",
        "getvariable",
        "nextval",
        "currval",
        "setval",
        "setseed",
        "vector_type",
        "txid_current",
    }
)


def check_sql(cursor: duckdb.DuckDBPyConnection, sql: str, *, relations: Collection[str], bytes_max: int) -> str:
    """The statement to run; `cursor` only parses it and tells DuckDB's functions.

    Raises QueryError with what is refused, LimitError when the text is too long.
    """
    if (size := len(sql.encode("utf-8", errors="surrogatepass"))) > bytes_max:
        raise LimitError(f"a statement may have {bytes_max} bytes, this one has {size}")
    try:
        statements = duckdb.extract_statements(sql)
    except (duckdb.Error, UnicodeError) as error:
        raise QueryError(str(error), hint=_HINT) from error
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, not {len(statements)}", hint=_HINT)
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(f"a {statements[0].type.name} statement is refused: reads only", hint=_HINT)
    text = statements[0].query
    _check(_tree(cursor, text), _Scope(frozenset(), frozenset(relations), _functions(cursor)))
    return text


def _tree(cursor: duckdb.DuckDBPyConnection, sql: str) -> Any:
    ((text,),) = cursor.execute("select json_serialize_sql(?)", [sql]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        raise QueryError(tree["error_message"], hint=_HINT)
    return tree["statements"]


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names that mean something here: common table expressions, data sets, functions."""

    expressions: frozenset[str]
    relations: frozenset[str]
    functions: frozenset[str]


def _check(node: Any, scope: _Scope) -> None:
    if isinstance(node, list):
        for child in node:
            _check(child, scope)
    elif isinstance(node, dict):
        if isinstance(ctes := node.get("cte_map"), dict):
            names = {entry["key"].lower() for entry in ctes.get("map", ())}
            scope = replace(scope, expressions=scope.expressions | names)
        for refusal in _refusals(node, scope):
            raise QueryError(refusal, hint=_HINT)
        for name, child in node.items():
            if node.get("type") == "TABLE_FUNCTION" and name == "function":
                child = child.get("children")  # Its own name is on another list.
            _check(child, scope)


def _refusals(node: dict[str, Any], scope: _Scope) -> Iterator[str]:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        yield from _table_refusals(node, scope)
    elif kind == "TABLE_FUNCTION":
        function = node["function"]
        name = function["function_name"].lower()
        if function.get("schema") or function.get("catalog") or name not in _TABLE_FUNCTIONS:
            yield f"table function {name!r} is refused: no access to files, settings or other databases"
    elif kind == "SHOW_REF" and node.get("show_type") == "SHOW_SPECIAL":
        yield "SHOW is refused: the catalogue lists data sets"
    elif "function_name" in node:
        name = node["function_name"].lower()
        if node.get("catalog") or node.get("schema") not in (None, "", "main") or name not in scope.functions:
            yield f"function {name!r} is refused or does not exist"


def _table_refusals(node: dict[str, Any], scope: _Scope) -> Iterator[str]:
    catalog, schema = node.get("catalog_name", ""), node.get("schema_name", "")
    name = node["table_name"]
    if catalog or schema not in ("", "main"):
        yield f"{'.'.join(part for part in (catalog, schema, name) if part)!r} is refused: only data sets can be read"
    elif name.lower() not in scope.relations and not (schema == "" and name.lower() in scope.expressions):
        yield f"there is no data set {name!r}"


_known_functions: dict[str, frozenset[str]] = {}


def _functions(cursor: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Every scalar, aggregate, window and macro function that is about values alone; asked once a DuckDB version."""
    version = duckdb.__version__
    if version not in _known_functions:
        sql = (
            "select lower(function_name), bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT') "
            "from duckdb_functions() where function_type in ('scalar', 'aggregate', 'window', 'macro') group by 1"
        )
        consistent = {name for name, is_consistent in cursor.execute(sql).fetchall() if is_consistent}
        denied = {name for name in consistent if name.startswith(_DENIED_PREFIXES)} | _DENIED
        _known_functions[version] = frozenset(consistent - denied) | _VOLATILE
    return _known_functions[version]
