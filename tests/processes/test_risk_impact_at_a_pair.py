"""Accidents and levels of major hazard sources in two real centres that hold a synthetic city.

Goal: people, buildings and sites inside zones are those of a count by brute force from the city's plan; the standby is
asked; a simulation takes less than two seconds; levels are recorded once a source, equal in both centres.
Method: places in earth-centred coordinates on the ellipsoid, one by one, against the commands' JSON.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from conftest import start_with_catalogue
from typer.testing import CliRunner

from hub.cli.app import app
from hub.risk.formulas import plume
from hub.risk.impact.substances import builtin_substances, substance_named
from simulator.city.load import load_city
from simulator.city.people import is_homeless
from simulator.city.plan import USES, City
from simulator.city.registries import CHEMICALS
from simulator.drill.checks import equal_digests
from simulator.drill.processes import CityProcesses

PLAN = City(0.0002)
GB_18218_BETA = {"氯": 4, "氨": 2, "汽油": 1, "液化石油气": 1.5, "甲醇": 1, "硝酸铵": 1}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with CityProcesses(tmp_path_factory.mktemp("city")) as processes:
        start_with_catalogue(processes)
        with processes.client() as client:
            loaded = load_city(client, PLAN)
            for centre in client.centres:
                client.query("select 1", centre=centre, at_least=loaded.position).table()
        yield processes


def cityhub(city: CityProcesses, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["risk", *words, "--city", str(city.path), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.stderr


def east_and_north(lon: Any, lat: Any, at_lon: float, at_lat: float) -> tuple[Any, Any]:
    """Metres east and north of a place, by earth-centred coordinates of WGS 84 turned to its horizon."""

    def centred(lon: Any, lat: Any) -> Any:
        a, e2 = 6_378_137.0, 6.69437999014e-3
        phi, lam = np.radians(lat), np.radians(lon)
        n = a / np.sqrt(1 - e2 * np.sin(phi) ** 2)
        return np.stack((n * np.cos(phi) * np.cos(lam), n * np.cos(phi) * np.sin(lam), n * (1 - e2) * np.sin(phi)))

    dx, dy, dz = centred(np.asarray(lon), np.asarray(lat)) - centred(at_lon, at_lat)[:, None]
    phi, lam = np.radians(at_lat), np.radians(at_lon)
    east = -np.sin(lam) * dx + np.cos(lam) * dy
    north = -np.sin(phi) * np.cos(lam) * dx - np.sin(phi) * np.sin(lam) * dy + np.cos(phi) * dz
    return east, north


def residents() -> Any:
    """Of each building, as the plan has them."""
    persons = np.arange(PLAN.people)
    living = PLAN.home_of(persons)[~is_homeless(persons)]
    return np.bincount(living, minlength=len(PLAN.building_codes))


def busiest() -> tuple[float, float]:
    """The building with most people near it, so that there is something to count."""
    places = PLAN.buildings.places
    near = [
        residents()[np.hypot(*east_and_north(places.lon, places.lat, lon, lat)) < 2_000].sum()
        for lon, lat in zip(places.lon, places.lat, strict=True)
    ]
    best = int(np.argmax(near))
    return float(places.lon[best]), float(places.lat[best])


def check_ring(zone: dict[str, Any], inside: Any) -> None:
    """`inside`: of the plan's buildings, by brute force."""
    uses = np.asarray(USES)[PLAN.buildings.use[inside]]
    assert zone["buildings"] == inside.sum()
    assert zone["residents"] == residents()[inside].sum()
    assert zone["buildings_by_use"] == {str(use): int((uses == use).sum()) for use in set(uses.tolist())}


@pytest.mark.parametrize(
    ("kind", "chemical", "mass"),
    [("explosion", "液化石油气", 500_000), ("fireball", "lpg", 500_000), ("pool_fire", "汽油", 900_000)],
)
def test_rings_hold_whom_the_plan_has_there(city: CityProcesses, kind: str, chemical: str, mass: float) -> None:
    lon, lat = busiest()
    words = ("impact", "--kind", kind, "--at", f"{lon},{lat}", "--chemical", chemical, "--mass", str(mass))
    cityhub(city, *words)  # The first one also opens files.
    begun_s = time.monotonic()
    found = cityhub(city, *words)
    assert time.monotonic() - begun_s < 2
    assert found["centre"] == "ecc", "the standby of the registries' log is asked"
    distance = np.hypot(*east_and_north(PLAN.buildings.places.lon, PLAN.buildings.places.lat, lon, lat))
    for zone in found["zones"]:
        check_ring(zone, distance <= zone["reach_m"])
    assert found["zones"][-1]["residents"] > 0


def test_a_plume_holds_whom_the_plan_has_there(city: CityProcesses, tmp_path: Path) -> None:
    """Method: 1.5 km upwind of the busiest place, the concentration at each building; the file's polygons hold the same
    buildings, but for the edge."""
    wind, from_degrees, mass = 2.0, 60.0, 3_000.0
    lon, lat = busiest()
    lon, lat = lon + 1_500 * np.sin(np.radians(from_degrees)) / 102_900, lat + 750 / 110_700
    east, north = east_and_north(PLAN.buildings.places.lon, PLAN.buildings.places.lat, lon, lat)
    path = tmp_path / "plume.geojson"
    words = ["impact", "--kind", "toxic_plume", "--at", f"{lon},{lat}", "--chemical", "chlorine", "--mass", str(mass)]
    words += ["--wind", str(wind), "--from-direction", str(from_degrees), "--stability", "d", "--geojson", str(path)]
    found = cityhub(city, *words)
    to = np.radians(from_degrees + 180)
    along = east * np.sin(to) + north * np.cos(to)
    across = east * np.cos(to) - north * np.sin(to)
    air = plume.concentration_kg_m3(
        along, across, 0, rate_kg_s=mass / 600, wind_m_s=wind, spread=plume.builtin_table().classes["D"]
    )
    drawn = [one for one in json.loads(path.read_text())["features"] if one["properties"]["role"] == "zone"]
    assert len(found["zones"]) == len(drawn) == 4
    for zone, feature in zip(found["zones"], reversed(drawn), strict=True):
        limit = float(plume.kg_m3_of_ppm(zone["threshold"], 70.91))
        assert abs(air / limit - 1).min() > 1e-4, "no building so near to the edge that metres decide"
        check_ring(zone, (air >= limit) & (along <= 10_000))
        inside = shapely.contains_xy(
            shapely.geometry.shape(feature["geometry"]), PLAN.buildings.places.lon, PLAN.buildings.places.lat
        )
        assert abs(int(inside.sum()) - zone["buildings"]) <= 1
        assert feature["properties"]["colour"] == zone["colour"]
    assert found["zones"][-1]["residents"] > 0
    assert found["weather"] == {"wind_m_s": wind, "from_degrees": from_degrees, "stability": "D"}


def test_sites_and_people_present(city: CityProcesses) -> None:
    """Method: a blast of 12 km around the hospital against the data sets; cells at its edge count in part."""
    hospital = int(np.flatnonzero(PLAN.buildings.use == USES.index("hospital"))[0])
    lon, lat = float(PLAN.buildings.places.lon[hospital]), float(PLAN.buildings.places.lat[hospital])
    words = ("impact", "--kind", "explosion", "--at", f"{lon},{lat}", "--chemical", "tnt", "--mass", "9e7")
    found = cityhub(city, *words)
    widest = found["zones"][-1]
    with city.client() as client:
        place = "select name, lon, lat from {}"
        for sort, data_set in (("school", "schools"), ("hospital", "hospitals"), ("venue", "venues")):
            rows = client.query(place.format(data_set)).table().to_pylist()
            distance = np.hypot(*east_and_north([r["lon"] for r in rows], [r["lat"] for r in rows], lon, lat))
            expected = {row["name"] for row, away in zip(rows, distance, strict=True) if away <= widest["reach_m"]}
            assert {one["name"] for one in found["sites"] if one["sort"] == sort} == expected
            assert expected or sort == "school"
        sql = """select g.lon, g.lat, arg_max(p.people, p.observed_at) as people
            from presence p join grid_cells g using (grid_id) where p.observed_at >
            (select max(observed_at) from presence) - interval 24 hour {} group by all"""
        for hour in (None, 9):
            only = "" if hour is None else f"and extract(hour from p.observed_at + interval 8 hour) = {hour}"
            rows = client.query(sql.format(only)).table().to_pylist()
            distance = np.hypot(*east_and_north([r["lon"] for r in rows], [r["lat"] for r in rows], lon, lat))
            people = np.array([row["people"] for row in rows])
            at = found if hour is None else cityhub(city, *words, "--hour", str(hour))
            surely, at_most = (people[distance < widest["reach_m"] + margin].sum() for margin in (-250, 250))
            assert surely <= at["zones"][-1]["present"] <= at_most
            assert surely > 0
            assert at["present_at"] is not None
    order = [(one["zone"], one["distance_m"]) for one in found["sites"]]
    names = [zone["name"] for zone in found["zones"]]
    assert order == sorted(order, key=lambda one: (names.index(one[0]), one[1]))


def test_an_accident_at_a_source(city: CityProcesses) -> None:
    """Goal: a source's id is enough where a kind and its stocks tell the rest."""
    with city.client() as client:
        sql = "select * from hazardous_chemicals join major_hazard_sources using (source_id) where chemical = '氯'"
        stock = client.query(sql).table().to_pylist()[0]
    words = ("--source", stock["source_id"], "--chemical", "氯", "--wind", "3", "--from-direction", "0", "--hour", "13")
    found = cityhub(city, "impact", "--kind", "toxic_plume", *words)
    assert (found["lon"], found["lat"]) == (stock["lon"], stock["lat"])
    assert found["mass_kg"] == pytest.approx(stock["quantity"] * 1000)
    assert found["weather"]["stability"] in "BC", "by the wind and the sun at one o'clock"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--kind", "flood", "--at", "114,22.5"], 2, "there is no accident of kind 'flood'"),
        (["--kind", "explosion"], 2, "give either --at LON,LAT or --source ID"),
        (["--kind", "explosion", "--at", "114;22.5"], 2, "'114;22.5' is no place"),
        (["--kind", "explosion", "--at", "114,22.5"], 2, "give --chemical and --mass, or --source"),
        (["--kind", "explosion", "--at", "114,22.5", "--chemical", "tnt", "--mass", "-1"], 4, "a mass of -1 kg"),
        (["--kind", "explosion", "--at", "114,22.5", "--chemical", "水", "--mass", "1"], 4, "nothing is known of"),
        (["--kind", "explosion", "--source", "nowhere"], 4, "there is no major hazard source 'nowhere'"),
        (["--kind", "explosion", "--source", "Z000001", "--hour", "24"], 2, "--hour is from 0 to 23"),
        (["--kind", "fireball", "--source", "Z000001", "--centre", "moon"], 2, "there is no centre 'moon'"),
        (
            ["--kind", "toxic_plume", "--at", "114,22.5", "--chemical", "氯", "--mass", "9", "--wind", "2"],
            2,
            "give --wind 2.5 --from-direction 90",
        ),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(city: CityProcesses, words: list[str], code: int, message: str) -> None:
    said = cityhub(city, "impact", *words, code=code)
    assert message in said.replace("\n", " ")
    assert "hint: " in said


def test_tables_for_people(city: CityProcesses) -> None:
    lon, lat = busiest()
    words = ["risk", "impact", "--kind", "explosion", "--at", f"{lon},{lat}", "--chemical", "tnt", "--mass", "200000"]
    done = CliRunner().invoke(app, [*words, "--city", str(city.path)])
    assert done.exit_code == 0, done.output
    assert "explosion of 200,000 kg of 三硝基甲苯 tnt" in done.stdout
    assert "buildings inside: " in done.stdout
    assert "5 kPa" in done.stdout
    done = CliRunner().invoke(app, ["risk", "grade", "--city", str(city.path)])
    assert done.exit_code == 0, done.output
    assert "Z000001" in done.stdout


def test_levels_of_sources(city: CityProcesses) -> None:
    """Method: R by hand from the data sets and the plan; recorded twice there is one row a source, in both centres."""
    found = cityhub(city, "grade")["sources"]
    places = PLAN.buildings.places
    with city.client() as client:
        sources = client.query("select * from major_hazard_sources").table().to_pylist()
        stocks = client.query("select * from hazardous_chemicals").table().to_pylist()
        expected = {}
        for source in sources:
            distance = np.hypot(*east_and_north(places.lon, places.lat, source["lon"], source["lat"]))
            people = int(residents()[distance <= 500].sum())
            alpha = next(a for least, a in ((100, 2), (50, 1.5), (30, 1.2), (1, 1), (0, 0.5)) if people >= least)
            shares = [
                GB_18218_BETA[one["chemical"]] * one["quantity"] / one["critical_quantity"]
                for one in stocks
                if one["source_id"] == source["source_id"]
            ]
            r = alpha * sum(shares)
            level = next(level for level, least in ((1, 100), (2, 50), (3, 10), (4, 0)) if r >= least)
            expected[source["source_id"]] = (people, alpha, pytest.approx(r), level)
        assert {one["source_id"]: (one["people"], one["alpha"], one["r"], one["level"]) for one in found} == expected
        assert [one["level"] for one in found] == sorted(one["level"] for one in found)
        assert not any(one["doubts"] for one in found)
        for _ in range(2):
            assert cityhub(city, "grade", "--record")["rows_rejected"] == 0
        for centre in client.centres:
            sql = "select source_id, residents_500m, alpha, r, grade from hazard_grades"
            rows = client.query(sql, centre=centre, strong=True).table().to_pylist()
            assert {tuple(row.values()) for row in rows} == {
                (one["source_id"], one["people"], one["alpha"], one["r"], one["level"]) for one in found
            }
            assert len(rows) == len(found) > 0
        assert not equal_digests(client)


def test_the_citys_chemicals_are_known() -> None:
    assert {substance_named(name, builtin_substances()).name.zh for name, _ in CHEMICALS} == set(GB_18218_BETA)
