"""Simulation of accidents, without a centre.

Goal: metres are metres, shapes contain what their formula says, contours lie where the concentration is the limit,
zones lie within each other, counts are those of brute force, GeoJSON is what RFC 7946 wants, and nonsense is refused
with a hint.
Method: geodesy by hand, shapely as the other geometry, a made-up town around the place.
"""

import json
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import shapely
from h3ronpy import cells_parse, cells_to_string
from h3ronpy.vector import cells_to_coordinates, cells_to_wkb_polygons, coordinates_to_cells
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import BadRequestError
from hub.risk.formulas import major_hazard, plume
from hub.risk.formulas.fireball import heat_flux_kw_m2
from hub.risk.impact.assumptions import builtin_assumptions
from hub.risk.impact.count import PartsOfCells, count_inside, sites_inside
from hub.risk.impact.fetch import Buildings, Presence, Site
from hub.risk.impact.geojson import geojson_of
from hub.risk.impact.plane import Plane
from hub.risk.impact.run import Impact, Versions
from hub.risk.impact.scenario import KINDS, Kind, Scenario, Weather
from hub.risk.impact.shapes import Circle, Plume
from hub.risk.impact.sources import Source, Stock, stock_for
from hub.risk.impact.substances import builtin_substances, substance_named
from hub.risk.impact.thresholds import COLOURS, builtin_thresholds, toxic_levels
from hub.risk.impact.zones import Zone, zones_of

PLACE = Plane(114.05, 22.54)
EAST_WIND = Weather(wind_m_s=2.0, from_degrees=90.0, stability="D")
CASES: dict[Kind, tuple[str, float]] = {
    "explosion": ("液化石油气", 20_000),
    "pool_fire": ("汽油", 50_000),
    "fireball": ("液化石油气", 20_000),
    "toxic_plume": ("氯", 1_000),
}


def scenario(kind: Kind, /, **changes: Any) -> Scenario:
    chemical, mass = CASES[kind]
    weather = EAST_WIND if kind == "toxic_plume" else None
    substance = substance_named(chemical, builtin_substances())
    made = Scenario(kind=kind, lon=PLACE.lon, lat=PLACE.lat, substance=substance, mass_kg=mass, weather=weather)
    return replace(made, **changes)


def zones(kind: Kind, /, **changes: Any) -> list[Zone]:
    return zones_of(scenario(kind, **changes), builtin_thresholds(), builtin_assumptions())


# --- Metres ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lat", "east", "north"),
    [(0, 111_320, 110_574), (30, 96_486, 110_852), (45, 78_847, 111_132), (60, 55_800, 111_412)],
)
def test_degrees_are_so_many_metres(lat: float, east: float, north: float) -> None:
    """Method: the published lengths of a degree of WGS 84."""
    assert Plane(114.0, lat).metres_a_degree == pytest.approx((east, north), abs=1)


@given(st.floats(-20_000, 20_000), st.floats(-20_000, 20_000))
def test_there_and_back(x: float, y: float) -> None:
    lon, lat = PLACE.to_degrees(x, y)
    assert PLACE.to_metres(lon, lat) == pytest.approx((x, y), abs=1e-6)


def test_distances_against_the_great_circle() -> None:
    """Method: haversine with the local radius of curvature, 2 km to each side: within 0.3 %."""
    for x, y in ((2_000, 0), (0, 2_000), (-1_400, 1_400)):
        lon, lat = PLACE.to_degrees(x, y)
        half = np.sin(np.radians(lat - PLACE.lat) / 2) ** 2
        half += np.cos(np.radians(lat)) * np.cos(np.radians(PLACE.lat)) * np.sin(np.radians(lon - PLACE.lon) / 2) ** 2
        assert 2 * 6_363_000 * np.arcsin(np.sqrt(half)) == pytest.approx(np.hypot(x, y), rel=0.003)


# --- Shapes ---------------------------------------------------------------------------------------------------------


def polygon(zone: Zone) -> Any:
    return shapely.Polygon(np.column_stack(zone.shape.outline()))


@pytest.mark.parametrize("kind", KINDS)
def test_outlines_are_shapes_that_formulas_fill(kind: Kind) -> None:
    """Method: random places around the accident: the formula and the polygon tell the same but for a strip at the edge
    of 0.2 % of the reach; the ring is closed, counter-clockwise and simple."""
    random = np.random.default_rng(7)
    for zone in zones(kind):
        reach = zone.shape.reach_m
        assert reach > 0
        drawn = polygon(zone)
        assert drawn.is_valid
        assert shapely.is_ccw(drawn.exterior)
        x, y = random.uniform(-1.2 * reach, 1.2 * reach, (2, 20_000))
        points = shapely.points(x, y)
        at_the_edge = shapely.distance(points, drawn.exterior) < 0.002 * reach
        agrees = zone.shape.contains(x, y) == shapely.contains(drawn, points)
        assert agrees[~at_the_edge].all(), zone.name


@pytest.mark.parametrize("kind", KINDS)
def test_zones_lie_within_each_other(kind: Kind) -> None:
    found = zones(kind)
    reaches = [zone.shape.reach_m for zone in found]
    assert reaches == sorted(reaches)
    assert [zone.limit for zone in found] == sorted((zone.limit for zone in found), reverse=True)
    assert [zone.colour for zone in found] == list(COLOURS)[: len(found)]
    random = np.random.default_rng(8)
    x, y = random.uniform(-reaches[-1], reaches[-1], (2, 20_000))
    inside = [zone.shape.contains(x, y) for zone in found]
    for inner, outer in pairwise(inside):
        assert not (inner & ~outer).any()
    assert all(zone.meaning.zh and zone.meaning.en for zone in found)


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_it_reaches_farther(kind: Kind) -> None:
    less = zones(kind)
    more = zones(kind, mass_kg=scenario(kind).mass_kg * 1.4)
    for one, other in zip(less, more, strict=True):
        assert one.shape.reach_m <= other.shape.reach_m


def test_the_limit_is_at_the_contour() -> None:
    """Method: the concentration on the corners of each contour is the limit, and its middle lies downwind: an east wind
    blows to the west."""
    for zone in zones("toxic_plume"):
        shape = cast(Plume, zone.shape)
        x, y = shape.outline()
        found = plume.concentration_kg_m3(
            -x, y, 0, rate_kg_s=shape.rate_kg_s, wind_m_s=shape.wind_m_s, spread=shape.spread
        )
        on_contour = (x < -1) & (x > -0.999 * shape.reach_m)
        assert found[on_contour] == pytest.approx(shape.limit_kg_m3, rel=1e-6)
        assert x.min() == pytest.approx(-shape.reach_m)
        assert x.max() < 1e-9
        middle = np.array([-0.5, 0, 0.5]) * shape.reach_m
        assert shape.contains(middle, np.zeros(3)).tolist() == [True, True, False], "the place itself is inside"


@pytest.mark.parametrize(("degrees", "east", "north"), [(0, 0, -1), (90, -1, 0), (180, 0, 1), (225, 0.7071, 0.7071)])
def test_the_wind_blows_from_where_it_is_said(degrees: float, east: float, north: float) -> None:
    turned = replace(EAST_WIND, from_degrees=degrees)
    (*_, zone) = zones("toxic_plume", weather=turned)
    along = 0.5 * zone.shape.reach_m
    assert zone.shape.contains(np.array([along * east]), np.array([along * north])).all()
    assert not zone.shape.contains(np.array([-along * east]), np.array([-along * north])).any()
    assert polygon(zone).area == pytest.approx(polygon(zones("toxic_plume")[-1]).area, rel=1e-6)


def test_heat_at_the_edge_of_a_fireball_zone() -> None:
    assumed, case = builtin_assumptions(), scenario("fireball")
    for zone in zones("fireball"):
        found = heat_flux_kw_m2(
            zone.shape.reach_m, case.mass_kg, 46_000, assumed.fireball_radiated_share, assumed.vapour_pa
        )
        assert found == pytest.approx(zone.limit, rel=1e-6)


def test_a_plume_is_cut_where_it_is_followed_no_farther() -> None:
    calm = Weather(wind_m_s=0.1, from_degrees=0, stability="F")
    found = zones("toxic_plume", weather=calm, mass_kg=50_000)
    assert found[-1].cut
    assert found[-1].shape.reach_m == builtin_assumptions().plume_reach_m
    assert polygon(found[-1]).is_valid


def test_a_zone_may_be_empty() -> None:
    """Method: a milligram of chlorine reaches no level anywhere."""
    for zone in zones("toxic_plume", mass_kg=1e-6):
        assert zone.shape.reach_m == 0
        assert not zone.shape.contains(np.zeros(1), np.zeros(1)).any()
        x, y = zone.shape.outline()
        assert not x.any()
        assert not y.any()
    assert not Circle(0.0).contains(np.zeros(1), np.zeros(1)).any()


# --- Counting -------------------------------------------------------------------------------------------------------


def town(count: int, spread_m: float) -> tuple[Buildings, list[Site]]:
    random = np.random.default_rng(3)
    x, y = random.normal(0, spread_m, (2, count))
    lon, lat = PLACE.to_degrees(x, y)
    use = random.choice(np.array(["residential", "office", "school"], np.object_), count)
    buildings = Buildings(lon=lon, lat=lat, residents=random.integers(0, 200, count).astype(np.float64), use=use)
    sites = [
        Site(
            sort="school",
            id=f"S{n}",
            name=f"学校{n}",
            kind="primary",
            lon=float(lon[n]),
            lat=float(lat[n]),
            occupants=n,
        )
        for n in range(min(40, count))
    ]
    return buildings, sites


def presence_around(rings: int) -> Presence:
    steps = np.arange(-rings, rings + 1) * 0.002
    lon, lat = (axis.ravel() for axis in np.meshgrid(PLACE.lon + steps, PLACE.lat + steps))
    cells = np.unique(pa.array(coordinates_to_cells(lat, lon, 9)).to_numpy())
    ids = pa.array(cells_to_string(cells)).cast(pa.string())
    return Presence(grid_id=ids, people=np.full(len(ids), 100.0), at=datetime(2026, 6, 1, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_brute_force(kind: Kind) -> None:
    found = zones(kind)
    buildings, sites = town(3_000, found[-1].shape.reach_m / 2)
    inside_sites = sites_inside(PLACE, found, sites)
    counted = count_inside(PLACE, found, buildings, presence_around(2), inside_sites)
    x, y = PLACE.to_metres(buildings.lon, buildings.lat)
    for zone, inside in zip(found, counted, strict=True):
        people = houses = 0
        for index in range(len(x)):
            if zone.shape.contains(x[index : index + 1], y[index : index + 1])[0]:
                people += int(buildings.residents[index])
                houses += 1
        assert (inside.residents, inside.buildings) == (people, houses)
        assert sum(inside.buildings_by_use.values()) == houses
    for one in inside_sites:
        place = PLACE.to_metres([one.site.lon], [one.site.lat])
        within = [index for index, zone in enumerate(found) if zone.shape.contains(*place)[0]]
        assert one.zone == min(within)
    assert [one.zone for one in inside_sites] == sorted(one.zone for one in inside_sites)
    assert counted[-1].sites == len(inside_sites) > 0


@pytest.mark.parametrize("radius", [60.0, 250.0, 900.0])
def test_grid_cells_count_by_their_share(radius: float) -> None:
    """Method: the exact area of each cell within a circle, by shapely: people within 3 % of those of the circle, or of
    a small circle within a tenth of a cell."""
    presence = presence_around(6)
    cells = pa.array(coordinates_to_cells(*_centres(presence.grid_id), 9))
    degrees = shapely.from_wkb(pa.array(cells_to_wkb_polygons(cells)).to_pylist())
    metres = shapely.transform(degrees, lambda place: np.column_stack(PLACE.to_metres(place[:, 0], place[:, 1])))
    exact = shapely.area(shapely.intersection(metres, shapely.Point(0, 0).buffer(radius, 256))) / shapely.area(metres)
    found = PartsOfCells(PLACE, presence.grid_id).inside(Circle(radius))
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum() == pytest.approx(exact.sum(), rel=0.03, abs=0.1)


def _centres(grid_ids: pa.Array) -> tuple[Any, Any]:
    found = pa.table(cells_to_coordinates(cells_parse(grid_ids)))
    return found["lat"].to_numpy(), found["lng"].to_numpy()


def test_nobody_counted_is_not_nobody() -> None:
    found = zones("explosion")
    buildings, _ = town(10, 100)
    nothing = Presence(grid_id=pa.array([], pa.string()), people=np.empty(0), at=None)
    assert {one.present for one in count_inside(PLACE, found, buildings, nothing, [])} == {None}


# --- GeoJSON --------------------------------------------------------------------------------------------------------


def test_geojson() -> None:
    """Goal: any map shows it. Method: read it back with shapely and measure."""
    case = scenario("explosion")
    found = zones("explosion")
    buildings, sites = town(500, 300)
    inside_sites = sites_inside(PLACE, found, sites)
    impact = Impact(
        scenario=case,
        zones=found,
        inside=count_inside(PLACE, found, buildings, presence_around(2), inside_sites),
        sites=inside_sites,
        present_at=None,
        centre="ecc",
        position={"ops": 1},
        versions=Versions(substances=1, thresholds=1, assumptions=1),
    )
    collection = json.loads(json.dumps(geojson_of(impact)))
    assert collection["type"] == "FeatureCollection"
    drawn = [one for one in collection["features"] if one["properties"]["role"] == "zone"]
    assert [one["properties"]["threshold"] for one in drawn] == [5, 20, 50, 100], "the widest lies below the others"
    for one, zone in zip(drawn, reversed(found), strict=True):
        (ring,) = one["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert shapely.is_ccw(shapely.LinearRing(ring))
        x, y = PLACE.to_metres([place[0] for place in ring], [place[1] for place in ring])
        assert np.hypot(x, y) == pytest.approx(zone.shape.reach_m, abs=0.2)
        facts = one["properties"]
        assert {"unit", "meaning_zh", "meaning_en", "colour", "residents", "buildings_by_use"} <= facts.keys()
    roles = [one["properties"]["role"] for one in collection["features"]]
    assert roles.count("place") == 1
    assert roles.count("site") == len(inside_sites)


# --- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("explosion", {"mass_kg": 0}, "a mass of 0 kg"),
        ("explosion", {"mass_kg": float("nan")}, "a mass of nan kg"),
        ("explosion", {"lat": 114.0}, "is no place"),
        ("explosion", {"kind": "flood"}, "no accident of kind 'flood'"),
        ("toxic_plume", {"weather": None}, "needs the wind"),
        ("toxic_plume", {"weather": replace(EAST_WIND, wind_m_s=0)}, "a wind of 0 m/s"),
        ("toxic_plume", {"weather": replace(EAST_WIND, stability="G")}, "no stability class 'G'"),
        ("toxic_plume", {"weather": replace(EAST_WIND, stability="AB")}, "no stability class 'AB'"),
        ("toxic_plume", {"weather": replace(EAST_WIND, from_degrees=400)}, "no wind blows from 400°"),
    ],
)
def test_nonsense_is_refused(kind: Kind, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequestError, match=message) as refused:
        scenario(kind, **changes)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("kind", "chemical"),
    [("explosion", "氯"), ("fireball", "汽油"), ("pool_fire", "硝酸铵"), ("toxic_plume", "三硝基甲苯")],
)
def test_chemicals_do_not_do_everything(kind: Kind, chemical: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        zones(kind, substance=substance_named(chemical, builtin_substances()))
    assert refused.value.hint


def test_an_unknown_chemical_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadRequestError) as refused:
        substance_named("水", builtin_substances())
    assert "氯 chlorine" in refused.value.hint


# --- Data -----------------------------------------------------------------------------------------------------------


def test_every_substance_does_something_and_has_a_beta() -> None:
    table = builtin_substances()
    names = [name for one in table.substance for name in {one.name.zh, one.name.en, *one.aliases}]
    assert len(names) == len(set(names)), "a name stands for one substance"
    for one in table.substance:
        assert one.kind in major_hazard.builtin_table().kinds
        assert one.makes_fireballs or one.makes_pools or one.blast_heat or one.aegl, one.name.en
        assert substance_named(one.name.en.upper(), table) is one
        if one.aegl:
            present = [value for value in one.aegl if value]
            assert present == sorted(present)
            levels = toxic_levels(one, builtin_thresholds())
            assert [ppm for ppm, _ in levels] == sorted((ppm for ppm, _ in levels), reverse=True)
    assert set(major_hazard.builtin_table().gases) <= {one.name.zh for one in table.substance}


def test_what_lies_at_a_source() -> None:
    stocks = [("氨", 40.0, 10.0), ("液化石油气", 100.0, 50.0), ("谜", 9.0, 1.0)]
    source = Source(
        source_id="Z1",
        name="",
        lon=114.0,
        lat=22.5,
        stocks=tuple(Stock(chemical=name, quantity=q, critical_quantity=most) for name, q, most in stocks),
    )
    table = builtin_substances()
    assert stock_for(source, "toxic_plume", None, table) == (substance_named("氨", table), 40_000)
    assert stock_for(source, "fireball", None, table) == (substance_named("lpg", table), 100_000)
    with pytest.raises(BadRequestError, match="has no 氯; it has 氨, 液化石油气, 谜"):
        stock_for(source, "toxic_plume", substance_named("氯", table), table)
    with pytest.raises(BadRequestError, match="what makes a fireball"):
        stock_for(replace(source, stocks=source.stocks[:1]), "fireball", None, table)
