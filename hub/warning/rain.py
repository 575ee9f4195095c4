"""Rain at geological hazard points, against what each is to be warned of within an hour and within a day.

What rain sets a slope in motion is known as a curve of intensity and duration, I = α · D^(-β), with I in mm/h and D in
h (Caine 1980, The rainfall intensity-duration control of shallow landslides and debris flows, Geografiska Annaler 62 A,
23-27: I = 14.82 · D^(-0.39) over all sites; Guzzetti and others 2007, Meteorology and Atmospheric Physics 98, 239-267).
The two thresholds of a point are two points of its curve: α = warning_rain_1h, and over a day warning_rain_24h = α ·
24^(1-β), so that β = 1 - ln(warning_rain_24h / warning_rain_1h) / ln 24. Only these two durations are looked at: rain
that is above the curve for some hours, and at neither of them, is not warned of.

A level is a share of the threshold: people are told before it is reached.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from hub.warning.detector import Found, cut, stretches_of
from hub.warning.hub_port import Hub
from hub.warning.rules import Lasting, Rules, sql
from hub.warning.spells import Raised, Stretch

CAUSE: Final = "rain"
_DAY: Final = timedelta(days=1)
_ROWS: Final = """
select observed_at, rain from rainfall
where station = $station and observed_at > $first and observed_at <= $last and rain > 0
order by observed_at desc limit $rows
"""


class Rain:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules.rain
        self._rows_max = rules.passes.evidence_rows_max
        self._sql = sql("rain")

    @property
    def causes(self) -> tuple[str, ...]:
        return (CAUSE,)

    @property
    def lasting(self) -> Sequence[Lasting]:
        return ()

    def parts(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        return cut(since, until, self._rules.hours_at_once)

    def stretches(self, hub: Hub, begins: datetime, until: datetime, *, first: bool) -> Iterator[Stretch]:
        looked_back = timedelta(seconds=self._rules.quiet_s)
        parameters = {
            **self._rules.shares.by_grade(),
            "stations": self._rules.stations,
            "reach_km": self._rules.reach_km,
            "quiet_s": self._rules.quiet_s,
            "from": begins - 2 * looked_back,
            "shown": begins - looked_back if first else begins,
            "begins": begins,
            "until": until,
        }
        return stretches_of(hub.ask(self._sql, parameters), CAUSE)

    def found(self, hub: Hub, raised: Raised) -> Found:
        facts = raised.stretch.facts
        says = [
            f"{facts['kind']} point {raised.spell.place} in {facts['street'] or facts['district']}: "
            f"{facts['rain_1h']:.1f} mm within an hour, {facts['rain_24h']:.1f} mm within a day"
        ]
        says.append(f"{100 * facts['share']:.0f} % of what it is to be warned of")
        if facts["threatened_people"]:
            says.append(f"{facts['threatened_people']:,} people are threatened")
        names = ("station", "km", "rain_1h", "rain_24h", "warning_rain_1h", "warning_rain_24h", "share")
        measured = {name: _rounded(facts[name]) for name in names}
        return Found(
            category=self._rules.category,
            district=facts["district"],
            lon=facts["lon"],
            lat=facts["lat"],
            summary="; ".join(says),
            evidence={
                "data_sets": ["rainfall", "weather_stations", "geological_points"],
                "point_id": raised.spell.place,
                **measured,
                "rows": self._read(hub, raised),
            },
        )

    def _read(self, hub: Hub, raised: Raised) -> list[dict[str, Any]]:
        """The newest rain up to the moment of the level."""
        last = raised.spell.at
        parameters = {
            "station": raised.stretch.facts["station"],
            "first": last - _DAY,
            "last": last,
            "rows": self._rows_max,
        }
        rows = hub.ask(_ROWS, parameters).rows()
        return [
            {"observed_at": f"{row['observed_at'].isoformat(timespec='milliseconds')}Z", "rain": _rounded(row["rain"])}
            for row in reversed(rows)
        ]


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
