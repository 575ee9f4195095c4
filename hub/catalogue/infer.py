"""A contract that the columns of somebody's rows make. Whoever wants checks, units and titles writes one by hand."""

import re
from collections.abc import Callable
from typing import Final

import pyarrow as pa
from pydantic import ValidationError

from hub.catalogue.contract import NAME_PATTERN, Contract
from hub.errors import ContractError

_SAME: Final[dict[pa.DataType, str]] = {
    pa.bool_(): "boolean",
    pa.float16(): "float32",
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.null(): "string",
    **{
        getattr(pa, name)(): name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}
_NAMES: Final[tuple[tuple[Callable[[pa.DataType], bool], str], ...]] = (
    *((one, "string") for one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)),
    *((one, "binary") for one in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)),
    (pa.types.is_fixed_size_binary, "binary"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
)
_DIGITS_MAX: Final = 38


def contract_of_schema(name: str, schema: pa.Schema, *, home: str) -> Contract:
    """An event data set without domains, nothing required. Raises ContractError."""
    for column in (name, *schema.names):
        if not re.match(NAME_PATTERN, column):
            raise ContractError(f"{column!r} cannot be a name", hint="small letters, digits and _ only")
    try:
        return Contract.model_validate(
            {
                "name": name,
                "agency": "cityhub",
                "home": home,
                "kind": "event",
                "title": {"zh": name, "en": name},
                "description": "Created by bulk ingest.",
                "columns": [
                    {"name": field.name, "type": type_of(field.type), "title": {"zh": field.name, "en": field.name}}
                    for field in schema
                ],
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ContractError(f"data set {name!r}: {first['msg']}") from error


def type_of(kind: pa.DataType) -> str:
    """The contract type that holds every value of an Arrow type. Raises ContractError for those without one."""
    if kind in _SAME:
        return _SAME[kind]
    if pa.types.is_dictionary(kind):
        return type_of(kind.value_type)
    for is_one, name in _NAMES:
        if is_one(kind):
            return name
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.unit in ("s", "ms") else "timestamp_us"
    if pa.types.is_decimal(kind) and kind.precision <= _DIGITS_MAX:
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"list({type_of(kind.value_type)})"
    if pa.types.is_struct(kind) and kind.num_fields:
        return f"struct({', '.join(f'{field.name} {type_of(field.type)}' for field in kind)})"
    raise ContractError(f"no column can be {kind}", hint="convert it before it is sent")
