"""Goal: greedy queries do not hurt the others, named queries answer, and the mode of operation is a replicated fact.

Method: a real pair of few places, the Python client and the commands.
"""

import json
import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest
from conftest import start_with_catalogue, until
from typer.testing import CliRunner

from hub.cli.app import app
from hub.client import HubClient
from hub.errors import BadRequestError, HubError, OverloadedError, QueryError, UnavailableError
from simulator.drill.processes import CityProcesses

CENTRES = ("ops", "ecc")
LONG = "select sum(a.i * b.i) from range(3000000) a(i), range(3000000) b(i)"
CLASS = {"running_max": 1, "queue_max": 1, "wait_ms_max": 1500, "time_s_max": 20.0}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcesses]:
    limits = {"query.analysis": {**CLASS, "memory_bytes_max": 8 << 20}}
    with CityProcesses(tmp_path_factory.mktemp("city"), limits=limits) as processes:
        start_with_catalogue(processes)
        yield processes


@pytest.fixture
def client(city: CityProcesses) -> Iterator[HubClient]:
    with city.client() as client:
        yield client


def cityhub(city: CityProcesses, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--city", str(city.path)])
    assert result.exit_code == code, result.output
    return result.stdout


def running(client: HubClient, centre: str = "ops") -> dict[str, bool]:
    return {one.id: one.running for one in client.queries(centre)}


def asked(client: HubClient, failures: list[HubError]) -> threading.Thread:
    def ask() -> None:
        try:
            client.query(LONG, centre="ops", query_class="analysis").table()
        except HubError as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_class_has_so_many_places_and_a_bounded_queue(city: CityProcesses, client: HubClient) -> None:
    """Method: one runs, one waits too long, the third is refused at once with a delay; people are answered meanwhile;
    `queries` shows both, `kill` ends the one that runs."""
    failures: list[HubError] = []
    first = asked(client, failures)
    until(lambda: list(running(client).values()) == [True])
    second = asked(client, failures)
    until(lambda: sorted(running(client).values()) == [False, True])
    with pytest.raises(OverloadedError) as refused:
        client.query("select 1", centre="ops", query_class="analysis").table()
    assert 0.1 <= refused.value.retry_s <= 10
    assert client.query("select 1 as one", centre="ops").table().to_pylist() == [{"one": 1}]
    listed = json.loads(cityhub(city, "queries", "--json"))
    assert {row["text"] for row in listed} == {LONG}
    second.join(10)
    assert isinstance(failures.pop(), OverloadedError)
    (query_id,) = running(client)
    cityhub(city, "kill", query_id)
    first.join(10)
    assert isinstance(failures.pop(), UnavailableError)
    cityhub(city, "kill", query_id, code=4)
    with pytest.raises(BadRequestError, match="no class of queries"):
        client.query("select 1", query_class="quick")


def test_a_class_limits_memory(client: HubClient) -> None:
    """Method: a sort far above the limit goes to disk, and is right."""
    sql = "select count(*) as rows from (select i from range(3000000) r(i) order by hash(i) limit 2000000)"
    assert client.query(sql, query_class="analysis").table().to_pylist() == [{"rows": 2_000_000}]


# --- Parameters, named queries ----------------------------------------------------------------------------------------


def test_parameters_by_place_and_by_name(client: HubClient) -> None:
    for centre in CENTRES:
        assert client.query("select ? + 1 as x, ? as y", [41, "'"], centre=centre).table().to_pylist() == [
            {"x": 42, "y": "'"}
        ]
        assert client.query("select $a || $b as x", {"a": "深", "b": "圳"}, centre=centre).table().to_pylist() == [
            {"x": "深圳"}
        ]
    for parameters in ([], [1, 2], {"a": 1}):
        with pytest.raises(QueryError, match="parameters"):
            client.query("select ?", parameters)


BUILDING = "4403050010010000000000001"
PERSONS = ("110105194912310011", "110105202410040012")
ARGUMENTS: dict[str, dict[str, object]] = {
    "buildings_near": {"lon": 114.0579, "lat": 22.5431},
    "dispatches_of_incident": {"incident_id": "i1"},
    "exchanges_by_agency": {},
    "experts_for": {"hazard": "gas_leak"},
    "geological_points_in_rain": {},
    "grid_cell_at": {"lon": 114.0579, "lat": 22.5431},
    "hidden_danger_loop": {"today": "2026-06-01"},
    "incidents_since": {"since": "2026-01-01"},
    "open_hidden_dangers_by_street": {},
    "people_and_firms_in_building": {"building_code": BUILDING},
    "person_by_id": {"resident_id": PERSONS[0]},
    "pipelines_at_works": {"today": "2026-06-01"},
    "presence_by_district": {"since": "2026-06-01"},
    "quality_by_agency": {},
    "quarantined_rows": {"data_set": "sensors"},
    "readings_of_sensor": {"sensor_id": 1},
    "residents_within": {"lon": 114.0579, "lat": 22.5431, "radius_m": 300},
    "rows_received_by_data_set": {},
    "sea_now": {},
    "sensors_near": {"lon": 114.0579, "lat": 22.5431, "kind": "noise"},
    "street_furniture_near": {"lon": 114.0579, "lat": 22.5431},
    "unlinked_by_reason": {},
    "water_now": {},
    "weather_warnings_in_force": {"at": "2026-06-01"},
    "who_lives_in_building": {"building_code": BUILDING},
}


def send(client: HubClient, data_set: str, rows: list[dict[str, object]], log: str = "ops") -> None:
    contract = client.contract(data_set)
    with client.producer(log=log) as producer:
        full = [{column.name: row.get(column.name) for column in contract.columns} for row in rows]
        batch = pa.RecordBatch.from_pylist(full, schema=contract.schema)
        assert producer.send(data_set, batch).result().rows_rejected == 0


def test_the_named_queries_answer(city: CityProcesses, client: HubClient) -> None:
    """Method: a few rows with known answers, each query at both centres; distances against the haversine formula."""
    person = {"name": "张三", "building_code": BUILDING}
    people = [
        {**person, "resident_id": PERSONS[0], "birth_date": 0},
        {**person, "resident_id": PERSONS[1], "birth_date": 20_000},
    ]
    send(client, "residents", people)
    place = {"district": "福田区", "lon": 114.0579, "lat": 22.5449}  # 200 m to the north
    send(client, "buildings", [{"building_code": BUILDING, "use": "residential", **place}])
    send(
        client,
        "sensors",
        [{"sensor_id": n, "kind": kind, "unit": "dB", **place} for n, kind in ((1, "noise"), (2, "gas"))],
    )
    danger = {"found_at": 1_780_000_000_000, "district": "福田区", "street": "华强北街道"}
    dangers = [{"danger_id": f"d{n}", "level": "major" if n else "general", **danger} for n in range(3)]
    send(client, "hidden_dangers", [*dangers, {**dangers[0], "danger_id": "d9", "closed_at": 1_790_000_000_000}])
    names = {one.name for one in client.named_queries()}
    assert names == set(ARGUMENTS)
    answers: dict[str, list[dict[str, object]]] = {}
    for name, arguments in ARGUMENTS.items():
        for centre in CENTRES:
            rows = client.query_named(name, arguments, centre=centre, strong=True).table().to_pylist()
            assert answers.setdefault(name, rows) == rows
    assert [row["resident_id"] for row in answers["who_lives_in_building"]] == list(PERSONS)
    (near,) = answers["residents_within"]
    assert (near["residents"], near["distance_m"]) == (2, pytest.approx(200.2, abs=0.3))
    assert [row["sensor_id"] for row in answers["sensors_near"]] == [1]
    assert [(row["open_dangers"], row["major"]) for row in answers["open_hidden_dangers_by_street"]] == [(3, 2)]
    out = cityhub(
        city, "query", "--name", "sensors_near", "--set", "lon=114.0579", "--set", "lat=22.5431", "-f", "json"
    )
    assert len(json.loads(out)) == 2
    assert "radius_m" in cityhub(city, "named", "sensors_near")


def test_wrong_parameters_of_a_named_query_are_all_told(client: HubClient) -> None:
    with pytest.raises(QueryError, match=r"lon must be float64.*lat .float64. is missing"):
        client.query_named("sensors_near", {"lon": "east"})
    with pytest.raises(QueryError, match="no parameter 'colour'"):
        client.query_named("sensors_near", {"lon": 1, "lat": 2, "colour": "red"})
    with pytest.raises(QueryError, match="no query"):
        client.query_named("nothing")
    with pytest.raises(QueryError, match="no version 9"):
        client.query_named("sensors_near", version=9)


# --- The mode of operation --------------------------------------------------------------------------------------------


def test_the_mode_is_a_fact_at_both_centres(city: CityProcesses, client: HubClient) -> None:
    """Method: changed by the command, read by status and as a data set; kept over a restart; back."""
    cityhub(city, "mode", "emergency", code=2)
    cityhub(city, "mode", "emergency", "--reason", "typhoon")

    def shown() -> dict[str, str]:
        found: dict[str, dict[str, str]] = json.loads(cityhub(city, "mode", "--json"))
        return {centre: one["mode"] for centre, one in found.items()}

    until(lambda: shown() == dict.fromkeys(CENTRES, "emergency"))
    assert "EMERGENCY mode: typhoon" in cityhub(city, "status")
    city.stop("ops")
    city.start("ops")
    until(lambda: shown() == dict.fromkeys(CENTRES, "emergency"))
    cityhub(city, "mode", "daily")
    rows = client.query("select mode, reason from modes order by lsn", centre="ecc", strong=True).table().to_pylist()
    assert rows == [{"mode": "emergency", "reason": "typhoon"}, {"mode": "daily", "reason": ""}]
    cityhub(city, "verify")


# --- Freshness and failover -------------------------------------------------------------------------------------------


def test_a_session_reads_its_own_writes_at_any_centre(city: CityProcesses) -> None:
    with HubClient(city.addresses, session=True) as client:
        for number in range(20):
            send(
                client,
                "hidden_dangers",
                [
                    {
                        "danger_id": f"s{number}",
                        "found_at": 0,
                        "level": "major",
                        "district": "福田区",
                        "street": "南园街道",
                    }
                ],
            )
            centre = CENTRES[number % 2]
            sql = "select count(*) as rows from hidden_dangers where street = '南园街道'"
            assert client.query(sql, centre=centre).table().to_pylist() == [{"rows": number + 1}]


def test_reads_go_to_the_centre_that_is_left(own_city: CityProcesses) -> None:
    """Method: kill -9 of the centre that is asked; no read fails."""
    with own_city.client() as client:
        for turn in range(30):
            if turn == 10:
                own_city.kill("ops")
            assert client.query("select 1 as one").table().to_pylist() == [{"one": 1}]
        assert client.contracts()
        with pytest.raises(UnavailableError):
            client.query("select 1", centre="ops")
