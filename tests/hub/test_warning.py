"""Early warning without a centre: what is found, which keys it has, and which states follow which.

Goal: alerts depend on the rows alone, not on how time is cut into passes, who makes them or how often; nothing usual is
warned of, and nothing that is unusual for long enough is missed.
Method: the pure parts with stretches drawn at random; the statements in a DuckDB of this process that stands for a hub.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts
from hub.errors import BadRequestError
from hub.ingest.exchange import Receipt
from hub.warning import states
from hub.warning.calls import who_to_call
from hub.warning.detector import Detector, place_key
from hub.warning.hub_port import Answer, Sending
from hub.warning.memory import LAST, PRODUCER, remembered, to_remember
from hub.warning.rain import Rain
from hub.warning.records import CLOSED, HUB, SENT, TAKEN, Alert, alert_id, next_row, sending, spell_of, spells_at
from hub.warning.rules import LEVELS, Lasting, builtin_rules
from hub.warning.run import Outcome, detectors, run_pass, time_of_pass
from hub.warning.sensors import Sensors
from hub.warning.spells import QUIET, RESTLESS, Ended, Event, Raised, Spell, Stretch, step

RULES: Final = builtin_rules()
CONTRACTS: Final = builtin_contracts()
ALERTS: Final = CONTRACTS["alerts"]
DAY: Final = datetime(2026, 6, 15)
TABLES: Final = (
    *("readings", "sensors", "rainfall", "weather_stations", "geological_points", "hidden_dangers", "alerts"),
    *("experts", "rescue_stations", "exchanges"),
)
GAS_STEP: Final = RULES.sensors.kinds["gas"].step


class LocalHub:
    """A hub of one process: tables by the contracts, and exchanges that count once."""

    def __init__(self) -> None:
        self.position = {"ops": 3, "ecc": 2}
        self._store = duckdb.connect()
        self._taken: set[tuple[str, int]] = set()
        for name in TABLES:
            self._store.register("rows", CONTRACTS[name].schema.empty_table())
            self._store.execute(f"create table {name} as from rows")

    def add(self, data_set: str, rows: Sequence[Mapping[str, Any]] | pa.RecordBatch) -> None:
        schema = CONTRACTS[data_set].schema
        names = schema.names
        if not isinstance(rows, pa.RecordBatch):
            rows = pa.RecordBatch.from_pylist([{name: row.get(name) for name in names} for row in rows], schema=schema)
        self._store.register("rows", pa.Table.from_batches([rows]))
        self._store.execute(f"insert into {data_set} by name from rows")

    def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
        texts = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in parameters.items()}
        table = self._store.sql(sql, params=texts or None).to_arrow_table()
        return Answer(position=self.position, batches=iter(table.to_batches()))

    def send(self, sendings: Sequence[Sending]) -> list[Receipt]:
        return [self._take(one) for one in sendings]

    def _take(self, one: Sending) -> Receipt:
        duplicate = (one.producer, one.sequence) in self._taken
        if not duplicate:
            self._taken.add((one.producer, one.sequence))
            self.add("alerts", one.rows)
            self.add("exchanges", [{"producer": one.producer, "sequence": one.sequence, "log": "ecc"}])
        return Receipt(
            sequence=one.sequence, log="ecc", lsn=2, rows=one.rows.num_rows, rows_rejected=0, duplicate=duplicate
        )

    def pass_over(self, since: datetime, until: datetime, looking: Sequence[Detector] | None = None) -> Outcome:
        return run_pass(self, ALERTS, RULES, looking or detectors(RULES), since=since, until=until)

    def states(self) -> set[tuple[str, str, datetime]]:
        rows = self.ask("select * from alerts", {}).rows()
        found = {(row["alert_id"], row["state"], row["at"]) for row in rows}
        assert len(found) == len({one[:2] for one in found}) == len(rows), "no state twice"
        return found


# --- Spells ----------------------------------------------------------------------------------------------------------

LASTING: Final = (Lasting(after_s=1200, level="yellow"),)


def minutes(count: float) -> datetime:
    return DAY + timedelta(minutes=count)


def stretch(grade: int, begins: float, ends: float) -> Stretch:
    return Stretch(
        cause="sensor", place="1", grade=grade, begins=minutes(begins), ends=minutes(ends), moments=1, facts={}
    )


def played(stretches: Sequence[Stretch], spell: Spell | None = None) -> list[Event]:
    events: list[Event] = []
    for one in stretches:
        spell, happened = step(spell, one, LASTING)
        events += happened
    return events


def told(events: Sequence[Event]) -> list[tuple[str, datetime]]:
    """Keys and moments: what an alert is known by."""
    return [(alert_id(one.spell), one.spell.at if isinstance(one, Raised) else one.at) for one in events]


def test_a_spell_begins_rises_and_ends() -> None:
    """Method: a level, a higher one, a lower one, restlessness, the level again, quiet."""
    grades = [QUIET, RESTLESS, 1, 3, 1, RESTLESS, 2, QUIET, QUIET, 1]
    events = played([stretch(grade, 5 * number, 5 * number + 4) for number, grade in enumerate(grades)])
    assert [type(one) for one in events] == [Raised, Raised, Ended, Raised]
    assert [(one.spell.begins, one.spell.grade) for one in events] == [
        (minutes(10), 1),
        (minutes(10), 3),
        (minutes(10), 3),
        (minutes(45), 1),
    ]
    assert isinstance(events[2], Ended)
    assert events[2].at == minutes(35)


def test_a_spell_that_lasts_rises() -> None:
    """Method: a blue spell of 19 minutes, and one of 20."""
    assert len(played([stretch(1, 0, 19)])) == 1
    blue, yellow = played([stretch(1, 0, 20)])
    assert (blue.spell.grade, yellow.spell.grade, yellow.spell.at) == (1, 2, minutes(20))


@given(
    st.lists(st.tuples(st.sampled_from([QUIET, RESTLESS, 1, 2, 3, 4]), st.integers(1, 30)), min_size=1, max_size=12),
    st.lists(st.floats(0.01, 0.99), max_size=4),
)
def test_cut_stretches_tell_the_same(parts: list[tuple[int, int]], cuts: list[float]) -> None:
    """Method: stretches that follow each other, each a moment a minute, against the same cut where chance says."""
    whole, cut, at = [], [], 0
    for number, (grade, long) in enumerate(parts):
        whole.append(stretch(grade, at, at + long - 1))
        inside = int(cuts[number % len(cuts)] * long) if cuts else 0
        if inside:
            cut += [stretch(grade, at, at + inside - 1), stretch(grade, at + inside, at + long - 1)]
        else:
            cut.append(whole[-1])
        at += long
    assert told(played(whole)) == told(played(cut))


# --- Keys and states -------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=60), st.integers(1, 4), st.integers(0, 10**9))
def test_a_key_tells_its_spell(place: str, grade: int, ms: int) -> None:
    """Method: spells drawn at random, through their keys."""
    begins = DAY + timedelta(milliseconds=ms)
    spell = Spell(cause="rain", place=place_key(place), begins=begins, grade=grade, at=begins)
    assert spell_of(alert_id(spell), begins) == spell
    assert len(alert_id(spell)) <= 80


def test_other_keys_are_no_spells() -> None:
    for key in ("a0001", "a:b", "a:b:c:red", "a:b:20260601T000000.000:pink"):
        assert spell_of(key, DAY) is None


def row_of(key: str, state: str = SENT, by: str = HUB, at: datetime = DAY) -> dict[str, Any]:
    row = {"alert_id": key, "state": state, "by": by, "at": at, "level": "red", "category": "gas_leak"}
    return {**row, "summary": "a leak"}


def alert_in(state: str, by: str = "王") -> Alert:
    sent = row_of("a")
    last = sent if state == SENT else {**sent, "state": state, "by": by}
    return Alert(alert_id="a", records=1 + (state != SENT), sent=sent, last=last)


@pytest.mark.parametrize(
    ("state", "wanted", "by", "right"),
    [
        (SENT, TAKEN, "王", True),
        (SENT, CLOSED, "王", False),
        (SENT, CLOSED, HUB, True),
        (SENT, SENT, "王", False),
        (TAKEN, TAKEN, "李", False),
        (TAKEN, CLOSED, "李", True),
        (TAKEN, CLOSED, HUB, True),
        (CLOSED, TAKEN, "王", False),
        (CLOSED, CLOSED, "王", False),
        (CLOSED, CLOSED, HUB, False),
    ],
)
def test_states_come_in_order(state: str, wanted: str, by: str, right: bool) -> None:
    """Method: every pair of states."""
    if right:
        assert next_row(alert_in(state), wanted, at=DAY, by=by)["state"] == wanted
    else:
        with pytest.raises(BadRequestError):
            next_row(alert_in(state), wanted, at=DAY, by=by)


def test_of_two_who_take_it_one_is_first() -> None:
    """Method: a hub in which another record comes between the look and the send."""
    hub = LocalHub()
    hub.send([sending(ALERTS, row_of("a"), 0)])

    class Late(LocalHub):
        def __init__(self) -> None:
            self.position = hub.position

        def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
            return hub.ask(sql, parameters)

        def send(self, sendings: Sequence[Sending]) -> list[Receipt]:
            hub.send([sending(ALERTS, row_of("a", TAKEN, "李"), 1)])
            return hub.send(sendings)

    with pytest.raises(BadRequestError, match="is taken by 李"):
        states.take(Late(), ALERTS, "a", by="王", at=DAY)
    assert states.current(hub, "a").last["by"] == "李"
    states.close(hub, ALERTS, "a", by="李", at=DAY, note="repaired")
    assert json.loads(states.current(hub, "a").last["evidence"]) == {"note": "repaired"}
    assert [row["state"] for row in states.listed(hub)] == [CLOSED]
    assert states.listed(hub, state=SENT) == []
    with pytest.raises(BadRequestError, match="own name"):
        states.close(hub, ALERTS, "a", by=HUB, at=DAY)
    with pytest.raises(BadRequestError, match="no state"):
        states.listed(hub, state="lost")


def test_spells_go_on_until_the_hub_closes_them() -> None:
    """Method: a spell with two levels; closed by a person, by the hub before and after."""
    begins = DAY - timedelta(hours=1)
    yellow, red = (
        Spell(cause="sensor", place="1", begins=begins, grade=grade, at=begins + timedelta(minutes=grade))
        for grade in (2, 4)
    )

    def alert(spell: Spell, closed_by: str = "", at: datetime = DAY) -> Alert:
        sent = row_of(alert_id(spell), at=spell.at)
        last = row_of(alert_id(spell), CLOSED, closed_by, at) if closed_by else sent
        return Alert(alert_id=alert_id(spell), records=2, sent=sent, last=last)

    both = [alert(yellow, HUB, red.at), alert(red)]
    assert spells_at(both, DAY) == {("sensor", "1"): red}
    assert spells_at(both, red.at) == {("sensor", "1"): yellow}, "as it was then"
    assert spells_at([both[0], alert(red, HUB, minutes(-1))], DAY) == {}
    assert spells_at([both[0], alert(red, HUB, DAY)], DAY) == {("sensor", "1"): red}
    (found,) = spells_at([both[0], alert(red, "王", minutes(-1))], DAY).values()
    assert found.closed_by_people


# --- Sensors ---------------------------------------------------------------------------------------------------------


def gas_hub(history: Sequence[float], days: int = 20) -> LocalHub:
    """One sensor of gas, number 1, that read these values at 08:00 and 09:00 of every day before, a minute apart."""
    hub = LocalHub()
    facts = {"sensor_id": 1, "kind": "gas", "unit": "%LEL", "lon": 114.0, "lat": 22.5, "district": "福田区"}
    hub.add("sensors", [facts])
    for day in range(1, days + 1):
        for hour in (8, 9):
            add_readings(hub, DAY + timedelta(days=-day, hours=hour), history)
    return hub


def add_readings(hub: LocalHub, at: datetime, values: Sequence[float], *, quality: int = 0, every_s: int = 60) -> None:
    times = [at + timedelta(seconds=every_s * number) for number in range(len(values))]
    columns = [
        pa.array(times, pa.timestamp("ms")),
        pa.array([1] * len(values), pa.int32()),
        pa.array(np.array(values, np.float32)),
        pa.array([quality] * len(values), pa.int8()),
    ]
    hub.add("readings", pa.RecordBatch.from_arrays(columns, schema=CONTRACTS["readings"].schema))


HISTORY: Final = [2.0 + 0.1 * (number % 7 - 3) for number in range(40)]  # Median 2.0, MAD 0.2.
BOUND: Final = RULES.sensors.k * 0.2
HOUR: Final = timedelta(hours=1)


def look(hub: LocalHub) -> Outcome:
    return hub.pass_over(DAY + 8 * HOUR, DAY + 10 * HOUR, [Sensors(RULES)])


@given(st.lists(st.floats(0.0, 2.0 + BOUND), min_size=5, max_size=60))
@settings(max_examples=12, deadline=None)
def test_what_is_usual_is_not_warned_of(values: list[float]) -> None:
    """Method: any readings within k MAD of the median, the bound itself included."""
    hub = gas_hub(HISTORY)
    steps = [
        min(round(value / GAS_STEP), round((2.0 + BOUND) / GAS_STEP)) * GAS_STEP for value in [*values, 2.0 + BOUND]
    ]
    add_readings(hub, DAY + 8 * HOUR, steps)
    assert look(hub).sent == []


@given(
    st.integers(0, 30),
    st.integers(1, 8),
    st.sampled_from([(1.1, "blue"), (2.2, "yellow"), (4.5, "orange")]),
)
@settings(max_examples=20, deadline=None)
def test_n_in_a_row_are_warned_of_and_fewer_are_not(first: int, count: int, far: tuple[float, str]) -> None:
    """Method: so many readings beyond the bound amid usual ones, wherever they lie, and a doubtful one amid them."""
    hub = gas_hub(HISTORY)
    values = [2.0] * 60
    times, level = far
    values[first : first + count] = [2.0 + BOUND * times] * count
    add_readings(hub, DAY + 8 * HOUR, values)
    add_readings(hub, DAY + 8 * HOUR + timedelta(minutes=first, seconds=30), [2.0], quality=1)
    sent = look(hub).sent
    assert len(sent) == (count >= RULES.sensors.in_a_row)
    for row in sent:
        assert (row["level"], row["category"], row["by"]) == (level, "gas_leak", HUB)
        assert row["at"] == DAY + 8 * HOUR + timedelta(minutes=first + RULES.sensors.in_a_row - 1)
        evidence = json.loads(row["evidence"])
        assert [one["value"] for one in evidence["rows"]] == pytest.approx([2.0 + BOUND * times] * 3, abs=GAS_STEP)
        # 20 days of history: two days of this day of the week, 40 readings in this hour each.
        assert evidence["baseline"] == {"median": 2.0, "mad": 0.2, "bound": BOUND, "readings": 80}


def test_the_baseline_is_median_and_mad() -> None:
    """Method: noisy history against numpy; less than two weeks of it, then three."""
    random = np.random.default_rng(7)
    for days, used in ((9, range(1, 10)), (21, (7, 14, 21))):
        hub, read = gas_hub([], days=0), {}
        for day in range(1, days + 1):
            read[day] = np.round(random.normal(2.0, 0.4, 31).clip(0), 1)
            add_readings(hub, DAY + timedelta(days=-day, hours=8), read[day].tolist())
        add_readings(hub, DAY + 8 * HOUR, [20.0] * 3)
        (row,) = look(hub).sent
        history = np.concatenate([read[day] for day in used])
        median = np.median(history)
        baseline = json.loads(row["evidence"])["baseline"]
        assert baseline["median"] == pytest.approx(median)
        assert baseline["mad"] == pytest.approx(np.median(np.abs(history - median)))
        assert baseline["readings"] == len(history)


def test_a_threshold_needs_no_history_and_silence_ends_nothing() -> None:
    """Method: a leak without history, then nothing for hours, then a doubtful reading, then a good one."""
    hub = gas_hub([], days=0)
    add_readings(hub, DAY + 8 * HOUR, [1.0, 30.0, 31.0, 60.0])
    sent = {row["level"]: row for row in look(hub).sent}
    assert list(sent) == ["orange", "red"]
    assert {state for _, state, _ in hub.states()} == {SENT, CLOSED}, "the higher level closes the lower one"
    add_readings(hub, DAY + 14 * HOUR, [1.0], quality=2)
    assert hub.pass_over(DAY + 10 * HOUR, DAY + 15 * HOUR).closed == []
    add_readings(hub, DAY + 16 * HOUR, [1.0])
    (row,) = hub.pass_over(DAY + 15 * HOUR, DAY + 17 * HOUR).closed
    assert (row["alert_id"], row["at"]) == (sent["red"]["alert_id"], DAY + 16 * HOUR)


series = st.lists(
    st.tuples(st.sampled_from([2.0, 2.0, 2.0, 3.4, 5.0, 7.6, 26.0, 55.0]), st.integers(1, 40)), min_size=1, max_size=10
)


@given(series, st.lists(st.integers(1, 239), max_size=3))
@settings(max_examples=25, deadline=None)
def test_keys_are_the_same_however_time_is_cut(parts: list[tuple[float, int]], cuts: list[int]) -> None:
    """Method: four hours in one pass, and in several cut at any minute; then all of it again, which adds nothing."""
    values = [value for value, count in parts for _ in range(count)][:240]
    whole, cut = gas_hub(HISTORY), gas_hub(HISTORY)
    for hub in (whole, cut):
        add_readings(hub, DAY + 8 * HOUR, values)
    whole.pass_over(DAY + 8 * HOUR, DAY + 12 * HOUR, [Sensors(RULES)])
    ends = [0, *sorted(set(cuts)), 240]
    for since, until in pairwise(ends):
        at = DAY + 8 * HOUR
        cut.pass_over(at + timedelta(minutes=since), at + timedelta(minutes=until), [Sensors(RULES)])
    assert cut.states() == whole.states()
    again = whole.pass_over(DAY + 8 * HOUR, DAY + 12 * HOUR, [Sensors(RULES)])
    assert (again.sent, again.closed) == ([], [])


def test_what_a_person_closed_is_not_sent_again_while_it_goes_on() -> None:
    """Method: a leak that goes on after a person closed its alert; it ends; another one comes."""
    hub = gas_hub([], days=0)
    add_readings(hub, DAY + 8 * HOUR, [60.0] * 60)
    hub.pass_over(DAY + 8 * HOUR, DAY + 8.5 * HOUR)
    (key,) = {one[0] for one in hub.states()}
    states.take(hub, ALERTS, key, by="王", at=DAY + 8.5 * HOUR)
    states.close(hub, ALERTS, key, by="王", at=DAY + 8.5 * HOUR)
    assert hub.pass_over(DAY + 8.5 * HOUR, DAY + 9 * HOUR).sent == []
    add_readings(hub, DAY + 9 * HOUR, [1.0] * 60)
    add_readings(hub, DAY + 10 * HOUR, [60.0] * 5)
    assert hub.pass_over(DAY + 9 * HOUR, DAY + 10 * HOUR).closed == []
    (row,) = hub.pass_over(DAY + 10 * HOUR, DAY + 11 * HOUR).sent
    assert row["at"] == DAY + 10 * HOUR


def test_rows_that_came_late_raise_no_second_alert() -> None:
    """Method: the readings that make a spell begin earlier come after its alert was sent."""
    hub = gas_hub([], days=0)
    add_readings(hub, DAY + 8.5 * HOUR, [60.0] * 5)
    assert len(look(hub).sent) == 1
    add_readings(hub, DAY + 8.4 * HOUR, [60.0] * 5)
    assert look(hub).sent == []


# --- Rain and hidden dangers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mm", "level"), [(27, None), (29, "blue"), (35, "yellow"), (40, "orange"), (59, "orange"), (61, "red")]
)
def test_rain_by_its_share_of_the_threshold(mm: int, level: str | None) -> None:
    """Method: so much within an hour at the nearer station of a point that is warned of at 40 mm; more far away, and
    the same rain over two hours."""
    for hours, expected in ((1, level), (2, None if mm < 56 else "blue")):
        hub = LocalHub()
        place = {"lon": 114.0, "lat": 22.5}
        point = {"point_id": "L1", "kind": "slope", "district": "福田区", "threatened_people": 12, **place}
        hub.add("geological_points", [{**point, "warning_rain_1h": 40.0, "warning_rain_24h": 300.0}])
        stations = [("near", 114.01), ("far", 116.0)]
        hub.add(
            "weather_stations", [{"station": name, "name": name, "lon": lon, "lat": 22.5} for name, lon in stations]
        )
        ticks = range(24 * 12)
        falls = [
            {
                "station": name,
                "observed_at": minutes(5 * tick),
                "rain": 50.0 if name == "far" else mm / 12 / hours if 120 <= tick < 120 + 12 * hours else 0.0,
            }
            for tick in ticks
            for name, _ in stations
        ]
        hub.add("rainfall", falls)
        sent = hub.pass_over(DAY, DAY + 24 * HOUR, [Rain(RULES)]).sent
        highest = max((LEVELS.index(row["level"]) for row in sent), default=None)
        assert (None if highest is None else LEVELS[highest]) == expected
        assert len({row["level"] for row in sent}) == len(sent)
        if sent:
            assert {one[1] for one in hub.states()} == {SENT, CLOSED}
            evidence = json.loads(sent[-1]["evidence"])
            assert evidence["station"] == "near"
            assert evidence["rain_1h"] / 40.0 == pytest.approx(evidence["share"], abs=0.01)
        assert hub.pass_over(DAY, DAY + 24 * HOUR, [Rain(RULES)]).sent == []


def danger(number: int, found: datetime, closed: datetime | None, street: str = "莲花街道") -> dict[str, Any]:
    facts = {"danger_id": f"H{number}", "level": "general", "district": "福田区", "street": street}
    return {**facts, "found_at": found, "closed_at": closed, "due_on": (found + timedelta(days=999)).date()}


def test_dangers_that_rise_week_by_week() -> None:
    """Method: ten open dangers in each of thirteen weeks, then twenty more in each of two; a street without change."""
    week = timedelta(days=7)
    old = [danger(number, DAY - 30 * week, None) for number in range(10)]
    calm = [danger(100 + number, DAY - 30 * week, None, "沙头街道") for number in range(10)]
    new = [danger(200 + number, DAY - timedelta(days=1 + number % 14), None) for number in range(40)]
    hub = LocalHub()
    hub.add("hidden_dangers", [*old, *calm, *new])
    sent = hub.pass_over(DAY, DAY + 24 * HOUR).sent
    assert {row["alert_id"].split(":")[1] for row in sent} == {"福田区", "福田区/莲花街道"}
    (street,) = (row for row in sent if "莲花街道" in row["alert_id"])
    evidence = json.loads(street["evidence"])
    assert (evidence["open"], evidence["usual"], street["level"]) == (50, 10.0, "orange")
    assert street["at"] == DAY + 16 * HOUR, "midnight in the city"
    assert hub.pass_over(DAY + 24 * HOUR, DAY + 48 * HOUR).sent == [], "it goes on"


def test_dangers_that_are_overdue() -> None:
    """Method: four of five overdue are too few; six of ten are yellow."""
    hub = LocalHub()
    late = [{**danger(number, DAY - timedelta(days=60), None), "due_on": DAY.date()} for number in range(10)]
    hub.add("hidden_dangers", [{**row, "due_on": DAY.date() - timedelta(days=1)} for row in late[:4]] + late[4:5])
    assert hub.pass_over(DAY, DAY + 24 * HOUR).sent == []
    hub = LocalHub()
    hub.add("hidden_dangers", [{**row, "due_on": DAY.date() - timedelta(days=1)} for row in late[:6]] + late[6:])
    sent = hub.pass_over(DAY, DAY + 24 * HOUR).sent
    assert [row["level"] for row in sent] == ["yellow", "yellow"], "the district and the street"


# --- Rules, calls, memory --------------------------------------------------------------------------------------------


def test_the_rules_fit_the_catalogue() -> None:
    """Goal: every kind of sensor has its rules, every category has somebody to call, of kinds that there are."""
    (kind,) = (column for column in CONTRACTS["sensors"].columns if column.name == "kind")
    assert kind.domain is not None
    assert set(RULES.sensors.kinds) == set(kind.domain.values or ())
    categories = {one.category for one in RULES.sensors.kinds.values()}
    categories |= {RULES.rain.category, RULES.dangers.category}
    assert set(RULES.calls.categories) == categories
    (station,) = (column for column in CONTRACTS["rescue_stations"].columns if column.name == "kind")
    assert station.domain is not None
    for call in RULES.calls.categories.values():
        assert call.hazards
        assert set(call.stations) <= set(station.domain.values or ())


def test_whom_to_call() -> None:
    """Method: experts of several hazards, one of them not available; stations near and far, and of another kind."""
    hub = LocalHub()
    experts = [
        ("X1", "fire;explosion", True),
        ("X2", "gas_leak;explosion", True),
        ("X3", "gas_leak", False),
        ("X4", "flood", True),
    ]
    facts = {"name": "王", "field": "gas", "phone": "1"}
    hub.add(
        "experts", [{"expert_id": key, "hazards": hazards, "available": can, **facts} for key, hazards, can in experts]
    )
    stations = [("N1", "fire", 114.3), ("N2", "chemical", 114.01), ("N3", "mine", 114.0)]
    hub.add(
        "rescue_stations",
        [
            {"station_id": key, "name": key, "kind": kind, "district": "福田区", "lon": lon, "lat": 22.5}
            for key, kind, lon in stations
        ],
    )
    alert = {"category": "gas_leak", "lon": 114.0, "lat": 22.5, "district": "福田区"}
    found = who_to_call(hub, RULES.calls, alert)
    assert [row["expert_id"] for row in found.experts] == ["X2", "X1", "X3"]
    assert [row["station_id"] for row in found.stations] == ["N2", "N1"]
    assert found.stations[0]["km"] == pytest.approx(0.01 * 111.195 * np.cos(np.radians(22.5)), abs=0.01)
    nowhere = who_to_call(hub, RULES.calls, {**alert, "lon": None, "lat": None})
    assert {row["station_id"] for row in nowhere.stations} == {"N1", "N2"}
    assert who_to_call(hub, RULES.calls, {**alert, "category": "other"}).experts == []


def test_the_time_of_a_pass() -> None:
    """Method: nothing there; readings, one of them from the future; a pass that is remembered."""
    hub = gas_hub([], days=0)
    now = DAY + 12 * HOUR
    settled = now - timedelta(seconds=RULES.passes.settle_s)
    first = timedelta(hours=RULES.passes.first_hours)
    assert time_of_pass(hub, RULES, now=now, since=None, until=None) == (settled - first, settled)
    add_readings(hub, DAY + 8 * HOUR, [1.0])
    add_readings(hub, DAY + 20 * HOUR, [1.0])
    until = DAY + 8 * HOUR + timedelta(milliseconds=1)
    assert time_of_pass(hub, RULES, now=now, since=None, until=None) == (until - first, until)
    run_pass(hub, ALERTS, RULES, detectors(RULES), since=DAY, until=DAY + 9 * HOUR, remember=False)
    assert time_of_pass(hub, RULES, now=now, since=None, until=None) == (until - first, until)
    hub.send([to_remember(ALERTS, DAY + 7.99 * HOUR, RULES.passes.remember_s)])
    assert time_of_pass(hub, RULES, now=now, since=None, until=None)[0] == DAY + timedelta(minutes=470)
    (last,) = hub.ask(LAST, {"producer": PRODUCER}).rows()
    assert remembered(last["step"], RULES.passes.remember_s) == DAY + timedelta(minutes=470)
