"""Reading files: encodings, malformed rows, damaged files, bounded memory."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import InputFileError
from hub.ingest.blocks import Block
from hub.ingest.decoding import detect_encoding
from hub.ingest.readers import read_file

CHINESE = "站号,观测时间,备注\nG3545,2017-04-12,“龙岗”站\nG3546,2017-04-13,坪山\n"
ROWS = [
    {"站号": "G3545", "观测时间": "2017-04-12", "备注": "“龙岗”站"},
    {"站号": "G3546", "观测时间": "2017-04-13", "备注": "坪山"},
]


def read(path: Path, content: bytes, **options: object) -> list[Block]:
    path.write_bytes(content)
    return list(read_file(path, **options))  # type: ignore[arg-type]  # options are the function's own


def rows_of(blocks: list[Block]) -> dict[int, dict[str, object]]:
    """Row number in the file → row."""
    rows: dict[int, dict[str, object]] = {}
    for block in blocks:
        rows |= zip(block.row_numbers().tolist(), block.rows.to_pylist(), strict=True)
    return rows


def malformed_of(blocks: list[Block]) -> dict[int, tuple[str, str]]:
    """Row number in the file → reason, content."""
    return {one.row: (one.reason, one.content) for block in blocks for one in block.malformed}


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_are_detected(tmp_path: Path, name: str, encoding: str) -> None:
    """Goal: agencies' exports are read as they come, and what was detected is said.
    Method: the same Chinese table in each encoding, with and without a byte order mark, plain and gzipped."""
    content = CHINESE.encode(encoding)
    blocks = read(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    assert list(rows_of(blocks).values()) == ROWS
    assert blocks[0].encoding == encoding.removesuffix("-sig")
    assert blocks[-1].bytes_read == (tmp_path / name).stat().st_size


def test_the_encoding_is_judged_by_the_whole_file(tmp_path: Path) -> None:
    """Goal: a file whose first megabytes are ASCII is not taken for UTF-8 because of them.
    Method: GB18030 text only at the end, plain and gzipped; then UTF-8 text with a few broken rows."""
    ascii_rows = b"a,b\n" + b"1,2\n" * 1_500_000
    (tmp_path / "late.csv").write_bytes(ascii_rows + "深圳市,南山区\n".encode("gb18030") * 5_000)
    assert detect_encoding(tmp_path / "late.csv") == "gb18030"
    (tmp_path / "late.csv.gz").write_bytes(gzip.compress((tmp_path / "late.csv").read_bytes(), 1))
    assert detect_encoding(tmp_path / "late.csv.gz") == "gb18030"
    (tmp_path / "broken.csv").write_bytes("深圳市,南山区\n".encode() * 10 + b"\xff\xfe,\xe4\n" * 9)
    assert detect_encoding(tmp_path / "broken.csv") == "utf-8"


def test_a_given_encoding_is_used(tmp_path: Path) -> None:
    """Goal: whoever knows better is heard. Method: GB18030 under an older name, Big5, and an encoding that is none."""
    for encoding in ("gb2312", "GBK", "big5"):
        text = "站,名\n1,深圳\n" if encoding != "big5" else "站,名\n1,台北\n"
        blocks = read(tmp_path / "a.csv", text.encode(encoding), encoding=encoding)
        assert rows_of(blocks)[0]["站"] == "1"
        assert malformed_of(blocks) == {}
    with pytest.raises(InputFileError, match="unknown encoding 'klingon'"):
        read(tmp_path / "a.csv", b"a\n1\n", encoding="klingon")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_undecodable_rows_are_kept_aside(tmp_path: Path, encoding: str) -> None:
    """Goal: a broken byte costs its own row only, and the row can be found again.
    Method: bytes that are no text in a good row, in a row with too many fields, and at the very end."""
    content = CHINESE.encode(encoding) + b"x,\xff,y\n" + b"\xff,1,2,3\n" + "乙,丙,丁\n".encode(encoding) + b"x,y,\x81"
    blocks = read(tmp_path / "a.csv", content)
    assert list(rows_of(blocks)) == [0, 1, 4]
    malformed = malformed_of(blocks)
    assert malformed[2][0] == f"holds bytes that are no {encoding}"
    assert json.loads(malformed[2][1]) == {"站号": "x", "观测时间": "\\xff", "备注": "y"}
    assert malformed[3] == ("has 4 fields, not 3", "\\xff,1,2,3")
    assert malformed.keys() == {2, 3, 5}


def test_wrong_field_counts_keep_their_place(tmp_path: Path) -> None:
    """Goal: row numbers hold however rows and malformed rows mix. Method: tiny blocks, malformed rows at the ends."""
    lines = ["1"] + [f"{row},b,c" if row % 7 else f"{row},b" for row in range(1, 3_000)] + ["2"]
    blocks = read(tmp_path / "a.csv", ("a,b,c\n" + "\n".join(lines)).encode(), block_bytes=256)
    assert len(blocks) > 50
    assert {row: one["a"] for row, one in rows_of(blocks).items()} == {n: str(n) for n in range(1, 3_000) if n % 7}
    assert sorted(malformed_of(blocks)) == [0, *(row for row in range(1, 3_000) if row % 7 == 0), 3_000]
    assert malformed_of(blocks)[7] == ("has 2 fields, not 3", "7,b")


def test_quoted_values(tmp_path: Path) -> None:
    """Goal: newlines, commas and quotation marks within quotes are text. Method: all of them, across block borders."""
    text = 'a,b\n"1\n2","x, ""y"""\n' * 200
    blocks = read(tmp_path / "a.csv", ("a,b\n" + text.replace("a,b\n", "")).encode(), block_bytes=128)
    assert list(rows_of(blocks).values()) == [{"a": "1\n2", "b": 'x, "y"'}] * 200


def test_stray_quotation_marks_end_no_row(tmp_path: Path) -> None:
    """Goal: where a row ends does not depend on how a block is cut, even if quotation marks stand in odd places.
    Method: irregular rows in blocks of every size; one block for the whole file as the truth."""
    lines = ['5" pipe,2', '"1\n2",3', 'x"y"z,"a,b"', '"q"w,"e\n""f"""', ",", '"",""""'] * 20
    content = ("a,b\n" + "\n".join(lines)).encode()
    whole = rows_of(read(tmp_path / "a.csv", content))
    assert list(whole.values())[:3] == [{"a": '5" pipe', "b": "2"}, {"a": "1\n2", "b": "3"}, {"a": 'x"y"z', "b": "a,b"}]
    assert len(whole) == len(lines)
    for size in range(24, 200, 7):
        assert rows_of(read(tmp_path / "a.csv", content, block_bytes=size)) == whole
        assert (
            rows_of(read(tmp_path / "b.csv", content.replace(b"\n", b"\r\n"), block_bytes=size)).keys() == whole.keys()
        )


def test_an_open_quotation_mark_swallows_nothing_unseen(tmp_path: Path) -> None:
    """Goal: rows that an open quotation mark runs over are not taken for one good row.
    Method: it opens in the last and in another column; then a lone inch mark, which is no quotation."""
    blocks = read(tmp_path / "a.csv", b'a,b\n1,2\n3,"4\n5,6\n')
    assert list(rows_of(blocks)) == [0]
    assert malformed_of(blocks) == {1: ("the file ends inside quotation marks", '3,"4\n5,6')}
    blocks = read(tmp_path / "a.csv", b'a,b\n1,2\n"3,4\n5,6\n')
    assert malformed_of(blocks) == {1: ("the file ends inside quotation marks", '"3,4\n5,6')}
    assert len(rows_of(read(tmp_path / "a.csv", b'a,b\n1,5" pipe\n2,6\n'))) == 2
    with pytest.raises(InputFileError, match="a row is longer than 512 bytes"):
        read(tmp_path / "a.csv", b'a,b\n1,"2\n' + b"3,4\n" * 1_000, block_bytes=512)


@pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"a,b\r\n\r\n"])
def test_a_header_alone_is_a_file_without_rows(tmp_path: Path, content: bytes) -> None:
    """Goal: an export of nothing is no error. Method: a header with and without line ends."""
    (block,) = read(tmp_path / "a.csv", content)
    assert (block.rows.schema.names, block.rows.num_rows, block.malformed) == (["a", "b"], 0, ())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"", "is empty"),
        ("a.parquet", b"", "is empty"),
        ("a.csv", b"\n\n", "cannot be read as csv"),
        ("a.csv", b"PK\x03\x04 a sheet of Excel", "binary data"),
        ("a.csv", bytes(range(256)) * 4 + b"\0" * 100, "binary data"),
        ("a.csv.gz", b"a,b\n1,2\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 10_000, mtime=0)[:-9], "cannot be read"),
        ("a.parquet", b"PAR1, but no Parquet", "cannot be read as parquet"),
        ("a.xyz", b"a", "the name does not tell the format"),
    ],
)
def test_files_that_are_no_such_files(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """Goal: an error names the file and says what is wrong. Method: empty, binary, cut and misnamed files."""
    with pytest.raises(InputFileError, match=words) as caught:
        read(tmp_path / name, content)
    assert name in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    """Goal: the same kind of error for the rest. Method: a missing file, a folder, a format that does not exist."""
    (tmp_path / "folder.csv").mkdir()
    for name in ("absent.csv", "folder.csv"):
        with pytest.raises(InputFileError, match=name):
            list(read_file(tmp_path / name))
    with pytest.raises(InputFileError, match="there is no format 'dbf'"):
        list(read_file(tmp_path / "absent.csv", format="dbf"))


def test_rows_of_a_damaged_file_come_before_the_error(tmp_path: Path) -> None:
    """Goal: damage is never the silent end of a file. Method: a gzipped file cut short, read block by block."""
    path = tmp_path / "a.csv.gz"
    lines = "".join(f"{row},{row * 7_919 % 10_007}\n" for row in range(300_000))
    path.write_bytes(gzip.compress(f"a,b\n{lines}".encode(), 1)[:-50_000])
    blocks: list[Block] = []
    with pytest.raises(InputFileError, match="Truncated compressed stream"):
        blocks.extend(read_file(path, encoding="utf-8", block_bytes=65_536))
    assert 0 < sum(block.rows.num_rows for block in blocks) < 300_000


def test_an_early_end_leaves_nothing_behind(tmp_path: Path) -> None:
    """Goal: a process that stops reading early, or on an error, ends at once and cleanly: no thread of pyarrow still
    wants Python. Method: processes that read one block, or run into an open quotation mark, and end."""
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,2\n" * 100_000 + b'1,"2\n' + b"3,4\n" * 100_000)
    for count in (1, 1_000_000):
        script = (
            "import itertools, pathlib, sys, hub.errors, hub.ingest.readers as readers\n"
            "blocks = readers.read_file(pathlib.Path(sys.argv[1]), block_bytes=4_096)\n"
            f"try: list(itertools.islice(blocks, {count}))\n"
            "except hub.errors.InputFileError: print('given up')\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "a.csv")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert ended.stdout == ("given up\n" if count > 1 else "")
        assert ended.stderr == ""


def test_memory_is_bounded_by_the_block(tmp_path: Path) -> None:
    """Goal: a file larger than memory can be read. Method: Arrow's memory in use while 20 MB pass in small blocks."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"0123456789,0123456789\n" * 1_000_000)
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for block in read_file(path, block_bytes=128 << 10):
        most = max(most, pa.total_allocated_bytes() - before)
        rows += block.rows.num_rows
    assert rows == 1_000_000
    assert most < 8 << 20


def test_json_lines(tmp_path: Path) -> None:
    """Goal: objects become columns of text that lose no digit, and bad lines are kept aside.
    Method: every kind of value, keys that come and go, a code of 25 digits, lines that are no objects."""
    lines = [
        '\ufeff{"编码": 4403040000000000000000001, "a": 1.5, "b": true}',
        "",
        "no JSON",
        '{"编码": "x", "a": null, "c~/\'": {"d": [1]}}',
        "[1]",
        '{"a": "\x1f"}',
        '{"a": "broken \ud800"}',
        '{"A": "深圳"}',
    ]
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    blocks = read(tmp_path / "a.jsonl", content)
    nothing = dict.fromkeys(("编码", "a", "b", "c~/'", "A"))
    assert rows_of(blocks) == {
        0: nothing | {"编码": "4403040000000000000000001", "a": "1.5", "b": "true"},
        2: nothing | {"编码": "x", "c~/'": '{"d":[1]}'},
        6: nothing | {"A": "深圳"},
    }
    malformed = malformed_of(blocks)
    assert {row: reason for row, (reason, _) in malformed.items()} == {
        1: "is no JSON object",
        3: "is no JSON object",
        4: "is no JSON object",
        5: "holds bytes that are no utf-8",
    }
    assert malformed[1][1] == "no JSON"
    assert read(tmp_path / "b.ndjson.gz", gzip.compress(b'{"a":1}'))[0].rows.to_pylist() == [{"a": "1"}]


def test_keys_stay_once_they_were_met(tmp_path: Path) -> None:
    """Goal: later blocks have the columns of earlier ones. Method: a key in the first line only, small blocks."""
    content = b'{"rare": 1, "a": 0}\n' + b'{"a": 1}\n' * 2_000
    blocks = read(tmp_path / "a.jsonl", content, block_bytes=1_024)
    assert len(blocks) > 5
    assert {tuple(block.rows.schema.names) for block in blocks} == {("a", "rare")}


def test_parquet_comes_by_row_groups(tmp_path: Path) -> None:
    """Goal: types are kept, progress reaches the end. Method: three row groups, blocks smaller than one; no rows."""
    path = tmp_path / "a.parquet"
    table = pa.table({"a": range(10_000), "b": ["深圳"] * 10_000})
    pq.write_table(table, path, row_group_size=4_000)
    blocks = list(read_file(path, block_rows=3_000))
    assert [block.rows.num_rows for block in blocks] == [3_000, 1_000, 3_000, 1_000, 2_000]
    assert pa.Table.from_batches([block.rows for block in blocks]).equals(table)
    progress = [block.bytes_read for block in blocks]
    assert progress == sorted(progress)
    assert progress[-1] == path.stat().st_size
    pq.write_table(table.slice(0, 0), path)
    (block,) = read_file(path)
    assert block.rows.schema == table.schema


def test_damaged_parquet(tmp_path: Path) -> None:
    """Goal: a damaged file is an error, not wrong numbers. Method: cut it, and turn bits where checksums look."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(10_000)}), path, write_page_checksum=True)
    sound = path.read_bytes()
    for place in (20, len(sound) // 2):
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        with pytest.raises(InputFileError, match="cannot be read as parquet"):
            read(path, bytes(damaged))
    with pytest.raises(InputFileError, match="is the file complete"):
        read(path, sound[:-10])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["甲,1", "乙", "a,b,c", '"x\ny",2', "\x81,5", "z,\xff", "0,0"]), max_size=60),
    st.sampled_from([128, 4_096]),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_no_row_of_a_csv_file_is_lost(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], size: int, encoding: str
) -> None:
    """Goal: rows in = rows + malformed, each row number once. Method: random files of good and bad rows."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    raw = {"\x81,5": b"\x81,5", "z,\xff": b"z,\xff"}  # Bytes that are no text in either encoding.
    content = b"\n".join([b"a,b", *(raw.get(line, line.encode(encoding)) for line in lines)])
    blocks = read(path, content, block_bytes=size, encoding=encoding)
    good = {row for row, line in enumerate(lines) if line in ("甲,1", '"x\ny",2', "0,0")}
    assert rows_of(blocks).keys() == good
    assert malformed_of(blocks).keys() == set(range(len(lines))) - good
    assert sum(len(block.malformed) + block.rows.num_rows for block in blocks) == len(lines)


# Characters of one, two and four bytes, some with bytes that are letters, digits, a bar or a backslash by themselves.
PIECES = ["甲", "乙丙", "a", "1", "丂", "亅", "乗", "\U00020000", "é", "〇", "￥", '""', ",", "\n", "\x1e", "\0", "　"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), min_size=1, max_size=300),
    st.integers(1, 60),
    st.sampled_from([64, 300, 4 << 20]),
)
def test_gb18030_reads_like_utf_8(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], repeats: int, size: int
) -> None:
    """Goal: text that is cut into rows before it is decoded is the text that it was. Method: the same table in both
    encodings, in blocks of several sizes; one column of any text, one of few that come often, one of ASCII."""
    folder = tmp_path_factory.getbasetemp()
    lines = [f'"{text}","{texts[row % min(repeats, len(texts))]}",{row}' for row, text in enumerate(texts * 3)]
    content = "\n".join(["甲,乙,丙", *lines]) + "\n"
    found = rows_of(read(folder / "a.csv", content.encode("gb18030"), block_bytes=size, encoding="gb18030"))
    assert found == rows_of(read(folder / "b.csv", content.encode(), encoding="utf-8"))
    assert len(found) == len(lines)


def test_bad_rows_of_gb18030_after_the_first_block(tmp_path: Path) -> None:
    """Goal: rows that cannot be decoded or cut are told of in later blocks, too, and cost no others. Method: bad bytes
    in columns of every kind and wrong numbers of fields, between good rows, in blocks of all sizes."""
    lines = ["甲,深圳,1".encode("gb18030")] * 40
    lines[20] = b"\x81,\xc9\xee,2"
    lines[25] = "乙,深圳,3,4".encode("gb18030")
    lines[30] = "甲,".encode("gb18030") + b"\xff,5"
    lines[35] = "丙,深圳,".encode("gb18030") + b"\x81\x30"
    for size in (64, 200, 4 << 20):
        blocks = read(tmp_path / "a.csv", b"a,b,c\n" + b"\n".join(lines), block_bytes=size, encoding="gb18030")
        malformed = malformed_of(blocks)
        assert sorted(malformed) == [20, 25, 30, 35]
        assert malformed[25] == ("has 4 fields, not 3", "乙,深圳,3,4")
        assert malformed[30][0] == "holds bytes that are no gb18030"
        assert json.loads(malformed[30][1]) == {"a": "甲", "b": "\\xff", "c": "5"}
        assert {row["b"] for row in rows_of(blocks).values()} == {"深圳"}
