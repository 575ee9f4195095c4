"""From the columns of a file to the columns of a contract: which is which, and text to types.

    Block.rows → bind (source column → contract column) → text to types, column by column → rows, rejected, notes

`columns` binds, `texts` reads, `mapping` says what cannot be seen in the file. Here it is put together: rows that hold
something that cannot be read are taken out, each with all its reasons.
"""

from collections import Counter
from collections.abc import Mapping as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from hub.catalogue.contract import Column, Contract
from hub.ingest.checks import Rejected, row_contents, shorten
from hub.ingest.columns import Source, bind
from hub.ingest.mapping import Mapping, check_mapping
from hub.ingest.texts import Flags, Read, read_constant, read_values

_VALUE_CHARACTERS_MAX: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """`rows` are in the contract's schema, in the order of the source, without the rejected ones.

    `Rejected.row` is the index in the source rows. `notes` say in words what was left out or changed. `put_right`: what
    was done → number of values that it was done to, those of rejected rows left out.
    """

    rows: pa.RecordBatch
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...]
    put_right: Counts[str, int]


def convert(rows: pa.RecordBatch, contract: Contract, mapping: Mapping) -> Converted:
    """Rows of a file in the contract's schema, and those that hold something that cannot be read.

    Raises InputFileError when a required column has no source or a column is of a type that cannot be converted,
    ConfigurationError when the mapping does not fit the contract.
    """
    check_mapping(contract, mapping)
    sources, notes = bind(rows.schema.names, contract, mapping)
    reads = [_read_source(rows, source, mapping) for source in sources]
    reasons: dict[int, list[str]] = {}
    for source, read in zip(sources, reads, strict=True):
        if read.note:
            notes.append(read.note)
        if read.bad:
            assert source.place is not None
            _explain(reasons, read.bad, source.column, rows.schema.names[source.place], rows.column(source.place))
    converted = pa.RecordBatch.from_arrays([read.values for read in reads], schema=contract.schema)
    order = sorted(reasons)
    keep = np.ones(rows.num_rows, np.bool_)
    if order:
        keep[order] = False
        converted = converted.filter(pa.array(keep))
    rejected = tuple(
        Rejected(row=row, reason="; ".join(reasons[row]), content=content)
        for row, content in zip(order, row_contents(rows, order), strict=True)
    )
    return Converted(rows=converted, rejected=rejected, notes=tuple(notes), put_right=_counted(reads, keep))


def _read_source(rows: pa.RecordBatch, source: Source, mapping: Mapping) -> Read:
    if source.constant is not None:
        return Read(values=pa.repeat(read_constant(source.constant, source.column, mapping), rows.num_rows))
    if source.place is None:
        return Read(values=pa.nulls(rows.num_rows, source.column.arrow))
    return read_values(rows.column(source.place), source.column, mapping)


def _counted(reads: Sequence[Read], keep: Flags) -> Counter[str]:
    counts: Counter[str] = Counter()
    for read in reads:
        for kind, where in read.put_right.items():
            counts[kind] += int(np.count_nonzero(where & keep))
    return +counts


def _explain(reasons: dict[int, list[str]], bad: Sequence[int], column: Column, name: str, values: pa.Array) -> None:
    """Adds the reason of each bad row: `wind_speed (风速): 'abc' is no float32`."""
    where = column.name if name.strip() == column.name else f"{column.name} ({name.strip()})"
    shown = values.take(pa.array(bad))
    if pa.types.is_temporal(shown.type):
        shown = shown.cast(pa.string())  # to_pylist fails after year 9999.
    for row, value in zip(bad, shown.to_pylist(), strict=True):
        text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
        reasons.setdefault(row, []).append(f"{where}: {shorten(text, _VALUE_CHARACTERS_MAX)!r} is no {column.type}")
