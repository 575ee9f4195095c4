"""What happens where. Pure: a scenario that came about is one that zones can be drawn for."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from hub.errors import BadRequestError
from hub.risk.impact.substances import Substance

Kind = Literal["explosion", "pool_fire", "fireball", "toxic_plume"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
CLASSES: Final = "ABCDEF"
_MASS_KG_MAX: Final = 1e8
_WIND_M_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The wind blows from `from_degrees`, clockwise from north; `stability` is Pasquill's class."""

    wind_m_s: float
    from_degrees: float
    stability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`mass_kg` of `substance` at a place in degrees; a toxic plume needs `weather`. Raises BadRequestError for what
    cannot be simulated."""

    kind: Kind
    lon: float
    lat: float
    substance: Substance
    mass_kg: float
    weather: Weather | None = None

    def __post_init__(self) -> None:
        name = self.substance.name.zh
        if self.kind not in KINDS:
            raise BadRequestError(f"there is no accident of kind {self.kind!r}", hint=f"one of {', '.join(KINDS)}")
        if not (abs(self.lon) <= 180 and abs(self.lat) < 85):
            raise BadRequestError(
                f"{self.lon:g},{self.lat:g} is no place", hint="longitude, then latitude, in degrees: 114.05,22.54"
            )
        if not 0 < self.mass_kg <= _MASS_KG_MAX:
            raise BadRequestError(f"a mass of {self.mass_kg:g} kg is refused", hint="from above 0 to 100,000 t")
        if self.kind == "explosion" and self.substance.blast_heat is None:
            raise BadRequestError(f"{name} does not explode in the open", hint="choose another kind or chemical")
        if self.kind == "fireball" and not self.substance.makes_fireballs:
            raise BadRequestError(
                f"{name} makes no fireball: it does not burn, or no vessel keeps it above its boiling point",
                hint="pool_fire is for liquids such as petrol",
            )
        if self.kind == "pool_fire" and not self.substance.makes_pools:
            raise BadRequestError(f"{name} makes no burning pool", hint="choose another kind or chemical")
        if self.kind == "toxic_plume":
            _check_weather(self.weather)


def _check_weather(weather: Weather | None) -> None:
    if weather is None:
        raise BadRequestError("a toxic plume needs the wind", hint="give wind, direction and stability class")
    if not 0 < weather.wind_m_s <= _WIND_M_S_MAX:
        raise BadRequestError(f"a wind of {weather.wind_m_s:g} m/s is refused", hint="from above 0 to 60 m/s")
    if not 0 <= weather.from_degrees <= 360:
        raise BadRequestError(
            f"no wind blows from {weather.from_degrees:g}°", hint="0 to 360, clockwise from north: 90 is an east wind"
        )
    if weather.stability not in tuple(CLASSES):
        raise BadRequestError(f"there is no stability class {weather.stability!r}", hint="A (unstable) to F (stable)")
