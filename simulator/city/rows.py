"""Columns into batches in the schemas of the contracts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.catalogue.load import builtin_contracts

DAY_MS = 86_400_000


def batch(data_set: str, columns: dict[str, Any]) -> pa.RecordBatch:
    """Rows of a data set: Arrow arrays, numpy arrays, or one value for all rows; columns not named are null."""
    schema = builtin_contracts()[data_set].schema
    assert not (columns.keys() - set(schema.names)), columns.keys() - set(schema.names)
    count = next(len(values) for values in columns.values() if isinstance(values, (pa.Array, np.ndarray)))
    arrays = [_column(columns.get(field.name), field.type, count) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def pick(words: Sequence[str] | pa.Array, indices: npt.NDArray[np.integer]) -> pa.Array:
    """The word at each index."""
    return (words if isinstance(words, pa.Array) else pa.array(words, pa.string())).take(pa.array(indices))


def moments(milliseconds: npt.NDArray[np.int64]) -> pa.Array:
    """Milliseconds since 1970, UTC, as timestamps."""
    return pa.array(milliseconds).view(pa.timestamp("ms"))


def days(numbers: npt.NDArray[np.integer] | npt.NDArray[np.floating]) -> pa.Array:
    """Days since 1970 as dates."""
    return pa.array(numbers.astype(np.int32)).view(pa.date32())


def where(mask: npt.NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """The values where the mask is true, else null."""
    return pa.compute.if_else(pa.array(mask), values, pa.scalar(None, values.type))


def _column(values: Any, kind: pa.DataType, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, kind)
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    if isinstance(values, np.ndarray):
        return pa.array(values, kind)
    return pa.repeat(pa.scalar(values, kind), count)
