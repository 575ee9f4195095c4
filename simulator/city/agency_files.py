"""Files as agencies really send them, into the folders of an inbox, with what is to become of each of their rows.

    rows of the city → columns of text under Chinese headers → flaws → GB18030 CSV, workbook, JSON lines, Parquet

What a file holds is what the city holds already, so that loading it changes no known answer. Every flaw that the loader
puts right is there, and every one that must reject its row; `AgencyFile` counts both.
"""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import xlsxwriter

from hub.catalogue.load import builtin_contracts
from hub.ingest.datum import wgs84_to_gcj02
from simulator.city import people, registries
from simulator.city.chance import Flags
from simulator.city.feeds import FEEDS
from simulator.city.plan import City

_ROWS_MAX: Final = 200_000
_LATE_DAY: Final = 401  # Events of files are those of a day that nobody else sends.
_LOWER_X_EVERY: Final = 2
_FULL_WIDTH_EVERY: Final = 13
_DUPLICATE_EVERY: Final = 50
_WRONG_EVERY: Final = 101
_SWAPPED_EVERY: Final = 7
_MISSING: Final = ("NA", "", "—", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyFile:
    """`rejected` rows of `rows` are to fail, the others to be accepted; `put_right` counts the values to be mended. One
    that is not `taken` is to be rejected as a whole."""

    path: Path
    data_set: str
    rows: int
    rejected: int = 0
    put_right: dict[str, int] = field(default_factory=dict)
    taken: bool = True

    def facts(self) -> dict[str, Any]:
        return asdict(self) | {"path": str(self.path)}


def write_agency_files(city: City, folder: Path) -> list[AgencyFile]:
    """The files, and the mapping files they need, in `folder`/AGENCY."""
    return [make(city, _agency_folder(folder, agency)) for agency, make in _FILES.items()]


def _residents(city: City, folder: Path) -> AgencyFile:
    """CSV in GB18030 under Chinese headers: dates in three forms, nothing in four, all that happens to ID numbers."""
    (folder / "residents.toml").write_text(
        'data_set = "residents"\nmatch = "实有人口*.csv"\n\n[values.sex]\n"男" = "male"\n"女" = "female"\n',
        encoding="utf-8",
    )
    rows = people.residents_of(city, np.arange(min(city.people, _ROWS_MAX)))
    row = np.arange(rows.num_rows)
    columns = _titled("residents", rows)
    code = columns["公民身份号码"]
    ends_in_x = pc.ends_with(code, "X").to_numpy(zero_copy_only=False)
    wrong = row % _WRONG_EVERY == _WRONG_EVERY - 1
    lower = ends_in_x & (row % _LOWER_X_EVERY == 0) & ~wrong
    code = _where(lower, pc.ascii_lower(code), code)
    columns["公民身份号码"] = _where(wrong, pc.utf8_replace_slice(code, 16, 18, "ZZ"), code)
    full_width = (row % _FULL_WIDTH_EVERY == 0) & ~people.is_homeless(row) & ~wrong
    columns["建筑物编码"] = _where(full_width, _widened(columns["建筑物编码"]), columns["建筑物编码"])
    columns["性别"] = pc.if_else(pc.equal(columns["性别"], "male"), "男", "女")
    columns["出生日期"] = _three_forms(rows["birth_date"], row)
    columns["联系电话"] = _where(row % 17 == 0, _cycled(_MISSING, row), columns["联系电话"])
    table = pa.table(columns)
    twice = table.take(pa.array(np.flatnonzero((row % _DUPLICATE_EVERY == 0) & ~wrong)))
    path = folder / "实有人口_20260601.csv"
    _write_csv(pa.concat_tables([table, twice]), path, "gb18030")
    return AgencyFile(
        path=path,
        data_set="residents",
        rows=table.num_rows + twice.num_rows,
        rejected=int(wrong.sum()) + twice.num_rows,
    )


def _buildings(city: City, folder: Path) -> AgencyFile:
    """JSON lines; one building in seven has its longitude where the latitude belongs."""
    (rows,) = registries.building_rows(city)
    rows = rows.slice(0, _ROWS_MAX)
    swapped = np.arange(rows.num_rows) % _SWAPPED_EVERY == 0
    columns = {name: _text(rows[name]) for name in rows.schema.names}
    columns["lon"], columns["lat"] = (
        _where(swapped, columns["lat"], columns["lon"]),
        _where(swapped, columns["lon"], columns["lat"]),
    )
    path = folder / "buildings_2026.jsonl"
    table = pa.table(columns).to_pylist()
    path.write_text("".join(f"{_json(row)}\n" for row in table), encoding="utf-8")
    return AgencyFile(
        path=path,
        data_set="buildings",
        rows=rows.num_rows,
        put_right={"swapped coordinates": int(swapped.sum())},
    )


def _schools(city: City, folder: Path) -> AgencyFile:
    """A workbook with a title above the header, dates and numbers in cells of their own kinds."""
    (folder / "schools.toml").write_text('data_set = "schools"\nmatch = "*学校*.xlsx"\n', encoding="utf-8")
    (rows,) = registries.schools(city)
    path = folder / "全市学校名录.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("学校")
        sheet.write(0, 0, "深圳市学校名录")
        titles = [builtin_contracts()["schools"].column(name).title.zh for name in rows.schema.names]
        sheet.write_row(1, 0, titles)
        for number, row in enumerate(rows.to_pylist()):
            sheet.write_row(2 + number, 0, row.values())
    return AgencyFile(path=path, data_set="schools", rows=rows.num_rows)


def _internet_reports(city: City, folder: Path) -> AgencyFile:
    """Places in GCJ-02, as maps on the internet have them."""
    mapping = 'data_set = "internet_reports"\nmatch = "网络*.csv"\ndatum = "gcj02"\n'
    (folder / "reports.toml").write_text(mapping, encoding="utf-8")
    rows = _events(city, "internet_reports")
    lon, lat = wgs84_to_gcj02(rows["lon"].to_numpy(), rows["lat"].to_numpy())
    columns = _titled("internet_reports", rows)
    columns["经度"], columns["纬度"] = _text(pa.array(lon)), _text(pa.array(lat))
    path = folder / "网络信息.csv"
    _write_csv(pa.table(columns), path, "utf-8")
    return AgencyFile(path=path, data_set="internet_reports", rows=rows.num_rows)


def _rainfall(city: City, folder: Path) -> AgencyFile:
    """Parquet that goes by its name; the first station reports more rain than there can be."""
    rows = _events(city, "rainfall")
    absurd = np.arange(rows.num_rows) % _WRONG_EVERY == 0
    rain = _where(absurd, pa.array(np.full(rows.num_rows, 600, np.float32)), rows["rain"])
    path = folder / "rainfall_5min.parquet"
    pq.write_table(pa.table({"station": rows["station"], "observed_at": rows["observed_at"], "rain": rain}), path)
    return AgencyFile(path=path, data_set="rainfall", rows=rows.num_rows, rejected=int(absurd.sum()))


def _leaflet(city: City, folder: Path) -> AgencyFile:
    """Not data at all."""
    path = folder / "通知.csv"
    path.write_text("关于做好汛期安全工作的通知\n", encoding="utf-8")
    return AgencyFile(path=path, data_set="", rows=0, taken=False)


_FILES: Final[dict[str, Callable[[City, Path], AgencyFile]]] = {
    "public_security": _residents,
    "housing_and_construction": _buildings,
    "education": _schools,
    "internet": _internet_reports,
    "meteorology": _rainfall,
    "work_safety": _leaflet,
}


def _agency_folder(folder: Path, agency: str) -> Path:
    made = folder / agency
    made.mkdir(parents=True, exist_ok=True)
    return made


def _events(city: City, data_set: str) -> pa.RecordBatch:
    feed = next(one for one in FEEDS if one.data_set == data_set)
    return feed.batch(city, _LATE_DAY, 0, min(_ROWS_MAX, feed.exchanges_of(city) * feed.rows))


def _titled(data_set: str, rows: pa.RecordBatch) -> dict[str, pa.Array]:
    """Columns as text, under their Chinese titles."""
    contract = builtin_contracts()[data_set]
    return {column.title.zh: _text(rows[column.name]) for column in contract.columns}


def _text(values: pa.Array) -> pa.Array:
    return pc.cast(values, pa.string())


def _where(mask: Flags, yes: pa.Array, no: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(mask), yes, no)


def _cycled(words: Iterable[str], row: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    known = pa.array(list(words))
    return known.take(pa.array(row % len(known)))


def _widened(text: pa.Array) -> pa.Array:
    """Digits as full-width ones."""
    for digit in range(10):
        text = pc.replace_substring(text, str(digit), chr(0xFF10 + digit))
    return text


def _three_forms(dates: pa.Array, row: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """2017-04-12, 2017/4/12 and 20170412 by turns."""
    plain = _text(dates)
    slashes = pc.replace_substring_regex(plain, "-0?", "/")
    return _where(row % 3 == 0, plain, _where(row % 3 == 1, slashes, pc.replace_substring(plain, "-", "")))


def _write_csv(table: pa.Table, path: Path, encoding: str) -> None:
    sink = io.BytesIO()
    pacsv.write_csv(table, sink, pacsv.WriteOptions(quoting_style="needed"))
    path.write_bytes(sink.getvalue().decode().encode(encoding))


def _json(row: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False)
