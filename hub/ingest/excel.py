"""A sheet of an Excel workbook (.xlsx, .xlsm, .xls) as blocks of columns of text, like those of a CSV file.

    workbook.open_sheet → rows of cells → header found → rows by the thousand → columns of text → Block, ...

| cell | text |
| --- | --- |
| text | as it is |
| number | 12, 12.5: to 15 significant digits, as many as Excel keeps |
| date, time, both | 2017-04-12, 08:05:00, 2017-04-12 08:05:00; what is one, its cell's format says |
| true, false | true, false |
| empty, or an error such as #N/A | nothing; errors are counted in a note |

The header is the first row, among the first HEADER_ROWS_MAX, in which at least half of the cells that are not empty are
names of wanted columns, and two of them at least; without one the first row that is not empty. Columns without a name
are passed over, and rows without any text are no rows. A number of 16 digits or more in a wanted column rejects its
row: Excel has made zeros of its last digits, and an ID that was typed as a number is lost.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.errors import InputFileError
from hub.ingest.blocks import Block, without
from hub.ingest.workbook import Cell, open_sheet

HEADER_ROWS_MAX: Final = 50
ROUNDED: Final = "holds a number of over 15 digits, of which Excel keeps 15: have the column sent as text"
_EXACT_BELOW: Final = 1e15
_BLOCK_CELLS: Final = 400_000


def read_sheet(path: Path, *, sheet: str | None, names: Collection[str], block_rows: int) -> Iterator[Block]:
    """Blocks of at most `block_rows` rows; at least one. `sheet` None stands for the first; `names` are what wanted
    columns may be called, without case, and none stands for any. Raises InputFileError."""
    found = open_sheet(path, sheet)
    begun = list(islice(found.rows, HEADER_ROWS_MAX))
    place = header_row(begun, names)
    if place is None:
        raise InputFileError(f"{path.name}: the sheet is empty", hint="name another one")
    header = [_name(cell) for cell in begun[place]]
    named = [column for column, name in enumerate(header) if name]
    names_found = [header[column] for column in named]
    wanted = [not names or name.casefold() in names for name in names_found]
    notes = (f"{found.error_cells:,} cells of the workbook hold an error such as #N/A",) if found.error_cells else ()
    first, done = 0, place + 1
    size = max(1, min(block_rows, _BLOCK_CELLS // len(header)))
    for cells in _batched(chain(begun[done:], found.rows), size):
        done += len(cells)
        columns = _columns(cells, named)
        block = Block(
            rows=pa.RecordBatch.from_arrays([_texts(one) for one in columns], names=names_found),
            first_row=first,
            bytes_read=found.file_bytes * done // max(found.row_count, done),
            notes=notes,
        )
        first += block.rows.num_rows
        yield without(block, _rounded(columns, wanted), ROUNDED)


def header_row(rows: Sequence[Sequence[Cell]], names: Collection[str]) -> int | None:
    """Place of the header; None when all rows are empty."""
    filled = [[_name(cell) for cell in row if cell != ""] for row in rows]
    for place, cells in enumerate(filled):
        known = sum(cell.casefold() in names for cell in cells)
        if known >= min(2, len(names)) and 0 < len(cells) <= 2 * known:
            return place
    return next((place for place, cells in enumerate(filled) if cells), None)


def _batched(rows: Iterator[list[Cell]], size: int) -> Iterator[list[list[Cell]]]:
    """Lists of `size` rows; one without rows when there are none."""
    batch = list(islice(rows, size))
    yield batch
    while batch := list(islice(rows, size)):
        yield batch


def _name(cell: Cell) -> str:
    """A name in a narrow column is often broken into lines."""
    return "".join(_text(cell).split("\n")).strip()


def _columns(rows: list[list[Cell]], named: list[int]) -> list[Sequence[Cell]]:
    """The named columns of the rows in which one of these holds something."""
    columns: list[Sequence[Cell]] = list(zip(*rows, strict=True)) if rows else [()] * (max(named) + 1)
    chosen = [columns[place] for place in named]
    if all("" in column for column in chosen):
        filled = [any(cell != "" for cell in cells) for cells in zip(*chosen, strict=True)]
        chosen = [list(compress(column, filled)) for column in chosen]
    return chosen


def _texts(column: Sequence[Cell]) -> pa.Array:
    kinds = set(map(type, column))
    if kinds == {str}:
        return pa.array(column, pa.string())
    if kinds <= {int, float}:
        return pa.array([f"{cell:.15g}" for cell in column], pa.string())
    return pa.array([_FORMS[type(cell)](cell) for cell in column], pa.string())


def _rounded(columns: list[Sequence[Cell]], wanted: list[bool]) -> npt.NDArray[np.bool_]:
    """Rows that hold a number which Excel cannot have kept, shape (n,)."""
    bad = np.zeros(len(columns[0]), np.bool_)
    for column in compress(columns, wanted):
        kinds = set(map(type, column))
        if kinds and kinds <= {int, float}:
            bad |= np.abs(np.array(column, np.float64)) >= _EXACT_BELOW
        elif kinds & {int, float}:
            bad |= [isinstance(cell, int | float) and abs(cell) >= _EXACT_BELOW for cell in column]
    return bad


def _text(cell: Cell) -> str:
    return _FORMS[type(cell)](cell)


def _number(cell: float) -> str:
    return f"{cell:.15g}"


def _moment(cell: datetime) -> str:
    """Seconds are fractions of a day there: what is nearest to a millisecond is meant."""
    rounded = cell + timedelta(microseconds=500)
    rounded = rounded.replace(microsecond=rounded.microsecond // 1000 * 1000)
    if rounded.time() == time():
        return rounded.date().isoformat()
    return rounded.isoformat(sep=" ", timespec="milliseconds" if rounded.microsecond else "seconds")


_FORMS: Final[dict[type, Callable[[Any], str]]] = {
    str: str,
    int: _number,
    float: _number,
    bool: lambda cell: "true" if cell else "false",
    datetime: _moment,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: str,
}
