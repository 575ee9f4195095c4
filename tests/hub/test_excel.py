"""Workbooks: what cells become, where the header is, what is lost in numbers, and files that are no such files."""

import io
import json
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.errors import InputFileError
from hub.ingest import workbook as workbooks
from hub.ingest.blocks import Block
from hub.ingest.excel import ROUNDED, header_row
from hub.ingest.load import LoadOptions, file_producer, prepare_file
from hub.ingest.mapping import Mapping
from hub.ingest.readers import read_file

_TITLE = {"zh": "物", "en": "Things"}
THINGS = Contract.model_validate(
    {
        "name": "things",
        "agency": "test",
        "home": "ops",
        "kind": "event",
        "title": _TITLE,
        "columns": [
            {"name": "code", "type": "string", "title": {"zh": "编号", "en": "Code"}},
            {"name": "day", "type": "date", "title": {"zh": "日期", "en": "Day"}},
            {"name": "at", "type": "timestamp", "title": {"zh": "时间", "en": "At"}},
            {"name": "size", "type": "float64", "title": {"zh": "大小", "en": "Size"}},
            {"name": "count", "type": "int32", "title": {"zh": "数量", "en": "Count"}},
            {"name": "open", "type": "boolean", "title": {"zh": "开放", "en": "Open"}},
        ],
    }
)


def write(path: Path, *sheets: list[list[Any]], names: tuple[str, ...] = ("一", "二")) -> Path:
    """A workbook; dates and times get their formats, None leaves a cell out."""
    with xlsxwriter.Workbook(path) as book:
        forms = {
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            time: book.add_format({"num_format": "hh:mm:ss"}),
        }
        for name, rows in zip(names, sheets, strict=False):
            sheet = book.add_worksheet(name)
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    if isinstance(cell, str) and cell.startswith("#"):
                        sheet.write_formula(row, column, "=1/0", None, cell)
                    elif cell is not None:
                        sheet.write(row, column, cell, forms.get(type(cell)))
    return path


def read(path: Path, **options: Any) -> list[Block]:
    return list(read_file(path, **options))


def rows_of(blocks: list[Block]) -> list[dict[str, Any]]:
    return [row for block in blocks for row in block.rows.to_pylist()]


def test_cells_of_every_kind(tmp_path: Path) -> None:
    """Goal: a workbook loads like the CSV of the same table. Method: text, numbers, dates, booleans, gaps."""
    header = ["编号", "日期", "时间", "大小", "数量", "开放"]
    rows: list[list[Any]] = [
        ["007", date(2017, 4, 12), datetime(2017, 4, 12, 8, 5, 9), 0.1 + 0.2, 12, True],
        [440301, "2017年4月12日", datetime(2017, 4, 12), 1e-5, "１２", False],
        ["x", None, None, None, None, None],
    ]
    path = write(tmp_path / "a.xlsx", [header, *rows])
    (part,) = prepare_file(path, THINGS)
    assert part.rejected == ()
    assert part.rows.to_pylist() == [
        {"code": "007", "day": date(2017, 4, 12), "at": datetime(2017, 4, 12, 8, 5, 9), "size": 0.3, "count": 12,
         "open": True},
        {"code": "440301", "day": date(2017, 4, 12), "at": datetime(2017, 4, 12), "size": 1e-5, "count": 12,
         "open": False},
        {"code": "x", "day": None, "at": None, "size": None, "count": None, "open": None},
    ]  # fmt: skip
    assert part.put_right == {"full-width characters folded": 1}
    assert part.bytes_read == path.stat().st_size


def test_times_are_rounded_to_what_was_meant(tmp_path: Path) -> None:
    """Goal: a fraction of a day that cannot be written down exactly is the second that was typed. Method: all minutes
    of a day, as Excel keeps them."""
    moments = [datetime(2017, 4, 12, minute // 60, minute % 60, 59) for minute in range(1440)]
    path = write(tmp_path / "a.xlsx", [["时间", "编号"], *[[one, "x"] for one in moments]])
    (part,) = prepare_file(path, THINGS)
    assert part.rows["at"].to_pylist() == moments


def test_titles_above_the_header_are_passed_over(tmp_path: Path) -> None:
    """Goal: the header is found under titles, notes and empty rows; where no name is known, the first row that holds
    something is taken. Method: a sheet as offices make it; then names of a mapping; then unknown ones."""
    sheet: list[list[Any]] = [["深圳市物品登记表"], [None, "单位：", "某局"], [], [None, "编号", "日\n期", "备注"],
             [None, "a", date(2017, 4, 12), "好"], [], [None, "b", None, None]]  # fmt: skip
    path = write(tmp_path / "a.xlsx", sheet)
    (part,) = prepare_file(path, THINGS)
    assert part.rows["code"].to_pylist() == ["a", "b"]
    assert part.rows["day"].to_pylist() == [date(2017, 4, 12), None]
    assert "columns not loaded: 备注" in part.notes
    renamed = write(tmp_path / "b.xlsx", [["登记表", "x"], ["甲", "乙"], ["a", "2017-04-12"]])
    (part,) = prepare_file(renamed, THINGS, LoadOptions(mapping=Mapping(columns={"甲": "code", "乙": "day"})))
    assert part.rows["code"].to_pylist() == ["a"]
    assert [row["登记表"] for row in rows_of(read(renamed))] == ["甲", "a"]
    assert header_row([["", ""], ["", "编号"]], {"编号", "日期"}) == 1
    assert header_row([["", ""]], {"编号"}) is None


def test_long_numbers_are_refused_not_rounded(tmp_path: Path) -> None:
    """Goal: an ID that Excel took for a number is never loaded with its last digits gone. Method: 15 digits, which are
    exact, 16 and 18, in a column that is loaded and in one that is not."""
    rows: list[list[Any]] = [
        [123456789012345, 1],
        [1234567890123456, 1],
        [440301199001011234, 1],
        ["440301199001011234", 1],
        ["x", 440301199001011234],
    ]
    path = write(tmp_path / "a.xlsx", [["编号", "身份证"], *rows])
    (part,) = prepare_file(path, THINGS)
    assert part.rows["code"].to_pylist() == ["123456789012345", "440301199001011234", "x"]
    assert [(one.row, one.reason) for one in part.rejected] == [(1, ROUNDED), (2, ROUNDED)]
    assert json.loads(part.rejected[1].content)["编号"] == "4.40301199001011e+17"


def test_sheets_by_name(tmp_path: Path) -> None:
    """Goal: the sheet that is meant is read, by option or mapping, and one that is not there is told. Method: two."""
    path = write(tmp_path / "a.xlsx", [["编号", "x"], ["a", 1]], [["编号", "x"], ["b", 1]])
    assert rows_of(read(path))[0]["编号"] == "a"
    named = LoadOptions(mapping=Mapping(sheet="二"))
    for options in (named, LoadOptions(sheet="二")):
        (part,) = prepare_file(path, THINGS, options)
        assert part.rows["code"].to_pylist() == ["b"]
    assert file_producer(path, THINGS, named) == file_producer(path, THINGS, LoadOptions(sheet="二"))
    assert file_producer(path, THINGS, named) != file_producer(path, THINGS)
    with pytest.raises(InputFileError, match=r"no sheet '三' \(it has '一', '二'\)"):
        read(path, sheet="三")


def test_blocks_do_not_change_what_is_read(tmp_path: Path) -> None:
    """Goal: row numbers hold over blocks and empty rows. Method: a sheet in blocks of every small size."""
    rows: list[list[Any]] = [[str(row), row] if row % 5 else [None, None] for row in range(1, 40)]
    rows[17] = [1e17, 1]
    path = write(tmp_path / "a.xlsx", [["编号", "数量"], *rows])
    whole = read(path, names={"编号", "数量"})
    for size in (1, 2, 7, 1000):
        blocks = read(path, names={"编号", "数量"}, block_rows=size)
        assert rows_of(blocks) == rows_of(whole)
        assert [one.row for block in blocks for one in block.malformed] == [14]
        assert sum(block.rows.num_rows + len(block.malformed) for block in blocks) == 32


def test_errors_of_cells_are_counted(tmp_path: Path) -> None:
    """Goal: #N/A does not become a gap without a word. Method: two of them."""
    path = write(tmp_path / "a.xlsx", [["编号", "大小"], ["a", "#N/A"], ["b", "#DIV/0!"]])
    (part,) = prepare_file(path, THINGS)
    assert part.rows["size"].to_pylist() == [None, None]
    assert part.notes == ("2 cells of the workbook hold an error such as #N/A",)


def test_a_sheet_without_rows(tmp_path: Path) -> None:
    """Goal: a header alone is a file without rows, an empty sheet is an error. Method: both."""
    (block,) = read(write(tmp_path / "a.xlsx", [["a", "b"]]))
    assert (block.rows.schema.names, block.rows.num_rows) == (["a", "b"], 0)
    with pytest.raises(InputFileError, match="the sheet is empty"):
        read(write(tmp_path / "b.xlsx", []))


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    """Goal: an error names the file and says what to do. Method: cut, flipped, renamed, encrypted, another archive."""
    whole = write(tmp_path / "whole.xlsx", [["编号", "x"], *[[f"a{row}", row] for row in range(500)]]).read_bytes()
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("content.xml", "<x/>")
    path = tmp_path / "a.xlsx"
    for content, words in (
        (whole[:-200], "is the file complete"),
        (whole[: len(whole) // 2], "is the file complete"),
        (b"PK\x03\x04" + b"x" * 100, "is the file complete"),
        (other.getvalue(), "has no xl/workbook.xml"),
        (b"<html><table>", "--format csv"),
        (b"a,b\n1,2\n", "--format csv"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2_000, "cannot be read as xlsx"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"), "without a password"),
        (b"", "is empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputFileError, match=words) as caught:
            read(path)
        assert path.name in str(caught.value)


def test_sheets_that_memory_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: two cells in opposite corners, which make a table of 17 thousand million, are refused before calamine sees
    them; so are archives that unzip to more than is said, and large files. Method: such files, smaller limits."""
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "编号")
        sheet.write(1_048_575, 16_383, "x")
    with pytest.raises(InputFileError, match="10,000,000 cells"):
        read(tmp_path / "a.xlsx")
    for form in (b" r = 'XFD1048576'", b'\nr="XFD1048576"', b' r="xfd1048576"'):
        with (
            zipfile.ZipFile(write(tmp_path / "c.xlsx", [["编号"], ["x"]])) as source,
            zipfile.ZipFile(tmp_path / "d.xlsx", "w") as target,
        ):
            for name in source.namelist():
                target.writestr(name, source.read(name).replace(b' r="A2"', form))
        with pytest.raises(InputFileError, match="10,000,000 cells"):
            read(tmp_path / "d.xlsx")
    small = write(tmp_path / "b.xlsx", [["编号"], ["x"]])
    monkeypatch.setattr(workbooks, "UNZIPPED_BYTES_MAX", 100)
    with pytest.raises(InputFileError, match="save the sheet as CSV"):
        read(small)
    monkeypatch.setattr(workbooks, "FILE_BYTES_MAX", 100)
    with pytest.raises(InputFileError, match="is larger than"):
        read(small)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 6_000), st.integers(1, 255), st.integers(0, 400))
def test_a_flipped_byte_is_an_error_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int, cut: int
) -> None:
    """Goal: damage is a typed error, never other rows and never a crash. Method: a workbook with one byte changed, and
    perhaps its end cut off."""
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.xlsx"
    if not whole.exists():
        write(whole, [["编号", "数量"], *[[f"a{row}", row] for row in range(50)]])
    content = bytearray(whole.read_bytes())
    content[place % len(content)] ^= flip
    path = folder / "flipped.xlsx"
    path.write_bytes(content[: len(content) - cut] if cut > 300 else content)
    try:
        found = rows_of(read(path))
    except InputFileError:
        return
    assert found == rows_of(read(whole))
