"""Goal: a client of Flight SQL that knows nothing of us works with either centre as it is.

Method: the ADBC driver against real centres: queries, parameters, catalogue, sessions, cancel, ingest of every type,
errors, many connections, long answers, and a failover.
"""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from adbc_driver_flightsql import ConnectionOptions, DatabaseOptions
from conftest import until
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message

from hub.client import HubClient
from hub.flight.answers import POSITION_KEY
from hub.position import position_of_text
from hub.rpc.v1 import flight_pb2
from hub.rpc.v1 import flight_sql_pb2 as pb
from hub.rpc.v1.bulk_pb2 import BulkExchange
from simulator.city.plan import City
from simulator.city.readings import readings, sensors
from simulator.drill.processes import CityProcesses

CENTRES = ("ops", "ecc")
HEADER = DatabaseOptions.RPC_CALL_HEADER_PREFIX.value


def uri(city: CityProcesses, centre: str) -> str:
    return f"grpc://{city.city.centres[centre].flight}"


def connected(city: CityProcesses, centre: str, **headers: str) -> flight_sql.Connection:
    options = {HEADER + name.replace("_", "-"): value for name, value in headers.items()}
    options[DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value] = "true"
    return flight_sql.connect(uri(city, centre), db_kwargs=options, autocommit=True)


@pytest.fixture(params=CENTRES)
def connection(city: CityProcesses, request: pytest.FixtureRequest) -> Iterator[flight_sql.Connection]:
    with connected(city, request.param) as connection:
        yield connection


def rows_of(connection: flight_sql.Connection, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def table_of(connection: flight_sql.Connection, sql: str) -> pa.Table:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


# --- Queries ----------------------------------------------------------------------------------------------------------


def test_a_query_is_answered(connection: flight_sql.Connection) -> None:
    found = table_of(connection, "select 42 as answer, '城市' as name, count(*) as sets from exchanges")
    assert found.column("answer").to_pylist() == [42]
    assert found.column("name").to_pylist() == ["城市"]


@pytest.mark.parametrize("centre", CENTRES)
def test_an_answer_says_its_position(city: CityProcesses, centre: str) -> None:
    """Method: by plain Flight: a lower bound beside the ticket, and exactly in the stream."""
    command = packed(pb.CommandStatementQuery(query="select 1"))
    with fl.connect(uri(city, centre)) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command(command))
        found = client.do_get(info.endpoints[0].ticket).read_all()
    at_least = position_of_text(info.app_metadata.decode())
    exactly = position_of_text(found.schema.metadata[POSITION_KEY].decode())
    assert set(at_least) == set(CENTRES)
    assert all(exactly[log] >= at_least[log] for log in CENTRES)


def test_parameters_of_every_kind(connection: flight_sql.Connection) -> None:
    """Method: each comes back as it was bound, by place; a statement is run again with others."""
    moment = dt.datetime(2026, 7, 1, 8, 30, 0, 123000)
    values = (7, -1.5, "深圳 '; drop table x", True, None, dt.date(2026, 7, 1), moment, Decimal("12.34"), b"\x00\xff")
    marks = ", ".join("?" for _ in values)
    assert rows_of(connection, f"select {marks}", values) == [values]
    with connection.cursor() as cursor:
        for number in (1, 2, 3):
            cursor.execute("select i from range(10) r(i) where i = ?", (number,))
            assert cursor.fetchall() == [(number,)]


def test_wrong_statements_say_what_is_wrong(connection: flight_sql.Connection) -> None:
    """Method: wrong SQL, what the guard refuses, wrong types, too few parameters; the connection goes on."""
    cases = {
        "selekt 1": "syntax error",
        "select * from nothing": "no data set",
        "select * from read_csv('/etc/passwd')": "refused",
        "insert into readings values (1)": "reads only",
        "create table x (a int)": "reads only",
        "select 1; select 2": "one statement",
        "select 'x'::int": "Conversion",
        "select sensor_id + true from readings": "Binder Error",
        "select ?": "parameters",
    }
    for sql, message in cases.items():
        with pytest.raises(adbc_driver_manager.Error, match=message):
            rows_of(connection, sql)
    assert rows_of(connection, "select 1") == [(1,)]


def test_updates_and_transactions_are_refused(city: CityProcesses, connection: flight_sql.Connection) -> None:
    with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match="read"):
        cursor.executescript("delete from readings")
    with pytest.warns(match="autocommit"), flight_sql.connect(uri(city, "ops")) as other:
        assert rows_of(other, "select 1") == [(1,)]


def test_schema_without_running(connection: flight_sql.Connection) -> None:
    with connection.cursor() as cursor:
        schema = cursor.adbc_execute_schema("select sensor_id, observed_at, value from readings")
    assert schema.names == ["sensor_id", "observed_at", "value"]
    assert schema.types == [pa.int32(), pa.timestamp("us"), pa.float32()]


def test_partitions_are_read_by_another_connection(city: CityProcesses, connection: flight_sql.Connection) -> None:
    with connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions("select i from range(3) r(i)")
        for partition in partitions:
            cursor.adbc_read_partition(partition)
            assert cursor.fetchall() == [(0,), (1,), (2,)]


def test_user_and_password_are_taken(city: CityProcesses, client: HubClient) -> None:
    """Method: a login by the driver; its name stands beside its query, while it runs."""
    login = {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer li.lei"}
    for options in ({"username": "li.lei", "password": "x"}, login):
        with flight_sql.connect(uri(city, "ops"), db_kwargs=options, autocommit=True) as connection:
            assert rows_of(connection, "select 1") == [(1,)]
            failures: list[Exception] = []
            thread = _long_query(connection, LONG, failures)
            until(lambda: bool(_running(client, "ops", LONG)))
            (running,) = [one for one in client.queries("ops") if one.text == LONG]
            client.kill_query("ops", running.id)
            thread.join(20)
            assert running.asked_by.startswith("li.lei ")


# --- Catalogue --------------------------------------------------------------------------------------------------------


def test_catalogue_calls(connection: flight_sql.Connection) -> None:
    """Method: everything that tools ask for; patterns as LIKE has them."""
    objects = connection.adbc_get_objects(depth="all", table_name_filter="sens%").read_all().to_pylist()
    (schema,) = objects[0]["catalog_db_schemas"]
    assert (objects[0]["catalog_name"], schema["db_schema_name"]) == ("store", "main")
    (table,) = schema["db_schema_tables"]
    assert table["table_name"] == "sensors"
    assert [column["column_name"] for column in table["table_columns"]][:3] == ["sensor_id", "kind", "unit"]
    assert connection.adbc_get_table_schema("sensors").field("lon").type == pa.float64()
    assert connection.adbc_get_table_types() == ["VIEW"]
    assert connection.adbc_get_info()["vendor_name"] == "cityhub"
    assert rows_of(connection, 'select count(*) from "store"."main"."sensors" where false') == [(0,)]


def _flight(city: CityProcesses, centre: str, command: Message) -> pa.Table:
    with fl.connect(uri(city, centre)) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command(packed(command)))
        found = client.do_get(info.endpoints[0].ticket).read_all()
        assert found.schema.equals(info.schema, check_metadata=True)
        return found


def packed(command: Message) -> bytes:
    wrapped = Packed()
    wrapped.Pack(command)
    return wrapped.SerializeToString()


def test_what_jdbc_asks_for(city: CityProcesses) -> None:
    """Method: the calls that ADBC does not make, by plain Flight: keys, types, all information."""
    keys = _flight(city, "ops", pb.CommandGetPrimaryKeys(table="sensors"))
    assert keys.column("column_name").to_pylist() == ["sensor_id"]
    assert _flight(city, "ops", pb.CommandGetImportedKeys(table="sensors")).num_rows == 0
    assert _flight(city, "ecc", pb.CommandGetXdbcTypeInfo(data_type=12)).column("type_name").to_pylist() == ["VARCHAR"]
    assert _flight(city, "ecc", pb.CommandGetSqlInfo(info=[0, 8])).column("info_name").to_pylist() == [0, 8]
    assert _flight(city, "ecc", pb.CommandGetTables(table_name_filter_pattern="read_ngs")).num_rows == 1


# --- Sessions and freshness -------------------------------------------------------------------------------------------


def test_session_options(city: CityProcesses) -> None:
    """Method: set, read back, refused; kept by a cookie and not seen by another connection."""
    with connected(city, "ops") as one, connected(city, "ops") as other:
        option = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value
        one.adbc_connection.set_options(**{option + "cityhub-class": "analysis"})
        assert one.adbc_connection.get_option(option + "cityhub-class") == "analysis"
        with pytest.raises(adbc_driver_manager.Error):
            one.adbc_connection.set_options(**{option + "cityhub-class": "nonsense"})
        with pytest.raises(adbc_driver_manager.Error):
            other.adbc_connection.get_option(option + "cityhub-class")
        assert rows_of(one, "select 1") == [(1,)]


@pytest.mark.parametrize("centre", CENTRES)
def test_reads_wait_for_a_position(city: CityProcesses, client: HubClient, centre: str) -> None:
    """Method: an exchange is read by the position of its receipt; a position that never comes is an error; strong."""
    rows = next(readings(10, 5, sensors=sensors(100, 1), batch_rows=10))
    with client.producer() as producer:
        receipt = producer.send("readings", rows).result()
    sql = f"select count(*) from exchanges where log = 'ops' and lsn = {receipt.lsn}"
    with connected(city, centre, cityhub_at_least=f"ops={receipt.lsn}") as connection:
        assert rows_of(connection, sql) == [(1,)]
    with connected(city, centre, cityhub_read="strong") as connection:
        assert rows_of(connection, sql) == [(1,)]
    for header in ({"cityhub_read": "often"}, {"cityhub_at_least": "ops=x"}, {"cityhub_class": "quick"}):
        with connected(city, centre, **header) as connection, pytest.raises(adbc_driver_manager.Error):
            rows_of(connection, "select 1")


def test_a_position_ahead_is_refused_in_time(city: CityProcesses) -> None:
    with (
        connected(city, "ecc", cityhub_at_least="ops=999999999") as connection,
        pytest.raises(adbc_driver_manager.Error, match="did not reach"),
    ):
        rows_of(connection, "select 1")


# --- Ending early -----------------------------------------------------------------------------------------------------

LONG = "select sum(a.i * b.i) from range(3000000) a(i), range(3000000) b(i)"


def _running(client: HubClient, centre: str, text: str) -> list[str]:
    return [one.id for one in client.queries(centre) if one.text == text]


def _long_query(connection: flight_sql.Connection, sql: str, found: list[Exception]) -> threading.Thread:
    def ask() -> None:
        try:
            rows_of(connection, sql)
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_cancelled_query_ends_at_the_centre(city: CityProcesses, client: HubClient) -> None:
    """Method: cancelled by the driver while it computes; by a connection that goes away in the middle of rows."""
    with connected(city, "ecc") as connection, connection.cursor() as cursor:
        failures: list[Exception] = []

        def ask() -> None:
            try:
                cursor.execute(LONG)
                cursor.fetchall()
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: bool(_running(client, "ecc", LONG)))
        cursor.adbc_cancel()
        thread.join(20)
        assert failures
        until(lambda: not _running(client, "ecc", LONG), 20)
    rows = "select i, i * 2 as j from range(90000000) r(i)"
    with connected(city, "ecc") as connection, connection.cursor() as cursor:
        cursor.execute(rows)
        reader = cursor.fetch_record_batch()
        assert reader.read_next_batch().num_rows > 0
        assert _running(client, "ecc", rows)
        reader.close()
    until(lambda: not _running(client, "ecc", rows), 20)


def test_an_operator_ends_a_query(city: CityProcesses, client: HubClient) -> None:
    failures: list[Exception] = []
    with connected(city, "ops") as connection:
        thread = _long_query(connection, LONG, failures)
        until(lambda: bool(_running(client, "ops", LONG)))
        client.kill_query("ops", _running(client, "ops", LONG)[0])
        thread.join(20)
        assert "cancelled" in str(failures[0])
        assert rows_of(connection, "select 1") == [(1,)]


def test_cancel_by_flight_info(city: CityProcesses, client: HubClient) -> None:
    """Method: CancelFlightInfo from another connection while the answer is computed."""
    failures: list[Exception] = []
    with fl.connect(uri(city, "ops")) as asking, fl.connect(uri(city, "ops")) as other:
        command = packed(pb.CommandStatementQuery(query=LONG))
        info = asking.get_flight_info(fl.FlightDescriptor.for_command(command))

        def ask() -> None:
            try:
                asking.do_get(info.endpoints[0].ticket).read_all()
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: bool(_running(client, "ops", LONG)))
        request = flight_pb2.CancelFlightInfoRequest(info=info.serialize())
        (result,) = other.do_action(fl.Action("CancelFlightInfo", request.SerializeToString()))
        status = flight_pb2.CancelFlightInfoResult.FromString(result.body.to_pybytes()).status
        assert status == flight_pb2.CANCEL_STATUS_CANCELLED
        thread.join(20)
        assert failures


# --- Many and much ----------------------------------------------------------------------------------------------------


def test_sixty_four_connections(city: CityProcesses) -> None:
    """Method: each asks its own questions, at both centres, all at once."""
    failures: list[Exception] = []

    def ask(number: int) -> None:
        try:
            with connected(city, CENTRES[number % 2]) as connection:
                for turn in range(5):
                    expected = number * 100 + turn
                    assert rows_of(connection, "select ?::int", (expected,)) == [(expected,)]
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_a_hundred_million_rows_take_little_memory(city: CityProcesses) -> None:
    """Method: streamed to the end while the centre's memory is looked at."""
    centre = psutil.Process(city.pid("ecc"))
    before = centre.memory_info().rss
    peak = rows = total = 0
    with connected(city, "ecc") as connection, connection.cursor() as cursor:
        cursor.execute("select i from range(100000000) r(i)")
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            total += batch.column(0)[-1].as_py()
            peak = max(peak, centre.memory_info().rss)
    assert rows == 100_000_000
    assert total > 0
    assert peak - before < 512 << 20


def test_longer_answers_are_ended_with_the_reason(city: CityProcesses) -> None:
    with connected(city, "ecc") as connection, connection.cursor() as cursor:
        cursor.execute("select i from range(200000000) r(i)")
        batches = cursor.fetch_record_batch()
        with pytest.raises(pa.ArrowInvalid, match="more than 100000000"):
            sum(batch.num_rows for batch in batches)


# --- Ingest -----------------------------------------------------------------------------------------------------------

Mode = Literal["append", "create", "create_append", "replace"]
_UTC = dt.UTC
EVERY_TYPE: dict[str, tuple[pa.DataType, list[object]]] = {
    "flag": (pa.bool_(), [True, False]),
    "i8": (pa.int8(), [-128, 127]),
    "i16": (pa.int16(), [-(2**15), 2**15 - 1]),
    "i32": (pa.int32(), [-(2**31), 2**31 - 1]),
    "i64": (pa.int64(), [-(2**63), 2**63 - 1]),
    "u8": (pa.uint8(), [0, 255]),
    "u16": (pa.uint16(), [0, 2**16 - 1]),
    "u32": (pa.uint32(), [0, 2**32 - 1]),
    "u64": (pa.uint64(), [0, 2**64 - 1]),
    "f32": (pa.float32(), [0.5, -1.25]),
    "f64": (pa.float64(), [1e300, -0.1]),
    "text": (pa.string(), ["", "深圳市"]),
    "large_text": (pa.large_string(), ["a", "b"]),
    "view_text": (pa.string_view(), ["a", "a text that is longer than a view holds"]),
    "word": (pa.dictionary(pa.int32(), pa.string()), ["red", "red"]),
    "bytes": (pa.binary(), [b"", b"\x00\xff"]),
    "large_bytes": (pa.large_binary(), [b"a", b"b"]),
    "fixed_bytes": (pa.binary(4), [b"abcd", b"\x00\x01\x02\x03"]),
    "day": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "day64": (pa.date64(), [dt.date(1970, 1, 1), dt.date(2026, 7, 1)]),
    "clock": (pa.time64("us"), [dt.time(0, 0), dt.time(23, 59, 59, 999999)]),
    "clock32": (pa.time32("s"), [dt.time(0, 0), dt.time(23, 59, 59)]),
    "at_ms": (pa.timestamp("ms"), [dt.datetime(1, 1, 1), dt.datetime(2026, 7, 1, 8, 30, 0, 123000)]),
    "at_us": (pa.timestamp("us"), [dt.datetime(1, 1, 1), dt.datetime(2026, 7, 1, 8, 30, 0, 123456)]),
    "price": (pa.decimal128(38, 9), [Decimal("-12345678901234567890.123456789"), Decimal("0.000000001")]),
    "small_price": (pa.decimal128(5, 2), [Decimal("-999.99"), Decimal("0.01")]),
    "numbers": (pa.list_(pa.int32()), [[1, None, 3], []]),
    "place": (pa.struct([("lon", pa.float64()), ("name", pa.string())]), [{"lon": 114.0, "name": "福田"}, None]),
    "deep": (
        pa.list_(pa.struct([("at", pa.timestamp("ms")), ("tags", pa.list_(pa.string()))])),
        [[{"at": dt.datetime(2026, 1, 1), "tags": ["a", None]}], [None]],
    ),
    "nothing": (pa.null(), [None, None]),
}


def ingest(connection: flight_sql.Connection, name: str, rows: pa.Table | pa.RecordBatchReader, mode: Mode) -> int:
    with connection.cursor() as cursor:
        return int(cursor.adbc_ingest(name, rows, mode=mode))


def empty(schema: pa.Schema) -> pa.RecordBatchReader:
    """A batch without rows: of no batch at all the driver sends nothing."""
    return pa.RecordBatchReader.from_batches(schema, [pa.RecordBatch.from_pylist([], schema=schema)])


@pytest.mark.parametrize("centre", CENTRES)
def test_every_type_goes_in_and_comes_back(city: CityProcesses, centre: str) -> None:
    """Method: extremes and a null of each type, through whichever centre; read at the other one, too. A reader of the
    same session sees them at once."""
    columns = {name: pa.array([*values, None], kind) for name, (kind, values) in EVERY_TYPE.items()}
    rows = pa.table(columns)
    name = f"every_type_{centre}"
    with connected(city, centre) as connection:
        assert ingest(connection, name, rows, "create") == 3
        found = table_of(connection, f"select * from {name}")
    with connected(city, CENTRES[centre == "ops"], cityhub_read="strong") as connection:
        assert table_of(connection, f"select * from {name}").to_pydict() == found.to_pydict()
    for column, (_, values) in EVERY_TYPE.items():
        assert found.column(column).to_pylist() == [*values, None], column


def test_times_with_a_zone_are_kept_in_utc(city: CityProcesses) -> None:
    moment = dt.datetime(2026, 7, 1, 8, 30, tzinfo=_UTC)
    rows = pa.table({"seen": pa.array([moment], pa.timestamp("us", "Asia/Shanghai"))})
    with connected(city, "ops") as connection:
        assert ingest(connection, "zoned", rows, "create") == 1
        assert rows_of(connection, "select seen from zoned") == [(moment.replace(tzinfo=None),)]


def test_nothing_at_all_is_ingested_as_well(city: CityProcesses) -> None:
    """Method: no rows; no columns, which no data set can have; types without a column type."""
    with connected(city, "ops") as connection:
        assert ingest(connection, "no_rows", empty(pa.schema([("a", pa.int32())])), "create") == 0
        assert rows_of(connection, "select count(*) from no_rows") == [(0,)]
        with pytest.raises(adbc_driver_manager.Error):
            ingest(connection, "no_columns", pa.table({}), "create")
        with pytest.raises(adbc_driver_manager.Error, match="no column can be"):
            ingest(connection, "strange", pa.table({"a": pa.array([1], pa.duration("s"))}), "create")


def test_modes_of_ingest(city: CityProcesses) -> None:
    rows = pa.table({"a": [1, 2]})
    with connected(city, "ops") as connection:
        with pytest.raises(adbc_driver_manager.Error, match="no data set"):
            ingest(connection, "by_mode", rows, "append")
        assert ingest(connection, "by_mode", rows, "create_append") == 2
        assert ingest(connection, "by_mode", rows, "create_append") == 2
        modes: tuple[Mode, ...] = ("create", "replace")
        for mode in modes:
            with pytest.raises(adbc_driver_manager.Error):
                ingest(connection, "by_mode", rows, mode)
        with pytest.raises(adbc_driver_manager.Error, match="expected int64"):
            ingest(connection, "by_mode", pa.table({"a": ["x"]}), "append")
        with pytest.raises(adbc_driver_manager.Error):
            ingest(connection, "exchanges", rows, "append")
        assert rows_of(connection, "select count(*), sum(a) from by_mode") == [(4, 6)]


def test_the_same_key_is_taken_once(city: CityProcesses) -> None:
    """Method: the same statement twice at each centre with one key; another key adds."""
    rows = pa.table({"a": list(range(1000))})
    with connected(city, "ops") as connection:
        ingest(connection, "once", empty(rows.schema), "create")
    for centre, key in (("ops", "k1"), ("ecc", "k1"), ("ecc", "k1"), ("ecc", "k2")):
        with connected(city, centre, cityhub_idempotency_key=key) as connection:
            assert ingest(connection, "once", rows, "append") == 1000
    with connected(city, "ecc", cityhub_read="strong") as connection:
        assert rows_of(connection, "select count(*) from once") == [(2000,)]


def test_rows_of_a_registry_are_upserted(city: CityProcesses) -> None:
    """Method: through the centre that does not lead; more rows than one exchange has; the last write wins."""

    def people(first: int, count: int, name: str) -> pa.Table:
        ids = City(0.01).person_codes(np.arange(first, first + count))
        return pa.table({"resident_id": ids, "name": [name] * count})

    with connected(city, "ecc", cityhub_read="strong") as connection:
        assert ingest(connection, "residents", people(0, 25_000, "甲"), "append") == 25_000
        assert ingest(connection, "residents", people(20_000, 10_000, "乙"), "append") == 10_000
        sql = "select name, count(*) from residents group by 1 order by 2"
        assert rows_of(connection, sql) == [("乙", 10_000), ("甲", 20_000)]


def test_rows_that_break_off_are_not_taken(city: CityProcesses, client: HubClient) -> None:
    """Method: a sender of ours ends in the middle, as pyarrow ends one that raises; sent again, all rows are taken."""
    rows = pa.Table.from_batches(list(readings(1000, 7, sensors=sensors(100, 1), batch_rows=100)))
    version = client.contract("readings").version
    header = BulkExchange(producer="broken", sequence=1, data_set="readings", contract_version=version)
    with fl.connect(uri(city, "ops")) as there:
        writer, _ = there.do_put(fl.FlightDescriptor.for_command(packed(header)), rows.schema)
        writer.write_batch(rows.to_batches()[0])
        with pytest.raises(pa.ArrowInvalid, match="broke off"):
            writer.close()
    receipt = client.bulk("broken").send("readings", rows, sequence=1).result(60)
    assert (receipt.rows, receipt.duplicate) == (1000, False)


# --- A failover -------------------------------------------------------------------------------------------------------


def test_after_a_failover_the_other_centre_does_everything(own_city: CityProcesses) -> None:
    """Method: kill -9 of the centre that leads log ops; the driver at the other one reads all, and ingests."""
    rows = pa.table({"a": list(range(100))})
    with connected(own_city, "ops") as connection:
        ingest(connection, "survives", rows, "create")
    own_city.kill("ops")
    with connected(own_city, "ecc") as connection:
        deadline_s = time.monotonic() + 20
        while True:
            try:
                assert ingest(connection, "survives", rows, "append") == 100
                break
            except adbc_driver_manager.Error:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        assert rows_of(connection, "select count(*) >= 200, sum(a) >= 2 * 4950 from survives") == [(True, True)]
        assert connection.adbc_get_table_schema("survives").names == ["a"]
