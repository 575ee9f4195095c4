"""Prepared statements: the text under a handle, and the parameters that were bound to it last."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as fl

from hub.errors import BadRequestError, LimitError, QueryError
from hub.flight.puts import batches_of
from hub.query.statements import Statement

_PARAMETER_BYTES_MAX: Final = 1 << 20


@dataclass(slots=True)
class Prepared:
    sql: str
    names: tuple[str, ...]
    parameters: Sequence[Any] | Mapping[str, Any] = ()

    @property
    def is_bound(self) -> bool:
        return len(self.parameters) == len(self.names)


class PreparedStatements:
    """For any thread; the longest unused are forgotten beyond `kept_max`."""

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Prepared] = OrderedDict()

    def add(self, sql: str, statement: Statement) -> bytes:
        handle = secrets.token_bytes(16)
        with self._lock:
            self._kept[handle] = Prepared(sql, statement.parameters)
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        return handle

    def get(self, handle: bytes) -> Prepared:
        """Raises QueryError."""
        with self._lock:
            if handle not in self._kept:
                raise QueryError("this centre knows no such prepared statement", hint="prepare it again")
            self._kept.move_to_end(handle)
            return self._kept[handle]

    def remove(self, handle: bytes) -> None:
        with self._lock:
            self._kept.pop(handle, None)


def parameter_schema(statement: Statement) -> pa.Schema:
    """Text stands for any type: what is bound is converted where the statement says to what."""
    return pa.schema([pa.field(name, pa.string()) for name in statement.parameters])


def read_parameters(prepared: Prepared, rows: fl.MetadataRecordBatchReader) -> Sequence[Any] | Mapping[str, Any]:
    """One set of parameters: by name where the statement has names, else by place. Raises BadRequestError."""
    found: list[pa.RecordBatch] = []
    size = 0
    for batch in batches_of(rows):
        if batch.num_rows:
            found.append(batch)
            size += batch.nbytes
        if size > _PARAMETER_BYTES_MAX:
            raise LimitError(f"parameters may have {_PARAMETER_BYTES_MAX} bytes")
    if sum(batch.num_rows for batch in found) != 1:
        raise BadRequestError("a statement is run with one set of parameters at a time")
    try:
        values = [column[0].as_py() for column in found[0].columns]
    except (ValueError, pa.ArrowException) as error:
        raise BadRequestError(f"a parameter cannot be read: {error}") from error
    names = found[0].schema.names
    if set(names) == set(prepared.names) and not all(name.isdigit() for name in prepared.names):
        return dict(zip(names, values, strict=True))
    if len(values) != len(prepared.names):
        raise BadRequestError(f"the statement has {len(prepared.names)} parameters; given are {len(values)}")
    if all(name.isdigit() for name in prepared.names):
        return values
    return dict(zip(prepared.names, values, strict=True))
