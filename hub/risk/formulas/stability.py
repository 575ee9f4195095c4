"""Pasquill's classes from wind and sun: A very unstable, D neutral, F stable.

Table: F. Pasquill, Meteorological Magazine 90 (1961) 33-49, as Turner (1970) and NOAA give it; where it has two classes
(A-B) the more stable one is taken, in which a release at the ground stays denser. Insolation by the sun's elevation:
Turner, strong above 60°, moderate above 35°, slight above 15°. Declination: P. I. Cooper, Solar Energy 12 (1969) 333.
"""

from datetime import UTC, datetime
from math import asin, cos, degrees, radians, sin
from typing import Final, Literal

Sky = Literal["strong", "moderate", "slight", "overcast", "cloudy_night", "clear_night"]
_WINDS_M_S: Final = (2.0, 3.0, 5.0, 6.0)  # Upper ends of the rows; the last has none.
_CLASSES: Final[dict[Sky, str]] = {
    "strong": "ABBCC",
    "moderate": "BBCDD",
    "slight": "BCCDD",
    "overcast": "DDDDD",
    "cloudy_night": "EEDDD",
    "clear_night": "FFEDD",
}
_ELEVATIONS: Final[tuple[tuple[float, Sky], ...]] = (
    *((60.0, "strong"), (35.0, "moderate"), (15.0, "slight"), (0.0, "overcast")),
)


def stability_class(wind_m_s: float, sky: Sky) -> str:
    """`cloudy_night` is one with more than half of the sky covered, `overcast` day or night."""
    row = sum(wind_m_s >= end for end in _WINDS_M_S)
    return _CLASSES[sky][row]


def clear_sky(elevation_degrees: float) -> Sky:
    """The column for a sky without clouds. Below 15° the sun hardly warms the ground: neutral until it has set."""
    return next((sky for bound, sky in _ELEVATIONS if elevation_degrees > bound), "clear_night")


def sun_elevation_degrees(moment: datetime, lon: float, lat: float) -> float:
    """Elevation of the sun at a place; off by up to 4°, as the equation of time is left out. `moment` has a zone."""
    utc = moment.astimezone(UTC)
    declination = radians(23.45) * sin(radians(360 * (284 + utc.timetuple().tm_yday) / 365))
    hour_angle = radians(15 * (utc.hour + utc.minute / 60 - 12) + lon)
    place = radians(lat)
    height = sin(place) * sin(declination) + cos(place) * cos(declination) * cos(hour_angle)
    return degrees(asin(height))
