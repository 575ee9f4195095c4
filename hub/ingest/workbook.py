"""Opens a sheet of an Excel workbook, of a size that memory can hold.

    file → parts of the archive unzipped once, measured → calamine → rows of cells

calamine holds a sheet as one dense table: two cells in opposite corners make one of 17 thousand million, whatever the
file says of its size. So the addresses of all cells are read before. A .xls has 65,536 rows of 256 cells at most, by
its format. CELLS_MAX cells take about 1 GiB. Cells that hold an error such as #N/A come out empty; they are counted.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final, TypeAlias

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from hub.errors import InputFileError

CELLS_MAX: Final = 10_000_000
FILE_BYTES_MAX: Final = 256 << 20
UNZIPPED_BYTES_MAX: Final = 2 << 30
_PART_BYTES: Final = 4 << 20
_ZIP_MAGIC: Final = b"PK\x03\x04"
_OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0"
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_WORKBOOK_PART: Final = "xl/workbook.xml"
# Every program writes addresses in the first form, XML allows the other, which takes twice as long to look for.
_ADDRESS: Final = re.compile(rb' r="([A-Za-z]{1,8})([0-9]{1,10})"')
_ODD_ADDRESS: Final = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,8})([0-9]{1,10})["']""")
_ODD: Final = tuple(before + b"r" for before in (b"\t", b"\n", b"\r")) + tuple(
    b" r" + after for after in (b" ", b"\t", b"\n", b"\r", b"='", b"= ", b"=\t", b"=\n", b"=\r")
)
_ERROR: Final = b' t="e"'
_OVERLAP_BYTES: Final = 64  # Longer than an address, so that none is lost where two reads meet.
_TO_CSV: Final = "save the sheet as CSV in UTF-8"

Cell: TypeAlias = int | float | str | bool | time | date | datetime | timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSheet:
    """`rows` are the sheet's from its first one on, all of one width; an empty cell is an empty text. `error_cells`
    are those of the whole workbook."""

    rows: Iterator[list[Cell]]
    row_count: int
    file_bytes: int
    error_cells: int


def open_sheet(path: Path, sheet: str | None) -> OpenSheet:
    """`sheet` None stands for the first. Raises InputFileError, OSError."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise InputFileError(f"{path.name} is larger than {FILE_BYTES_MAX >> 20} MiB", hint=_TO_CSV)
    content = path.read_bytes()
    errors = 0
    if content.startswith(_ZIP_MAGIC):
        errors = _measure(path.name, content)
    elif not content.startswith(_OLE_MAGIC):
        hint = "text under such a name is loaded with --format csv"
        raise InputFileError(f"{path.name} cannot be read as xlsx: it is no workbook of Excel", hint=hint)
    elif _ENCRYPTED in content:
        raise _encrypted(path.name)
    found = _sheet(path.name, content, sheet)
    if found.total_height * found.total_width > CELLS_MAX:
        raise _too_large(path.name)
    return OpenSheet(rows=found.iter_rows(), row_count=found.total_height, file_bytes=len(content), error_cells=errors)


def _sheet(name: str, content: bytes, sheet: str | None) -> CalamineSheet:
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(content))
        if sheet is None:
            return workbook.get_sheet_by_index(0)
        if sheet not in workbook.sheet_names:
            sheets = ", ".join(map(repr, workbook.sheet_names))
            raise InputFileError(f"{name} has no sheet {sheet!r}", hint=f"it has {sheets}")
        return workbook.get_sheet_by_name(sheet)
    except PasswordError as error:
        raise _encrypted(name) from error
    except (CalamineError, OSError) as error:
        raise InputFileError(f"{name} cannot be read as xlsx: {error}", hint="is the file complete?") from error


def _measure(name: str, content: bytes) -> int:
    """Reads every part of the archive, and returns how many cells hold an error. Raises InputFileError."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if _WORKBOOK_PART not in archive.namelist():
                raise InputFileError(f"{name} cannot be read as xlsx: it has no {_WORKBOOK_PART}", hint=_TO_CSV)
            if sum(part.file_size for part in archive.infolist()) > UNZIPPED_BYTES_MAX:
                raise _too_large(name)
            return sum(_measure_part(name, archive, part) for part in archive.infolist())
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise InputFileError(f"{name} cannot be read as xlsx: {error}", hint="is the file complete?") from error


def _measure_part(name: str, archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> int:
    rows = columns = errors = 0
    rest = b""
    with archive.open(part) as stream:
        while data := stream.read(_PART_BYTES):
            text = rest + data
            address = _ODD_ADDRESS if any(one in text for one in _ODD) else _ADDRESS
            letters, digits = zip(*address.findall(text) or [(b"", b"0")], strict=True)
            columns = max(columns, *map(_column_number, set(letters)))
            rows = max(rows, *map(int, set(digits)))
            errors += data.count(_ERROR)
            if rows * columns > CELLS_MAX:
                raise _too_large(name)
            rest = data[-_OVERLAP_BYTES:]
    return errors


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number


def _too_large(name: str) -> InputFileError:
    return InputFileError(f"{name}: a sheet may have {CELLS_MAX:,} cells, counted up to its last one", hint=_TO_CSV)


def _encrypted(name: str) -> InputFileError:
    return InputFileError(f"{name} is encrypted", hint="save it without a password")
