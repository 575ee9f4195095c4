"""What catalogue calls of Flight SQL answer. Pure: contracts in, Arrow tables out, in exactly the format's schemas.

There is one catalogue with one schema, called as DuckDB calls them in statements.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from hub.catalogue.contract import Contract, Kind
from hub.query.guard import CATALOG
from hub.rpc.v1 import flight_sql_pb2 as pb

SCHEMA: Final = "main"
TABLE_TYPE: Final = "VIEW"

_NAME: Final = pa.string()


def _required(name: str, kind: pa.DataType = _NAME) -> pa.Field:
    return pa.field(name, kind, nullable=False)


CATALOGS: Final = pa.schema([_required("catalog_name")])
DB_SCHEMAS: Final = pa.schema([pa.field("catalog_name", _NAME), _required("db_schema_name")])
TABLE_TYPES: Final = pa.schema([_required("table_type")])
TABLES: Final = pa.schema(
    [
        pa.field("catalog_name", _NAME),
        pa.field("db_schema_name", _NAME),
        _required("table_name"),
        _required("table_type"),
    ]
)
TABLES_WITH_SCHEMA: Final = TABLES.append(_required("table_schema", pa.binary()))
PRIMARY_KEYS: Final = pa.schema(
    [
        pa.field("catalog_name", _NAME),
        pa.field("db_schema_name", _NAME),
        _required("table_name"),
        _required("column_name"),
        _required("key_sequence", pa.int32()),
        pa.field("key_name", _NAME),
    ]
)
FOREIGN_KEYS: Final = pa.schema(
    [
        pa.field("pk_catalog_name", _NAME),
        pa.field("pk_db_schema_name", _NAME),
        _required("pk_table_name"),
        _required("pk_column_name"),
        pa.field("fk_catalog_name", _NAME),
        pa.field("fk_db_schema_name", _NAME),
        _required("fk_table_name"),
        _required("fk_column_name"),
        _required("key_sequence", pa.int32()),
        pa.field("fk_key_name", _NAME),
        pa.field("pk_key_name", _NAME),
        _required("update_rule", pa.uint8()),
        _required("delete_rule", pa.uint8()),
    ]
)


def catalogs() -> pa.Table:
    return pa.table({"catalog_name": [CATALOG]}, schema=CATALOGS)


def db_schemas(command: pb.CommandGetDbSchemas) -> pa.Table:
    shown = _in_catalog(command, "catalog") and _like(SCHEMA, _given(command, "db_schema_filter_pattern"))
    rows = [{"catalog_name": CATALOG, "db_schema_name": SCHEMA}] if shown else []
    return pa.Table.from_pylist(rows, schema=DB_SCHEMAS)


def table_types() -> pa.Table:
    return pa.table({"table_type": [TABLE_TYPE]}, schema=TABLE_TYPES)


def tables(command: pb.CommandGetTables, contracts: Mapping[str, Contract]) -> pa.Table:
    schema = TABLES_WITH_SCHEMA if command.include_schema else TABLES
    shown = (
        _in_catalog(command, "catalog")
        and _like(SCHEMA, _given(command, "db_schema_filter_pattern"))
        and (not command.table_types or TABLE_TYPE in command.table_types)
    )
    pattern = _given(command, "table_name_filter_pattern")
    rows = [_table(one) for one in _by_name(contracts) if shown and _like(one.name, pattern)]
    return pa.Table.from_pylist(rows, schema=schema)


def primary_keys(command: pb.CommandGetPrimaryKeys, contracts: Mapping[str, Contract]) -> pa.Table:
    """Of registries: events may repeat theirs."""
    contract = contracts.get(command.table)
    rows = [] if contract is None or contract.kind is not Kind.REGISTRY else list(_key_rows(contract))
    return pa.Table.from_pylist(rows, schema=PRIMARY_KEYS)


def foreign_keys() -> pa.Table:
    """No contract declares any."""
    return FOREIGN_KEYS.empty_table()


def schema_of(contract: Contract) -> pa.Schema:
    """Every column as an answer has it, with what catalogue tools show of it."""
    fields = []
    for column in contract.columns:
        facts = {
            "ARROW:FLIGHT:SQL:CATALOG_NAME": CATALOG,
            "ARROW:FLIGHT:SQL:SCHEMA_NAME": SCHEMA,
            "ARROW:FLIGHT:SQL:TABLE_NAME": contract.name,
            "ARROW:FLIGHT:SQL:TYPE_NAME": column.duckdb,
            "ARROW:FLIGHT:SQL:REMARKS": f"{column.title.zh} {column.title.en}",
            "ARROW:FLIGHT:SQL:IS_READ_ONLY": "1",
        }
        kind = pa.timestamp("us") if column.type == "timestamp" else column.arrow
        fields.append(pa.field(column.name, kind, metadata=facts))
    return pa.schema(fields)


def _table(contract: Contract) -> dict[str, Any]:
    return {
        "catalog_name": CATALOG,
        "db_schema_name": SCHEMA,
        "table_name": contract.name,
        "table_type": TABLE_TYPE,
        "table_schema": schema_of(contract).serialize().to_pybytes(),
    }


def _key_rows(contract: Contract) -> Iterator[dict[str, Any]]:
    for place, name in enumerate(contract.key, start=1):
        yield {
            "catalog_name": CATALOG,
            "db_schema_name": SCHEMA,
            "table_name": contract.name,
            "column_name": name,
            "key_sequence": place,
            "key_name": None,
        }


def _by_name(contracts: Mapping[str, Contract]) -> Iterable[Contract]:
    return (contracts[name] for name in sorted(contracts))


def _given(command: Any, field: str) -> str | None:
    return getattr(command, field) if command.HasField(field) else None


def _in_catalog(command: Any, field: str) -> bool:
    return _given(command, field) in (None, "", CATALOG)


def _like(name: str, pattern: str | None) -> bool:
    """As LIKE: % stands for any letters, _ for one; a backslash takes either as it is."""
    if pattern is None:
        return True
    expression = re.sub(
        r"\\(.)|(%)|(_)|(.)",
        lambda m: re.escape(m[1] or m[4]) if m[1] or m[4] else ".*" if m[2] else ".",
        pattern,
        flags=re.DOTALL,
    )
    return re.fullmatch(expression, name, re.DOTALL) is not None
