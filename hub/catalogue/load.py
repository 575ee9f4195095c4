"""Contracts from TOML and JSON.

    contracts/water.toml, ...  →  parse_contract  →  Contract  →  contract_to_json  →  log entry, gRPC

A file holds `[[contract]]` tables, one file a source unit. A column may name a data element of `elements.toml`, whose
type, unit, domain, sensitivity and titles it then has, unless it says otherwise itself: `{ element = "lon" }`.

Beyond what `Contract` itself asks, a domain must fit its column: limits for numbers and moments, a pattern (RE2), a
length and a code for strings, values of the column's type. Whatever is wrong is a ContractError that names the file,
the data set and the field.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from hub.catalogue.contract import Column, Contract, Title
from hub.errors import ContractError

_INT_BITS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_WORDS: Final = {"missing": "is missing", "extra_forbidden": "is not known"}


def load_contracts(*directories: Path) -> dict[str, Contract]:
    """Contracts of every `*.toml` in the directories, by name; the built-in ones when none is given.

    Raises ContractError: a directory without contracts, a file that is no TOML, a wrong contract, a name used twice.
    """
    if not directories:
        return builtin_contracts()
    contracts: dict[str, Contract] = {}
    for directory in directories:
        _add(contracts, directory)
    return contracts


def builtin_contracts() -> dict[str, Contract]:
    """Contracts that come with the hub, by name."""
    return dict(_builtin())


def parse_contract(source: str | Mapping[str, Any], *, origin: str = "contract") -> Contract:
    """One contract from its table, or from TOML text with one `[[contract]]` table.

    `origin` is what errors call the source: a file's name. Raises ContractError.
    """
    if isinstance(source, str):
        tables = _tables(source, origin)
        if len(tables) != 1:
            raise ContractError(f"{origin}: {len(tables)} contracts where one is expected")
        return _contract(tables[0], origin)
    return _contract(source, origin)


def contract_to_json(contract: Contract) -> str:
    """Compact JSON, the same text for equal contracts."""
    return contract.model_dump_json()


def contract_from_json(text: str | bytes) -> Contract:
    """Raises ContractError."""
    try:
        contract = Contract.model_validate_json(text)
    except ValidationError as error:
        raise ContractError(_explain(error, None, "JSON")) from error
    _check_domains(contract, "JSON")
    return contract


@cache
def _builtin() -> dict[str, Contract]:
    contracts: dict[str, Contract] = {}
    _add(contracts, files("hub.catalogue").joinpath("contracts"))
    return contracts


def _add(contracts: dict[str, Contract], directory: Traversable) -> None:
    try:
        sources = sorted((file for file in directory.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    except OSError as error:
        raise ContractError(f"{directory}: no directory of contracts: {error.strerror}") from error
    if not sources:
        raise ContractError(f"{directory}: holds no contracts (*.toml)")
    for source in sources:
        for contract in _read(source):
            if contract.name in contracts:
                raise ContractError(f"{source.name}: data set {contract.name}: defined twice")
            contracts[contract.name] = contract


def _read(source: Traversable) -> Iterator[Contract]:
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{source.name}: cannot be read: {error}") from error
    for table in _tables(text, source.name):
        yield _contract(table, source.name)


@cache
def elements() -> dict[str, dict[str, Any]]:
    """What columns of one meaning have in common, by name of the data element, as columns of a contract have it."""
    return tomllib.loads(files("hub.catalogue").joinpath("elements.toml").read_text(encoding="utf-8"))


@cache
def agencies() -> dict[str, Title]:
    """Titles of the units that own data sets, by name: the 29 that feed the hub, and the hub itself."""
    text = files("hub.catalogue").joinpath("agencies.toml").read_text(encoding="utf-8")
    return {name: Title.model_validate(title) for name, title in tomllib.loads(text).items()}


def _tables(text: str, origin: str) -> list[dict[str, Any]]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"{origin}: no TOML: {error}") from error
    if unknown := content.keys() - {"contract"}:
        raise ContractError(f"{origin}: unknown {', '.join(sorted(unknown))}; only [[contract]] tables are expected")
    tables = content.get("contract", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ContractError(f"{origin}: contract is no list of tables: write [[contract]]")
    return tables


def _contract(table: Mapping[str, Any], origin: str) -> Contract:
    table = _with_elements(table, origin)
    try:
        contract = Contract.model_validate(table)
    except ValidationError as error:
        raise ContractError(_explain(error, table, origin)) from error
    _check_domains(contract, origin)
    return contract


def _with_elements(table: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """The table with every column in full. Raises ContractError for an element that does not exist."""
    columns = table.get("columns")
    if not isinstance(columns, list):
        return table
    full: list[Any] = []
    for column in columns:
        if isinstance(column, dict) and (name := column.get("element")) is not None:
            if name not in elements():
                raise ContractError(f"{origin}: data set {table.get('name')}: there is no data element {name!r}")
            own = {key: value for key, value in column.items() if key != "element"}
            of_element = dict(elements()[name])
            if of_element.get("reference", {}).get("data_set") == table.get("name"):
                del of_element["reference"]  # This is where it is known.
            full.append({"name": name, **of_element, **own})
        else:
            full.append(column)
    return {**table, "columns": full}


def _explain(error: ValidationError, table: Mapping[str, Any] | None, origin: str) -> str:
    """All faults in one line: `water.toml: data set levels: columns[2] lon, type: unknown type 'real'`."""
    where = f"{origin}: data set {(table or {}).get('name', '(without a name)')}" if table is not None else origin
    faults = []
    for fault in error.errors(include_url=False):
        words = _WORDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
        field = _field(fault["loc"], table)
        faults.append(f"{field} {words}" if fault["type"] in _WORDS else f"{field}: {words}" if field else words)
    return f"{where}: {'; '.join(faults)}"


def _field(location: tuple[int | str, ...], table: Mapping[str, Any] | None) -> str:
    """`columns[2] lon, type`: the column's own name helps more than its place."""
    parts: list[str] = []
    for part in location:
        if isinstance(part, int) and parts:
            parts[-1] += f"[{part}]{_column_name(table, part) if location[0] == 'columns' else ''}"
        else:
            parts.append(str(part))
    return ", ".join(parts)


def _column_name(table: Mapping[str, Any] | None, index: int) -> str:
    try:
        return f" {(table or {})['columns'][index]['name']}"
    except (KeyError, IndexError, TypeError):
        return ""


def _check_domains(contract: Contract, origin: str) -> None:
    for column in contract.columns:
        if fault := _domain_fault(column):
            raise ContractError(f"{origin}: data set {contract.name}: column {column.name}, domain: {fault}")


def _domain_fault(column: Column) -> str:
    """What is wrong with a column's domain in words, or nothing."""
    domain = column.domain
    if domain is None:
        return ""
    text = column.type == "string"
    if not text and (domain.pattern is not None or domain.length_max is not None or domain.code is not None):
        return f"a pattern, length_max or code is for strings, not for {column.type}"
    if fault := _moments_fault(column, domain.earliest, domain.latest):
        return fault
    if fault := _limits_fault(column, domain.min, domain.max):
        return fault
    if domain.values is not None and (not domain.values or not _values_fit(column, domain.values)):
        return f"values {list(domain.values)} are no list of {column.type}"
    if domain.pattern is not None:
        try:
            pc.match_substring_regex(pa.array([""]), domain.pattern)
        except pa.ArrowInvalid as error:
            return f"pattern {domain.pattern!r}: {error}"
    return ""


def _limits_fault(column: Column, low: float | None, high: float | None) -> str:
    limits = [limit for limit in (low, high) if limit is not None]
    if not limits:
        return ""
    if not (column.type in _INT_BITS or column.type.startswith(("float", "decimal"))):
        return f"min and max are for numbers, not for {column.type}"
    if not all(math.isfinite(limit) for limit in limits):
        return "min and max must be finite; leave out the one that does not exist"
    if low is not None and high is not None and low > high:
        return f"min {low:g} is above max {high:g}"
    if bits := _INT_BITS.get(column.type):
        for limit in limits:
            if not -(2 ** (bits - 1)) <= limit < 2 ** (bits - 1):
                return f"{limit:g} is outside {column.type}"
    return ""


def _moments_fault(column: Column, earliest: str | None, latest: str | None) -> str:
    moments = [moment for moment in (earliest, latest) if moment is not None]
    if moments and column.type not in ("date", "timestamp", "timestamp_us"):
        return f"earliest and latest are for dates and timestamps, not for {column.type}"
    try:
        pa.array(moments).cast(column.arrow) if moments else None
    except pa.ArrowInvalid as error:
        return f"earliest and latest: {error}"
    if earliest is not None and latest is not None and earliest > latest:
        return f"earliest {earliest} is after latest {latest}"
    return ""


def _values_fit(column: Column, values: tuple[str | int, ...]) -> bool:
    kind = str if column.type == "string" else int
    if kind is int and column.type not in _INT_BITS:
        return False
    try:
        pa.array(values, column.arrow)
    except (pa.ArrowException, OverflowError):
        return False
    return all(isinstance(value, kind) for value in values)
