"""Digests: two stores that applied the same entries of a log have equal digests of its data sets.

The digest of a data set is the sum, modulo 2⁶⁴ each, of two independent 64-bit hashes over its rows: independent of
row order, and every row counts as often as it is there (an incremental multiset hash, Bellare and Micciancio 1997,
with addition). It guards against faults, not against forgery. A segment counts as one element, its id: that its file
has these bytes is the checksum's business.
"""

from collections.abc import Iterable
from typing import Final

import duckdb

from hub.catalogue.contract import Contract
from hub.status import Digest
from hub.store.tables import table

_MODULUS: Final = 2**64
_SALTS: Final = (1, 2)


def digests(cursor: duckdb.DuckDBPyConnection, contracts: Iterable[Contract], log: str) -> list[Digest]:
    """Digests of the data sets of a log, by name, in the transaction of `cursor`. Of data sets that both logs write,
    the rows that came through this log."""
    return [
        _digest(cursor, contract, log)
        for contract in sorted(contracts, key=lambda contract: contract.name)
        if contract.home in (log, "each")
    ]


def _digest(cursor: duckdb.DuckDBPyConnection, contract: Contract, log: str) -> Digest:
    columns = ", ".join(f'"{column.name}"' for column in contract.columns)
    sums = ", ".join(f"sum(hash({salt}, {columns}))" for salt in _SALTS)
    rows_of_log = f"where log = '{log}'" if contract.home == "each" else ""
    sql = f"select count(*), {sums} from {table(contract)} {rows_of_log}"  # noqa: S608  # names are checked
    ((rows, *found),) = cursor.execute(sql).fetchall()
    ids = ", ".join(f"sum(hash({salt}, id))" for salt in _SALTS)
    sql = f"select coalesce(sum((descriptor->>'rows')::bigint), 0), {ids} from hub.segments where data_set = ?"  # noqa: S608
    ((in_segments, *of_segments),) = cursor.execute(sql, [contract.name]).fetchall()
    totals = [int(one or 0) + int(other or 0) for one, other in zip(found, of_segments, strict=True)]
    hexadecimal = "".join(f"{one % _MODULUS:016x}" for one in totals)
    return Digest(data_set=contract.name, rows=rows + int(in_segments), digest=hexadecimal)
