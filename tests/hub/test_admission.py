"""The door of a log.

Goal: every exchange gets exactly one receipt; an accepted one is recognised whenever it comes again; waiting is
bounded; a full disk closes the door and nothing else.
Method: a real driver pair in one event loop, with the store replaced by what the entries say.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.catalogue.load import builtin_contracts
from hub.config import IngestLimits
from hub.errors import ContractError, LimitError, NotLeaderError, UnavailableError, UnknownDataSetError
from hub.ingest.admission import Admission
from hub.ingest.exchange import Exchange, Receipt
from hub.ingest.in_force import contract_in_force
from hub.ingest.producers import Sequences
from hub.ingest.sections import Operation, decode_sections
from replication.limits import ReplicationLimits
from simulator.city.readings import readings, sensors
from simulator.world.drivers import Centre, cut, join

PAYLOAD = next(readings(10, 1, sensors=sensors(10, 1), batch_rows=10)).serialize().to_pybytes()


class Door:
    """An admission over a pair, and the receipts it gave."""

    def __init__(self, folder: Path, **limits: int) -> None:
        replication = ReplicationLimits(heartbeat_ms=10, apply_interval_ms=1)
        self.ops = Centre("ops", folder / "ops", replication)
        self.ecc = Centre("ecc", folder / "ecc", replication)
        self.limits = IngestLimits(write_wait_ms_max=limits.pop("write_wait_ms_max", 5000), **limits)
        self.free_bytes = 1 << 40
        self.contracts = builtin_contracts()

    @asynccontextmanager
    async def open(self, *, at: str = "ops", joined: bool = True) -> AsyncIterator["Door"]:
        async with self.ops.running(), self.ecc.running():
            if joined:
                join(self.ops, self.ecc)
            self.admission = Admission(
                (self.ops if at == "ops" else self.ecc).driver,
                contracts=lambda: self.contracts,
                outcomes=self._outcomes,
                accepted=self._accepted,
                limits=self.limits,
                disk_free_bytes=lambda: self.free_bytes,
                address_of=lambda centre: f"{centre}:1",
                claim=lambda lsn, ids: True,
            )
            running = asyncio.create_task(self.admission.run())
            try:
                yield self
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _accepted(self) -> Sequences:
        return Sequences()

    def _outcomes(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], Receipt]:
        """From the entries that were applied; the first of them begins the epoch."""
        found = {}
        for lsn, payload in enumerate(self.ops.applied[1:], 2):
            ledger = decode_sections(payload)[-1].rows.to_pylist()
            for row in ledger:
                receipt = Receipt(sequence=row["sequence"], log="ops", lsn=lsn, rows=row["rows"], duplicate=True)
                found[row["producer"], row["sequence"]] = receipt
        return {key: found[key] for key in keys}

    async def send(self, sequence: int, payload: bytes = PAYLOAD) -> Receipt:
        answered: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        exchange = Exchange(
            producer="p",
            sequence=sequence,
            data_set="readings",
            operation=Operation.APPEND,
            payload=payload,
            bare=True,
            contract_version=1,
            quarantine=b"",
            reply=answered.set_result,  # A second answer would raise.
        )
        self.admission.submit(exchange)
        return await asyncio.wait_for(answered, 20)


def test_many_at_once_get_one_receipt_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open() as door:
            receipts = await asyncio.gather(*(door.send(number) for number in range(1, 301)))
            assert [receipt.sequence for receipt in receipts] == list(range(1, 301))
            assert all(receipt.error is None and receipt.rows == 10 for receipt in receipts)
            assert door.admission.rows_accepted == 3000
            assert door.admission.waiting == 0

    asyncio.run(scenario())


def test_sent_again_while_under_way_and_after(tmp_path: Path) -> None:
    """Method: the same sequence three times at once, then once more."""

    async def scenario() -> None:
        async with Door(tmp_path).open() as door:
            first, *again = await asyncio.gather(*(door.send(7) for _ in range(3)))
            assert [one.duplicate for one in (first, *again)] == [False, True, True]
            assert {one.lsn for one in (first, *again)} == {first.lsn}
            later = await door.send(7)
            assert later.duplicate
            assert later.lsn == first.lsn
            assert len(door.ops.applied) == 2

    asyncio.run(scenario())


def test_waiting_for_the_peer_is_bounded_and_resolves(tmp_path: Path) -> None:
    """Goal: an unanswered write ends in a retryable error of unknown effect; sent again, it gets its one outcome."""

    async def scenario() -> None:
        async with Door(tmp_path, write_wait_ms_max=200).open() as door:
            cut(door.ops, door.ecc)
            receipt = await door.send(1)
            assert isinstance(receipt.error, UnavailableError)
            assert not receipt.error.definite
            assert "ecc" in receipt.error.message
            queued = await door.send(2)
            assert isinstance(queued.error, UnavailableError)
            join(door.ops, door.ecc)
            again = await door.send(1)
            assert again.error is None
            assert again.duplicate

    asyncio.run(scenario())


def test_standby_names_the_leader(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(at="ecc") as door:
            receipt = await door.send(1)
            assert isinstance(receipt.error, NotLeaderError)
            assert (receipt.error.leader, receipt.error.address) == ("ops", "ops:1")

    asyncio.run(scenario())


def test_what_the_log_holds_and_the_store_does_not_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """Goal: a sender is told that its data set does not exist only by a centre that would know. Method: a leader starts
    over with an empty store, and its log cannot be applied before the peer is there; then a centre whose disk was lost.
    """

    async def scenario() -> None:
        door = Door(tmp_path)
        async with door.open():
            assert (await door.send(1)).error is None
        door.ops.applied, door.contracts = [], {}
        async with door.open(joined=False):
            early = (await door.send(2)).error
            assert isinstance(early, UnavailableError)
            assert early.definite
            known = asyncio.create_task(contract_in_force("readings", lambda: door.contracts, [door.admission]))
            unknown = asyncio.create_task(contract_in_force("nothing", lambda: door.contracts, [door.admission]))
            await asyncio.sleep(0)
            door.contracts = builtin_contracts()
            join(door.ops, door.ecc)
            assert (await known).name == "readings"
            with pytest.raises(UnknownDataSetError):
                await unknown
            with pytest.raises(ContractError):
                await contract_in_force("readings", lambda: door.contracts, [door.admission], version=7)
            assert (await door.send(2)).error is None
        door.ecc.blank = True
        async with door.open(at="ecc"):
            with pytest.raises(UnavailableError):
                await contract_in_force("nothing", lambda: door.contracts, [door.admission])

    asyncio.run(scenario())


def test_full_disk_closes_the_door_until_there_is_room(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open() as door:
            door.free_bytes = 1 << 20
            refused = await door.send(1)
            assert isinstance(refused.error, UnavailableError)
            assert refused.error.definite
            assert "free" in refused.error.message
            door.free_bytes = 1 << 40
            assert (await door.send(1)).error is None

    asyncio.run(scenario())


def test_too_large_an_exchange_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path, exchange_bytes_max=100).open() as door:
            assert isinstance((await door.send(1)).error, LimitError)

    asyncio.run(scenario())
