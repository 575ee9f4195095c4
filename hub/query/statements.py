"""What is known of a statement before it runs. Statements come again and again: verdicts of the guard are kept while
the catalogue stays what it is."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from hub.errors import QueryError
from hub.query.guard import check_sql
from hub.store.store import Store

_KEPT_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Statement:
    """One that may run. `parameters` are its names, in order: "1", "2", … where they are only `?`."""

    text: str
    parameters: tuple[str, ...]


class Statements:
    """For any thread."""

    def __init__(self, store: Store, *, bytes_max: int) -> None:
        self._store = store
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Statement] = OrderedDict()
        self._contracts: Mapping[str, Any] = {}

    def checked(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> Statement:
        """Raises QueryError or LimitError."""
        contracts = self._store.contracts()
        with self._lock:
            if self._contracts is not contracts:
                self._contracts = contracts
                self._kept.clear()
            if (kept := self._kept.get(sql)) is not None:
                self._kept.move_to_end(sql)
                return kept
        text = check_sql(cursor, sql, relations=contracts.keys(), bytes_max=self._bytes_max)
        (parsed,) = duckdb.extract_statements(text)
        statement = Statement(text, tuple(sorted(parsed.named_parameters, key=lambda name: (len(name), name))))
        with self._lock:
            if self._contracts is contracts:
                self._kept[sql] = statement
                if len(self._kept) > _KEPT_MAX:
                    self._kept.popitem(last=False)
        return statement


def bound(statement: Statement, parameters: Sequence[object] | Mapping[str, object]) -> Any:
    """Parameters as DuckDB takes them. Raises QueryError when there are too many, or too few."""
    named = dict(parameters) if isinstance(parameters, Mapping) else None
    given = set(named) if named is not None else {str(place + 1) for place in range(len(parameters))}
    if given != set(statement.parameters):
        wanted = ", ".join(statement.parameters) or "none"
        raise QueryError(f"the statement has parameters {wanted}; given are {', '.join(sorted(given)) or 'none'}")
    return named if named is not None else list(parameters)


def schema_of(relation: duckdb.DuckDBPyRelation) -> pa.Schema:
    """Of the answer, which is not computed. DuckDB makes two columns of one name different in a limited relation."""
    kinds = [str(kind) for kind in relation.types]
    types = [_arrow_types.get(kind) for kind in kinds]
    if any(one is None for one in types):
        types = relation.limit(0).to_arrow_table().schema.types
        if len(_arrow_types) < _KEPT_MAX:
            _arrow_types.update(zip(kinds, types, strict=True))
    return pa.schema(list(zip(relation.columns, types, strict=True)))


_arrow_types: dict[str, pa.DataType] = {}
"""Arrow type of each DuckDB type that an answer had: to ask for it costs as much as a short query."""
