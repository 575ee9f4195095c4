"""What a log says of a segment: which rows it holds, and between which values they lie.

A descriptor as JSON, compact, the same text for equal descriptors:

    {"data_set": "readings", "contract_version": 1, "id": "<32 hexadecimal digits>", "rows": 2000000,
     "size_bytes": 2600000, "columns": [{"name": "sensor_id", "nulls": 0, "min": 1, "max": 10000}, ...],
     "sorted_by": ["observed_at"]}

| column type | `min` and `max` are |
| --- | --- |
| int8 … int64 | integers |
| float32, float64 | numbers |
| decimal | texts of digits, `"-12.50"`: a JSON number would lose some |
| date | texts, `"2017-04-12"` |
| timestamp | texts in UTC to the millisecond, `"2017-04-12T08:00:00.000"`: they sort as the times do |
| string | texts, by code point; long ones are cut, so that `max` may lie above every value |
| boolean | not given |

Both are null where there is no value. No value lies outside of them: whoever looks for one may pass a segment over.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from hub.catalogue.contract import Contract

BOUND_CHARACTERS_MAX: Final = 64
_LAST_CHARACTER: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)  # No characters.

Value = int | float | str | None


class DescriptorError(ValueError):
    """A text that is no descriptor: a fault of ours or a damaged log, never of an agency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRange:
    """`nulls` counts rows; `min` and `max` enclose all other values, in the form that the module's text gives."""

    name: str
    nulls: int
    min: Value
    max: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """`id` names the file, `columns` is in the contract's order, `sorted_by` are columns that rise from row to row."""

    data_set: str
    contract_version: int
    id: str
    rows: int
    size_bytes: int
    columns: tuple[ColumnRange, ...]
    sorted_by: tuple[str, ...]


_JSON: Final = TypeAdapter(Descriptor)


def descriptor_to_json(descriptor: Descriptor) -> str:
    return _JSON.dump_json(descriptor).decode()


def descriptor_from_json(text: str | bytes) -> Descriptor:
    """Raises DescriptorError."""
    try:
        return _JSON.validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise DescriptorError(f"no descriptor of a segment: {error}") from error


def describe(contract: Contract, rows: pa.Table, *, segment_id: str, size_bytes: int) -> Descriptor:
    """The descriptor of a file of these rows, which have passed the contract's checks."""
    return Descriptor(
        data_set=contract.name,
        contract_version=contract.version,
        id=segment_id,
        rows=rows.num_rows,
        size_bytes=size_bytes,
        columns=tuple(column_range(name, rows[name]) for name in rows.column_names),
        sorted_by=(contract.time_column,) if contract.time_column and _rises(rows[contract.time_column]) else (),
    )


def column_range(name: str, values: pa.ChunkedArray) -> ColumnRange:
    low, high = _extremes(values)
    return ColumnRange(name=name, nulls=values.null_count, min=low, max=high)


def _extremes(values: pa.ChunkedArray) -> tuple[Value, Value]:
    kind = values.type
    if values.null_count == len(values) or pa.types.is_boolean(kind) or pa.types.is_binary(kind):
        return None, None
    if pa.types.is_nested(kind):
        return None, None
    if pa.types.is_floating(kind):  # Arrow passes NaN over; numpy does not, and is faster.
        numbers = values.drop_null().to_numpy()
        low, high = numbers.min().item(), numbers.max().item()
        assert np.isfinite((low, high)).all(), "the rows did not pass the checks"
        return low, high
    found = pc.min_max(values)
    if pa.types.is_string(kind):
        return _below(found["min"].as_py()), _above(found["max"].as_py())
    return _plain(found["min"]), _plain(found["max"])


def _plain(value: pa.Scalar) -> Value:
    if pa.types.is_temporal(value.type):
        text: str = value.cast(pa.string()).as_py()
        return text.replace(" ", "T")
    plain = value.as_py()
    if isinstance(plain, Decimal):
        return f"{plain:f}"
    assert isinstance(plain, int), value.type
    return plain


def _below(text: str) -> str:
    """A text that is short, and not above this one."""
    return text[:BOUND_CHARACTERS_MAX]


def _above(text: str) -> Value:
    """A text that is short, and not below this one or any that begins as it does; None if there is none."""
    if len(text) <= BOUND_CHARACTERS_MAX:
        return text
    head = text[:BOUND_CHARACTERS_MAX].rstrip(chr(_LAST_CHARACTER))
    if not head:
        return None
    following = ord(head[-1]) + 1
    if _SURROGATES[0] <= following <= _SURROGATES[1]:
        following = _SURROGATES[1] + 1
    return head[:-1] + chr(following)


def _rises(values: pa.ChunkedArray) -> bool:
    """Whether no value lies below the one before it, and none is missing."""
    if values.null_count or len(values) == 0:
        return False
    counts = pa.int32() if pa.types.is_date(values.type) else pa.int64()
    numbers = values.cast(counts).to_numpy()
    return bool((numbers[1:] >= numbers[:-1]).all())
