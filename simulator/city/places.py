"""Where things are: the districts' real outlines, street offices in them, and places that lie in both.

    outlines → districts → street offices (their names are real, their places are not) → places around them

The outlines are older than two of the districts: Guangming is cut out of Bao'an's outline and Dapeng out of Longgang's,
each at a straight line. The Shenshan zone lies apart from the city and has no outline here. Population by district is
the census's of 2020.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely

from hub.grid import cell_texts, cells_of, centres_of
from simulator.city.chance import Floats, Ints, stream

EARTH_RADIUS_M: Final = 6_371_008.8
_STREET_SPREAD: Final = 0.012  # Degrees, about 1.3 km.
_LATTICE: Final = 0.001  # Degrees; a cell is about 0.003 across.
_GUANGMING: Final = (113.87, 22.70, 114.10, 22.90)  # West, south, east, north of what is cut out of Bao'an.
_DAPENG: Final = (114.36, 22.30, 114.70, 22.80)  # Likewise of Longgang.
# Name, English name, division code (Dapeng has Longgang's), inhabitants in 2020, street offices.
_DISTRICTS: Final = (
    ("罗湖区", "Luohu", 440303, 1_143_800, "黄贝 东门 南湖 桂园 笋岗 清水河 翠竹 东晓 东湖 莲塘"),
    ("福田区", "Futian", 440304, 1_553_200, "园岭 南园 福田 沙头 香蜜湖 梅林 莲花 华富 福保 华强北"),
    ("南山区", "Nanshan", 440305, 1_795_800, "南头 南山 沙河 蛇口 招商 粤海 桃源 西丽"),
    ("宝安区", "Bao'an", 440306, 4_476_600, "新安 西乡 航城 福永 福海 沙井 新桥 松岗 燕罗 石岩"),
    ("龙岗区", "Longgang", 440307, 3_979_000, "平湖 坂田 布吉 南湾 横岗 龙城 龙岗 坪地 吉华 园山 宝龙"),
    ("盐田区", "Yantian", 440308, 214_200, "沙头角 海山 盐田 梅沙"),
    ("龙华区", "Longhua", 440309, 2_528_900, "观湖 民治 龙华 大浪 福城 观澜"),
    ("坪山区", "Pingshan", 440310, 551_300, "坪山 马峦 碧岭 石井 坑梓 龙田"),
    ("光明区", "Guangming", 440311, 1_095_300, "公明 光明 新湖 凤凰 玉塘 马田"),
    ("大鹏新区", "Dapeng", 440307, 156_200, "葵涌 大鹏 南澳"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class District:
    """`outline` is a shapely geometry in degrees, longitude first."""

    name: str
    name_en: str
    code: int
    inhabitants: int
    streets: tuple[str, ...]
    outline: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Streets:
    """The street offices of all districts: `district` is an index of `districts()`, `lon` and `lat` are degrees."""

    name: tuple[str, ...]
    district: Ints
    lon: Floats
    lat: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """`street` is an index of `streets()`."""

    street: Ints
    lon: Floats
    lat: Floats

    @property
    def district(self) -> Ints:
        """Indices of `districts()`."""
        return streets().district[self.street]


@cache
def districts() -> tuple[District, ...]:
    source = files("simulator.city").joinpath("data", "shenzhen_districts.geojson").read_text(encoding="utf-8")
    outlines = {
        one["properties"]["name"]: shapely.geometry.shape(one["geometry"]) for one in json.loads(source)["features"]
    }
    for part, whole, box in (("光明区", "宝安区", _GUANGMING), ("大鹏新区", "龙岗区", _DAPENG)):
        cut = shapely.box(*box)
        outlines[part] = outlines[whole].intersection(cut)
        outlines[whole] = outlines[whole].difference(cut)
    made = tuple(
        District(
            name=name,
            name_en=name_en,
            code=code,
            inhabitants=inhabitants,
            streets=tuple(f"{street}街道" for street in street_names.split()),
            outline=outlines[name],
        )
        for name, name_en, code, inhabitants, street_names in _DISTRICTS
    )
    for one in made:
        shapely.prepare(one.outline)
    return made


@cache
def streets() -> Streets:
    """Each office's place is the one of thirty within its district that lies farthest from those before it."""
    names: list[str] = []
    owner: list[int] = []
    lons: list[float] = []
    lats: list[float] = []
    for number, district in enumerate(districts()):
        random = stream(0, "streets", number)
        begin = len(names)
        for street in district.streets:
            lon, lat = _within(district, random, 30)
            away = [
                min(((lons[k] - x) ** 2 + (lats[k] - y) ** 2 for k in range(begin, len(names))), default=0.0)
                for x, y in zip(lon, lat, strict=True)
            ]
            best = int(np.argmax(away))
            names.append(street)
            owner.append(number)
            lons.append(float(lon[best]))
            lats.append(float(lat[best]))
    return Streets(name=tuple(names), district=np.array(owner), lon=np.array(lons), lat=np.array(lats))


def scattered(random: np.random.Generator, count: int) -> Places:
    """Places as people settle: districts by their inhabitants, then around their street offices."""
    shares = np.array([one.inhabitants for one in districts()], np.float64)
    owner = random.choice(len(shares), count, p=shares / shares.sum())
    street = np.empty(count, np.int64)
    lon, lat = np.empty(count), np.empty(count)
    for number in range(len(shares)):
        here = np.flatnonzero(owner == number)
        street[here], lon[here], lat[here] = _settled(number, random, len(here))
    return Places(street=street, lon=lon.round(6), lat=lat.round(6))


def grid_of(lon: Floats, lat: Floats) -> pa.Array:
    """Grid cell of each place: H3 index of resolution 9, as text."""
    return cell_texts(cells_of(lon, lat))


@cache
def grid_cells() -> tuple[pa.Array, Places]:
    """The cells that hold a part of the city, in the order of their indices, and their centres."""
    found: dict[int, int] = {}
    for number, district in enumerate(districts()):
        west, south, east, north = district.outline.bounds
        lon, lat = (
            axis.ravel() for axis in np.meshgrid(np.arange(west, east, _LATTICE), np.arange(south, north, _LATTICE))
        )
        inside = shapely.contains_xy(district.outline, lon, lat)
        cells = cells_of(lon[inside], lat[inside])
        found.update(dict.fromkeys(np.unique(cells).tolist(), number) | found)
    cells = np.array(sorted(found), np.uint64)
    lon, lat = centres_of(cells)
    owner = np.array([found[cell] for cell in cells.tolist()])
    street = np.empty(len(cells), np.int64)
    for number in range(len(districts())):
        here = owner == number
        street[here] = _nearest_street(number, lon[here], lat[here])
    return cell_texts(cells), Places(street=street, lon=lon.round(6), lat=lat.round(6))


def distance_m(lon: Floats, lat: Floats, to_lon: float, to_lat: float) -> Floats:
    """Great-circle distances (haversine), in metres."""
    half = np.sin(np.radians(lat - to_lat) / 2) ** 2
    half += np.cos(np.radians(lat)) * np.cos(np.radians(to_lat)) * np.sin(np.radians(lon - to_lon) / 2) ** 2
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))
    return result


def _settled(number: int, random: np.random.Generator, count: int) -> tuple[Ints, Floats, Floats]:
    """Street, longitude and latitude of `count` places in one district."""
    offices = np.flatnonzero(streets().district == number)
    lon, lat = np.empty(0), np.empty(0)
    while len(lon) < count:
        more = 2 * (count - len(lon)) + 16
        around = random.choice(offices, more)
        x = streets().lon[around] + random.normal(0, _STREET_SPREAD, more)
        y = streets().lat[around] + random.normal(0, _STREET_SPREAD, more)
        inside = shapely.contains_xy(districts()[number].outline, x, y)
        lon, lat = np.concatenate((lon, x[inside])), np.concatenate((lat, y[inside]))
    lon, lat = lon[:count], lat[:count]
    return _nearest_street(number, lon, lat), lon, lat


def _nearest_street(number: int, lon: Floats, lat: Floats) -> Ints:
    offices = np.flatnonzero(streets().district == number)
    away = [(streets().lon[one] - lon) ** 2 + (streets().lat[one] - lat) ** 2 for one in offices]
    result: Ints = offices[np.argmin(away, axis=0)] if len(lon) else np.empty(0, np.int64)
    return result


def _within(district: District, random: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    west, south, east, north = district.outline.bounds
    lon, lat = np.empty(0), np.empty(0)
    while len(lon) < count:
        x, y = random.uniform(west, east, 4 * count), random.uniform(south, north, 4 * count)
        inside = shapely.contains_xy(district.outline, x, y)
        lon, lat = np.concatenate((lon, x[inside])), np.concatenate((lat, y[inside]))
    return lon[:count], lat[:count]
