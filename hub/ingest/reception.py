"""Takes a bulk exchange in, from its first batch to its receipt: contract and leadership, its turn, segments, the log.

    begin → add, add … → finish
                       → end, whatever became of it

An exchange from which nothing comes for a minute is ended, and its turn is somebody else's.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import pyarrow as pa

from hub.catalogue.contract import Contract, Kind
from hub.errors import ExchangeError
from hub.ingest.admission import Admission
from hub.ingest.bulk import BulkIntake, Segmenter
from hub.ingest.exchange import Exchange, Receipt
from hub.ingest.in_force import contract_in_force
from hub.ingest.sections import Operation

_IDLE_S_MAX: Final = 60.0


class Reception:
    """`admissions` is keyed by log. Exchanges beyond what the segmenter takes at a time wait their turn."""

    def __init__(
        self,
        admissions: Mapping[str, Admission],
        contracts: Callable[[], Mapping[str, Contract]],
        segmenter: Segmenter,
    ) -> None:
        self._admissions = admissions
        self._contracts = contracts
        self._segmenter = segmenter

    async def begin(
        self, *, producer: str, sequence: int, data_set: str, contract_version: int | None = None
    ) -> "Receiving":
        """Raises HubError when the exchange cannot be taken here. `contract_version` None stands for the one in
        force."""
        contract = await self.contract(data_set, contract_version)
        if contract.kind is not Kind.EVENT or contract.watched:
            raise ExchangeError(f"data set {contract.name!r} takes no bulk exchanges", hint="send small ones")
        receiving = Receiving(self.admission_of(contract), self._segmenter, contract, producer, sequence)
        await receiving.begin()
        return receiving

    def admission_of(self, contract: Contract) -> Admission:
        """Raises HubError when nothing can be taken here."""
        admission = self._admissions.get(contract.home)
        if admission is None:
            raise ExchangeError(f"data set {contract.name!r} is written by the hub itself")
        if error := admission.refuse_now():
            raise error
        return admission

    async def small(self, contract: Contract, rows: pa.RecordBatch, *, producer: str, sequence: int) -> Receipt:
        """Rows of a registry, or of a watched data set, as a small exchange. Raises HubError."""
        admission = self.admission_of(contract)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_batch(rows)
        return await _submitted(
            admission,
            producer=producer,
            sequence=sequence,
            data_set=contract.name,
            operation=Operation.UPSERT if contract.kind is Kind.REGISTRY else Operation.APPEND,
            payload=sink.getvalue().to_pybytes(),
            bare=False,
            contract_version=contract.version,
            quarantine=b"",
        )

    async def contract(self, data_set: str, version: int | None = None) -> Contract:
        """As `contract_in_force`."""
        return await contract_in_force(data_set, self._contracts, self._admissions.values(), version=version)


class Receiving:
    """One exchange under way; made by `Reception.begin`."""

    def __init__(
        self, admission: Admission, segmenter: Segmenter, contract: Contract, producer: str, sequence: int
    ) -> None:
        self._admission = admission
        self._segmenter = segmenter
        self._contract = contract
        self._key = producer, sequence
        self._intake: BulkIntake | None = None
        self._stack = AsyncExitStack()
        self._idle: asyncio.TimerHandle | None = None
        self._ended = False

    async def begin(self) -> None:
        """An exchange that is known already needs no turn: its rows are passed over."""
        if self._admission.knows(self._key):
            return
        await self._stack.enter_async_context(self._segmenter.turn())
        producer, sequence = self._key
        self._intake = BulkIntake(self._segmenter, self._contract, producer=producer, sequence=sequence)
        self._stack.push_async_callback(self._intake.cancel)
        self._watch()

    async def add(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Returns when there is room for more. Raises HubError."""
        self._still()
        if self._intake is not None:
            await self._intake.add(batches)
            self._watch()

    async def finish(self) -> Receipt:
        """Returns when all rows are on disk in every in-sync centre. Raises HubError."""
        self._still()
        segments, quarantine = await self._intake.finish() if self._intake is not None else ((), b"")
        await self.end()
        producer, sequence = self._key
        return await _submitted(
            self._admission,
            producer=producer,
            sequence=sequence,
            data_set=self._contract.name,
            operation=Operation.APPEND,
            payload=b"",
            bare=False,
            contract_version=self._contract.version,
            quarantine=quarantine,
            segments=segments,
        )

    async def end(self) -> None:
        """Gives its turn back; may be called again."""
        self._ended = True
        if self._idle is not None:
            self._idle.cancel()
        await self._stack.aclose()

    def _still(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._ended:
            raise ExchangeError(f"nothing came for {_IDLE_S_MAX:g} s", hint="send it again with the same sequence")

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(_IDLE_S_MAX, lambda: loop.create_task(self.end()))


async def _submitted(admission: Admission, **exchange: Any) -> Receipt:
    """Its receipt. Raises HubError."""
    receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    admission.submit(Exchange(**exchange, reply=lambda one: None if receipt.done() else receipt.set_result(one)))
    answer = await receipt
    if answer.error is not None:
        raise answer.error
    return answer
