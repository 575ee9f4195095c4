"""Anomalies of sensors: readings far from what is usual at their hour, or beyond a threshold of their kind.

Usual is the median of a sensor's good readings at that hour of the week, while there are less than two weeks of them at
that hour of the day, in the days before; far is more than k times their median absolute deviation (MAD), a measure of
scatter that half of the readings may be wrong without moving (Rousseeuw, Croux 1993, Alternatives to the Median
Absolute Deviation, JASA 88, 1273-1283), and more than some steps of the instrument.

The baseline of an hour is made of days before it, whenever a pass is made: so its results do not depend on how time is
cut into passes. It is asked for once an hour and kept; doubtful readings count neither for it nor against it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from hub.warning.detector import Found, cut, stretches_of
from hub.warning.hub_port import Hub
from hub.warning.rules import LEVELS, Lasting, Rules, SensorKind, sql
from hub.warning.spells import Raised, Stretch

CAUSE: Final = "sensor"
_HOUR: Final = timedelta(hours=1)
_DAY_ONE: Final = datetime(1970, 1, 1)  # moments are naive UTC, as the data has them
_KEPT_HOURS_MAX: Final = 48


class Sensors:
    """Keeps the baselines of the last hours it was asked for: a row a sensor and hour."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules.sensors
        self._looked_back = timedelta(seconds=max(self._rules.within_s, self._rules.quiet_s))
        self._baselines: dict[datetime, Mapping[str, str]] = {}
        self._sql = sql("sensors").format(
            in_a_row=self._rules.in_a_row, in_a_row_threshold=self._rules.in_a_row_threshold
        )

    @property
    def causes(self) -> tuple[str, ...]:
        return (CAUSE,)

    @property
    def lasting(self) -> Sequence[Lasting]:
        return self._rules.lasting

    def parts(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        return cut(since, until, self._rules.hours_at_once)

    def stretches(self, hub: Hub, begins: datetime, until: datetime, *, first: bool) -> Iterator[Stretch]:
        looked_from = begins - 2 * self._looked_back
        parameters = {
            **self._kinds(),
            **self._baselines_of(hub, _hour(looked_from), until),
            **self._rules.times.by_grade(),
            "k": self._rules.k,
            "bound_steps_min": self._rules.bound_steps_min,
            "within_s": self._rules.within_s,
            "quiet_s": self._rules.quiet_s,
            "from": looked_from,
            "shown": begins - self._looked_back if first else begins,
            "begins": begins,
            "until": until,
        }
        return stretches_of(hub.ask(self._sql, parameters), CAUSE)

    def found(self, hub: Hub, raised: Raised) -> Found:
        spell, facts = raised.spell, raised.stretch.facts
        kind = self._rules.kinds[facts["kind"]]
        rows = [
            {"observed_at": _text(at), "value": round(value, 6)}
            for at, value in zip(facts["times"], facts["values"], strict=True)
        ]
        threshold = getattr(kind, LEVELS[facts["beyond"] - 1]) if facts["beyond"] else None
        usual = facts["median"] is not None
        says = [f"{facts['kind']} sensor {spell.place} reads {_number(rows[-1]['value'])} {facts['unit']}"]
        if threshold is not None:
            says.append(f"the threshold is {_number(threshold)}")
        if usual:
            says.append(f"usual at this hour are {_number(facts['median'])} ± {_number(facts['bound'])}")
        if spell.at > spell.begins:
            says.append(f"since {spell.begins:%Y-%m-%d %H:%M:%S} UTC")
        baseline = {name: facts[name] for name in ("median", "mad", "bound", "readings")} if usual else None
        return Found(
            category=kind.category,
            district=facts["district"],
            lon=facts["lon"],
            lat=facts["lat"],
            summary="; ".join(says),
            evidence={
                "data_sets": ["readings", "sensors"],
                "sensor_id": int(spell.place),
                "kind": facts["kind"],
                "unit": facts["unit"],
                "threshold": threshold,
                "baseline": baseline,
                "rows": rows,
            },
        )

    def _kinds(self) -> dict[str, str]:
        kinds = sorted(self._rules.kinds.items())
        bounds = [kind.by_grade() for _, kind in kinds]
        thresholds = {f"t{grade}": ",".join(str(one[f"g{grade}"]) for one in bounds) for grade in range(1, 5)}
        falls = ",".join(str(kind.falls) for _, kind in kinds)
        return {**_steps(kinds), **thresholds, "falls": falls}

    def _baselines_of(self, hub: Hub, begins: datetime, until: datetime) -> dict[str, str]:
        hours = [begins + number * _HOUR for number in range(-(-(until - begins) // _HOUR))]
        missing = [hour for hour in hours if hour not in self._baselines]
        if missing:
            for old in sorted(self._baselines)[: max(0, len(self._baselines) + len(missing) - _KEPT_HOURS_MAX)]:
                del self._baselines[old]
            self._baselines |= self._ask_for(hub, missing[0], missing[-1] + _HOUR)
        columns = [self._baselines[hour] for hour in hours if self._baselines[hour]]
        return {
            name: ",".join(one[name] for one in columns) for name in ("sensors", "hours", "medians", "mads", "counts")
        }

    def _ask_for(self, hub: Hub, begins: datetime, until: datetime) -> dict[datetime, Mapping[str, str]]:
        """By the hour of the week; for sensors that are too new for it by the hour of the day."""
        rules = self._rules
        weeks = range(7, rules.history_days + 1, 7)
        rows = self._asked(hub, begins, until, weeks, aged_days=rules.weekly_days, known="")
        of_hour = Counter(row["sensor_id"] for row in rows)
        hours = (until - begins) // _HOUR
        known = {sensor for sensor, count in of_hour.items() if count == hours}
        (sensors,) = hub.ask("select count(*) as n from sensors", {}).rows()
        if len(known) < sensors["n"]:
            days = range(1, min(rules.weekly_days, rules.history_days + 1))
            found = {(row["sensor_id"], row["hour_of_day"]) for row in rows}
            newer = self._asked(hub, begins, until, days, aged_days=0, known=",".join(map(str, sorted(known))))
            rows += (row for row in newer if (row["sensor_id"], row["hour_of_day"]) not in found)
        return {hour: _joined(rows, hour) for hour in (begins + number * _HOUR for number in range(hours))}

    def _asked(
        self, hub: Hub, begins: datetime, until: datetime, days: range, *, aged_days: int, known: str
    ) -> list[dict[str, Any]]:
        if not days:
            return []
        parameters = {
            **_steps(sorted(self._rules.kinds.items())),
            "from": begins,
            "until": until,
            "known": known,
            "aged_days": aged_days,
            "readings_min": self._rules.history_readings_min,
        }
        return hub.ask(sql("baseline").format(spans=_spans(days)), parameters).rows()


def _joined(rows: list[dict[str, Any]], hour: datetime) -> Mapping[str, str]:
    """The baselines of an hour as parameters of sensors.sql: columns as texts, separated by commas."""
    mine = [row for row in rows if row["hour_of_day"] == hour.hour]
    if not mine:
        return {}
    number = str((hour - _DAY_ONE) // _HOUR)
    columns = {"sensors": "sensor_id", "medians": "median", "mads": "mad", "counts": "readings"}
    texts = {name: ",".join(str(row[column]) for row in mine) for name, column in columns.items()}
    return {**texts, "hours": ",".join([number] * len(mine))}


def _spans(days: range) -> str:
    """The same hours of these days before."""
    return "\n        union all\n".join(
        f"        select sensor_id, value, observed_at from readings where quality = 0 "  # noqa: S608  # numbers of ours
        f"and observed_at >= $from::timestamp - to_days({day}) and observed_at < $until::timestamp - to_days({day})"
        for day in days
    )


def _steps(kinds: list[tuple[str, SensorKind]]) -> dict[str, str]:
    return {"kinds": ",".join(name for name, _ in kinds), "steps": ",".join(str(kind.step) for _, kind in kinds)}


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _text(at: datetime) -> str:
    return f"{at.isoformat(timespec='milliseconds')}Z"
