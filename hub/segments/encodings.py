"""How each column of a segment is encoded: by its type and its values.

| type | dictionary, or else |
| --- | --- |
| integers, dates, timestamps, decimals up to 18 digits | delta: what lies near its neighbour takes few bits |
| floats | byte stream split: exponents compress, noise stays apart |
| strings, longer decimals | plain: compression finds what is alike |
| booleans | plain, always |

Which of the two is found by trial: a sample of the rows is encoded both ways, and the smaller one wins. Neither the
type nor the number of different values can tell: 10,000 identifiers that count up, over and over, take 0.01 bytes a row
as deltas and 0.9 in a dictionary; in an order of their own they take 1.6 and 0.9.

Values that repeat (quantised readings, codes, names of districts) are smaller in a dictionary, and scanned faster. The
sample's dictionary counts in full against it, although a larger table would share it: it may be one that goes on
growing. A dictionary of more than 1 MiB is given up by the writer on the way.

Compression is zstd at level 1 throughout. Against lz4 it makes plain texts 2 to 13 times and readings a twentieth
smaller, for an eighth more time to encode. Other encodings of Parquet were tried and left out: those of strings by
deltas win where identifiers count up, and lose elsewhere; DuckDB 2.0 reads no byte stream split of long decimals.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

_SAMPLE_BLOCKS: Final = 2
_SAMPLE_BLOCK_ROWS: Final = 32_768
_INTEGER_DIGITS_MAX: Final = 18  # Of a decimal that Parquet stores as an integer.


class Encoding(StrEnum):
    DICTIONARY = "DICTIONARY"
    DELTA = "DELTA_BINARY_PACKED"
    SPLIT = "BYTE_STREAM_SPLIT"
    PLAIN = "PLAIN"


def choose_encodings(rows: pa.Table) -> dict[str, Encoding]:
    """The encoding of each column that is not nested: those are written plainly. Equal rows get equal ones."""
    own = {field.name: own_encoding(field.type) for field in rows.schema if not pa.types.is_nested(field.type)}
    sample = _sample(rows)
    own_bytes = _column_bytes(sample, own)
    dictionary_bytes = _column_bytes(sample, dict.fromkeys(own, Encoding.DICTIONARY))
    return {
        name: Encoding.DICTIONARY if dictionary_bytes[name] < own_bytes[name] else encoding
        for name, encoding in own.items()
    }


def own_encoding(kind: pa.DataType) -> Encoding:
    """What a type takes if not a dictionary."""
    if pa.types.is_floating(kind):
        return Encoding.SPLIT
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        return Encoding.PLAIN
    if pa.types.is_decimal(kind) and kind.precision > _INTEGER_DIGITS_MAX:
        return Encoding.PLAIN
    return Encoding.DELTA


def write_options(encodings: Mapping[str, Encoding]) -> dict[str, Any]:
    """Options of `pyarrow.parquet.write_table` for these encodings, and all that a segment's format leaves open.

    The types alone say what the columns are: no Arrow schema is stored beside them.
    """
    return {
        "version": "2.6",
        "use_dictionary": [name for name, encoding in encodings.items() if encoding is Encoding.DICTIONARY],
        "column_encoding": {
            name: encoding.value for name, encoding in encodings.items() if encoding is not Encoding.DICTIONARY
        },
        "compression": "zstd",
        "compression_level": 1,
        "write_statistics": True,
        "store_decimal_as_integer": True,
        "store_schema": False,
    }


def _sample(rows: pa.Table) -> pa.Table:
    """Runs of rows that follow each other, spread over the table; all rows of a small one."""
    count = rows.num_rows
    if count <= _SAMPLE_BLOCKS * _SAMPLE_BLOCK_ROWS:
        return rows
    last = count - _SAMPLE_BLOCK_ROWS
    starts = [last * block // (_SAMPLE_BLOCKS - 1) for block in range(_SAMPLE_BLOCKS)]
    return pa.concat_tables([rows.slice(start, _SAMPLE_BLOCK_ROWS) for start in starts])


def _column_bytes(rows: pa.Table, encodings: dict[str, Encoding]) -> dict[str, int]:
    """What each column takes in a file of these rows."""
    written: list[pq.FileMetaData] = []
    pq.write_table(rows, pa.MockOutputStream(), metadata_collector=written, **write_options(encodings))
    sizes = dict.fromkeys(encodings, 0)
    for group in range(written[0].num_row_groups):
        for index in range(written[0].num_columns):
            column = written[0].row_group(group).column(index)
            if column.path_in_schema in sizes:
                sizes[column.path_in_schema] += column.total_compressed_size
    return sizes
