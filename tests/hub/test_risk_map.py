"""Goal: the risk map is one page that needs no network, holds a whole city, shows what it was given, and takes no text
for markup.

Method: rows as a run makes them, at places of the simulator's city; the page's parts read back in Python; and, where a
browser is there, the page itself, which `#selftest` uses by its own events.
"""

import base64
import gzip
import hashlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from hub.catalogue.contract import Title
from hub.catalogue.load import builtin_contracts
from hub.cli import risk_map
from hub.cli.app import app
from hub.query.guard import check_sql
from hub.risk.map.cells import cell_of, centres, indices, shape
from hub.risk.map.page import page
from hub.risk.map.tables import LEVELS, SHARES, SQL, MapTables, tables_of
from simulator.city.places import districts, grid_cells, scattered, streets

POINTS = 5_201
PAGE_BYTES_MAX = 6_000_000
HOSTILE = "</script><img src=x onerror=document.body.dataset.hit=1>\"'&<!--"
GROUPS = (
    *("chemical", "gas", "fire", "building", "construction", "transport"),
    *("geology", "water", "crowd", "equipment", "power", "food"),
)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")


# --- Rows -----------------------------------------------------------------------------------------------------------


def rows_of_a_run(points: int, *, name: str = "") -> dict[str, pa.Table]:
    """All data sets that the map asks for, with one run. `name`: that of the riskiest point."""
    random = np.random.default_rng(7)
    places = scattered(random, points)
    cell_ids, _ = grid_cells()
    crowd = np.bincount(cell_of(*_of(scattered(random, 200_000)), indices(cell_ids)) + 1, minlength=len(cell_ids) + 1)
    shares = {one: random.beta(2, 3, points) for one in SHARES}
    risk = np.cbrt(
        shares["hazard"]
        * np.cbrt(shares["exposure"] * shares["vulnerability"] * shares["sensitivity"])
        * (1 - shares["mitigation"])
    )
    colour = np.searchsorted(np.quantile(risk, (0.45, 0.8, 0.95)), risk, side="right")
    before = np.clip(colour + random.choice((-1, 0, 0, 0, 1), points), 0, 3)
    ids = [f"Q{one:06d}" for one in range(points)]
    names = [f"{streets().name[street]}风险点{one:04d}" for one, street in enumerate(places.street.tolist())]
    if name:
        names[int(risk.argmax())] = name
    moment = datetime(2026, 11, 26, 6, 30)
    scores = {
        "run_id": ["R1"] * points,
        "risk_point_id": ids,
        **shares,
        "risk": risk,
        "colour": [LEVELS[3 - one] for one in colour.tolist()],
        "previous_colour": [None if k % 9 == 0 else LEVELS[3 - one] for k, one in enumerate(before.tolist())],
        "reasons": [_reasons(one) for one in random.integers(0, 30, (points, 2)).tolist()],
        "inputs": [_inputs(k, one) for k, one in enumerate(random.integers(0, 9_000, (points, 23)).tolist())],
    }
    registered = {
        "risk_point_id": ids,
        "name": names,
        "category": [f"类别{k % 264:03d}" for k in range(points)],
        "group": [GROUPS[k % 12] for k in range(points)],
        "credit_code": [None if k % 5 == 0 else f"91440300{k:010d}" for k in range(points)],
        "building_code": [f"4403{k:015d}" for k in range(points)],
        "district": [districts()[one].name for one in places.district.tolist()],
        "street": [streets().name[one] for one in places.street.tolist()],
        "lon": places.lon,
        "lat": places.lat,
        "reach": pa.array(random.choice((50, 100, 300, 1_000), points), pa.float32()),
    }
    in_cell = cell_of(places.lon, places.lat, indices(cell_ids))
    highest = np.zeros(len(cell_ids))
    np.maximum.at(highest, in_cell[in_cell >= 0], risk[in_cell >= 0])
    cells = {
        "run_id": ["R1"] * len(cell_ids),
        "grid_id": cell_ids,
        "residents": crowd[1:] * 88,
        "present": crowd[1:] * random.integers(30, 160, len(cell_ids)),
        "firms": crowd[1:] // 2,
        "buildings": crowd[1:] // 3,
        "dangers_open": random.poisson(0.02 * crowd[1:]),
        "risk_points": np.bincount(in_cell + 1, minlength=len(cell_ids) + 1)[1:],
        "risk_max": highest,
    }
    run = {
        "run_id": ["R0", "R1"],
        "scored_at": [datetime(2026, 11, 25, 6, 30), moment],
        "finished_at": [datetime(2026, 11, 25, 6, 31), moment],
        "weights_version": [1, 3],
        "position_ops": [1_201, 5_321],
        "position_ecc": [77, 99],
        "engine": ["ray", "ray"],
        "partitions": [4, 8],
        "points": [0, points + 2],
        "seconds": [1.0, 12.34],
    }
    rollup = {
        "run_id": ["R1"] * 2,
        "kind": ["city", "district"],
        "name": ["全市", HOSTILE],
        "points": [points, 1_000],
        **{one: [1_234, 56] for one in LEVELS},
        "risk_max": [0.9, 0.8],
        "risk_mean": [0.4, 0.3],
    }
    named = {
        "district": [one.name for one in districts()],
        "name_en": [one.name_en for one in districts()],
        "lon": [114.0] * len(districts()),
        "lat": [22.6] * len(districts()),
    }
    made = {
        "risk_runs": run,
        "risk_scores": scores,
        "risk_points": registered,
        "risk_cells": cells,
        "risk_rollups": rollup,
        "districts": named,
    }
    return {one: pa.table(columns) for one, columns in made.items()}


def _of(places: Any) -> tuple[Any, Any]:
    return places.lon, places.lat


def _reasons(figures: list[int]) -> str:
    return (
        f"未整改隐患 open hidden dangers: {figures[0]}; 历史事故 accidents on file: {figures[1]}; "
        f"影响范围内居民多 many people live within reach (E1 0.{60 + figures[0]}); "
        f"监测覆盖不足 few healthy sensors (M2 0.{60 + figures[1]}); 管线密集 many pipelines crossed (V2 0.61)"
    )


def _inputs(number: int, figures: list[int]) -> str:
    words = "residents present occupants buildings weak old pipelines roads sites critical waters dangers_due"
    words += " dangers_in_time dangers_open dangers_major accidents sensors sensors_healthy anomalies rescue_m"
    words += " plans experts stocks"
    return json.dumps({"group": GROUPS[number % 12], **dict(zip(words.split(), figures, strict=True))})


def asked(rows: Mapping[str, pa.Table], run: str | None = None) -> MapTables | None:
    """As the hub answers."""
    with duckdb.connect() as connection:
        for name, table in rows.items():
            connection.register(name, table)
        answer = connection.sql(SQL, params={"run": run}).to_arrow_table()
    titles = {column.name: column.title for column in builtin_contracts()["risk_scores"].columns}
    return tables_of(answer, titles=titles, position={"ops": 5_400, "ecc": 101}, centre="ecc")


@pytest.fixture(scope="module")
def rows() -> dict[str, pa.Table]:
    return rows_of_a_run(POINTS, name=HOSTILE)


@pytest.fixture(scope="module")
def tables(rows: dict[str, pa.Table]) -> MapTables:
    made = asked(rows)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def text(tables: MapTables) -> str:
    return page(tables)


def data_of(text: str) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]+)</script>', text)
    assert found is not None
    made: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return made


class Elements(HTMLParser):
    """All start tags with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._in = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in self.inline:
            self.inline[self._in].append(data)


# --- What is asked --------------------------------------------------------------------------------------------------


def test_the_query_passes_the_guard() -> None:
    """Goal: a centre takes the query. Method: its own guard."""
    relations = {"risk_runs", "risk_scores", "risk_points", "risk_cells", "risk_rollups", "districts"}
    with duckdb.connect() as connection:
        assert check_sql(connection, SQL, relations=relations, bytes_max=64 << 10)


def test_the_newest_run_or_the_one_that_is_named(rows: dict[str, pa.Table], tables: MapTables) -> None:
    """Goal: one run is shown, whole and alone. Method: two runs, of which the older one has no rows."""
    assert tables.run["run_id"] == "R1"
    assert (tables.points.num_rows, tables.rollups.num_rows) == (POINTS, 2)
    assert tables.points["risk"].to_pylist() == sorted(tables.points["risk"].to_pylist())
    older = asked(rows, "R0")
    assert older is not None
    assert (older.run["run_id"], older.points.num_rows, older.cells.num_rows) == ("R0", 0, 0)
    assert asked(rows, "R7") is None
    assert asked(rows | {"risk_runs": rows["risk_runs"].slice(0, 0)}) is None


# --- What the page holds --------------------------------------------------------------------------------------------


def test_a_whole_city_fits(text: str, tables: MapTables) -> None:
    """Goal: 5,201 points and all cells of the city stay below 6 MB. Method: the page's bytes."""
    assert tables.points.num_rows == POINTS
    assert tables.cells.num_rows > 21_000
    assert len(text.encode()) < PAGE_BYTES_MAX


def test_the_data_is_that_of_the_run(text: str, tables: MapTables) -> None:
    """Goal: nothing is lost on the way into the page. Method: read the block back and compare it, column by column."""
    data = data_of(text)
    points, cells, rows = data["points"], data["cells"], tables.points.to_pylist()
    assert data["unplaced"] == 2
    for name in ("risk_point_id", "name", "credit_code", "building_code", "reasons", "inputs"):
        assert points[name] == [row[name] for row in rows]
    for name in ("category", "group", "district", "street"):
        assert [points[name]["values"][one] for one in points[name]["of"]] == [row[name] for row in rows]
    for name in (*SHARES, "risk"):
        whole = 10_000 if name == "risk" else 1_000
        assert points[name] == [round(row[name] * whole) for row in rows]
    assert [LEVELS[one] for one in points["colour"]] == [row["colour"] for row in rows]
    before = [None if one < 0 else LEVELS[one] for one in points["previous_colour"]]
    assert before == [row["previous_colour"] for row in rows]
    assert cells["id"] == tables.cells["grid_id"].to_pylist()
    for name in ("residents", "present", "firms", "buildings", "dangers_open", "risk_points"):
        assert cells[name] == tables.cells[name].to_pylist()
    lon = np.array(points["lon"]) / 1e5 + data["origin"][0]
    assert np.abs(lon - tables.points["lon"].to_numpy()).max() < 1e-5
    in_cell = np.array(points["cell"])
    assert (in_cell >= 0).mean() > 0.99
    here = in_cell >= 0
    away = np.hypot(*((np.array(points[a])[here] - np.array(cells[a])[in_cell[here]]) for a in ("lon", "lat")))
    assert away.max() < 250  # A cell's corner is some 200 hundred-thousandths of a degree from its centre.
    assert {one["zh"] for one in data["districts"]} == {one.name for one in districts()}
    assert all(one["rings"] for one in data["districts"])
    assert data["titles"]["e1"]["zh"] == "影响范围常住人口"


def test_an_empty_run_is_a_page(rows: dict[str, pa.Table]) -> None:
    """Goal: a run without points, cells or known districts is shown as such. Method: its page."""
    tables = asked(rows | {"districts": rows["districts"].slice(0, 0)}, "R0")
    assert tables is not None
    data = data_of(page(tables))
    assert (data["points"]["risk"], data["cells"]["id"], len(data["districts"])) == ([], [], 10)


def test_one_shape_stands_for_every_cell() -> None:
    """Goal: the mean shape is as good as the cells' own. Method: all cells of the city, to 2 metres at each corner."""
    cells = indices(grid_cells()[0])
    mean = shape(cells)
    lon, lat = centres(cells)
    own = np.array([shape(cells.slice(k, 1)) for k in range(0, len(cells), 500)])
    assert mean.shape == (6, 2)
    assert np.abs(own - mean).max() * 111_320 < 2
    assert (cell_of(lon, lat, cells) == np.arange(len(cells))).all()
    assert cell_of(np.array([0.0]), np.array([0.0]), cells).tolist() == [-1]
    assert shape(cells.slice(0, 0)).shape == (0, 2)


def test_outlines_are_small() -> None:
    """Goal: the outlines stay a background. Method: the file's size."""
    assert len((files("hub.risk.map") / "data" / "districts.geojson").read_bytes()) <= 60_000


# --- What the page must not do --------------------------------------------------------------------------------------


def test_no_text_becomes_markup(tables: MapTables) -> None:
    """Goal: names and ids are shown, never obeyed. Method: hostile ones everywhere, and the page's elements."""
    named = {one: Title(zh=HOSTILE, en=HOSTILE) for one in tables.titles}
    run = {**tables.run, "run_id": HOSTILE, "engine": HOSTILE}
    elements = Elements(page(replace(tables, run=run, titles=named, centre=HOSTILE)))
    assert not {tag for tag, _ in elements.tags} & {"img", "iframe", "object", "embed", "link", "base", "form"}
    assert sum(tag == "script" for tag, _ in elements.tags) == 2
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
    assert not [name for _, attributes in elements.tags for name in attributes if name == "style"]


def test_the_page_asks_no_network(text: str) -> None:
    """Goal: the page is all there is. Method: no address in it, no attribute that would load something, and a policy
    under which only its own style and script are used."""
    elements = Elements(text)
    assert not re.findall(r"https?:|//[a-z]+\.|url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|importScripts", text)
    assert not [attributes for _, attributes in elements.tags if {"src", "href", "srcset", "action"} & set(attributes)]
    policy = next(
        str(attributes["content"])
        for tag, attributes in elements.tags
        if attributes.get("http-equiv") and tag == "meta"
    )
    assert policy.startswith("default-src 'none';")
    for kind, inline in (("style-src", elements.inline["style"][0]), ("script-src", elements.inline["script"][1])):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_it_says_which_run_it_shows(text: str) -> None:
    """Goal: a printed page tells what it is. Method: its head, and the table for those without a script."""
    shown = html.unescape(text)
    for fact in ("R1", "2026-11-26 14:30:00 UTC+8", "v3", "ecc=99,ops=5321", "ecc · ecc=101,ops=5400", "5,203"):
        assert f"<dd>{fact}</dd>" in shown
    assert "<td>1,234</td>" in text


# --- The command ----------------------------------------------------------------------------------------------------


class OneAnswer:
    """A client that knows one answer."""

    def __init__(self, answer: pa.Table) -> None:
        self.position = {"ops": 5, "ecc": 7}
        self._answer = answer
        self.asked: list[tuple[object, object]] = []

    def __enter__(self) -> "OneAnswer":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def contract(self, name: str) -> Any:
        return builtin_contracts()[name]

    def query(self, sql: str, parameters: Mapping[str, object], **how: object) -> "OneAnswer":
        self.asked.append((parameters["run"], how["centre"]))
        return self

    def table(self) -> pa.Table:
        return self._answer


def command(monkeypatch: pytest.MonkeyPatch, rows: Mapping[str, pa.Table], *arguments: str) -> Any:
    run = arguments[arguments.index("--run") + 1] if "--run" in arguments else None
    with duckdb.connect() as connection:
        for name, table in rows.items():
            connection.register(name, table)
        answer = connection.sql(SQL, params={"run": run}).to_arrow_table()
    client = OneAnswer(answer)
    monkeypatch.setattr(risk_map, "connect", lambda _: client)
    result = CliRunner().invoke(app, ["risk", "map", "--centre", "ecc", *arguments])
    assert client.asked in ([(run, "ecc")], [])
    return result


def test_the_command_writes_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: dict[str, pa.Table]
) -> None:
    """Goal: one file, and a line that says what is in it. Method: the command, at a client that knows the answer."""
    result = command(monkeypatch, rows, "-o", str(tmp_path / "map.html"))
    assert result.exit_code == 0, result.output
    assert "run R1, 5,201 risk points, 21,409 grid cells" in result.output
    assert [one.name for one in tmp_path.iterdir()] == ["map.html"]
    assert data_of((tmp_path / "map.html").read_text())["points"]["risk"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 3, "cityhub risk run"),
        (("--run", "R7"), 4, "there is no run 'R7'"),
    ],
)
def test_the_command_tells_what_is_missing(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    rows: dict[str, pa.Table],
) -> None:
    """Goal: without a run there is no file, and a hint. Method: a hub without runs."""
    none = rows | {"risk_runs": rows["risk_runs"].slice(0, 0)}
    result = command(monkeypatch, none, "-o", str(tmp_path / "map.html"), *arguments)
    assert (result.exit_code, list(tmp_path.iterdir())) == (code, [])
    assert said in result.output.replace("\n", " ")


# --- In a browser ---------------------------------------------------------------------------------------------------


def browse(folder: Path, address: str, *options: str) -> str:
    """What a browser prints. Time in it is virtual: it ends when nothing is left to do."""
    assert BROWSER is not None
    flags = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
    flags += ["disable-component-update", "disable-sync", "hide-scrollbars", "window-size=1280,800"]
    flags += [f"user-data-dir={folder / 'profile'}", "virtual-time-budget=20000", *options]
    done = subprocess.run(
        [BROWSER, *(f"--{one}" for one in flags), address], capture_output=True, text=True, timeout=240, check=True
    )
    return done.stdout


@needs_browser
@pytest.mark.parametrize("draw", ["solid", "flat"])
def test_the_page_works_in_a_browser(draw: str, rows: dict[str, pa.Table], tmp_path: Path) -> None:
    """Goal: whoever clicks, filters, searches, types and tilts sees what the data says, with either way to draw.
    Method: the page's own test, which uses its elements by events; its counts beside those of the rows."""
    few = {
        name: table.slice(0, 900) if name in ("risk_scores", "risk_points") else table for name, table in rows.items()
    }
    ids = few["risk_scores"]["risk"].to_pylist()
    few["risk_points"] = few["risk_points"].set_column(
        1, "name", pa.array([HOSTILE if one == max(ids) else f"风险点{k}" for k, one in enumerate(ids)])
    )
    tables = asked(few)
    assert tables is not None
    (tmp_path / "map.html").write_text(page(tables), encoding="utf-8")
    dumped = browse(tmp_path, f"{(tmp_path / 'map.html').as_uri()}#selftest&draw={draw}", "dump-dom")
    assert "data-trouble" not in dumped
    found = re.search(r'data-selftest="([^"]*)"', dumped)
    assert found is not None
    result = json.loads(html.unescape(found[1]))
    shown = tables.points.to_pylist()

    assert (result["renderer"], result["points"], result["cells"]) == (draw, 900, 21_409)
    assert result["markup"] == 0
    assert result["detail"]["chosen"] is True
    assert result["detail"]["name"] == HOSTILE
    assert result["tip"].startswith(HOSTILE)
    assert result["detail"]["bars"] == 13
    for text in (shown[-1]["risk_point_id"], f"{shown[-1]['risk']:.3f}", "dangers_in_time", "accidents on file"):
        assert text in result["detail"]["text"]
    assert result["steps"] is True
    assert result["closed"] is True

    for level, (count, pixels) in enumerate(result["levels"]):
        assert count == sum(one["colour"] == LEVELS[level] for one in shown)
        assert [bool(one) for one in pixels] == [one == level for one in range(4)]
    assert result["group"] == sum(one["group"] == shown[0]["group"] for one in shown)
    district, count = result["district"]
    assert count == sum(one["district"] == district for one in shown) > 0
    assert result["rows"] == 1 + len({one["district"] for one in shown})
    assert result["search"] == 1
    rank = {name: place for place, name in enumerate(LEVELS)}
    assert result["worse"] == sum(
        one["previous_colour"] is not None and rank[one["previous_colour"]] > rank[one["colour"]] for one in shown
    )
    assert result["all"] == 900

    for view in ("pixels", "tilted", "pillars"):
        assert min(result[view]["levels"]) > 0
    assert min(result["layers"][one] for one in ("residents", "present", "dangers_open")) > 1_000
    assert result["layers"][""] < result["layers"]["risk_max"] < result["layers"]["residents"]
    assert set(result["titles"]) == {"风险一张图", "Risk map"}
    assert result["dragged"] < 0.001
    assert result["inverse"] < 0.001
    assert result["nearer"] == pytest.approx(1.4)


@needs_browser
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_the_page_is_painted(scheme: int, text: str, tmp_path: Path) -> None:
    """Goal: the whole city comes up in light and dark. Method: a picture of it, which is not of one colour."""
    (tmp_path / "map.html").write_text(text, encoding="utf-8")
    picture = tmp_path / "map.png"
    browse(
        tmp_path,
        f"{(tmp_path / 'map.html').as_uri()}#3d",
        f"blink-settings=preferredColorScheme={scheme}",
        f"screenshot={picture}",
    )
    assert picture.stat().st_size > 60_000
