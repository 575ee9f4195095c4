"""A contract: what a data set is, as its agency and the two centres agree on it.

A contract maps to an Arrow schema (what travels and is logged) and to DuckDB column types (what is stored).
Timestamps are UTC, with millisecond resolution (`timestamp`) or microseconds (`timestamp_us`); answers have both in
microseconds. Columns may be nested: `list(T)`, `struct(name T, …)`.
"""

import re
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

NAME_PATTERN: Final = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Home = Literal["ops", "ecc", "each"]

_ARROW: Final[dict[str, pa.DataType]] = {
    "boolean": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("ms"),
    "timestamp_us": pa.timestamp("us"),
    "binary": pa.binary(),
}
_DUCKDB: Final[dict[str, str]] = {
    "boolean": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",  # As DuckDB reads it from Parquet: hot rows and segments are of one type.
    "timestamp_us": "TIMESTAMP",
    "binary": "BLOB",
}
_DECIMAL: Final = re.compile(r"^decimal\((\d{1,2}),(\d{1,2})\)$")
_LIST: Final = re.compile(r"^list\((.+)\)$")
_STRUCT: Final = re.compile(r"^struct\((.+)\)$")
_NESTED_MAX: Final = 8


class Kind(StrEnum):
    """`event`: rows are appended. `registry`: rows are upserted and deleted by key, the last write winning."""

    EVENT = "event"
    REGISTRY = "registry"


class Sensitivity(StrEnum):
    OPEN = "open"
    INTERNAL = "internal"
    PERSONAL = "personal"
    SECRET = "secret"  # noqa: S105  # a grade, not a secret


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Title(_Model):
    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Code(StrEnum):
    """Codes with check digits; `hub.ingest.codes` knows their rules."""

    RESIDENT_ID = "resident_id"
    CREDIT_CODE = "credit_code"
    BUILDING_CODE = "building_code"


class Domain(_Model):
    """Values a column may take; every given limit must hold. `min` and `max` are inclusive, in the column's unit;
    `earliest` and `latest` are for dates and timestamps, inclusive, in ISO form."""

    min: float | None = None
    max: float | None = None
    values: tuple[str | int, ...] | None = None
    pattern: str | None = None
    length_max: int | None = Field(default=None, gt=0)
    code: Code | None = None
    earliest: str | None = None
    latest: str | None = None


class Reference(_Model):
    """A link: the column holds values of another data set's column. Rows whose value is not known there (yet) are
    accepted, and count against the data set's quality; with `enforced` the loader refuses them."""

    data_set: Name
    column: Name
    enforced: bool = False


class Publication(_Model):
    """A data set that is opened to the public, and how.

    Columns go out by their sensitivity: open ones as they are, internal ones not at all, personal ones only if they are
    among `generalise`, secret ones never. `generalise`: column → `year`, `month`, `decade`, `first:N` characters, or
    `round:STEP`. Every combination of the values of `quasi_identifiers`, as they go out, occurs in at least `k` rows:
    those that do not are left out, and counted.
    """

    quasi_identifiers: tuple[Name, ...] = ()
    k: int = Field(default=5, ge=2)
    generalise: dict[Name, str] = Field(default_factory=dict)
    licence: str = "CC-BY-4.0"


class Column(_Model):
    """`standard` names the data element of the standard that the column follows, where one is known."""

    name: Name
    type: str
    unit: str = ""
    required: bool = False
    domain: Domain | None = None
    sensitivity: Sensitivity = Sensitivity.INTERNAL
    title: Title
    standard: str = ""
    reference: Reference | None = None

    @model_validator(mode="after")
    def _known_type(self) -> Self:
        arrow_type(self.type)
        if self.domain and self.domain.pattern is not None:
            re.compile(self.domain.pattern)
        return self

    @property
    def arrow(self) -> pa.DataType:
        return arrow_type(self.type)

    @property
    def duckdb(self) -> str:
        return duckdb_type(self.type)


class Contract(_Model):
    """One data set. `version` rises with every change; `home` names the log that carries its exchanges.

    Home `each` is for what the hub itself records in its logs (`exchanges`, `quarantine`, `modes`). Segments of an
    event data set are sorted by its `clustering` columns; none leaves rows as they come. Segments whose newest
    `time_column` is older than `retention_days` are dropped; None keeps all. Whoever follows a `watched` event data set
    can go on from any position: its rows come in small exchanges, and are not sealed into segments.

    `systems` are the city's systems that the data set serves (S1 to S20). `place` names its columns of longitude and
    latitude: rows outside of the city are refused. `order` names pairs of columns of which the first is never later
    than the second. A `publication` makes it open data.
    """

    name: Name
    version: int = Field(default=1, ge=1)
    agency: str = Field(min_length=1)
    home: Home
    kind: Kind
    key: tuple[Name, ...] = ()
    time_column: Name | None = None
    clustering: tuple[Name, ...] = ()
    retention_days: int | None = Field(default=None, gt=0)
    watched: bool = False
    systems: tuple[str, ...] = ()
    place: tuple[Name, Name] | None = None
    order: tuple[tuple[Name, Name], ...] = ()
    publication: Publication | None = None
    title: Title
    description: str = ""
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("two columns have the same name")
        if self.kind is Kind.REGISTRY and not self.key:
            raise ValueError("a registry needs a key")
        for name in self.key:
            if name not in names:
                raise ValueError(f"key column {name!r} does not exist")
            if not self.column(name).required:
                raise ValueError(f"key column {name!r} must be required")
        if self.time_column is not None and (
            self.time_column not in names or self.column(self.time_column).type not in ("timestamp", "date")
        ):
            raise ValueError(f"time column {self.time_column!r} is no timestamp or date column")
        for name in self.clustering:
            if name not in names:
                raise ValueError(f"clustering column {name!r} does not exist")
        return self

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        names = {column.name for column in self.columns}
        opened = (*self.publication.quasi_identifiers, *self.publication.generalise) if self.publication else ()
        for part, wanted in (("place", self.place or ()), ("publication", opened)):
            if unknown := [name for name in wanted if name not in names]:
                raise ValueError(f"{part}: column {unknown[0]!r} does not exist")
        for name in self.place or ():
            if self.column(name).type != "float64":
                raise ValueError(f"place: column {name!r} is no float64")
        for first, second in self.order:
            kinds = {self.column(name).type for name in (first, second) if name in names}
            if not {first, second} <= names or len(kinds) != 1 or not kinds <= {"date", "timestamp", "timestamp_us"}:
                raise ValueError(f"order: {first!r} and {second!r} are no two columns of one type of time")
        return self

    @model_validator(mode="after")
    def _only_events(self) -> Self:
        if self.retention_days is not None and (self.time_column is None or self.kind is Kind.REGISTRY):
            raise ValueError("only events with a time column have a retention")
        if self.watched and (self.kind is Kind.REGISTRY or self.home == "each"):
            raise ValueError("only events of agencies are watched")
        return self

    def column(self, name: str) -> Column:
        """Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema of full rows, in the contract's column order. Every field is nullable: `checks` tells why a
        null was refused, which the type system could not."""
        return pa.schema([pa.field(column.name, column.arrow) for column in self.columns])

    @cached_property
    def key_schema(self) -> pa.Schema:
        """Arrow schema of a delete: the key columns only."""
        return pa.schema([pa.field(name, self.column(name).arrow) for name in self.key])


def arrow_type(name: str, *, depth: int = 0) -> pa.DataType:
    """Arrow type of a contract type name. Raises ValueError for one that does not exist."""
    if depth > _NESTED_MAX:
        raise ValueError(f"a type may be nested {_NESTED_MAX} levels deep")
    if name in _ARROW:
        return _ARROW[name]
    if match := _DECIMAL.match(name):
        precision, scale = int(match[1]), int(match[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"decimal({precision},{scale}) is out of range: precision 1 to 38, scale up to precision")
        return pa.decimal128(precision, scale)
    if match := _LIST.match(name):
        return pa.list_(arrow_type(match[1], depth=depth + 1))
    if match := _STRUCT.match(name):
        return pa.struct([pa.field(one, arrow_type(kind, depth=depth + 1)) for one, kind in _fields(match[1])])
    raise ValueError(f"unknown type {name!r}; one of {', '.join(_ARROW)}, decimal(P,S), list(T), struct(name T, …)")


def duckdb_type(name: str) -> str:
    """DuckDB type of a contract type name that `arrow_type` takes."""
    if match := _LIST.match(name):
        return f"{duckdb_type(match[1])}[]"
    if match := _STRUCT.match(name):
        fields = ", ".join(f'"{one}" {duckdb_type(kind)}' for one, kind in _fields(match[1]))
        return f"STRUCT({fields})"
    return _DUCKDB.get(name, name.upper())


def _fields(text: str) -> list[tuple[str, str]]:
    """(name, type) of each field of a struct. Raises ValueError."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    fields = [part.strip().partition(" ")[::2] for part in parts]
    for name, _ in fields:
        if not re.match(NAME_PATTERN, name):
            raise ValueError(f"a field of a struct cannot be called {name!r}")
    if len({name for name, _ in fields}) != len(fields):
        raise ValueError("two fields of a struct have the same name")
    return fields
