"""Named queries: SQL files that come with the hub, one a query and version.

    named/sensors_near.v1.sql = /* TOML: title, description, data_sets, parameters */ select …

Whoever calls one by name gets the newest version, or the one asked for: a version that was given out stays as it is.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from hub.catalogue.contract import Title, arrow_type
from hub.errors import ConfigurationError, QueryError

_FILE_NAME: Final = re.compile(r"^(?P<name>[a-z][a-z0-9_]*)\.v(?P<version>\d+)\.sql$")
_FILE: Final = re.compile(r"\A/\*\n(?P<facts>.*?)\n\*/\n(?P<sql>.*)\Z", re.DOTALL)


class QueryParameter(BaseModel):
    """`optional` ones are null when not given; those with a `default` are that."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    type: str
    description: str
    default: str | int | float | bool | None = None
    optional: bool = False

    @field_validator("type")
    @classmethod
    def _known(cls, name: str) -> str:
        arrow_type(name)
        return name


class NamedQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    version: int
    title: Title
    description: str
    data_sets: tuple[str, ...]
    parameters: tuple[QueryParameter, ...] = ()
    sql: str

    def bind(self, given: Mapping[str, object]) -> dict[str, object]:
        """Parameters as DuckDB takes them. Raises QueryError with all that is wrong."""
        faults = [f"there is no parameter {name!r}" for name in given.keys() - {one.name for one in self.parameters}]
        values: dict[str, object] = {}
        for one in self.parameters:
            value = given.get(one.name, one.default)
            if value is None and not one.optional:
                faults.append(f"{one.name} ({one.type}) is missing")
                continue
            try:
                values[one.name] = None if value is None else _converted(value, one.type)
            except (ValueError, TypeError, InvalidOperation):
                faults.append(f"{one.name} must be {one.type}, not {value!r}")
        if faults:
            raise QueryError(f"query {self.name}: {'; '.join(faults)}", hint=f"`cityhub named {self.name}` tells them")
        return values


class NamedQueries:
    def __init__(self, queries: Mapping[tuple[str, int], NamedQuery]) -> None:
        self._queries = dict(sorted(queries.items()))

    def all(self) -> list[NamedQuery]:
        """Every version, by name."""
        return list(self._queries.values())

    def get(self, name: str, version: int = 0) -> NamedQuery:
        """Zero stands for the newest. Raises QueryError."""
        versions = [one for one in self._queries.values() if one.name == name]
        if not versions:
            raise QueryError(f"there is no query {name!r}", hint="`cityhub named` lists them")
        found = versions[-1] if version == 0 else self._queries.get((name, version))
        if found is None:
            raise QueryError(f"query {name} has no version {version}; the newest is {versions[-1].version}")
        return found


def builtin_queries() -> NamedQueries:
    """Raises ConfigurationError for a file that is wrong."""
    found = {}
    for file in files("hub.query").joinpath("named").iterdir():
        if file.name.endswith(".sql"):
            query = parse_query(file.name, file.read_text(encoding="utf-8"))
            found[query.name, query.version] = query
    return NamedQueries(found)


def parse_query(file_name: str, text: str) -> NamedQuery:
    """Raises ConfigurationError."""
    named, parts = _FILE_NAME.match(file_name), _FILE.match(text)
    if named is None or parts is None:
        raise ConfigurationError(f"{file_name}: expected NAME.vN.sql, beginning with its description between /* and */")
    try:
        facts: dict[str, Any] = tomllib.loads(parts["facts"])
        return NamedQuery(name=named["name"], version=int(named["version"]), sql=parts["sql"].strip(), **facts)
    except (tomllib.TOMLDecodeError, ValidationError, ValueError) as error:
        raise ConfigurationError(f"{file_name}: {error}") from error


def _converted(value: object, kind: str) -> object:
    """Raises ValueError, TypeError or InvalidOperation."""
    if kind == "boolean":
        return _flag(value)
    if kind.startswith("int"):
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        return int(value)  # type: ignore[call-overload]  # its TypeError is ours
    if kind.startswith("float"):
        return float(value)  # type: ignore[arg-type]  # as above
    if kind.startswith("decimal"):
        return Decimal(str(value))
    if kind == "date":
        return date.fromisoformat(str(value))
    if kind == "timestamp":
        moment = datetime.fromisoformat(str(value))
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError
