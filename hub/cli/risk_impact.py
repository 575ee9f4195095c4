"""`risk impact`: what an accident reaches."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
    CityOption,
    JsonOption,
    check_centre,
    city_of,
    command,
    connect,
    err,
    out,
    print_json,
)
from hub.errors import ConfigurationError
from hub.position import position_to_text
from hub.risk.formulas.stability import clear_sky, stability_class, sun_elevation_degrees
from hub.risk.impact.assumptions import builtin_assumptions
from hub.risk.impact.fetch import CITY_HOURS
from hub.risk.impact.geojson import geojson_of, zone_facts
from hub.risk.impact.plane import Plane
from hub.risk.impact.reading import Reading
from hub.risk.impact.run import Impact, simulate
from hub.risk.impact.scenario import KINDS, Kind, Scenario, Weather
from hub.risk.impact.sources import fetch_source, stock_for
from hub.risk.impact.substances import Substance, builtin_substances, substance_named
from hub.risk.impact.thresholds import builtin_thresholds
from hub.risk.impact.wind import observed_wind

_CITY_ZONE: Final = timezone(timedelta(hours=CITY_HOURS))
_SITES_SHOWN: Final = 30


@command
def impact(
    kind: Annotated[str, typer.Option("--kind", help=f"What happens: {', '.join(KINDS)}.")],
    at: Annotated[str | None, typer.Option("--at", metavar="LON,LAT", help="Where, WGS 84, degrees.")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="ID", help="At a major hazard source.")] = None,
    chemical: Annotated[
        str | None, typer.Option("--chemical", help="Of what; default: what lies at the source most.")
    ] = None,
    mass: Annotated[
        float | None, typer.Option("--mass", metavar="KG", help="How much, kg; default: all that lies at the source.")
    ] = None,
    wind: Annotated[
        float | None, typer.Option("--wind", metavar="M/S", help="Wind, m/s; default: the nearest station's.")
    ] = None,
    from_direction: Annotated[
        float | None, typer.Option("--from-direction", metavar="DEGREES", help="Where it blows from; north is 0.")
    ] = None,
    stability: Annotated[
        str | None, typer.Option("--stability", metavar="A-F", help="Pasquill's class; default: by wind and sun.")
    ] = None,
    hour: Annotated[
        int | None, typer.Option("--hour", help="People present at this hour, 0 to 23; default: the newest count.")
    ] = None,
    geojson: Annotated[Path | None, typer.Option("--geojson", metavar="FILE", help="Write zones and sites.")] = None,
    city: CityOption = DEFAULT_CITY,
    centre: CentreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate an accident: zones, and people, buildings and sensitive sites inside them.

    Reads at the standby unless --centre says otherwise.
    """
    topology = city_of(city)
    _check_options(kind, at, source, hour)
    asked: Kind = next(one for one in KINDS if one == kind)
    substances = builtin_substances()
    wanted = substance_named(chemical, substances) if chemical is not None else None
    with connect(topology) as client:
        reading = Reading(client, centre=check_centre(topology, centre))
        if source is not None:
            filed = fetch_source(reading, source)
            lon, lat = filed.lon, filed.lat
            if wanted is None or mass is None:
                wanted, there_kg = stock_for(filed, asked, wanted, substances)
                mass = there_kg if mass is None else mass
        else:
            lon, lat = _place(at or "")
        if wanted is None or mass is None:
            raise ConfigurationError("what has happened to how much?", hint="give --chemical and --mass, or --source")
        weather = None
        if asked == "toxic_plume":
            weather = _weather(reading, Plane(lon, lat), wind, from_direction, stability, hour)
        scenario = Scenario(kind=asked, lon=lon, lat=lat, substance=wanted, mass_kg=mass, weather=weather)
        found = simulate(
            reading,
            scenario,
            builtin_thresholds(),
            builtin_assumptions(),
            substances_version=substances.version,
            hour=hour,
        )
    if geojson is not None:
        _write(geojson, geojson_of(found))
    if as_json:
        print_json(impact_facts(found))
    else:
        _show(found)


def impact_facts(found: Impact) -> dict[str, Any]:
    """As `--json` prints it."""
    scenario = found.scenario
    return {
        "kind": scenario.kind,
        "lon": scenario.lon,
        "lat": scenario.lat,
        "chemical": scenario.substance.name.zh,
        "mass_kg": scenario.mass_kg,
        "weather": asdict(scenario.weather) if scenario.weather else None,
        "toxic_ppm": {name: getattr(scenario.substance, name) for name in ("aegl", "erpg", "idlh")},
        "zones": [zone_facts(zone, inside) for zone, inside in zip(found.zones, found.inside, strict=True)],
        "sites": [
            asdict(one.site) | {"zone": found.zones[one.zone].name, "distance_m": one.distance_m} for one in found.sites
        ],
        "present_at": found.present_at.isoformat() if found.present_at else None,
        "centre": found.centre,
        "position": found.position,
        "versions": asdict(found.versions),
    }


def _check_options(kind: str, at: str | None, source: str | None, hour: int | None) -> None:
    if kind not in KINDS:
        raise ConfigurationError(f"there is no accident of kind {kind!r}", hint=f"one of {', '.join(KINDS)}")
    if (at is None) == (source is None):
        raise ConfigurationError("where has it happened?", hint="give either --at LON,LAT or --source ID")
    if hour is not None and not 0 <= hour <= 23:
        raise ConfigurationError(f"no clock shows {hour} hours", hint="--hour is from 0 to 23, by the city's clock")


def _place(text: str) -> tuple[float, float]:
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no place", hint="longitude, a comma and latitude, in degrees: --at 114.0579,22.5431"
        ) from None
    return lon, lat


def _weather(
    reading: Reading,
    plane: Plane,
    wind: float | None,
    from_direction: float | None,
    stability: str | None,
    hour: int | None,
) -> Weather:
    if wind is None or from_direction is None:
        observed = observed_wind(reading, plane)
        wind = observed.wind_m_s if wind is None and observed else wind
        from_direction = observed.from_degrees if from_direction is None and observed else from_direction
    if wind is None or from_direction is None:
        missing = "how strong is the wind?" if wind is None else "where does the wind blow from?"
        raise ConfigurationError(
            f"{missing} No station has observed it",
            hint="give --wind 2.5 --from-direction 90 (an east wind of 2.5 m/s)",
        )
    if stability is None:
        moment = datetime.now(UTC).astimezone(_CITY_ZONE)
        moment = moment if hour is None else moment.replace(hour=hour, minute=0)
        stability = stability_class(wind, clear_sky(sun_elevation_degrees(moment, plane.lon, plane.lat)))
    return Weather(wind_m_s=wind, from_degrees=from_direction, stability=stability.upper())


def _write(path: Path, collection: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}", hint="choose another file") from error


def _show(found: Impact) -> None:
    scenario = found.scenario
    out.print(_headline(scenario.substance, scenario), highlight=False)
    table = Table("zone", "up to", "residents", "present", "buildings", "sites", "meaning")
    for zone, inside in zip(found.zones, found.inside, strict=True):
        table.add_row(
            f"[{_STYLES[zone.colour]}]{zone.name}[/]",
            f"{zone.shape.reach_m:,.0f} m{' and beyond' if zone.cut else ''}",
            f"{inside.residents:,}",
            "?" if inside.present is None else f"{inside.present:,}",
            f"{inside.buildings:,}",
            f"{inside.sites:,}",
            f"{zone.meaning.zh} {zone.meaning.en}",
        )
    out.print(table)
    uses = ", ".join(f"{use} {count:,}" for use, count in found.inside[-1].buildings_by_use.items())
    out.print(f"buildings inside: {uses or 'none'}", highlight=False)
    if found.sites:
        _show_sites(found)
    hour = (
        "nobody counted who is present" if found.present_at is None else f"present: hour of {_local(found.present_at)}"
    )
    err.print(f"{hour}; {found.centre} at {position_to_text(found.position)}", style="dim", highlight=False)


def _show_sites(found: Impact) -> None:
    table = Table("sensitive site", "kind", "people", "zone", "distance")
    for one in found.sites[:_SITES_SHOWN]:
        zone = found.zones[one.zone]
        table.add_row(
            escape(one.site.name),
            f"{one.site.sort}, {one.site.kind}" if one.site.kind != one.site.sort else one.site.sort,
            "?" if one.site.occupants is None else f"{one.site.occupants:,}",
            f"[{_STYLES[zone.colour]}]{zone.name}[/]",
            f"{one.distance_m:,.0f} m",
        )
    out.print(table)
    if (more := len(found.sites) - _SITES_SHOWN) > 0:
        err.print(f"{more:,} more with --json", style="dim", highlight=False)


_STYLES: Final = {"red": "bold red", "orange": "dark_orange", "yellow": "yellow", "blue": "blue"}


def _headline(substance: Substance, scenario: Scenario) -> str:
    text = f"{scenario.kind} of {scenario.mass_kg:,.0f} kg of {substance.name.zh} {substance.name.en}"
    text += f" at {scenario.lon:.6f},{scenario.lat:.6f}"
    if (weather := scenario.weather) is not None:
        text += f"; wind {weather.wind_m_s:.1f} m/s from {weather.from_degrees:.0f}°, class {weather.stability}"
    return text


def _local(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=UTC).astimezone(_CITY_ZONE):%Y-%m-%d %H:%M}"
