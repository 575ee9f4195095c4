"""The pair as its users see it, over real sockets.

Goal: what the interfaces promise: idempotent submission, bounded waits with clear errors, reads at a position, queries
that are guarded, limited and can be cancelled, operations, health, reflection and metrics.
Method: one real pair, the Python client and plain gRPC.
"""

import asyncio
import threading
import time
import urllib.request
from concurrent.futures import Future

import grpc
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from hub.catalogue.contract import Contract
from hub.client import AsyncHubClient, HubClient
from hub.client.producer import newest
from hub.errors import ContractError, ExchangeError, HubError, LimitError, QueryError, UnavailableError
from hub.ingest.exchange import Receipt
from hub.ingest.sections import Operation
from hub.rpc.v1 import exchange_pb2 as pb
from hub.wire import error_of
from simulator.city.readings import readings, sensors
from simulator.drill.processes import CityProcesses

CENTRES = ("ops", "ecc")


def small(rows: int = 10, seed: int = 1) -> pa.RecordBatch:
    return next(readings(rows, seed, sensors=sensors(100, 1), batch_rows=rows))


def count(client: HubClient, sql: str, **options: object) -> int:
    (row,) = client.query(sql, **options).table().to_pylist()  # type: ignore[arg-type]
    return int(next(iter(row.values())))


def test_written_at_one_is_read_at_both(client: HubClient) -> None:
    """Method: read-your-writes at each centre through the receipt's position."""
    before = count(client, "select count(*) from readings")
    with client.producer() as producer:
        receipt = producer.send("readings", small()).result()
    for centre in CENTRES:
        result = client.query("select count(*) from readings", centre=centre, at_least=newest([receipt]))
        assert result.position["ops"] >= receipt.lsn
        assert result.table().column(0).to_pylist() == [before + 10]


def test_sending_again_is_answered_with_the_first_outcome(client: HubClient) -> None:
    """Method: the same (producer, sequence) three times: at once, after the receipt, and from a new stream."""
    rows = small(seed=2)
    with client.producer("twice") as producer:
        first = producer.send("readings", rows, sequence=7).result()
        again = producer.send("readings", rows, sequence=7).result()
    with client.producer("twice") as producer:
        later = producer.send("readings", rows, sequence=7).result()
    assert not first.duplicate
    assert again.duplicate
    assert later.duplicate
    assert {first.lsn, again.lsn, later.lsn} == {first.lsn}
    assert first.rows == again.rows == later.rows == 10
    ledger = "select count(*) from exchanges where producer = 'twice'"
    assert count(client, ledger, at_least=newest([first])) == 1


def test_registry_upserts_and_deletes(client: HubClient) -> None:
    """Method: insert, change and delete sensors; both centres show the last write."""
    rows = sensors(5, 3)
    with client.producer("registry") as producer:
        producer.send("sensors", rows).result()
        producer.send("sensors", rows.slice(0, 2)).result()
        keys = rows.select(["sensor_id"]).slice(4, 1)
        receipt = producer.send("sensors", keys, operation=Operation.DELETE).result()
    for centre in CENTRES:
        assert count(client, "select count(*) from sensors", centre=centre, at_least=newest([receipt])) == 4


def test_bad_rows_go_to_quarantine_with_their_reason(client: HubClient) -> None:
    """Method: ten readings, two of them outside their domain."""
    rows = small(seed=4)
    quality = pa.array([0, 9, 0, 0, -1, 0, 0, 0, 0, 0], pa.int8())
    rows = rows.set_column(rows.schema.get_field_index("quality"), "quality", quality)
    with client.producer("bad-rows") as producer:
        receipt = producer.send("readings", rows).result()
    assert (receipt.rows, receipt.rows_rejected) == (8, 2)
    sql = "select row, reason, content from quarantine where producer = 'bad-rows' order by row"
    for centre in CENTRES:
        found = client.query(sql, centre=centre, at_least=newest([receipt])).table().to_pylist()
        assert [row["row"] for row in found] == [1, 4]
        assert all("quality" in row["reason"] and "sensor_id" in row["content"] for row in found)


def send(client: HubClient, data_set: str, rows: pa.RecordBatch) -> "Future[Receipt]":
    with client.producer(patience_s=5) as producer:
        return producer.send(data_set, rows)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (small().set_column(1, "sensor_id", pa.array(["x"] * 10)), "sensor_id"),
        (small().select(["observed_at", "value", "quality"]), "sensor_id"),
        (pa.record_batch({"nothing": pa.array([1])}), "nothing"),
    ],
    ids=["wrong type", "missing columns", "unknown column"],
)
def test_exchange_that_does_not_fit_is_refused(client: HubClient, rows: pa.RecordBatch, said: str) -> None:
    """Goal: a typed error that names the column; nothing is written. Method: batches of a wrong shape."""
    before = count(client, "select count(*) from exchanges")
    with pytest.raises(HubError, match=said):
        send(client, "readings", rows).result()
    assert count(client, "select count(*) from exchanges") == before


def test_unknown_data_set_is_refused(client: HubClient) -> None:
    with pytest.raises(HubError, match="no_such_thing"):
        send(client, "no_such_thing", small())


def test_too_large_an_exchange_is_refused(client: HubClient) -> None:
    """Method: 2 million rows in one exchange, over the limit of bytes."""
    with pytest.raises(LimitError, match="send it in parts"):
        send(client, "readings", small(2_000_000))


def test_message_of_100_megabytes_ends_its_stream_only(city: CityProcesses, client: HubClient) -> None:
    """Goal: no crash and no unbounded memory. Method: a raw 100 MB message on a Submit stream."""
    with grpc.insecure_channel(city.addresses["ops"], options=[("grpc.max_send_message_length", -1)]) as channel:
        submit = channel.stream_stream("/hub.rpc.v1.ExchangeService/Submit", lambda data: data, lambda data: data)
        with pytest.raises(grpc.RpcError) as refused:
            list(submit(iter([bytes(100_000_000)]), timeout=20))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.status("ops").centre == "ops"


def submit_raw(city: CityProcesses, producer: str, exchanges: list[pb.Exchange]) -> list[pb.Receipt]:
    request = pb.SubmitRequest(producer=producer, exchanges=exchanges)
    with grpc.insecure_channel(city.addresses["ops"]) as channel:
        submit = channel.stream_stream(
            "/hub.rpc.v1.ExchangeService/Submit", pb.SubmitRequest.SerializeToString, pb.SubmitReply.FromString
        )
        receipts = [receipt for reply in submit(iter([request]), timeout=20) for receipt in reply.receipts]
    return sorted(receipts, key=lambda receipt: receipt.sequence)


def test_bytes_that_are_no_arrow_are_refused(city: CityProcesses) -> None:
    """Goal: payloads that are no Arrow are answered with a typed error. Method: raw exchanges, as stream and batch."""
    append = pb.OPERATION_APPEND
    exchanges: list[pb.Exchange] = []
    for payload in (b"", b"\xff" * 64, b"\x00" * 1000, b"ARROW1"):
        number = len(exchanges)
        exchanges += [
            pb.Exchange(sequence=number + 1, data_set="readings", operation=append, stream=payload),
            pb.Exchange(sequence=number + 2, data_set="readings", operation=append, batch=payload, contract_version=1),
            pb.Exchange(sequence=number + 3, data_set="readings", stream=payload),
        ]
    receipts = submit_raw(city, "no-arrow", exchanges)
    assert len(receipts) == len(exchanges)
    assert all(isinstance(error_of(receipt.error), ExchangeError) for receipt in receipts)


def test_damaged_batches_never_crash_the_centre(city: CityProcesses, client: HubClient) -> None:
    """Goal: a batch with an inverted byte is refused or taken with other values, never a crash. Method: one exchange
    for every byte of a real batch message; the centre then serves as before."""
    data = small().serialize().to_pybytes()
    exchanges = []
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= 0xFF
        exchanges.append(
            pb.Exchange(
                sequence=index + 1,
                data_set="readings",
                operation=pb.OPERATION_APPEND,
                batch=bytes(damaged),
                contract_version=1,
            )
        )
    receipts = submit_raw(city, "damaged", exchanges)
    assert [receipt.sequence for receipt in receipts] == list(range(1, len(data) + 1))
    assert any(receipt.HasField("error") for receipt in receipts)
    assert client.status("ops").centre == "ops"


def test_contract_is_created_and_changed_as_a_logged_entry(client: HubClient) -> None:
    """Method: a data set is created, gets a column, and refuses a change that would break its rows."""
    facts = {
        "name": "street_lamps",
        "agency": "urban_management",
        "home": "ecc",
        "kind": "event",
        "title": {"zh": "路灯", "en": "Street lamps"},
        "columns": [{"name": "lamp", "type": "int32", "required": True, "title": {"zh": "编号", "en": "Lamp"}}],
    }
    first = Contract.model_validate(facts)
    lsn, changed = client.apply_contract(first)
    assert changed
    assert client.apply_contract(first) == (0, False)
    with client.producer("lamps", log="ecc") as producer:
        producer.send("street_lamps", pa.record_batch({"lamp": pa.array([1], pa.int32())})).result()
    column = {"name": "watts", "type": "float32", "unit": "W", "title": {"zh": "功率", "en": "Power"}}
    second = Contract.model_validate({**facts, "version": 2, "columns": [*facts["columns"], column]})
    later, _ = client.apply_contract(second)
    assert later > lsn
    with client.producer("lamps-2", log="ecc") as producer:
        rows = pa.record_batch({"lamp": pa.array([2], pa.int32()), "watts": pa.array([60], pa.float32())})
        receipt = producer.send("street_lamps", rows).result()
    for centre in CENTRES:
        sql = "select lamp, watts from street_lamps order by lamp"
        found = client.query(sql, centre=centre, at_least=newest([receipt])).table().to_pylist()
        assert found == [{"lamp": 1, "watts": None}, {"lamp": 2, "watts": 60.0}]
    broken = Contract.model_validate({**facts, "version": 3, "columns": [column]})
    with pytest.raises(ContractError):
        client.apply_contract(broken)


def test_queries_are_guarded_and_limited(client: HubClient) -> None:
    """Goal: refusals are typed. Method: a write, a file, two statements, nonsense, too many rows, too long."""
    for sql in ("delete from readings", "select * from read_csv('/etc/passwd')", "select 1; select 2", "selec 1"):
        with pytest.raises(QueryError):
            client.query(sql).table()
    with pytest.raises(LimitError):
        client.query("select * from range(100000)", rows_max=1000).table()
    with pytest.raises(LimitError):
        client.query("select sum(a.range * b.range) from range(10000000) a, range(10000000) b", time_s_max=0.5).table()


def test_cancelled_query_ends_at_the_centre(client: HubClient) -> None:
    """Method: a query without end is cancelled from another thread; the centre then runs none."""
    result = client.query("select a.range * b.range from range(100000000) a, range(100000000) b")
    threading.Timer(0.3, result.cancel).start()
    with pytest.raises(UnavailableError, match="cancelled"):
        for _ in result.reader:
            pass
    deadline_s = time.monotonic() + 10
    while client.status("ops").store.queries and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert client.status("ops").store.queries == 0


def test_position_that_does_not_come_is_said_so(client: HubClient) -> None:
    with pytest.raises(UnavailableError, match="did not reach"):
        client.query("select 1", at_least={"ops": 10**9})


def test_health_reflection_and_metrics(city: CityProcesses) -> None:
    """Method: the standard services over plain gRPC, and /metrics over HTTP."""
    with grpc.insecure_channel(city.addresses["ecc"]) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""))
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reply = next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request])))
        services = {service.name for service in reply.list_services_response.service}
        assert {"hub.rpc.v1.ExchangeService", "hub.rpc.v1.QueryService", "grpc.health.v1.Health"} <= services
    with urllib.request.urlopen(f"http://{city.city.centres['ecc'].http}/metrics") as reply:
        text = reply.read().decode()
    assert 'cityhub_log_leads{log="ecc"} 1.0' in text
    assert "cityhub_exchanges_accepted_total" in text


def test_query_that_computes_its_answer_first_is_cancelled(city: CityProcesses, client: HubClient) -> None:
    """Goal: a caller that goes away ends a query that has not sent anything yet. Method: an aggregate without end whose
    caller gives up; the centre then runs none."""

    async def ask_and_give_up() -> None:
        async with AsyncHubClient(city.addresses) as own:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(own.query("select sum(n) from range(1000000000000) t(n)"), 0.5)

    asyncio.run(ask_and_give_up())
    deadline_s = time.monotonic() + 10
    while client.status("ops").store.queries and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert client.status("ops").store.queries == 0
