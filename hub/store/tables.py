"""SQL text for data sets. Pure: contract in, statement out. Names are checked by the contract and quoted here.

Schemas: `hot` holds the tables, `main` one view a data set, `hub` the hub's own state.
"""

from typing import Final

from hub.catalogue.contract import Contract

INCOMING: Final = "incoming"
DELETE_FLAG: Final = "_delete"
ORDER: Final = "_order"

OWN_TABLES: Final = (
    "create schema if not exists hot",
    "create schema if not exists hub",
    "create table if not exists hub.applied (log varchar, lsn bigint, producers_lsn bigint)",
    "create table if not exists hub.contracts "
    "(name varchar, version integer, log varchar, lsn bigint, contract varchar)",
    "create table if not exists hub.producers (log varchar, producer varchar, bounds bigint[])",
)

MERGE_PRODUCERS: Final = (
    f"merge into hub.producers held using {INCOMING} new on held.log = new.log and held.producer = new.producer "
    "when matched then update set bounds = new.bounds "
    "when not matched then insert values (new.log, new.producer, new.bounds)"
)


def create_table(contract: Contract) -> str:
    columns = ", ".join(f'"{column.name}" {column.duckdb}' for column in contract.columns)
    return f"create table {table(contract)} ({columns})"


def add_columns(before: Contract, after: Contract) -> list[str]:
    """What turns the table of one version into that of a later one."""
    new = after.columns[len(before.columns) :]
    return [f'alter table {table(after)} add column "{column.name}" {column.duckdb}' for column in new]


def create_view(contract: Contract) -> str:
    """What readers see. The one place that knows where the rows of a data set lie."""
    columns = ", ".join(f'"{column.name}"' for column in contract.columns)
    return f'create or replace view main."{contract.name}" as select {columns} from {table(contract)}'  # noqa: S608


def append_rows(contract: Contract) -> str:
    return f"insert into {table(contract)} by name select * from {INCOMING}"  # noqa: S608  # names are checked


def merge_rows(contract: Contract) -> str:
    """Upserts and deletes by key; of several rows with one key the last in log order counts."""
    key = ", ".join(f'"{name}"' for name in contract.key)
    matches = " and ".join(f'held."{name}" = new."{name}"' for name in contract.key)
    columns = [f'"{column.name}"' for column in contract.columns]
    changes = ", ".join(f"{column} = new.{column}" for column in columns)
    values = ", ".join(f"new.{column}" for column in columns)
    return (
        f"merge into {table(contract)} held using (select * from {INCOMING} "  # noqa: S608  # names are checked
        f"qualify row_number() over (partition by {key} order by {ORDER} desc) = 1) new on {matches} "
        f"when matched and new.{DELETE_FLAG} then delete "
        f"when matched then update set {changes} "
        f"when not matched and not new.{DELETE_FLAG} then insert ({', '.join(columns)}) values ({values})"
    )


def table(contract: Contract) -> str:
    return f'hot."{contract.name}"'
