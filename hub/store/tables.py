"""SQL text for data sets. Pure: contract in, statement out. Names are checked by the contract and quoted here.

Schemas: `hot` holds the tables, `main` one view a data set, `hub` the hub's own state. A hot table of events has a
column `_lsn` that readers do not see: the entry that brought the row, so that sealing drops the same rows everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from hub.catalogue.contract import Contract, Kind

INCOMING: Final = "incoming"
DELETE_FLAG: Final = "_delete"
ORDER: Final = "_order"
LSN: Final = "_lsn"

OWN_TABLES: Final = (
    "create schema if not exists hot",
    "create schema if not exists hub",
    "create table if not exists hub.applied (log varchar, lsn bigint, producers_lsn bigint)",
    "create table if not exists hub.contracts "
    "(name varchar, version integer, log varchar, lsn bigint, contract varchar)",
    "create table if not exists hub.producers (log varchar, producer varchar, bounds bigint[])",
    "create table if not exists hub.segments (id varchar, data_set varchar, descriptor varchar)",
    "create table if not exists hub.sealed (data_set varchar, lsn bigint)",
)

HOT_TABLES: Final = "select table_name from duckdb_tables() where schema_name = 'hot'"

ADD_SEGMENTS: Final = f"insert into hub.segments by name select * from {INCOMING}"  # noqa: S608  # a constant
REMOVE_SEGMENTS: Final = f"delete from hub.segments where id in (select id from {INCOMING})"  # noqa: S608  # as above

MERGE_PRODUCERS: Final = (
    f"merge into hub.producers held using {INCOMING} new on held.log = new.log and held.producer = new.producer "
    "when matched then update set bounds = new.bounds "
    "when not matched then insert values (new.log, new.producer, new.bounds)"
)


# Parameters: after which lsn of log ops, of log ecc, how many rows; an entry is always whole.
CONTRACTS_AFTER: Final = (
    "select contract, log, lsn from hub.contracts where (log = 'ops' and lsn > $1) or (log = 'ecc' and lsn > $2) "
    "qualify rank() over (order by log, lsn) <= $3 order by log, lsn"
)


def only_files_in(folder: str) -> list[str]:
    """For ever: no other setting changes any more."""
    return [
        f"set allowed_directories = [{_text(folder + '/')}]",
        "set allowed_configs = ['operator_memory_limit']",  # A query sets its own, on its own cursor.
        "set enable_external_access = false",
        "set lock_configuration = true",
    ]


def create_table(contract: Contract) -> list[str]:
    """The hot table; of a registry with an index of its key. On 4 million rows that makes an upsert of 10 rows take
    3 ms instead of 56 and a look-up 0.6 ms instead of 43, while loading takes twice as long (measured)."""
    columns = [f'"{column.name}" {column.duckdb}' for column in contract.columns]
    if has_lsn(contract):
        columns.append(f"{LSN} bigint")
    made = [f"create table {table(contract)} ({', '.join(columns)})"]
    if contract.kind is Kind.REGISTRY:
        made.append(f'create index "key of {contract.name}" on {table(contract)} ({_quoted(contract.key)})')
    return made


def has_lsn(contract: Contract) -> bool:
    """What the hub itself records has a column of its own for that."""
    return contract.kind is Kind.EVENT and contract.home != "each"


def add_columns(before: Contract, after: Contract) -> list[str]:
    """What turns the table of one version into that of a later one."""
    new = after.columns[len(before.columns) :]
    return [f'alter table {table(after)} add column "{column.name}" {column.duckdb}' for column in new]


def create_view(contract: Contract, files: Mapping[int, Sequence[str]] | None = None) -> str:
    """What readers see. The one place that knows where the rows of a data set lie: in its hot table and in `files`, by
    how many columns they have; columns added since are null."""
    columns = [column.name for column in contract.columns]
    parts = [f"select {_quoted(columns)} from {table(contract)}"]  # noqa: S608  # names are checked
    parts += [_scan(contract, count, paths) for count, paths in sorted((files or {}).items())]
    return f'create or replace view main."{contract.name}" as {" union all ".join(parts)}'


def create_closed_view(contract: Contract, reason: str) -> str:
    """A view that ends every query of it with an error, whatever it asks: columns and rows alike are errors, so that no
    filter and no count can do without one."""
    fault = f"error({_text(reason)})"
    columns = ", ".join(f'{fault}::{column.duckdb} as "{column.name}"' for column in contract.columns)
    rows = f"select {columns} from range(1) where {fault} is null"  # noqa: S608  # names are checked
    return f'create or replace view main."{contract.name}" as {rows}'


def append_rows(contract: Contract) -> str:
    return f"insert into {table(contract)} by name select * from {INCOMING}"  # noqa: S608  # names are checked


def merge_rows(contract: Contract) -> str:
    """Upserts and deletes by key; of several rows with one key the last in log order counts."""
    key = ", ".join(f'"{name}"' for name in contract.key)
    matches = " and ".join(f'held."{name}" = new."{name}"' for name in contract.key)
    columns = [f'"{column.name}"' for column in contract.columns]
    # Not the key: what an index knows is deleted and inserted anew when it is set, even to what it is.
    changes = ", ".join(
        f'"{column.name}" = new."{column.name}"' for column in contract.columns if column.name not in contract.key
    )
    values = ", ".join(f"new.{column}" for column in columns)
    return (
        f"merge into {table(contract)} held using (select * from {INCOMING} "  # noqa: S608  # names are checked
        f"qualify row_number() over (partition by {key} order by {ORDER} desc) = 1) new on {matches} "
        f"when matched and new.{DELETE_FLAG} then delete "
        f"when matched then {f'update set {changes}' if changes else 'do nothing'} "
        f"when not matched and not new.{DELETE_FLAG} then insert ({', '.join(columns)}) values ({values})"
    )


def hot_lsns(contract: Contract) -> str:
    return f"select {LSN} as lsn, count(*) as count from {table(contract)} group by 1 order by 1"  # noqa: S608


def hot_rows(contract: Contract) -> str:
    """Rows to be sealed, in the order of the log; parameter: through which lsn."""
    columns = _quoted([column.name for column in contract.columns])
    return f"select {columns} from {table(contract)} where {LSN} <= ? order by {LSN}, rowid"  # noqa: S608  # as above


def rows_after(contract: Contract) -> str:
    """Parameters: after which lsn, how many rows; an entry is always whole."""
    columns = _quoted([column.name for column in contract.columns])
    return (
        f"select {columns}, {LSN} as lsn, '{contract.home}' as log from {table(contract)} "  # noqa: S608  # as above
        f"where {LSN} > $1 qualify rank() over (order by {LSN}) <= $2 order by {LSN}, rowid"
    )


def drop_sealed(contract: Contract) -> str:
    """Parameter: through which lsn."""
    return f"delete from {table(contract)} where {LSN} <= ?"  # noqa: S608  # names are checked


def table(contract: Contract) -> str:
    return f'hot."{contract.name}"'


def _scan(contract: Contract, count: int, paths: Sequence[str]) -> str:
    listed = ", ".join(map(_text, paths))
    columns = ", ".join(
        f'"{column.name}"' if place < count else f'null::{column.duckdb} as "{column.name}"'
        for place, column in enumerate(contract.columns)
    )
    return f"select {columns} from read_parquet([{listed}])"  # noqa: S608  # names are checked, paths our own


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
