"""What a centre says of itself by Flight SQL: SqlInfo, and the types that drivers ask for. Numbers are the format's."""

from collections.abc import Collection
from importlib.metadata import version
from typing import Any, Final

import pyarrow as pa

_NAMES: Final = (
    "string_value",
    "bool_value",
    "bigint_value",
    "int32_bitmask",
    "string_list",
    "int32_to_int32_list_map",
)
_TYPES: Final = (
    pa.string(),
    pa.bool_(),
    pa.int64(),
    pa.int32(),
    pa.list_(pa.string()),
    pa.map_(pa.int32(), pa.list_(pa.int32())),
)
_VALUE: Final = pa.dense_union([pa.field(name, kind) for name, kind in zip(_NAMES, _TYPES, strict=True)])
SQL_INFO: Final = pa.schema(
    [pa.field("info_name", pa.uint32(), nullable=False), pa.field("value", _VALUE, nullable=False)]
)
_TEXT, _FLAG, _NUMBER, _BITS, _TEXTS = range(5)

_VALUES: Final[dict[int, tuple[int, Any]]] = {
    0: (_TEXT, "cityhub"),
    1: (_TEXT, version("cityhub")),
    2: (_TEXT, pa.__version__),
    3: (_FLAG, False),  # Not read-only: rows are taken by bulk ingest.
    4: (_FLAG, True),  # SQL
    5: (_FLAG, False),  # Substrait
    8: (_BITS, 0),  # Transactions: none. Every query is one of its own, read-only.
    9: (_FLAG, True),  # Calls can be cancelled.
    10: (_FLAG, True),  # Bulk ingest
    11: (_FLAG, False),  # … in a transaction
    500: (_FLAG, False),  # DDL of catalogues, of schemas, of tables
    501: (_FLAG, False),
    502: (_FLAG, False),
    503: (_NUMBER, 3),  # Names are compared without case, and kept
    504: (_TEXT, '"'),
    505: (_NUMBER, 3),
    507: (_NUMBER, 1),  # Nulls come last
    508: (_TEXTS, []),
}

_TYPE_INFO_FIELDS: Final[tuple[tuple[str, pa.DataType, bool], ...]] = (
    ("type_name", pa.string(), False),
    ("data_type", pa.int32(), False),
    ("column_size", pa.int32(), True),
    ("literal_prefix", pa.string(), True),
    ("literal_suffix", pa.string(), True),
    ("create_params", pa.list_(pa.field("item", pa.string(), nullable=False)), True),
    ("nullable", pa.int32(), False),
    ("case_sensitive", pa.bool_(), False),
    ("searchable", pa.int32(), False),
    ("unsigned_attribute", pa.bool_(), True),
    ("fixed_prec_scale", pa.bool_(), False),
    ("auto_increment", pa.bool_(), True),
    ("local_type_name", pa.string(), True),
    ("minimum_scale", pa.int32(), True),
    ("maximum_scale", pa.int32(), True),
    ("sql_data_type", pa.int32(), False),
    ("datetime_subcode", pa.int32(), True),
    ("num_prec_radix", pa.int32(), True),
    ("interval_precision", pa.int32(), True),
)
TYPE_INFO: Final = pa.schema([pa.field(name, kind, nullable=nullable) for name, kind, nullable in _TYPE_INFO_FIELDS])

# Name, number of XDBC, digits or characters, radix of numbers.
_KINDS: Final = (
    ("BOOLEAN", -7, 1, None),
    ("TINYINT", -6, 3, 10),
    ("SMALLINT", 5, 5, 10),
    ("INTEGER", 4, 10, 10),
    ("BIGINT", -5, 19, 10),
    ("FLOAT", 7, 24, 2),
    ("DOUBLE", 8, 53, 2),
    ("DECIMAL", 3, 38, 10),
    ("VARCHAR", 12, None, None),
    ("VARBINARY", -3, None, None),
    ("DATE", 91, 10, None),
    ("TIME", 92, 15, None),
    ("TIMESTAMP", 93, 26, None),
)
_DATETIMES: Final = {91: 1, 92: 2, 93: 3}


def sql_info(wanted: Collection[int]) -> pa.Table:
    """Of the numbers asked for, those that are known; all when none is asked for."""
    values = {number: _VALUES[number] for number in _VALUES if not wanted or number in wanted}
    columns: list[list[Any]] = [[] for _ in _TYPES]
    offsets = []
    for place, value in values.values():
        offsets.append(len(columns[place]))
        columns[place].append(value)
    union = pa.UnionArray.from_dense(
        pa.array([place for place, _ in values.values()], pa.int8()),
        pa.array(offsets, pa.int32()),
        [pa.array(column, kind) for column, kind in zip(columns, _TYPES, strict=True)],
        list(_NAMES),
    )
    return pa.Table.from_arrays([pa.array(list(values), pa.uint32()), union], schema=SQL_INFO)


def type_info(data_type: int | None) -> pa.Table:
    """Types of columns; of one number of XDBC alone when it is given."""
    rows = [
        {
            "type_name": name,
            "data_type": number,
            "column_size": size,
            "literal_prefix": "'" if radix is None and name != "BOOLEAN" else None,
            "literal_suffix": "'" if radix is None and name != "BOOLEAN" else None,
            "create_params": ["precision", "scale"] if name == "DECIMAL" else None,
            "nullable": 1,
            "case_sensitive": name == "VARCHAR",
            "searchable": 3,
            "unsigned_attribute": False if radix else None,
            "fixed_prec_scale": name == "DECIMAL",
            "auto_increment": False,
            "local_type_name": name,
            "minimum_scale": 0 if name == "DECIMAL" else None,
            "maximum_scale": 38 if name == "DECIMAL" else None,
            "sql_data_type": 9 if number in _DATETIMES else number,
            "datetime_subcode": _DATETIMES.get(number),
            "num_prec_radix": radix,
            "interval_precision": None,
        }
        for name, number, size, radix in _KINDS
        if data_type in (None, number)
    ]
    return pa.Table.from_pylist(rows, schema=TYPE_INFO)
