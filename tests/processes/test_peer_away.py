"""One centre alone, without a witness.

Goal: with the peer away, and nobody to grant going on alone, writes wait for a bounded time and end in a clear
retryable error whose effect is said to be unknown; reads go on; when the peer is back, what was unknown has one
outcome.
Method: a real pair whose standby is killed; raw submissions and the client.
"""

import grpc
import pytest

from hub.client.producer import newest
from hub.errors import UnavailableError
from hub.rpc.v1 import exchange_pb2 as pb
from hub.wire import error_of
from simulator.city.readings import readings, sensors
from simulator.drill.processes import CityProcesses


def submit_once(address: str, request: pb.SubmitRequest) -> pb.Receipt:
    with grpc.insecure_channel(address) as channel:
        submit = channel.stream_stream(
            "/hub.rpc.v1.ExchangeService/Submit", pb.SubmitRequest.SerializeToString, pb.SubmitReply.FromString
        )
        (receipt,) = [receipt for reply in submit(iter([request]), timeout=20) for receipt in reply.receipts]
        return receipt


def test_writes_wait_reads_go_on(own_pair: CityProcesses) -> None:
    rows = next(readings(10, 1, sensors=sensors(10, 1), batch_rows=10))
    exchange = pb.Exchange(
        sequence=1,
        data_set="readings",
        operation=pb.OPERATION_APPEND,
        batch=rows.serialize().to_pybytes(),
        contract_version=1,
    )
    request = pb.SubmitRequest(producer="alone", exchanges=[exchange])
    own_pair.kill("ecc")
    receipt = submit_once(own_pair.addresses["ops"], request)
    error = error_of(receipt.error)
    assert isinstance(error, UnavailableError)
    assert not error.definite
    assert "ecc" in error.message
    assert "same sequence" in error.hint
    with own_pair.client() as client:
        assert client.query("select count(*) n from readings", centre="ops").table().to_pylist() == [{"n": 0}]
        blocked = next(log.blocked for log in client.status("ops").logs if log.log == "ops")
        assert "cannot be reached" in blocked
        with pytest.raises(UnavailableError), client.producer(patience_s=2) as producer:
            producer.send("readings", rows).result()
        own_pair.start("ecc")
        again = submit_once(own_pair.addresses["ops"], request)
        assert not again.HasField("error")
        assert again.rows == 10
        sql = "select count(*) n from exchanges where producer = 'alone'"
        for centre in client.centres:
            found = client.query(sql, centre=centre, at_least={"ops": again.lsn}).table().to_pylist()
            assert found == [{"n": 1}]


def test_restart_of_both_keeps_everything(own_pair: CityProcesses) -> None:
    """Method: both are killed at once after some writes, started again in the other order."""
    with own_pair.client() as client:
        with client.producer("before") as producer:
            batches = readings(1000, 2, sensors=sensors(10, 1), batch_rows=10)
            receipts = [future.result() for future in [producer.send("readings", batch) for batch in batches]]
        own_pair.kill("ops")
        own_pair.kill("ecc")
        own_pair.start("ecc", "ops")
        for centre in client.centres:
            sql = "select count(*) n from readings"
            found = client.query(sql, centre=centre, at_least=newest(receipts)).table().to_pylist()
            assert found == [{"n": 1000}]
        with client.producer("before") as producer:
            batch = next(readings(10, 2, sensors=sensors(10, 1), batch_rows=10))
            assert producer.send("readings", batch, sequence=1).result().duplicate
