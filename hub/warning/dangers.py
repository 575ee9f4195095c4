"""Hidden dangers that pile up: districts and streets in which more are open than usual and it goes on, or many overdue.

Usual is the median of the number that were open at the ends of the weeks before. Unusual is so many robust deviations
more, 1.4826 MAD being the standard deviation of normal noise (Rousseeuw, Croux 1993, JASA 88, 1273-1283); a deviation
is taken for at least the square root of the usual number, as counts scatter by themselves. Both are looked at once a
day, at midnight in the city.

What the registry says of the past is what it knows today: a danger that is entered late with an earlier date changes
it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from hub.warning.detector import Found, stretches_of
from hub.warning.hub_port import Hub
from hub.warning.rules import Lasting, Rules, sql
from hub.warning.spells import Raised, Stretch

RISING: Final = "dangers_rising"
OVERDUE: Final = "dangers_overdue"
_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = timedelta(hours=16)  # In UTC; the city is eight hours ahead, all year.


class Dangers:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules.dangers
        self._sql = sql("dangers")

    @property
    def causes(self) -> tuple[str, ...]:
        return RISING, OVERDUE

    @property
    def lasting(self) -> Sequence[Lasting]:
        return ()

    def parts(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        """Midnights from `since` to before `until`."""
        at = since.replace(hour=0, minute=0, second=0, microsecond=0) + _MIDNIGHT
        if at < since:
            at += _DAY
        midnights = []
        while at < until:
            midnights.append((at, at))
            at += _DAY
        return midnights

    def stretches(self, hub: Hub, begins: datetime, until: datetime, *, first: bool) -> Iterator[Stretch]:
        deviations, shares = self._rules.deviations.by_grade(), self._rules.overdue_shares.by_grade()
        parameters = {
            **{f"r{grade}": deviations[f"g{grade}"] for grade in range(1, 5)},
            **{f"o{grade}": shares[f"g{grade}"] for grade in range(1, 5)},
            "weeks": self._rules.weeks,
            "rising_weeks": self._rules.rising_weeks,
            "deviation_min": self._rules.deviation_min,
            "overdue_min": self._rules.overdue_min,
            "at": begins,
        }
        return stretches_of(hub.ask(self._sql, parameters), "")

    def found(self, hub: Hub, raised: Raised) -> Found:
        facts = raised.stretch.facts
        where = facts["district"] if facts["street"] is None else f"{facts['street']}, {facts['district']}"
        if raised.spell.cause == RISING:
            text = (
                f"{facts['open']:,} hidden dangers are open in {where}, and more every week; "
                f"usual are {facts['usual']:g}"
            )
        else:
            text = (
                f"{facts['overdue']:,} of {facts['open']:,} hidden dangers that are open in {where} are overdue "
                f"({100 * facts['overdue_share']:.0f} %)"
            )
        names = ("open", "usual", "scatter", "deviations", "weekly", "overdue", "overdue_share", "district", "street")
        return Found(
            category=self._rules.category,
            district=facts["district"],
            lon=facts["lon"],
            lat=facts["lat"],
            summary=text,
            evidence={"data_sets": ["hidden_dangers"], **{name: _rounded(facts[name]) for name in names}},
        )


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
