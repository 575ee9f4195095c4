"""From the columns of a file to the columns of a contract: which is which, and text to types.

    Block.rows → bind (source column → contract column) → text to types, column by column → rows, rejected, notes

A column of the file goes to the contract's column that the mapping names, else to the one with the same name or
Chinese or English title. What a text may look like, once surrounding blanks are cut off:

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
has a pattern. A time without zone is in `Mapping.time_zone`; what is finer than a millisecond is cut off, and noted.
A text that cannot be read rejects its row. Whether a row is rejected never depends on the rows around it.

Each column is first tried as it is, by one cast. Only if that fails are its texts tidied, by regular expressions, and
the ones that are no such value found, part by part.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Column, Contract
from hub.errors import ConfigurationError, InputFileError
from hub.ingest.checks import Rejected, row_contents, shorten, whole_pattern

MISSING: Final = ("", "NA", "N/A", "n/a", "null", "NULL", "Null", "-", "--", "—", "——", "－")
_Parse = Callable[[pa.Array], pa.Array]
_VALUE_CHARACTERS_MAX: Final = 80
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How a file's columns fill a contract's. `columns`: source column → contract column; what it does not name goes
    by its own name. `constants`: contract column → text for every row. `time_zone`: of times without a zone."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = MISSING
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """`rows` are in the contract's schema, in the order of the source, without the rejected ones.

    `Rejected.row` is the index in the source rows. `notes` say in words what was left out or changed.
    """

    rows: pa.RecordBatch
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a contract column comes from: a place among the file's columns, a constant, or nowhere."""

    column: Column
    place: int | None = None
    constant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A column of values, null where `bad` says that the source could not be read. `bad` is in rising order."""

    values: pa.Array
    bad: Sequence[int] = ()
    note: str = ""


def read_mapping(path: Path) -> Mapping:
    """Mapping from TOML: tables `columns` and `constants`, keys `missing` and `time_zone`, all of them optional.

    Raises ConfigurationError.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"mapping {path.name} cannot be read: {error}") from error
    if unknown := content.keys() - {"columns", "constants", "missing", "time_zone"}:
        raise ConfigurationError(f"mapping {path.name}: unknown {', '.join(sorted(unknown))}")
    missing = content.get("missing", list(MISSING))
    if not isinstance(missing, list) or not all(isinstance(text, str) for text in missing):
        raise ConfigurationError(f"mapping {path.name}: missing is no list of texts")
    time_zone = content.get("time_zone", "UTC")
    if not isinstance(time_zone, str):
        raise ConfigurationError(f"mapping {path.name}: time_zone is no text")
    return Mapping(
        columns=_texts(path, content, "columns"),
        constants=_texts(path, content, "constants"),
        missing=tuple(missing),
        time_zone=time_zone,
    )


def convert(rows: pa.RecordBatch, contract: Contract, mapping: Mapping) -> Converted:
    """Rows of a file in the contract's schema, and those that hold something that cannot be read.

    Raises InputFileError when a required column has no source or a column is of a type that cannot be converted,
    ConfigurationError when the mapping does not fit the contract.
    """
    _check_mapping(contract, mapping)
    sources, notes = _bind(rows.schema.names, contract, mapping)
    arrays: list[pa.Array] = []
    reasons: dict[int, list[str]] = {}
    for source in sources:
        read = _read_source(rows, source, mapping)
        arrays.append(read.values)
        if read.note:
            notes.append(read.note)
        if read.bad:
            assert source.place is not None
            _explain(reasons, read.bad, source.column, rows.schema.names[source.place], rows.column(source.place))
    converted = pa.RecordBatch.from_arrays(arrays, schema=contract.schema)
    rejected: tuple[Rejected, ...] = ()
    if reasons:
        order = sorted(reasons)
        keep = np.ones(rows.num_rows, np.bool_)
        keep[order] = False
        converted = converted.filter(pa.array(keep))
        rejected = tuple(
            Rejected(row=row, reason="; ".join(reasons[row]), content=content)
            for row, content in zip(order, row_contents(rows, order), strict=True)
        )
    return Converted(rows=converted, rejected=rejected, notes=tuple(notes))


def _texts(path: Path, content: dict[str, Any], table: str) -> dict[str, str]:
    pairs = content.get(table, {})
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise ConfigurationError(f"mapping {path.name}: {table} is no table of texts")
    return pairs


def _check_mapping(contract: Contract, mapping: Mapping) -> None:
    names = {column.name for column in contract.columns}
    targets = [*mapping.columns.values(), *mapping.constants]
    for target in targets:
        if target not in names:
            raise ConfigurationError(
                f"the mapping names column {target!r}, which {contract.name} does not have",
                hint=f"it has {', '.join(column.name for column in contract.columns)}",
            )
        if targets.count(target) > 1:
            raise ConfigurationError(f"the mapping fills column {target!r} twice")
    try:
        moment = pa.array([0], pa.timestamp("ms"))
        pc.assume_timezone(moment, mapping.time_zone, ambiguous="earliest", nonexistent="earliest")
    except pa.ArrowInvalid as error:
        raise ConfigurationError(f"there is no time zone {mapping.time_zone!r}", hint="Asia/Shanghai") from error


def _bind(names: Sequence[str], contract: Contract, mapping: Mapping) -> tuple[list[_Source], list[str]]:
    """A source for each contract column, and what is to be said about the rest. Raises InputFileError."""
    plain = [name.strip() for name in names]
    wanted = {target: source.strip() for source, target in mapping.columns.items()}
    sources, notes, missing = [], [], []
    for column in contract.columns:
        if column.name in mapping.constants:
            sources.append(_Source(column=column, constant=mapping.constants[column.name]))
            continue
        place = _place(plain, column, wanted, mapping)
        if place is None and column.required:
            names_of = repr(wanted[column.name]) if column.name in wanted else f"{column.title.zh}, {column.title.en}"
            missing.append(f"{column.name} ({names_of})")
        elif place is None and column.name in wanted:
            notes.append(f"the file has no column {wanted[column.name]!r}: {column.name} stays empty")
        sources.append(_Source(column=column, place=place))
    if missing:
        raise InputFileError(
            f"no column for {', '.join(missing)}; found: {', '.join(plain) or 'nothing'}",
            hint="name the columns in a mapping file" if plain else "",
        )
    used = {source.place for source in sources}
    if unused := [name for place, name in enumerate(plain) if place not in used]:
        notes.append(f"columns not loaded: {', '.join(unused)}")
    return sources, notes


def _place(names: Sequence[str], column: Column, wanted: dict[str, str], mapping: Mapping) -> int | None:
    if column.name in wanted:
        found = [place for place, name in enumerate(names) if name == wanted[column.name]]
    else:
        titles = {column.name, column.title.zh.casefold(), column.title.en.casefold()}
        taken = {source.strip() for source in mapping.columns}
        found = [place for place, name in enumerate(names) if name.casefold() in titles and name not in taken]
    if len(found) > 1:
        places = ", ".join(f"{names[place]!r} ({place + 1})" for place in found)
        raise InputFileError(f"more than one column for {column.name}: {places}")
    return found[0] if found else None


def _read_source(rows: pa.RecordBatch, source: _Source, mapping: Mapping) -> _Read:
    column = source.column
    if source.constant is not None:
        read = _read_text(pa.array([source.constant], pa.string()), column, mapping)
        if read.bad:
            raise ConfigurationError(f"constant {source.constant!r} of column {column.name} is no {column.type}")
        return _Read(values=pa.repeat(read.values[0], rows.num_rows))
    if source.place is None:
        return _Read(values=pa.nulls(rows.num_rows, column.arrow))
    return _read_values(rows.column(source.place), column, mapping)


def _read_values(values: pa.Array, column: Column, mapping: Mapping) -> _Read:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if _is_text(values.type):
        text = _attempt(values, lambda part: part.cast(pa.string()))
        read = _read_text(text.values, column, mapping)
        return _Read(values=read.values, bad=sorted({*text.bad, *read.bad}), note=read.note)
    return _read_typed(values, column, mapping)


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


def _read_typed(values: pa.Array, column: Column, mapping: Mapping) -> _Read:
    """Values that already have a type, from Parquet. A float is no text: 25 digits do not fit into it."""
    target = column.arrow
    note = ""
    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(target):
        cut = pc.floor_temporal(values, unit="millisecond") if values.type.unit in ("us", "ns") else values
        note = "" if cut.equals(values) else _finer_note(column)
        parse = partial(_typed_instants, time_zone=mapping.time_zone)
        read = _attempt(cut, parse)
        return _Read(values=read.values, bad=read.bad, note=note)
    try:
        if pa.types.is_floating(values.type) and pa.types.is_string(target):
            raise pa.ArrowNotImplementedError("a float is no text")
        return _attempt(values, lambda part: part.cast(target))
    except pa.ArrowNotImplementedError as error:
        raise InputFileError(f"column {column.name} is {values.type} and cannot become {column.type}") from error


def _typed_instants(values: pa.Array, time_zone: str) -> pa.Array:
    milliseconds = values.cast(pa.timestamp("ms", values.type.tz))
    return milliseconds.cast(pa.timestamp("ms")) if values.type.tz else _in_utc(milliseconds, time_zone)


def _read_text(text: pa.Array, column: Column, mapping: Mapping) -> _Read:
    """One column of strings as its type: at once if every text is plain, else with tidying."""
    if column.type == "string":
        return _Read(values=_fold_to_pattern(_without_missing(pc.utf8_trim_whitespace(text), mapping), column))
    text = _without_missing(text, mapping)
    for parse in _plain_forms(column, mapping):
        try:
            parse(text[:_HEAD])  # A cast that fails takes a hundred times as long: a few texts tell whether to try.
            return _Read(values=parse(text))
        except pa.ArrowInvalid:
            continue
    return _tidied(text, column, mapping)


def _plain_forms(column: Column, mapping: Mapping) -> tuple[_Parse, ...]:
    """Casts of texts in the forms that Arrow reads. Each raises ArrowInvalid if one text is not."""
    if column.type == "timestamp":
        return partial(_local_instants, time_zone=mapping.time_zone), _zoned_instants
    return (lambda text: text.cast(column.arrow),)


def _local_instants(text: pa.Array, time_zone: str) -> pa.Array:
    return _in_utc(text.cast(pa.timestamp("ms")), time_zone)


def _zoned_instants(text: pa.Array) -> pa.Array:
    return text.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms"))


def _tidied(text: pa.Array, column: Column, mapping: Mapping) -> _Read:
    """Texts in any of the forms above."""
    tidy = _without_missing(pc.utf8_trim_whitespace(pc.utf8_normalize(text, form="NFKC")), mapping)
    match column.type:
        case "timestamp":
            return _timestamps(tidy, column, mapping)
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


def _shaped(text: pa.Array, pattern: str, column: Column) -> _Read:
    """Casts the texts that match; those that do not, or do not fit the type, are bad."""
    foreign = np.flatnonzero(_differs(text, pattern))
    read = _attempt(_blank(text, foreign), lambda part: part.cast(column.arrow))
    return _Read(values=read.values, bad=sorted({*foreign.tolist(), *read.bad}))


def _booleans(text: pa.Array) -> _Read:
    lower = pc.utf8_lower(text)
    true = pc.is_in(lower, value_set=pa.array(_TRUE))
    known = pc.is_in(lower, value_set=pa.array((*_TRUE, *_FALSE)))
    bad = np.flatnonzero(pc.and_(text.is_valid(), pc.invert(known)).to_numpy(zero_copy_only=False))
    return _Read(values=pc.if_else(known, true, pa.scalar(None, pa.bool_())), bad=bad.tolist())


def _dates(text: pa.Array, column: Column) -> _Read:
    parts = _parts(text, _DATE)
    read = _attempt(_date_text(parts), lambda part: part.cast(column.arrow))
    return _Read(values=read.values, bad=_lost(text, read.values))


def _timestamps(text: pa.Array, column: Column, mapping: Mapping) -> _Read:
    parts = _parts(text, rf"{_DATE}(?:[ T]+{_CLOCK})?")
    clock = pc.binary_join_element_wise(*(_two(parts[name]) for name in ("hour", "minute", "second")), ":")
    fraction = pc.utf8_slice_codeunits(parts["fraction"], 0, _MILLISECOND_CHARACTERS)
    plain = pc.binary_join_element_wise(_date_text(parts), clock, "T")
    plain = pc.binary_join_element_wise(plain, fraction, pc.utf8_upper(parts["zone"]), "")
    zoned = pc.not_equal(parts["zone"], "").fill_null(False)
    nothing = pa.scalar(None, pa.string())
    local = _attempt(pc.if_else(zoned, nothing, plain), partial(_local_instants, time_zone=mapping.time_zone))
    exact = _attempt(pc.if_else(zoned, plain, nothing), _zoned_instants)
    values = pc.coalesce(exact.values, local.values)
    finer = pc.utf8_rtrim(pc.utf8_slice_codeunits(parts["fraction"], _MILLISECOND_CHARACTERS), "0")
    cut = pc.any(pc.not_equal(finer, "")).as_py()
    return _Read(values=values, bad=_lost(text, values), note=_finer_note(column) if cut else "")


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


def _fold_to_pattern(text: pa.Array, column: Column) -> pa.Array:
    """Folds full-width characters in texts that match their column's pattern only then."""
    if column.domain is None or column.domain.pattern is None:
        return text
    pattern = column.domain.pattern
    if not _differs(text, pattern).any():
        return text
    folded = pc.utf8_normalize(text, form="NFKC")
    helps = pc.match_substring_regex(folded, whole_pattern(pattern))
    return pc.if_else(pc.fill_null(helps, False), folded, text)


def _without_missing(text: pa.Array, mapping: Mapping) -> pa.Array:
    gone = pc.is_in(text, value_set=pa.array(mapping.missing, pa.string()))
    return pc.if_else(gone, pa.scalar(None, pa.string()), text) if pc.any(gone).as_py() else text


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


def _attempt(values: pa.Array, parse: _Parse) -> _Read:
    """Parses a whole column; if that fails, finds the values that fail part by part, and parses the others."""
    try:
        return _Read(values=parse(values))
    except pa.ArrowInvalid:
        bad: list[int] = []
        _search(values, 0, parse, bad)
        return _Read(values=parse(_blank(values, bad)), bad=bad)


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


def _explain(reasons: dict[int, list[str]], bad: Sequence[int], column: Column, name: str, values: pa.Array) -> None:
    """Adds the reason of each bad row: `wind_speed (风速): 'abc' is no float32`."""
    where = column.name if name.strip() == column.name else f"{column.name} ({name.strip()})"
    shown = values.take(pa.array(bad))
    if pa.types.is_temporal(shown.type):
        shown = shown.cast(pa.string())  # to_pylist fails after year 9999.
    for row, value in zip(bad, shown.to_pylist(), strict=True):
        text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
        reasons.setdefault(row, []).append(f"{where}: {shorten(text, _VALUE_CHARACTERS_MAX)!r} is no {column.type}")
