"""How an agency's file becomes rows of a contract: what cannot be seen in the file itself, as a small TOML file.

    data_set = "residents"           # what it fills, and which files: both for `cityhub inbox`
    match = "人口*.xlsx"
    sheet = "实有人口"                # of a workbook; without it the first one
    encoding = "gb18030"             # of text; without it detected
    format = "csv"                   # without it the one of the name's suffix
    time_zone = "Asia/Shanghai"      # of times without a zone; without it UTC
    datum = "gcj02"                  # of the place; gcj02 and bd09 become WGS 84
    exchange_rows = 5000             # fewer than the usual number where rows are very long
    missing = ["", "无"]             # texts that stand for no value

    [columns]                        # column of the file → column of the data set
    "人员编号" = "resident_id"
    [constants]                      # column of the data set → text, for every row
    district = "南山区"
    [values.sex]                     # text in the file → text that is read instead
    "男" = "male"

Every key may be left out.
"""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract
from hub.errors import ConfigurationError

MISSING: Final = ("", "NA", "N/A", "n/a", "null", "NULL", "Null", "-", "--", "—", "——", "－")
Datum = Literal["wgs84", "gcj02", "bd09"]
_TEXTS: Final = ("time_zone", "datum", "data_set", "match", "sheet", "encoding", "format")
_KEYS: Final = {*_TEXTS, "columns", "constants", "values", "missing", "exchange_rows"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How a file's columns fill a contract's. `columns`: source column → contract column; what it does not name goes
    by its own name. `constants`: contract column → text for every row. `values`: contract column → text of the file →
    text that is read instead. `time_zone`: of times without a zone. `datum`: of the contract's place."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = MISSING
    time_zone: str = "UTC"
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    datum: Datum = "wgs84"
    data_set: str | None = None
    match: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    format: str | None = None
    exchange_rows: int | None = None

    def recipe(self) -> dict[str, Any]:
        """What decides the rows, for the name of a file's producer. Parts that say nothing are left out: names that
        were given before there were such parts stay."""
        whole = asdict(self)
        always = {name: whole[name] for name in ("columns", "constants", "missing", "time_zone")}
        given = {"values": self.values, "datum": "" if self.datum == "wgs84" else self.datum}
        return always | {name: part for name, part in given.items() if part}


def read_mapping(path: Path) -> Mapping:
    """Mapping from a TOML file. Raises ConfigurationError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"mapping {path.name} cannot be read: {error}") from error
    try:
        return _mapping(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"mapping {path.name}: {error.message}", hint=error.hint) from error


def check_mapping(contract: Contract, mapping: Mapping) -> None:
    """Raises ConfigurationError when a mapping does not fit a contract."""
    names = {column.name for column in contract.columns}
    targets = [*mapping.columns.values(), *mapping.constants]
    for target in (*targets, *mapping.values):
        if target not in names:
            raise ConfigurationError(
                f"the mapping names column {target!r}, which {contract.name} does not have",
                hint=f"it has {', '.join(column.name for column in contract.columns)}",
            )
        if targets.count(target) > 1:
            raise ConfigurationError(f"the mapping fills column {target!r} twice")
    if mapping.datum != "wgs84" and contract.place is None:
        raise ConfigurationError(f"the mapping names datum {mapping.datum}, and {contract.name} has no place")
    try:
        moment = pa.array([0], pa.timestamp("ms"))
        pc.assume_timezone(moment, mapping.time_zone, ambiguous="earliest", nonexistent="earliest")
    except pa.ArrowInvalid as error:
        raise ConfigurationError(f"there is no time zone {mapping.time_zone!r}", hint="Asia/Shanghai") from error


def _mapping(content: dict[str, Any]) -> Mapping:
    if unknown := content.keys() - _KEYS:
        raise ConfigurationError(f"unknown {', '.join(sorted(unknown))}", hint=f"one of {', '.join(sorted(_KEYS))}")
    missing = content.get("missing", list(MISSING))
    if not isinstance(missing, list) or not all(isinstance(text, str) for text in missing):
        raise ConfigurationError("missing is no list of texts")
    values = content.get("values", {})
    if not isinstance(values, dict):
        raise ConfigurationError("values is no table of tables")
    rows = content.get("exchange_rows")
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
        raise ConfigurationError("exchange_rows is no number above 0")
    texts = {name: _text(content, name) for name in _TEXTS if name in content}
    if texts.get("datum", "wgs84") not in get_args(Datum):
        raise ConfigurationError(f"there is no datum {texts['datum']!r}", hint=f"one of {', '.join(get_args(Datum))}")
    return Mapping(
        missing=tuple(missing),
        values={column: _pairs(values, column, f"values.{column}") for column in values},
        exchange_rows=rows,
        columns=_pairs(content, "columns", "columns"),
        constants=_pairs(content, "constants", "constants"),
        **cast(dict[str, Any], texts),
    )


def _text(content: dict[str, Any], name: str) -> str:
    if not isinstance(content[name], str):
        raise ConfigurationError(f"{name} is no text")
    return cast(str, content[name])


def _pairs(content: dict[str, Any], name: str, shown: str) -> dict[str, str]:
    pairs = content.get(name, {})
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise ConfigurationError(f"{shown} is no table of texts")
    return cast(dict[str, str], pairs)
