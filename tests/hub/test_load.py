"""Files as agencies send them: flawed copies of a clean file load to its rows, and what was done is counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.contract import Contract, Reference
from hub.catalogue.load import builtin_contracts
from hub.errors import ConfigurationError
from hub.ingest import load as loads
from hub.ingest.codes import credit_checks, digits, organisation_checks, resident_checks, strings
from hub.ingest.datum import gcj02_to_bd09, to_wgs84, wgs84_to_gcj02
from hub.ingest.duplicates import SeenRows
from hub.ingest.load import LoadOptions, Prepared, file_producer, prepare_file
from hub.ingest.mapping import Datum, Mapping
from hub.ingest.places import EXCHANGED, MOVED
from hub.ingest.report import Report, reason_kinds
from hub.ingest.row_hashes import row_hashes
from hub.ingest.texts import FULL_WIDTH, LETTER_CASE, VALUE_MAPPED

_TITLE = {"zh": "物", "en": "Things"}


def column(name: str, kind: str, zh: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "title": {"zh": zh, "en": f"The {name}"}} | parts


PEOPLE = Contract.model_validate(
    {
        "name": "people",
        "agency": "test",
        "home": "ops",
        "kind": "event",
        "title": _TITLE,
        "place": ["lon", "lat"],
        "columns": [
            column("resident_id", "string", "身份证号", domain={"code": "resident_id"}),
            column("sex", "string", "性别", domain={"values": ["female", "male"]}),
            column("lon", "float64", "经度", domain={"min": 113.6, "max": 115.5}),
            column("lat", "float64", "纬度", domain={"min": 22.2, "max": 23.0}),
            column("seen_on", "date", "日期"),
            column("building_code", "string", "建筑物编码",
                   reference={"data_set": "buildings", "column": "building_code", "enforced": True}),
        ],
    }
)  # fmt: skip
HEADER = "身份证号,性别,经度,纬度,日期,建筑物编码"


def resident_ids(count: int) -> list[str]:
    numbers = np.arange(count)
    heads = np.concatenate((digits(np.full(count, 440_301), 6), digits(19_900_101 + numbers % 28, 8),
                            digits(numbers % 1_000, 3)), axis=1)  # fmt: skip
    return list(strings(np.concatenate((heads, resident_checks(heads)[:, None]), axis=1)).to_pylist())


IDS = resident_ids(600)
WITH_X = [one for one in IDS if one.endswith("X")]


def wide(text: str) -> str:
    """ASCII as full-width characters."""
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def prepared(path: Path, lines: list[str], **options: Any) -> tuple[list[dict[str, Any]], Report, list[Prepared]]:
    known = options.pop("known", None)
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="gb18030")
    parts = list(prepare_file(path, PEOPLE, LoadOptions(**options), known=known))
    report = Report()
    for part in parts:
        report.add(rows_read=part.rows_read, rejected=part.rejected, put_right=part.put_right, notes=part.notes)
    assert report.rows_read == len(lines)
    return [row for part in parts for row in part.rows.to_pylist()], report, parts


def clean_lines(count: int, seed: int = 1) -> list[list[str]]:
    random = np.random.default_rng(seed)
    return [
        [IDS[row], ["female", "male"][row % 2], f"{random.uniform(113.8, 114.5):.6f}",
         f"{random.uniform(22.4, 22.8):.6f}", f"2017-04-{row % 28 + 1:02}", f"{row:025}"]
        for row in range(count)
    ]  # fmt: skip


FLAWS = ("none", "blanks", "wide", "case", "exchanged", "date", "repeated")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(FLAWS), min_size=1, max_size=60), st.sampled_from([200, 4 << 20]))
def test_a_flawed_copy_loads_to_the_rows_of_the_clean_file(
    tmp_path_factory: pytest.TempPathFactory, flaws: list[str], block_bytes: int
) -> None:
    """Goal: what can be put right is, and counted; what is repeated is refused, once. Method: a clean file, and a copy
    with one flaw a row, in blocks of several sizes."""
    folder = tmp_path_factory.getbasetemp()
    clean = clean_lines(len(flaws))
    flawed = []
    for cells, flaw in zip(clean, flaws, strict=True):
        lon, lat, day = cells[2:5]
        match flaw:
            case "blanks":
                flawed.append(f" {cells[0]}\t,{cells[1]} , {lon},{lat} ,{day},　{cells[5]}")
            case "wide":
                flawed.append(",".join([wide(cells[0]), cells[1], wide(lon), lat, wide(day), cells[5]]))
            case "case":
                flawed.append(",".join([cells[0].lower(), *cells[1:]]))
            case "exchanged":
                flawed.append(",".join([*cells[:2], lat, lon, *cells[4:]]))
            case "date":
                year, month, of_month = day.split("-")
                flawed.append(",".join([*cells[:4], f"{year}年{int(month)}月{int(of_month)}日", cells[5]]))
            case "repeated":
                flawed += [",".join(cells)] * 3
            case _:
                flawed.append(",".join(cells))
    expected, report, _ = prepared(folder / "clean.csv", [",".join(cells) for cells in clean])
    assert (report.rejected, report.put_right) == (0, {})
    found, report, _ = prepared(folder / "flawed.csv", flawed, block_bytes=block_bytes)
    assert found == expected
    assert report.rejected == report.duplicates == 2 * flaws.count("repeated")
    lower = sum(flaw == "case" and cells[0].endswith("X") for flaw, cells in zip(flaws, clean, strict=True))
    wanted = {EXCHANGED: flaws.count("exchanged"), LETTER_CASE: lower, FULL_WIDTH: 3 * flaws.count("wide")}
    assert report.put_right == {kind: count for kind, count in wanted.items() if count}


def test_repeated_rows_say_which_row_came_first(tmp_path: Path) -> None:
    """Goal: whoever reads the quarantine finds the first one; a row that differs in a column that is not loaded is no
    duplicate. Method: repeats within a block and over blocks, of a row that was rejected itself, too."""
    one, other = (",".join(cells) for cells in clean_lines(2))
    wrong = one.replace(IDS[0], "1")
    lines = [one, other, one, wrong, other, one, wrong]
    for block_bytes in (160, 4 << 20):
        _, report, parts = prepared(tmp_path / "a.csv", lines, block_bytes=block_bytes)
        rejected = {row.row: row.reason for part in parts for row in part.rejected}
        assert rejected.pop(3).startswith("resident_id '1' is no ID number")
        assert rejected == {2: "is a duplicate of row 0", 4: "is a duplicate of row 1", 5: "is a duplicate of row 0",
                            6: "is a duplicate of row 3"}  # fmt: skip
        assert report.duplicates == 4
        assert report.kinds["is a duplicate of row …"] == 4
    path = tmp_path / "b.jsonl"
    rows: list[dict[str, Any]] = [
        {"性别": "male"},
        {"性别": "male", "n": 1},
        {"n": 1, "性别": "male"},
        {"性别": "male", "m": "1"},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    for block_bytes in (60, 4 << 20):
        parts = list(prepare_file(path, PEOPLE, LoadOptions(block_bytes=block_bytes)))
        assert [row.row for part in parts for row in part.rejected] == [2]


TEXTS = st.one_of(st.none(), st.text(st.sampled_from("ab深\0"), max_size=20))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.one_of(st.none(), st.integers(0, 3))), max_size=60), st.integers(1, 20))
def test_duplicates_are_those_that_python_finds(rows: list[tuple[Any, ...]], size: int) -> None:
    """Goal: exactly the rows that were there before, with the first one's number. Method: random rows in batches, cut
    from a longer one, against a dictionary."""
    columns = [list(values) for values in zip(*rows, strict=True)] or [[], [], []]
    kinds = (pa.string(), pa.binary(), pa.int32())
    values = [[one.encode() if one is not None and kind == pa.binary() else one for one in column]
              for column, kind in zip(columns, kinds, strict=True)]  # fmt: skip
    whole = pa.RecordBatch.from_arrays([pa.array(*pair) for pair in zip(values, kinds, strict=True)], names=list("abc"))
    seen, found = SeenRows(), []
    for begin in range(0, len(rows), size):
        numbers = np.arange(begin, min(begin + size, len(rows))) * 10
        found += seen.earlier(whole.slice(begin, size), numbers).tolist()
    firsts: dict[tuple[Any, ...], int] = {}
    assert found == [-1 if firsts.setdefault(row, place * 10) == place * 10 else firsts[row]
                     for place, row in enumerate(rows)]  # fmt: skip


def test_hashes_are_spread_and_rows_are_remembered_up_to_a_limit() -> None:
    """Goal: no two of many similar rows share a hash, and memory is bounded. Method: a million near rows; a small
    limit."""
    numbers = pa.array(np.arange(1_000_000)).cast(pa.string())
    rows = pa.record_batch({"a": numbers, "b": pa.array(np.arange(1_000_000)[::-1] // 7)})
    for hashes in row_hashes(rows):
        assert len(np.unique(hashes)) == len(rows)
        assert len(np.unique(hashes >> np.uint64(40))) > 0.9 * 2**24 * (1 - np.exp(-len(rows) / 2**24))
    seen = SeenRows(rows_max=3)
    assert seen.earlier(rows.slice(0, 5), np.arange(5)).tolist() == [-1] * 5
    assert seen.full
    assert sorted(seen.earlier(rows.slice(0, 5), np.arange(5, 10)).tolist())[:2] == [-1, -1]
    assert sum(found >= 0 for found in seen.earlier(rows.slice(0, 5), np.arange(10, 15)).tolist()) == 3


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_other_datums_become_wgs_84(tmp_path: Path, datum: Datum) -> None:
    """Goal: a place is where it is, to a centimetre, and a half of a place, or none, stays as it is. Method: places all
    over the city, shifted; then through a file that has gaps."""
    random = np.random.default_rng(1)
    lon, lat = random.uniform(113.6, 115.5, 100_000), random.uniform(22.2, 23.0, 100_000)
    shifted = wgs84_to_gcj02(lon, lat)
    if datum == "bd09":
        shifted = gcj02_to_bd09(*shifted)
    found = to_wgs84(*shifted, datum)
    assert np.hypot(found[0] - lon, found[1] - lat).max() * 111_320 < 0.01
    assert np.hypot(shifted[0] - lon, shifted[1] - lat).min() * 111_320 > 300
    lines = [
        f",,{x!r},{y!r},,{place}" for place, (x, y) in enumerate(zip(*(s[:9].tolist() for s in shifted), strict=True))
    ]
    rows, report, _ = prepared(tmp_path / "a.csv", [*lines, ",,114.0,,,x", ",,,,,y"], mapping=Mapping(datum=datum))
    assert np.allclose([row["lon"] for row in rows[:9]], lon[:9], atol=1e-8, rtol=0)
    assert [(row["lon"], row["lat"]) for row in rows[9:]] == [(114.0, None), (None, None)]
    assert report.put_right == {MOVED: 9}
    (tmp_path / "b.csv").write_text("observed_at,sensor_id,value,quality\n2017-04-12,1,1,1\n", encoding="utf-8")
    parts = prepare_file(tmp_path / "b.csv", builtin_contracts()["readings"], LoadOptions(mapping=Mapping(datum=datum)))
    with pytest.raises(ConfigurationError, match="readings has no place"):
        list(parts)


def test_published_examples_of_the_shift() -> None:
    """Goal: the formula is the one that is published. Method: the examples of wandergis/coordtransform."""
    one, other = np.array([116.404]), np.array([39.915])
    assert np.allclose(wgs84_to_gcj02(one, other), [[116.41024449916938], [39.91640428150164]], atol=1e-12)
    assert np.allclose(gcj02_to_bd09(one, other), [[116.41036949371029], [39.92133699351021]], atol=1e-12)


def test_only_exchanged_places_are_exchanged(tmp_path: Path) -> None:
    """Goal: nothing is guessed. Method: one half outside, both outside, a gap, and limits that overlap."""
    lines = [",,22.5,22.6,,", ",,114,114.1,,", ",,10,114,,", ",,22.5,,,", ",,22.5,114,,"]
    rows, report, _ = prepared(tmp_path / "a.csv", lines)
    assert [(row["lon"], row["lat"]) for row in rows] == [(114, 22.5)]
    assert report.put_right == {EXCHANGED: 1}
    assert report.rejected == 4


def test_codes_are_written_in_one_way(tmp_path: Path) -> None:
    """Goal: an ID is one ID however its letters were typed, in files of any format. Method: lower case, full-width and
    both, of IDs and of credit codes; a name beside them stays as it is."""
    heads = np.frombuffer(b"91440300" + b"MA5EYCQN", np.uint8)[None, :]
    heads = np.concatenate((heads, organisation_checks(heads[:, 8:16])[:, None]), axis=1)
    credit = strings(np.concatenate((heads, credit_checks(heads)[:, None]), axis=1))[0].as_py()
    firms = Contract.model_validate(
        {
            "name": "firms", "agency": "test", "home": "ops", "kind": "event", "title": _TITLE,
            "columns": [column("credit_code", "string", "代码", domain={"code": "credit_code"}),
                        column("resident_id", "string", "身份证号", domain={"code": "resident_id"}),
                        column("name", "string", "名称")],
        }
    )  # fmt: skip
    forms = [(credit, WITH_X[0]), (credit.lower(), WITH_X[0].lower()), (wide(credit), wide(WITH_X[0])),
             (f" {wide(credit.lower())} ", f"{WITH_X[0]}\u3000")]  # fmt: skip
    table = pa.table({"代码": [one for one, _ in forms], "身份证号": [one for _, one in forms],
                      "名称": ["ａbc甲", "1", "2", "3"]})  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    (part,) = prepare_file(tmp_path / "a.parquet", firms)
    assert part.rejected == ()
    assert set(part.rows["credit_code"].to_pylist()) == {credit}
    assert set(part.rows["resident_id"].to_pylist()) == {WITH_X[0]}
    assert part.rows["name"].to_pylist()[0] == "ａbc甲"
    assert part.put_right == {LETTER_CASE: 3, FULL_WIDTH: 3}


def test_values_are_mapped_and_counted(tmp_path: Path) -> None:
    """Goal: an agency's words become the contract's, and words that are not named stay, to be judged. Method: few rows,
    and many, which are read by their distinct values."""
    mapping = Mapping(values={"sex": {"男": "male", "女": "female", "未知": ""}})
    for times in (1, 300):
        lines = [
            f"{IDS[row]},{word},,,,"
            for row, word in enumerate(["男", " 女 ", "male", "未知", "其他"] * (times // 3 + 1))
        ]
        rows, report, _ = prepared(tmp_path / "a.csv", lines, mapping=mapping)
        turns = len(lines) // 5
        assert [row["sex"] for row in rows] == ["male", "female", "male", None] * turns
        assert report.put_right == {VALUE_MAPPED: 3 * turns}
        assert list(report.kinds) == ["sex … is not one of female, male"]


class Known:
    """Building codes below 100 are known; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, reference: Reference, values: pa.Array) -> pa.Array:
        assert (reference.data_set, reference.column) == ("buildings", "building_code")
        self.asked += values.to_pylist()
        return pa.array([int(value) < 100 for value in values.to_pylist()], pa.bool_())


def test_unknown_references_reject_their_rows(tmp_path: Path) -> None:
    """Goal: a row that points nowhere is refused, one that points at nothing is not, and each block asks for each value
    once. Method: known, unknown and empty ones, beside rows that are refused before."""
    codes = ["1", "100", "", "1", "2", "100", "7"]
    lines = [f"{IDS[row]},,,,,{code.zfill(25) if code else ''}" for row, code in enumerate(codes)]
    lines[4] = lines[4].replace(IDS[4], "x")
    known = Known()
    rows, report, parts = prepared(tmp_path / "a.csv", lines, known=known)
    assert [row["resident_id"] for row in rows] == [IDS[0], IDS[2], IDS[3], IDS[6]]
    (part,) = parts
    assert [one.row for one in part.rejected] == [1, 4, 5]
    assert part.rejected[0].reason == f"building_code '{100:025}' is not in buildings"
    assert report.kinds["building_code … is not in buildings"] == 2
    assert sorted(known.asked) == sorted({one.zfill(25) for one in ("1", "100", "7")})
    assert prepared(tmp_path / "a.csv", lines)[1].rejected == 1


def test_producers_are_named_by_what_decides_the_rows(tmp_path: Path) -> None:
    """Goal: the same load has the same name, whatever else a mapping says, and names from before there were value maps
    and datums stay. Method: mappings that differ in one part, and a name that was given then."""
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    readings = builtin_contracts()["readings"]

    def name(**parts: Any) -> str:
        return file_producer(path, readings, LoadOptions(mapping=Mapping(**parts)))

    assert name() == "load-f41c750f7b8995eee4c2ecf0"
    assert name(match="*.csv", data_set="readings", encoding="utf-8", format="csv", exchange_rows=20_000) == name()
    assert name(sheet="x") == name()
    others = [name(datum="gcj02"), name(values={"a": {"x": "y"}}), name(exchange_rows=7), name(time_zone="Asia/Tokyo")]
    assert len({name(), *others}) == 5


def test_kinds_of_reasons() -> None:
    """Goal: reasons that differ by their values are one kind. Method: reasons of every part."""
    for reason, kinds in (
        ("sex '男' is not one of female, male", ["sex … is not one of female, male"]),
        (
            "lon (经度): '114°; x' is no float64; quality 9 is above 3",
            ["lon (经度): … is no float64", "quality … is above 3"],
        ),
        ("lat -1.5e+3 is below 22.2 °", ["lat … is below 22.2 °"]),
        ("at 2017-04-12 08:05:00.000 is before begins_at", ["at … is before begins_at"]),
        ("is a duplicate of row 17", ["is a duplicate of row …"]),
        ("x '1' does not match [0-9]{25}", ["x … does not match [0-9]{25}"]),
        ("has 4 fields, not 3", ["has … fields, not 3"]),
    ):
        assert reason_kinds(reason) == kinds


def test_exchanges_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the same file cut the same way gives the same exchanges, and counts add up. Method: blocks of many sizes;
    the note that rows are no longer remembered."""
    lines = [",".join(cells) for cells in clean_lines(300)] + [",".join(cells) for cells in clean_lines(40)]
    expected = prepared(tmp_path / "a.csv", lines, exchange_rows=50)
    for block_bytes in (150, 1_000, 20_000):
        found = prepared(tmp_path / "a.csv", lines, exchange_rows=50, block_bytes=block_bytes)
        assert found[:2] == expected[:2]
        assert [(one.sequence, one.rows, one.rejected) for one in found[2]] == [
            (one.sequence, one.rows, one.rejected) for one in expected[2]]  # fmt: skip
    monkeypatch.setattr(loads, "SeenRows", lambda: SeenRows(rows_max=10))
    _, report, _ = prepared(tmp_path / "a.csv", lines, block_bytes=1_000)
    assert report.duplicates <= 10
    assert any("are not compared with each other" in note for note in report.notes)
