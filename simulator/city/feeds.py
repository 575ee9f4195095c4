"""What the 29 source units send in a day: a feed for each data set that changes, row by row.

    Feed (so many exchanges a day of so many rows) → rows of a day by their index → a batch

At scale 1 the feeds make 5 million exchanges a day. Row i of a day's n has its time at i / n of the day, or, in a
series of k stations, all k at each tick. Rows depend on (seed, day, index) only, so a day can be cut anywhere.
Registries are sent again with a new telephone or state: who lives and sits where never changes, and with it no known
answer.
"""

from collections.abc import Callable
from typing import Final

from simulator.city import happenings, registries, series
from simulator.city.day import Feed, Make, cells_in_use
from simulator.city.plan import City


def _feed(data_set: str, exchanges: int, rows: int, make: Make, history_rows: int | Callable[[City], int] = 0) -> Feed:
    least = history_rows if callable(history_rows) else lambda city: history_rows
    return Feed(data_set=data_set, exchanges=exchanges, rows=rows, make=make, history_rows=least)


def _cells_by_the_hour(city: City) -> int:
    return 24 * len(cells_in_use(city))


FEEDS: Final = (
    _feed("readings", 1_311_000, 8, series.readings),
    _feed("traffic_flow", 720_000, 4, series.traffic_flow),
    _feed("presence", 480_000, 4, series.presence, _cells_by_the_hour),
    _feed("power_use", 480_000, 4, series.power_use),
    _feed("payment_activity", 288_000, 4, series.payment_activity, _cells_by_the_hour),
    _feed("gas_use", 288_000, 2, series.use_of(2.5)),
    _feed("water_use", 288_000, 2, series.use_of(12)),
    _feed("internet_reports", 200_000, 1, happenings.internet_reports),
    _feed("water_levels", 144_000, 1, series.water_levels, 3_744),
    _feed("venue_visits", 76_800, 1, series.venue_visits),
    _feed("emissions", 72_000, 2, series.emissions),
    _feed("residents", 70_000, 1, happenings.residents),
    _feed("insured_people", 70_000, 1, happenings.insured_people),
    _feed("train_runs", 60_000, 1, series.train_runs),
    _feed("city_cases", 60_000, 1, happenings.city_cases),
    _feed("metro_passages", 57_600, 1, series.metro_passages, 2_880),
    _feed("rainfall", 57_600, 1, series.rainfall, 5_760),
    _feed("hidden_dangers", 40_000, 1, happenings.hidden_dangers, 400),
    _feed("police_calls", 30_000, 1, happenings.police_calls),
    _feed("legal_persons", 30_000, 1, happenings.legal_persons),
    _feed("enterprise_output", 30_000, 2, happenings.enterprise_output),
    _feed("water_quality", 24_000, 1, series.water_quality),
    _feed("fire_alarms", 20_000, 1, happenings.fire_alarms),
    _feed("construction_works", 20_000, 1, happenings.again(registries.construction_works)),
    _feed("food_inspections", 18_000, 1, happenings.food_inspections),
    _feed("water_works", 14_400, 1, series.water_works),
    _feed("safety_inspections", 12_000, 1, happenings.safety_inspections),
    _feed("crossings", 8_640, 2, series.crossings),
    _feed("weather_observations", 4_800, 1, series.weather_observations),
    _feed("geological_reports", 4_000, 1, happenings.geological_reports),
    _feed("dispatches", 4_000, 1, happenings.dispatches, 80),
    _feed("flights", 3_000, 1, happenings.flights),
    _feed("disease_reports", 3_000, 4, happenings.disease_reports),
    _feed("weather_products", 2_000, 1, happenings.weather_products),
    _feed("ocean_observations", 2_160, 1, series.ocean_observations, 576),
    _feed("incidents", 2_000, 1, happenings.incidents, 40),
    _feed("welfare_homes", 1_000, 1, happenings.again(registries.welfare_homes)),
    _feed("schools", 1_000, 1, happenings.again(registries.schools)),
    _feed("weather_warnings", 500, 1, happenings.weather_warnings, 12),
    _feed("accidents", 500, 1, happenings.accidents, 12),
    _feed("fire_hydrants", 2_000, 1, happenings.again(registries.fire_hydrants)),
)
