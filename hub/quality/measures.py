"""How the measures of a data set are asked of a centre: SQL text out of a contract. Pure.

Rows accepted and rejected are exact. Completeness, uniqueness and linkage are of a sample where a data set is large
(`weights.toml`); what refers to another data set is looked up in all of that one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.catalogue.contract import Column, Contract, Kind

ACCEPTED: Final = "select data_set, sum(rows)::bigint as rows from exchanges where operation <> 'delete' group by all"
OPEN: Final = """
select q.data_set, count(*) as rows
from quarantine q anti join quarantine_resolutions r
    on r.producer = q.producer and r.sequence = q.sequence and r."row" = q."row" and r.data_set = q.data_set
group by all
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Shares from 0 to 1; None where a data set has nothing to be measured."""

    validity: float
    completeness: float | None
    uniqueness: float | None
    linkage: float | None


def count_rows(contract: Contract) -> str:
    return f"select count(*) as rows from {contract.name}"  # noqa: S608  # names of a contract, here and below


def sample_facts(contract: Contract, known: Collection[str], *, rows: int, sample_rows: int) -> str:
    """One row: `sampled`, `filled` of the values of optional columns, `alone` of the rows by key, and of the references
    `linked` values of `given`. `known` are the data sets that exist, `rows` how many this one has."""
    optional = _optional(contract)
    references = _references(contract, known)
    names = {*contract.key, *(column.name for column in (*optional, *references))}
    if contract.time_column is not None:
        names.add(contract.time_column)
    columns = ", ".join(f'"{column.name}"' for column in contract.columns if column.name in names) or "1 as one"
    sample = f"select {columns} from {contract.name}{_sampling(contract, rows, sample_rows)}"  # noqa: S608
    facts = [
        "(select count(*) from sample) as sampled",
        f"{_values(optional)} as filled",
        f"({_alone(contract)}) as alone",
        f"{_values(references)} as given",
        f"{' + '.join(map(_linked, references)) or '0'} as linked",
    ]
    return f"with sample as materialized ({sample})\nselect {', '.join(facts)}"


def measures(contract: Contract, facts: Mapping[str, int], *, accepted: int, rejected: int) -> Measures:
    """From the row of `sample_facts` and the counts of ledger and quarantine, which are not both 0."""
    values = facts["sampled"] * len(_optional(contract))
    unique = 1.0 if contract.kind is Kind.REGISTRY else None
    if contract.kind is Kind.EVENT and contract.key:
        unique = _share(facts["alone"], facts["sampled"])
    return Measures(
        validity=accepted / (accepted + rejected),
        completeness=_share(facts["filled"], values),
        uniqueness=unique,
        linkage=_share(facts["linked"], facts["given"]),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _optional(contract: Contract) -> list[Column]:
    return [column for column in contract.columns if not column.required]


def _references(contract: Contract, known: Collection[str]) -> list[Column]:
    """Columns that refer to what exists, and not to themselves."""
    return [
        column
        for column in contract.columns
        if (there := column.reference) is not None
        and there.data_set in known
        and (there.data_set, there.column) != (contract.name, column.name)
    ]


def _sampling(contract: Contract, rows: int, sample_rows: int) -> str:
    if rows <= sample_rows:
        return ""
    if contract.kind is Kind.EVENT and contract.time_column is not None:
        return f' order by "{contract.time_column}" desc limit {sample_rows}'
    if contract.key:
        key = ", ".join(f'"{name}"' for name in contract.key)
        return f" where hash({key}) % {rows // sample_rows} = 0"
    return f" using sample reservoir({sample_rows} rows) repeatable (1)"


def _alone(contract: Contract) -> str:
    if contract.kind is Kind.REGISTRY or not contract.key:
        return "0"
    key = ", ".join(f'"{name}"' for name in contract.key)
    return f"select count(*) from (select 1 from sample group by {key} having count(*) = 1)"  # noqa: S608


def _values(columns: Sequence[Column]) -> str:
    counted = " + ".join(f'count("{column.name}")' for column in columns)
    return f"(select {counted} from sample)" if counted else "0"  # noqa: S608


def _linked(column: Column) -> str:
    there = column.reference
    assert there is not None, "a column that refers to nothing"
    return (
        f"(select count(*) from sample s semi join {there.data_set} r "  # noqa: S608
        f'on r."{there.column}" = s."{column.name}")'
    )
