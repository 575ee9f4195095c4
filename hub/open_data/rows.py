"""From a contract to the one query whose answer is published. Pure.

    with opened  as (columns that go out, made coarser, from the data set),
         crowds  as (combinations of quasi identifiers that k rows or more have)
    select the rows of opened whose combination is among crowds, sorted

Null counts as a value. Rows come sorted by all that goes out: equal contents are equal files, and the order tells
nothing of rows that it does not show. The last column, `#all`, is the number of rows of the data set at the position of
the answer, which no second query would see.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from hub.catalogue.contract import Contract, arrow_type
from hub.catalogue.publication import Form, Outgoing, faults, outgoing
from hub.errors import ContractError

ROWS_ALL: Final = "#all"
"""No column of a contract can be called so."""
_MOMENTS: Final = pa.timestamp("us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is published of a data set. `crowd_rows_min` is k of the contract, 0 without quasi identifiers; `schema`,
    that of the files, has the columns' names in the contract's order, every field nullable."""

    data_set: str
    columns: tuple[Outgoing, ...]
    quasi_identifiers: tuple[str, ...]
    crowd_rows_min: int
    time_column: str
    sql: str
    schema: pa.Schema


def plan_of(contract: Contract) -> Plan:
    """Raises ContractError: not opened, or not so that it could be."""
    publication = contract.publication
    if publication is None:
        raise ContractError(
            f"data set {contract.name} is not open data",
            hint="mark the columns that may be seen as open and give the contract a publication: publication = {}",
        )
    if found := [f"{fault.column} {fault.message}".strip() for fault in faults(contract)]:
        raise ContractError(
            f"data set {contract.name}: its publication cannot be carried out: {'; '.join(found)}",
            hint="`cityhub contract lint` tells, before a contract is put in force",
        )
    columns = outgoing(contract)
    return Plan(
        data_set=contract.name,
        columns=columns,
        quasi_identifiers=publication.quasi_identifiers,
        crowd_rows_min=publication.k if publication.quasi_identifiers else 0,
        time_column=_time_column(contract, columns),
        sql=_sql(contract.name, columns, publication.quasi_identifiers, publication.k),
        schema=pa.schema([pa.field(one.name, _arrow(one.type)) for one in columns]),
    )


def _sql(data_set: str, columns: tuple[Outgoing, ...], quasi_identifiers: tuple[str, ...], k: int) -> str:
    source = quoted(data_set)
    names = ", ".join(quoted(one.name) for one in columns)
    shown = ", ".join(f"{_coarser(one)} as {quoted(one.name)}" for one in columns)
    tables, rows = f"opened as not materialized (select {shown} from {source})", "opened"  # noqa: S608
    if quasi_identifiers:
        quasi = [quoted(name) for name in quasi_identifiers]
        alike = " and ".join(f"opened.{name} is not distinct from crowds.{name}" for name in quasi)
        listed = ", ".join(quasi)
        tables += f", crowds as (select {listed} from opened group by {listed} having count(*) >= {k})"  # noqa: S608
        rows = f"opened semi join crowds on {alike}"
    number = f"(select count(*) from {source}) as {quoted(ROWS_ALL)}"  # noqa: S608
    return f"with {tables} select {names}, {number} from {rows} order by {names}"  # noqa: S608


def _coarser(one: Outgoing) -> str:
    name, amount = quoted(one.name), one.rule.amount
    match one.rule.form:
        case Form.AS_IS:
            return name
        case Form.YEAR:
            return f"year({name})::integer"
        case Form.DECADE:
            return f"(floor(year({name}) / 10) * 10)::integer"
        case Form.MONTH:
            return f"strftime({name}, '%Y-%m')"
        case Form.FIRST:
            return f"left({name}, {amount})"
        case Form.ROUND if one.type == "int64":
            return f"(round({name}::double / {amount}) * {amount})::bigint"
        case Form.ROUND:
            # The outer round takes off what the product of a fraction leaves; adding zero makes one of both zeros.
            return f"(round(round({name}::double / {amount}) * {amount}, {_digits(amount)}) + 0.0)::double"


def _digits(amount: str) -> int:
    return len(amount.partition(".")[2])


def _time_column(contract: Contract, columns: tuple[Outgoing, ...]) -> str:
    """The data set's column of time if it goes out as it is."""
    shown = {one.name for one in columns if one.rule.form is Form.AS_IS}
    return contract.time_column if contract.time_column in shown else ""


def _arrow(kind: str) -> pa.DataType:
    """Answers have every moment in microseconds."""
    found = arrow_type(kind)
    return _MOMENTS if pa.types.is_timestamp(found) else found


def quoted(name: str) -> str:
    """As SQL has it; names of a contract hold no quotes."""
    return f'"{name}"'
