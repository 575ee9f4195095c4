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

CATALOG: Final = "store"
"""What DuckDB calls the database of a centre, after its file: tools write `store.main.readings`."""
_HINT: Final = "one SELECT over data sets; `cityhub datasets` lists them"
_TABLE_FUNCTIONS: Final = frozenset({"generate_series", "range", "repeat", "unnest", "json_each", "json_tree"})
_QUERY_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
# Known to DuckDB's binder, not to its catalogue.
_BOUND: Final = frozenset({"unnest"})
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
    try:
        size = len(sql.encode())
    except UnicodeEncodeError as error:
        raise QueryError(f"the statement is no text: {error}", hint=_HINT) from error
    if size > bytes_max:
        raise LimitError(f"a statement may have {bytes_max} bytes, this one has {size}")
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(str(error), hint=_HINT) from error
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, not {len(statements)}", hint=_HINT)
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(f"a {statements[0].type.name} statement is refused: reads only", hint=_HINT)
    text = statements[0].query
    try:
        _check(_tree(cursor, text), _Scope(frozenset(), frozenset(relations), _functions(cursor)))
    except RecursionError:
        raise LimitError("the statement is nested too deeply", hint="write it with fewer levels") from None
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

    def with_expression(self, name: str) -> "_Scope":
        return replace(self, expressions=self.expressions | {_folded(name)})


def _check(node: Any, scope: _Scope) -> None:
    if isinstance(node, list):
        for child in node:
            _check(child, scope)
    elif isinstance(node, dict):
        scope = _check_expressions(node, scope)
        for refusal in _refusals(node, scope):
            raise QueryError(refusal, hint=_HINT)
        kind = node.get("type")
        for name, child in node.items():
            if name == "cte_map":
                continue  # Checked above.
            if kind == "TABLE_FUNCTION" and name == "function":
                _check(list(child.values()), scope)  # Its own name is on another list.
            elif kind == "RECURSIVE_CTE_NODE" and name == "right":
                _check(child, scope.with_expression(node["cte_name"]))
            else:
                _check(child, scope)


def _check_expressions(node: dict[str, Any], scope: _Scope) -> _Scope:
    """Checks the common table expressions of a node and returns the scope of its rest.

    Each sees those before it. Its own name and later ones DuckDB looks up in its catalogue, and so must we; of a
    recursive one, only the right side sees itself.
    """
    for entry in (node.get("cte_map") or {}).get("map", ()):
        _check(entry["value"], scope)
        scope = scope.with_expression(entry["key"])
    return scope


def _refusals(node: dict[str, Any], scope: _Scope) -> Iterator[str]:
    kind = str(node.get("type"))
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        yield f"{kind.partition('_')[0]} is refused: reads only"
    elif kind == "BASE_TABLE":
        yield from _table_refusals(node, scope)
    elif kind == "TABLE_FUNCTION":
        function = node["function"]
        name = _folded(function["function_name"])
        if function.get("schema") or function.get("catalog") or name not in _TABLE_FUNCTIONS:
            yield f"table function {name!r} is refused: no access to files, settings or other databases"
    elif kind == "SHOW_REF" and node.get("show_type") == "SHOW_SPECIAL":
        yield "SHOW is refused: the catalogue lists data sets"
    elif kind == "SHOW_REF" and node.get("query") is None:
        yield from _table_refusals(node, replace(scope, expressions=frozenset()))
    elif "function_name" in node:
        name = _folded(node["function_name"])
        if node.get("catalog") or node.get("schema") not in (None, "", "main") or name not in scope.functions:
            yield f"function {name!r} is refused or does not exist"


def _table_refusals(node: dict[str, Any], scope: _Scope) -> Iterator[str]:
    catalog, schema = node.get("catalog_name", ""), node.get("schema_name", "")
    name = node["table_name"]
    if (catalog and (_folded(catalog), _folded(schema)) != (CATALOG, "main")) or schema not in ("", "main"):
        yield f"{'.'.join(part for part in (catalog, schema, name) if part)!r} is refused: only data sets can be read"
    elif _folded(name) not in scope.relations and not (schema == "" and _folded(name) in scope.expressions):
        yield f"there is no data set {name!r}"


def _folded(name: str) -> str:
    """As DuckDB compares names: only A to Z have two cases. `str.lower` would take the Kelvin sign for a k."""
    return name.encode().lower().decode()


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
        _known_functions[version] = frozenset(consistent - denied) | _VOLATILE | _BOUND
    return _known_functions[version]
