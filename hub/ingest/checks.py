"""Does a batch of rows hold what its contract promises? Pure; the server and the loader share it.

    rows of an agency → conform (columns and types: all or nothing) → check (values: row by row) → accepted, rejected

`check` refuses, row by row: a null in a required column; NaN and the infinities in any column of floats (neither is
taken for a null: the sender says null); a day outside the years 1 to 9999, which no reader of the store could show;
whatever the column's domain forbids; a moment before the one that it cannot precede. A place outside of the city whose
longitude and latitude seem to be exchanged says so. A `pattern` (RE2) must match the whole text, `length_max` counts
characters, `min` and `max` are rounded to the column's own type before they are compared, `code` is one with check
digits (`codes`).

Columns are judged whole, by their extremes where that is enough. Only rows that fail cost Python a step each.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Column, Contract
from hub.errors import ExchangeError
from hub.ingest.codes import PROBLEMS, wrong_codes

CONTENT_CHARACTERS_MAX: Final = 65_536
_VALUE_CHARACTERS_MAX: Final = 80
_DAYS: Final = (-719_162, 2_932_896)  # 0001-01-01 and 9999-12-31, counted from 1970-01-01
_MILLISECONDS: Final = (_DAYS[0] * 86_400_000, (_DAYS[1] + 1) * 86_400_000 - 1)
_WIDER_INTS: Final[dict[pa.DataType, tuple[pa.DataType, ...]]] = {
    pa.int8(): (pa.int16(), pa.int32(), pa.int64()),
    pa.int16(): (pa.int32(), pa.int64()),
    pa.int32(): (pa.int64(),),
    pa.uint8(): (pa.int16(), pa.int32(), pa.int64(), pa.uint16(), pa.uint32(), pa.uint64()),
    pa.uint16(): (pa.int32(), pa.int64(), pa.uint32(), pa.uint64()),
    pa.uint32(): (pa.int64(), pa.uint64()),
}
_WIDER_FLOATS: Final[dict[pa.DataType, tuple[pa.DataType, ...]]] = {
    pa.float16(): (pa.float32(), pa.float64()),
    pa.float32(): (pa.float64(),),
    pa.int8(): (pa.float32(), pa.float64()),
    pa.uint8(): (pa.float32(), pa.float64()),
    pa.int16(): (pa.float32(), pa.float64()),
    pa.uint16(): (pa.float32(), pa.float64()),
    pa.int32(): (pa.float64(),),
    pa.uint32(): (pa.float64(),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that was refused. `row` counts from 0, in the batch or in the file, as whoever made it says.

    `content` is the row as a JSON object, or the raw text of one that could not be parsed, cut after
    CONTENT_CHARACTERS_MAX characters.
    """

    row: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`accepted` is the very batch that came in when nothing was refused. `rejected` is in row order."""

    accepted: pa.RecordBatch
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """`bad` marks the rows of `values` that `problem` applies to; it has no nulls."""

    column: str
    values: pa.Array
    bad: pa.BooleanArray
    problem: str


def check(contract: Contract, rows: pa.RecordBatch, *, key_only: bool = False) -> Checked:
    """Splits rows, in exactly the contract's schema (its key schema if `key_only`), into good ones and refused ones.

    A row is refused once, with all its reasons. Raises nothing: a batch of another schema is a fault of the caller.
    """
    assert rows.schema.equals(_schema(contract, key_only)), f"{contract.name}: rows did not go through conform"
    columns = [contract.column(name) for name in contract.key] if key_only else contract.columns
    faults = [
        fault
        for column, values in zip(columns, rows.columns, strict=True)
        for fault in _faults(column, values, in_key=column.name in contract.key)
    ]
    if not key_only:
        faults += _order_faults(contract, rows)
        if faults and contract.place is not None:
            faults += _exchanged_faults(contract, rows)
    return _split(rows, faults) if faults else Checked(accepted=rows, rejected=())


def conform(contract: Contract, rows: pa.RecordBatch, *, key_only: bool = False) -> pa.RecordBatch:
    """Rows in exactly the contract's schema (its key schema if `key_only`): columns ordered, types widened.

    A missing column becomes nulls unless it is required. What is cast: wider integers and floats, decimals with more
    digits, other layouts of strings, timestamps of another unit or zone, as long as every value stays what it is; a
    timestamp without a zone is UTC. `rows` must be sound (`validate(full=True)`). Raises ExchangeError.
    """
    schema = _schema(contract, key_only)
    if rows.schema.equals(schema):
        return rows
    names = rows.schema.names
    _refuse_names(contract, names, schema)
    arrays = [
        _cast(contract, rows.column(field.name), field)
        if field.name in names
        else _absent(contract, field, rows.num_rows)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def row_contents(rows: pa.RecordBatch, indices: Sequence[int]) -> list[str]:
    """The rows at these places, each as a JSON object: times in ISO form, bytes as text with escapes."""
    if not len(indices):
        return []
    picked = rows.take(pa.array(indices, pa.int64()))
    names = _unique(picked.schema.names)
    columns = [_plain(column) for column in picked.columns]
    return [
        shorten(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str), CONTENT_CHARACTERS_MAX)
        for row in zip(*columns, strict=True)
    ]


def shorten(text: str, characters_max: int) -> str:
    """The text, or its beginning and how much is missing."""
    if len(text) <= characters_max:
        return text
    return f"{text[:characters_max]}… ({len(text) - characters_max} more characters)"


def _schema(contract: Contract, key_only: bool) -> pa.Schema:
    return contract.key_schema if key_only else contract.schema


def _faults(column: Column, values: pa.Array, *, in_key: bool) -> Iterator[_Fault]:
    if column.required and values.null_count:
        problem = "is missing, and it is part of the key" if in_key else "is missing"
        yield _Fault(column=column.name, values=values, bad=values.is_null(), problem=problem)
    if values.null_count == len(values):
        return
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        yield from _calendar_faults(column, values)
    elif pa.types.is_floating(values.type):
        yield from _number_faults(column, values)
    elif column.domain is not None and not pa.types.is_boolean(values.type):
        if pa.types.is_string(values.type):
            yield from _text_faults(column, values)
        else:
            yield from _number_faults(column, values)


def _calendar_faults(column: Column, values: pa.Array) -> Iterator[_Fault]:
    day = pa.types.is_date(values.type)
    counts = values.view(pa.int32() if day else pa.int64())
    first, last = _DAYS if day else _MILLISECONDS
    if not day and values.type.unit == "us":
        first, last = first * 1000, last * 1000 + 999
    low, high = _extremes(counts)
    if low < first or high > last:
        bad = pc.or_(pc.less(counts, _scalar(first, counts.type)), pc.greater(counts, _scalar(last, counts.type)))
        yield from _fault(column, values, bad, "is outside the years 1 to 9999")
    domain = column.domain
    if domain is not None and domain.earliest is not None:
        limit = _moment(domain.earliest, values.type)
        if low < limit:
            yield from _fault(column, values, pc.less(counts, limit), f"is before {domain.earliest}")
    if domain is not None and domain.latest is not None:
        limit = _moment(domain.latest, values.type)
        if high > limit:
            yield from _fault(column, values, pc.greater(counts, limit), f"is after {domain.latest}")


def _number_faults(column: Column, values: pa.Array) -> Iterator[_Fault]:
    domain = column.domain
    numbers = values.cast(pa.float64()) if pa.types.is_decimal(values.type) else values
    low, high = _extremes(numbers)
    if not (math.isfinite(low) and math.isfinite(high)):
        yield from _fault(column, values, pc.invert(pc.is_finite(numbers)), "is not a finite number")
    if domain is None:
        return
    unit = f" {column.unit}" if column.unit else ""
    if domain.min is not None:
        limit = _limit(domain.min, numbers.type, math.ceil)
        if not low >= limit:  # Also when `low` is NaN, which hides the true minimum.
            bad = pc.less(numbers, _scalar(limit, numbers.type))
            yield from _fault(column, values, bad, f"is below {domain.min:g}{unit}")
    if domain.max is not None:
        limit = _limit(domain.max, numbers.type, math.floor)
        if not high <= limit:
            bad = pc.greater(numbers, _scalar(limit, numbers.type))
            yield from _fault(column, values, bad, f"is above {domain.max:g}{unit}")
    if domain.values is not None:
        yield from _foreign_faults(column, values, domain.values)


def _text_faults(column: Column, values: pa.Array) -> Iterator[_Fault]:
    domain = column.domain
    assert domain is not None
    if domain.values is not None:
        yield from _foreign_faults(column, values, domain.values)
    if domain.code is not None:
        wrong = wrong_codes(domain.code, values)
        if wrong.any():
            yield _Fault(column=column.name, values=values, bad=pa.array(wrong), problem=PROBLEMS[domain.code])
    if domain.pattern is not None:
        bad = pc.invert(pc.match_substring_regex(values, whole_pattern(domain.pattern)))
        yield from _fault(column, values, bad, f"does not match {domain.pattern}")
    if domain.length_max is not None:
        bad = pc.greater(pc.utf8_length(values), domain.length_max)
        yield from _fault(column, values, bad, f"is longer than {domain.length_max} characters")


def _order_faults(contract: Contract, rows: pa.RecordBatch) -> Iterator[_Fault]:
    for first, second in contract.order:
        bad = pc.greater(rows[first], rows[second])
        yield from _fault(contract.column(second), rows[second], bad, f"is before {first}")


def _exchanged_faults(contract: Contract, rows: pa.RecordBatch) -> Iterator[_Fault]:
    """Rows whose longitude would do as a latitude, and whose latitude as a longitude, each being wrong where it is."""
    assert contract.place is not None
    lon, lat = (contract.column(name) for name in contract.place)
    exchanged = pc.and_(_foreign_place(lon, rows[lon.name]), _foreign_place(lat, rows[lat.name]))
    fits = pc.or_(_foreign_place(lat, rows[lon.name]), _foreign_place(lon, rows[lat.name]))
    yield from _fault(lat, rows[lat.name], pc.and_not(exchanged, fits), f"and {lon.name} seem to be exchanged")


def _foreign_place(column: Column, values: pa.Array) -> pa.BooleanArray:
    domain = column.domain
    low = domain.min if domain is not None and domain.min is not None else -math.inf
    high = domain.max if domain is not None and domain.max is not None else math.inf
    return pc.or_(pc.less(values, low), pc.greater(values, high))


def whole_pattern(pattern: str) -> str:
    """RE2 pattern that matches a text as a whole."""
    return rf"\A(?:{pattern})\z"


def _foreign_faults(column: Column, values: pa.Array, known: tuple[str | int, ...]) -> Iterator[_Fault]:
    bad = pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=_value_set(known, values.type))))
    shown = shorten(", ".join(map(str, known)), _VALUE_CHARACTERS_MAX)
    yield from _fault(column, values, bad, f"is not one of {shown}")


def _fault(column: Column, values: pa.Array, bad: pa.BooleanArray, problem: str) -> Iterator[_Fault]:
    if pc.any(bad).as_py():
        yield _Fault(column=column.name, values=values, bad=bad.fill_null(False), problem=problem)


def _extremes(values: pa.Array) -> tuple[Any, Any]:
    """Smallest and largest value of a numeric column that is not all null; NaN if one is among them."""
    numbers = (values.drop_null() if values.null_count else values).to_numpy()
    return numbers.min().item(), numbers.max().item()


def _limit(limit: float, kind: pa.DataType, to_int: Callable[[float], int]) -> float:
    """A limit as the column's type can hold it: 0.1 is another number in float32."""
    if pa.types.is_integer(kind):
        return to_int(limit)
    return float(np.float32(limit)) if pa.types.is_float32(kind) else limit


def _scalar(value: float, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(value, kind)


@lru_cache(maxsize=1_024)
def _moment(text: str, kind: pa.DataType) -> int:
    """A moment in ISO form as the number that a column of this type has for it."""
    value: int = pa.array([text]).cast(kind).view(pa.int32() if pa.types.is_date(kind) else pa.int64())[0].as_py()
    return value


@lru_cache(maxsize=1_024)
def _value_set(values: tuple[str | int, ...], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


def _split(rows: pa.RecordBatch, faults: Sequence[_Fault]) -> Checked:
    reasons: dict[int, list[str]] = {}
    for fault in faults:
        indices = np.flatnonzero(fault.bad.to_numpy(zero_copy_only=False))
        shown = _shown(fault.values.take(pa.array(indices)))
        for index, value in zip(indices.tolist(), shown, strict=True):
            reasons.setdefault(index, []).append(f"{fault.column}{value} {fault.problem}")
    order = sorted(reasons)
    keep = np.ones(rows.num_rows, np.bool_)
    keep[order] = False
    rejected = tuple(
        Rejected(row=index, reason="; ".join(reasons[index]), content=content)
        for index, content in zip(order, row_contents(rows, order), strict=True)
    )
    return Checked(accepted=rows.filter(pa.array(keep)), rejected=rejected)


def _shown(values: pa.Array) -> list[str]:
    """` value` for each, nothing for a null; strings in quotes."""
    quote = "'" if pa.types.is_string(values.type) else ""
    return [
        "" if text is None else f" {quote}{shorten(text, _VALUE_CHARACTERS_MAX)}{quote}"
        for text in values.cast(pa.string()).to_pylist()
    ]


def _plain(values: pa.Array) -> list[Any]:
    """Values of a column that JSON can hold."""
    if pa.types.is_temporal(values.type):
        return values.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]  # to_pylist fails after year 9999
    plain: list[Any] = values.to_pylist()
    if pa.types.is_floating(values.type):
        return [value if value is None or math.isfinite(value) else str(value) for value in plain]
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return [value if value is None else value.decode(errors="backslashreplace") for value in plain]
    return plain


def _unique(names: Sequence[str]) -> list[str]:
    """Names of a file's columns as keys of an object: the second `a` becomes `a (2)`."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _refuse_names(contract: Contract, names: Sequence[str], schema: pa.Schema) -> None:
    for name in names:
        if name not in schema.names:
            raise ExchangeError(
                f"{contract.name}: unknown column {name!r}", hint=f"expected: {', '.join(schema.names)}"
            )
        if names.count(name) > 1:
            raise ExchangeError(f"{contract.name}: column {name!r} comes twice")


def _absent(contract: Contract, field: pa.Field, count: int) -> pa.Array:
    if contract.column(field.name).required:
        raise ExchangeError(f"{contract.name}: required column {field.name!r} ({field.type}) is missing")
    return pa.nulls(count, field.type)


def _cast(contract: Contract, values: pa.Array, field: pa.Field) -> pa.Array:
    if values.type == field.type:
        return values
    where = f"{contract.name}: column {field.name!r}"
    found = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not _lossless(found, field.type):
        raise ExchangeError(f"{where} is {values.type}, expected {field.type}")
    try:
        return values.cast(found).cast(field.type)
    except pa.ArrowException as error:
        raise ExchangeError(f"{where} is {values.type}, expected {field.type}: {error}") from error


def _lossless(found: pa.DataType, expected: pa.DataType) -> bool:
    """May a type be cast to another? Timestamps may for their type: the cast refuses values that would change."""
    if found == expected or pa.types.is_null(found):
        return True
    if pa.types.is_string(expected):
        return bool(pa.types.is_large_string(found) or pa.types.is_string_view(found))
    if pa.types.is_timestamp(expected):
        return bool(pa.types.is_timestamp(found))
    if pa.types.is_date(expected):
        return bool(pa.types.is_date(found))
    if pa.types.is_decimal(expected):
        return _wider_decimal(found, expected)
    if pa.types.is_time(expected):
        return bool(pa.types.is_time(found))
    if pa.types.is_binary(expected):
        return bool(pa.types.is_large_binary(found) or pa.types.is_fixed_size_binary(found) or _is_view(found))
    if pa.types.is_nested(expected):
        return _lossless_nested(found, expected)
    return expected in _WIDER_INTS.get(found, ()) or expected in _WIDER_FLOATS.get(found, ())


def _is_view(found: pa.DataType) -> bool:
    return bool(pa.types.is_binary_view(found))


def _lossless_nested(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_list(expected):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
        return bool(is_list) and _lossless(found.value_type, expected.value_type)
    if not pa.types.is_struct(found) or [one.name for one in found] != [one.name for one in expected]:
        return False
    return all(_lossless(found[place].type, expected[place].type) for place in range(expected.num_fields))


def _wider_decimal(found: pa.DataType, expected: pa.DataType) -> bool:
    return bool(
        pa.types.is_decimal(found)
        and found.scale <= expected.scale
        and found.precision - found.scale <= expected.precision - expected.scale
    )
