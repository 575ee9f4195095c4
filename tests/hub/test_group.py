"""Grouping exchanges into entries.

Goal: a group says exactly what its exchanges said: order kept, nothing lost, each rejected row given back to its
exchange, entries within their size; what cannot be read is refused alone.
Method: groups are built and their sections decoded again.
"""

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts
from hub.errors import ContractError, ExchangeError, UnknownDataSetError
from hub.ingest.exchange import Exchange
from hub.ingest.group import Group, build_group, known_contract
from hub.ingest.sections import Operation, Section, decode_sections
from simulator.city.readings import readings, sensors

NOW = datetime(2026, 1, 2, 3, 4, 5)
CONTRACTS = builtin_contracts()
SENSORS = sensors(50, 1)


def exchange(
    sequence: int,
    rows: pa.RecordBatch,
    *,
    data_set: str = "readings",
    operation: Operation = Operation.APPEND,
    version: int = 1,
    quarantine: bytes = b"",
) -> Exchange:
    return Exchange(
        producer="p",
        sequence=sequence,
        data_set=data_set,
        operation=operation,
        payload=rows.serialize().to_pybytes(),
        bare=True,
        contract_version=version,
        quarantine=quarantine,
        reply=lambda receipt: None,
    )


def batch(rows: int, seed: int = 1) -> pa.RecordBatch:
    return next(readings(rows, seed, sensors=SENSORS, batch_rows=rows))


def build(*exchanges: Exchange, entry_bytes_max: int = 1 << 20) -> Group:
    contract_of = known_contract(CONTRACTS, "ops")
    return build_group(exchanges, contract_of, received_at=NOW, entry_bytes_max=entry_bytes_max)


def sections(group: Group) -> list[Section]:
    return [section for entry in group.entries for section in decode_sections(entry.payload)]


def test_exchanges_of_one_data_set_become_one_section() -> None:
    """Method: five exchanges; one section of rows, one of the ledger with a row each."""
    group = build(*(exchange(n, batch(10, n)) for n in range(1, 6)))
    rows, ledger = sections(group)
    assert (rows.data_set, rows.rows.num_rows) == ("readings", 50)
    assert ledger.data_set == "exchanges"
    assert ledger.rows.column("sequence").to_pylist() == [1, 2, 3, 4, 5]
    assert ledger.rows.column("received_at").to_pylist() == [NOW] * 5
    assert rows.rows.slice(20, 10).equals(batch(10, 3))


def test_order_of_operations_on_a_registry_is_kept() -> None:
    """Method: upsert, delete, upsert of the same keys with an append in between."""
    keys = SENSORS.select(["sensor_id"])
    group = build(
        exchange(1, SENSORS, data_set="sensors", operation=Operation.UPSERT),
        exchange(2, keys, data_set="sensors", operation=Operation.DELETE),
        exchange(3, batch(5)),
        exchange(4, SENSORS, data_set="sensors", operation=Operation.UPSERT),
        exchange(5, batch(5, 2)),
    )
    found = [(section.data_set, section.operation.value, section.rows.num_rows) for section in sections(group)]
    assert found == [
        ("sensors", "upsert", 50),
        ("sensors", "delete", 50),
        ("readings", "append", 10),
        ("sensors", "upsert", 50),
        ("exchanges", "append", 5),
    ]


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=6))
def test_rejected_rows_go_back_to_their_exchange(bad: list[list[bool]]) -> None:
    """Method: any rows of any exchanges have a quality outside the domain."""
    exchanges = []
    for number, flags in enumerate(bad, 1):
        quality = pa.array([99 if flag else 0 for flag in flags], pa.int8())
        rows = batch(len(flags), number)
        exchanges.append(exchange(number, rows.set_column(3, rows.schema.field("quality"), quality)))
    group = build(*exchanges)
    counts = [(one.rows, one.rows_rejected) for entry in group.entries for one in entry.accepted]
    assert counts == [(flags.count(False), flags.count(True)) for flags in bad]
    quarantined = [
        (row["sequence"], row["row"])
        for section in sections(group)
        if section.data_set == "quarantine"
        for row in section.rows.to_pylist()
    ]
    expected = [(number, row) for number, flags in enumerate(bad, 1) for row, flag in enumerate(flags) if flag]
    assert sorted(quarantined) == expected


def test_rows_that_the_sender_rejected_are_kept_too() -> None:
    """Method: a quarantine stream beside an exchange without rows."""
    sink = pa.BufferOutputStream()
    sent = pa.record_batch(
        {"row": pa.array([17], pa.int64()), "reason": ["no date"], "content": ["{}"]},
    )
    with pa.ipc.new_stream(sink, sent.schema) as writer:
        writer.write_batch(sent)
    group = build(exchange(1, batch(1).slice(0, 0), quarantine=sink.getvalue().to_pybytes()))
    quarantine, ledger = sections(group)
    assert quarantine.rows.to_pylist() == [
        {"producer": "p", "sequence": 1, "data_set": "readings", "row": 17, "reason": "no date", "content": "{}"}
    ]
    assert ledger.rows.column("rows_rejected").to_pylist() == [1]


def test_entries_keep_to_their_size_and_no_exchange_is_split() -> None:
    """Method: ten exchanges of about 2 KiB into entries of 5 KiB, and one that is larger than an entry."""
    group = build(*(exchange(n, batch(100, n)) for n in range(1, 11)), entry_bytes_max=5 << 10)
    assert [len(entry.accepted) for entry in group.entries] == [2, 2, 2, 2, 2]
    (large,) = build(exchange(1, batch(5000)), entry_bytes_max=5 << 10).entries
    assert len(large.accepted) == 1


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (exchange(2, batch(1), data_set="nothing"), UnknownDataSetError),
        (exchange(2, batch(1), data_set="incidents"), ExchangeError),
        (exchange(2, batch(1), data_set="quarantine"), ExchangeError),
        (exchange(2, batch(1), version=2), ContractError),
        (exchange(2, batch(1), operation=Operation.UPSERT), ExchangeError),
        (exchange(0, batch(1)), ExchangeError),
        (exchange(2**63, batch(1)), ExchangeError),
        (exchange(2, batch(1), quarantine=b"x"), ExchangeError),
    ],
    ids=["unknown", "other log", "hub's own", "version", "operation", "sequence 0", "huge sequence", "quarantine"],
)
def test_what_cannot_be_taken_is_refused_alone(bad: Exchange, kind: type[Exception]) -> None:
    """Method: the bad one between two good ones."""
    group = build(exchange(1, batch(3)), bad, exchange(3, batch(3)))
    ((refused, error),) = group.refused
    assert refused is bad
    assert isinstance(error, kind)
    assert [one.exchange.sequence for entry in group.entries for one in entry.accepted] == [1, 3]


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_input_is_refused(codec: str) -> None:
    """Goal: a few megabytes that unpack to gigabytes do no harm. Method: a compressed stream of zeros."""
    zeros = pa.record_batch({"sensor_id": pa.array([0] * 100_000, pa.int32())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, zeros.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_batch(zeros)
    one = exchange(1, batch(1))
    one.payload, one.bare = sink.getvalue().to_pybytes(), False
    ((_, error),) = build(one).refused
    assert "compressed" in str(error)
