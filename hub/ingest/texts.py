"""Columns of text, or of Parquet's types, as the type of a contract's column. Pure; no row knows of the others.

What a text may look like, once surrounding blanks are cut off:

| type | texts |
| --- | --- |
| any | a missing value: one of `Mapping.missing` |
| integers | 12, +12, 007, 12.0 (a tool that turned a column with gaps into floats), 0x1F |
| floats | 12.5, .5, 1e-3; inf and nan can be read, and are refused by `checks` |
| decimals | as floats; more places than the contract has are an error |
| booleans | 1, true, t, yes, y, 是 and 0, false, f, no, n, 否, in any case |
| dates | 2017-04-12, 2017/4/12, 2017.4.12, 20170412, 2017年4月12日 |
| timestamps | a date; a date, blank or T, 8:05, 08:05:09 or 08:05:09.123, then nothing, Z or +08:00; 20170412080509 |
| strings | anything |

Full-width digits and signs are folded (NFKC) where a text cannot be read without that; strings only if their column
has a pattern or a code. Letters of a code become capitals. A text that `Mapping.values` names is read as what stands
there. A time without zone is in `Mapping.time_zone`; what is finer than a millisecond is cut off, and noted. A text
that cannot be read rejects its row. Whether a row is rejected never depends on the rows around it.

Each column is first tried as it is, by one cast. Only if that fails are its texts tidied, by regular expressions, and
the ones that are no such value found, part by part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Column
from hub.errors import ConfigurationError, InputFileError
from hub.ingest.checks import whole_pattern
from hub.ingest.mapping import Mapping as Reading

FULL_WIDTH: Final = "full-width characters folded"
LETTER_CASE: Final = "letters of a code made capitals"
VALUE_MAPPED: Final = "values mapped"

Flags = npt.NDArray[np.bool_]
_Parse = Callable[[pa.Array], pa.Array]
_HEAD: Final = 32
_SEARCH_PARTS: Final = 64
_TRUE: Final = ("1", "true", "t", "yes", "y", "是")
_FALSE: Final = ("0", "false", "f", "no", "n", "否")
_INTEGER: Final = r"-?(?:[0-9]+|0[xX][0-9a-fA-F]+)"
_DECIMAL: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_FLOAT: Final = rf"{_DECIMAL}|[+-]?(?i:nan|inf|infinity)"
# Dates and times without separators get them first: as optional ones they would make 2017112 a date.
_COMPACT: Final = (
    (r"^([0-9]{4})([0-9]{2})([0-9]{2})[ T]*([0-9]{2})([0-9]{2})([0-9]{2})(\D|$)", r"\1-\2-\3T\4:\5:\6\7"),
    (r"^([0-9]{4})([0-9]{2})([0-9]{2})([ T]|$)", r"\1-\2-\3\4"),
)
_DATE: Final = r"(?P<year>[0-9]{4})[-/.年](?P<month>[0-9]{1,2})[-/.月](?P<day>[0-9]{1,2})日?"
_CLOCK: Final = (
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?P<fraction>\.[0-9]{1,9})?)?)?"
    r"[ ]*(?P<zone>[zZ]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_MILLISECOND_CHARACTERS: Final = 4  # The point and three digits.
_LONG: Final = 1 << 30


def _flags(*values: int) -> Flags:
    flags = np.zeros(256, np.bool_)
    flags[list(values)] = True
    return flags


# Blanks of Unicode in UTF-8: ASCII's; C2 85, C2 A0; E1 9A 80, E2 80 xx, E2 81 9F, E3 80 80.
_BLANK: Final = _flags(*range(0x21))
_BLANK_OF_TWO: Final = _flags(0xC2)
_BLANK_OF_THREE: Final = _flags(0xE1, 0xE2, 0xE3)
_MAY_BE_BLANK: Final = _BLANK | _BLANK_OF_TWO | _BLANK_OF_THREE


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A column of values, null where `bad` says that the source could not be read. `bad` is in rising order.

    `put_right`: what was done to texts → which rows it was done to, shape (n,).
    """

    values: pa.Array
    bad: Sequence[int] = ()
    note: str = ""
    put_right: Mapping[str, Flags] = field(default_factory=dict)


def read_values(values: pa.Array, column: Column, how: Reading) -> Read:
    """A column of a file as its contract column's type. Raises InputFileError for a type that cannot become it."""
    if pa.types.is_dictionary(values.type):
        if not values.indices.null_count:
            return _taken(read_values(values.dictionary, column, how), values.indices)
        values = values.dictionary_decode()
    if column.name in how.values and not _is_text(values.type):
        values = values.cast(pa.string())
    if not _is_text(values.type):
        return _read_typed(values, column, how)
    text = _attempt(values, lambda part: part.cast(pa.string()))
    read = _read_text(text.values, column, how)
    return replace(read, bad=sorted({*text.bad, *read.bad})) if text.bad else read


def _taken(distinct: Read, indices: pa.Array) -> Read:
    """A column whose values were each read once."""
    places = indices.to_numpy()
    return Read(
        values=distinct.values.take(indices),
        bad=np.flatnonzero(np.isin(places, distinct.bad)).tolist() if distinct.bad else (),
        note=distinct.note,
        put_right={kind: rows[places] for kind, rows in distinct.put_right.items()},
    )


def read_constant(text: str, column: Column, how: Reading) -> pa.Scalar:
    """Raises ConfigurationError."""
    read = _read_text(pa.array([text], pa.string()), column, how)
    if read.bad:
        raise ConfigurationError(f"constant {text!r} of column {column.name} is no {column.type}")
    return read.values[0]


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
    )


def _read_typed(values: pa.Array, column: Column, how: Reading) -> Read:
    """Values that already have a type, from Parquet. A float is no text: 25 digits do not fit into it."""
    target = column.arrow
    note = ""
    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(target):
        cut = pc.floor_temporal(values, unit="millisecond") if values.type.unit in ("us", "ns") else values
        note = "" if cut.equals(values) else _finer_note(column)
        parse = partial(_typed_instants, time_zone=how.time_zone)
        read = _attempt(cut, parse)
        return Read(values=read.values, bad=read.bad, note=note)
    wrong = InputFileError(f"column {column.name} is {values.type} and cannot become {column.type}")
    if pa.types.is_floating(values.type) and pa.types.is_string(target):
        raise wrong
    try:
        return _attempt(values, lambda part: part.cast(target))
    except pa.ArrowNotImplementedError as error:  # Arrow knows no such cast.
        raise wrong from error


def _typed_instants(values: pa.Array, time_zone: str) -> pa.Array:
    milliseconds = values.cast(pa.timestamp("ms", values.type.tz))
    return milliseconds.cast(pa.timestamp("ms")) if values.type.tz else _in_utc(milliseconds, time_zone)


def _read_text(text: pa.Array, column: Column, how: Reading) -> Read:
    """One column of strings as its type: at once if every text is plain, else with tidying."""
    named: Flags | None = None
    if replacements := how.values.get(column.name):
        text, named = _mapped(_trimmed(text), replacements)
    if column.type == "string":
        read = _strings(_without_missing(_trimmed(text), how), column)
    else:
        read = _parsed(_without_missing(text, how), column, how)
    return read if named is None else replace(read, put_right={**read.put_right, VALUE_MAPPED: named})


def _mapped(text: pa.Array, replacements: Mapping[str, str]) -> tuple[pa.Array, Flags]:
    places = pc.index_in(text, value_set=pa.array(replacements.keys(), pa.string()))
    mapped = pc.coalesce(pa.array(replacements.values(), pa.string()).take(places), text)
    return mapped, _where(pc.not_equal(mapped, text))


def _parsed(text: pa.Array, column: Column, how: Reading) -> Read:
    for parse in _plain_forms(column, how):
        try:
            parse(text[:_HEAD])  # A cast that fails takes a hundred times as long: a few texts tell whether to try.
            return Read(values=parse(text))
        except pa.ArrowInvalid:
            continue
    return _tidied(text, column, how)


def _plain_forms(column: Column, how: Reading) -> tuple[_Parse, ...]:
    """Casts of texts in the forms that Arrow reads. Each raises ArrowInvalid if one text is not."""
    if column.type == "timestamp":
        return partial(_local_instants, time_zone=how.time_zone), _zoned_instants
    return (lambda text: text.cast(column.arrow),)


def _local_instants(text: pa.Array, time_zone: str) -> pa.Array:
    return _in_utc(text.cast(pa.timestamp("ms")), time_zone)


def _zoned_instants(text: pa.Array) -> pa.Array:
    return text.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms"))


def _tidied(text: pa.Array, column: Column, how: Reading) -> Read:
    """Texts in any of the forms above."""
    trimmed = pc.utf8_trim_whitespace(text)
    tidy = _without_missing(pc.utf8_normalize(trimmed, form="NFKC"), how)
    read = _shapes(tidy, column, how)
    folded = _where(pc.not_equal(tidy, trimmed))
    return replace(read, put_right={FULL_WIDTH: folded}) if folded.any() else read


def _shapes(tidy: pa.Array, column: Column, how: Reading) -> Read:
    match column.type:
        case "timestamp":
            return _timestamps(tidy, column, how)
        case "date":
            return _dates(tidy, column)
        case "boolean":
            return _booleans(tidy)
        case "float32" | "float64":
            return _shaped(tidy, _FLOAT, column)
        case kind if kind.startswith("decimal"):
            return _shaped(tidy, _DECIMAL, column)
        case _:
            return _shaped(_replace(tidy, ((r"^\+?(-?[0-9]+)(?:\.0*)?$", r"\1"),)), _INTEGER, column)


def _shaped(text: pa.Array, pattern: str, column: Column) -> Read:
    """Casts the texts that match; those that do not, or do not fit the type, are bad."""
    foreign = np.flatnonzero(_differs(text, pattern))
    read = _attempt(_blank(text, foreign), lambda part: part.cast(column.arrow))
    return Read(values=read.values, bad=sorted({*foreign.tolist(), *read.bad}))


def _booleans(text: pa.Array) -> Read:
    lower = pc.utf8_lower(text)
    true = pc.is_in(lower, value_set=pa.array(_TRUE))
    known = pc.is_in(lower, value_set=pa.array((*_TRUE, *_FALSE)))
    bad = np.flatnonzero(pc.and_(text.is_valid(), pc.invert(known)).to_numpy(zero_copy_only=False))
    return Read(values=pc.if_else(known, true, pa.scalar(None, pa.bool_())), bad=bad.tolist())


def _dates(text: pa.Array, column: Column) -> Read:
    parts = _parts(text, _DATE)
    read = _attempt(_date_text(parts), lambda part: part.cast(column.arrow))
    return Read(values=read.values, bad=_lost(text, read.values))


def _timestamps(text: pa.Array, column: Column, how: Reading) -> Read:
    parts = _parts(text, rf"{_DATE}(?:[ T]+{_CLOCK})?")
    clock = pc.binary_join_element_wise(*(_two(parts[name]) for name in ("hour", "minute", "second")), ":")
    fraction = pc.utf8_slice_codeunits(parts["fraction"], 0, _MILLISECOND_CHARACTERS)
    plain = pc.binary_join_element_wise(_date_text(parts), clock, "T")
    plain = pc.binary_join_element_wise(plain, fraction, pc.utf8_upper(parts["zone"]), "")
    zoned = pc.not_equal(parts["zone"], "").fill_null(False)
    nothing = pa.scalar(None, pa.string())
    local = _attempt(pc.if_else(zoned, nothing, plain), partial(_local_instants, time_zone=how.time_zone))
    exact = _attempt(pc.if_else(zoned, plain, nothing), _zoned_instants)
    values = pc.coalesce(exact.values, local.values)
    finer = pc.utf8_rtrim(pc.utf8_slice_codeunits(parts["fraction"], _MILLISECOND_CHARACTERS), "0")
    cut = pc.any(pc.not_equal(finer, "")).as_py()
    return Read(values=values, bad=_lost(text, values), note=_finer_note(column) if cut else "")


def _parts(text: pa.Array, pattern: str) -> dict[str, pa.Array]:
    """The named groups of a pattern, each a column: empty where its group is absent, null where nothing matches."""
    if pc.any(pc.match_substring_regex(text, r"^[0-9]{8}")).as_py():
        text = _replace(text, _COMPACT)
    found = pc.extract_regex(text, whole_pattern(pattern))
    return {one.name: pc.struct_field(found, one.name) for one in found.type}


def _date_text(parts: dict[str, pa.Array]) -> pa.Array:
    return pc.binary_join_element_wise(parts["year"], _two(parts["month"]), _two(parts["day"]), "-")


def _two(digits: pa.Array) -> pa.Array:
    """Two digits where there is one, or none."""
    return pc.ascii_lpad(digits, width=2, padding="0")


def _lost(text: pa.Array, values: pa.Array) -> list[int]:
    """Where there was a text and there is no value."""
    lost: list[int] = np.flatnonzero(pc.and_(text.is_valid(), values.is_null()).to_numpy(zero_copy_only=False)).tolist()
    return lost


def _in_utc(local: pa.Array, time_zone: str) -> pa.Array:
    """Naive times of a zone as naive times in UTC. Raises ArrowInvalid for one that a clock showed never or twice."""
    if time_zone == "UTC":
        return local
    return pc.assume_timezone(local, time_zone).cast(pa.timestamp("ms"))


def _finer_note(column: Column) -> str:
    return f"{column.name}: what is finer than a millisecond was cut off"


def _strings(text: pa.Array, column: Column) -> Read:
    """Folds full-width characters where the column has a code, or in texts that match its pattern only then."""
    domain = column.domain
    if domain is not None and domain.code is not None:
        return _codes(text)
    if domain is None or domain.pattern is None or not _differs(text, domain.pattern).any():
        return Read(values=text)
    folded = pc.utf8_normalize(text, form="NFKC")
    helps = pc.match_substring_regex(folded, whole_pattern(domain.pattern))
    values = pc.if_else(pc.fill_null(helps, False), folded, text)
    return Read(values=values, put_right={FULL_WIDTH: _where(pc.not_equal(values, text))})


def _codes(text: pa.Array) -> Read:
    """Every code is written in digits and capitals of ASCII."""
    folded = text if pc.all(pc.string_is_ascii(text)).as_py() else pc.utf8_normalize(text, form="NFKC")
    values = pc.ascii_upper(folded)
    if values.equals(text):
        return Read(values=text)
    put_right = {FULL_WIDTH: _where(pc.not_equal(folded, text)), LETTER_CASE: _where(pc.not_equal(values, folded))}
    return Read(values=values, put_right=put_right)


def _where(true: pa.BooleanArray) -> Flags:
    """Shape (n,); null is not true."""
    flags: Flags = pc.fill_null(true, False).to_numpy(zero_copy_only=False)
    return flags


def _without_missing(text: pa.Array, how: Reading) -> pa.Array:
    longest = max((len(one.encode()) for one in how.missing), default=-1)
    if _shortest(text) > longest:
        return text
    gone = pc.is_in(text, value_set=pa.array(how.missing, pa.string()))
    return pc.if_else(gone, pa.scalar(None, pa.string()), text) if pc.any(gone).as_py() else text


def _shortest(text: pa.Array) -> int:
    """Bytes of the shortest string, a null having none."""
    offsets = np.frombuffer(text.buffers()[1], np.int32, len(text) + 1, text.offset * 4)
    return int(np.diff(offsets).min(initial=0 if text.null_count else _LONG))


def _trimmed(text: pa.Array) -> pa.Array:
    """Without blanks at the ends. A look at the bytes there tells that most columns have none."""
    _, offsets_buffer, data = text.buffers()
    if data is None or not len(text):
        return text
    offsets = np.frombuffer(offsets_buffer, np.int32, len(text) + 1, text.offset * 4)
    if int(offsets[0]) == int(offsets[-1]):
        return text
    content = np.frombuffer(data, np.uint8)
    last = len(content) - 1
    begins, ends = np.minimum(offsets[:-1], last), offsets[1:]
    if _MAY_BE_BLANK[content[begins]].any() or _BLANK[content[np.maximum(ends - 1, 0)]].any():
        return pc.utf8_trim_whitespace(text)
    if _BLANK_OF_TWO[content[np.maximum(ends - 2, 0)]].any() or _BLANK_OF_THREE[content[np.maximum(ends - 3, 0)]].any():
        return pc.utf8_trim_whitespace(text)
    return text


def _replace(text: pa.Array, forms: Sequence[tuple[str, str]]) -> pa.Array:
    for pattern, replacement in forms:
        text = pc.replace_substring_regex(text, pattern, replacement)
    return text


def _differs(text: pa.Array, pattern: str) -> Any:
    """Boolean array: the texts that are there and do not match as a whole."""
    matches = pc.fill_null(pc.match_substring_regex(text, whole_pattern(pattern)), True)
    return pc.invert(matches).to_numpy(zero_copy_only=False)


def _blank(values: pa.Array, indices: Any) -> pa.Array:
    """The values with nulls at these places."""
    if not len(indices):
        return values
    mask = np.zeros(len(values), np.bool_)
    mask[indices] = True
    return pc.if_else(pa.array(mask), pa.scalar(None, values.type), values)


def _attempt(values: pa.Array, parse: _Parse) -> Read:
    """Parses a whole column; if that fails, finds the values that fail part by part, and parses the others."""
    try:
        return Read(values=parse(values))
    except pa.ArrowInvalid:
        bad: list[int] = []
        _search(values, 0, parse, bad)
        return Read(values=parse(_blank(values, bad)), bad=bad)


def _search(values: pa.Array, start: int, parse: _Parse, bad: list[int]) -> None:
    """Adds the places of values that cannot be parsed, knowing that there is at least one."""
    if len(values) == 1:
        bad.append(start)
        return
    size = -(-len(values) // _SEARCH_PARTS)
    for begin in range(0, len(values), size):
        part = values[begin : begin + size]
        try:
            parse(part)
        except pa.ArrowInvalid:
            _search(part, start + begin, parse, bad)
