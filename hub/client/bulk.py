"""Sends bulk exchanges: rows of one data set by the million, which become segments.

Each exchange is a call of its own to the leader of the data set's log. Until it has its outcome it is sent again, with
the same sequence, to whoever leads by then.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
import pyarrow as pa
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from hub.catalogue.contract import Contract
from hub.client.leaders import Leaders
from hub.client.producer import receipt_of
from hub.errors import NotLeaderError, UnavailableError
from hub.ingest.exchange import Receipt
from hub.rpc.v1 import bulk_pb2 as pb
from hub.rpc.v1 import bulk_pb2_grpc as pb_grpc
from hub.wire import error_of_call
from replication.cancellation import raise_if_cancelled

_CHUNK_BYTES: Final = 1 << 20
_PAUSE_MIN_S: Final = 0.02
_PAUSE_MAX_S: Final = 1.0

Rows: TypeAlias = pa.Table | Path
"""Rows in exactly the contract's schema, or a Parquet file with its columns."""


class AsyncBulk:
    """Made by `AsyncHubClient.bulk`. Any number of `send` may be under way; beyond `in_flight_max` they wait."""

    def __init__(
        self,
        name: str,
        *,
        leaders: Leaders,
        stub_of: Callable[[str], pb_grpc.BulkServiceStub],
        in_flight_max: int,
        patience_s: float,
    ) -> None:
        self.name = name
        self._leaders = leaders
        self._stub_of = stub_of
        self._room = asyncio.Semaphore(in_flight_max)
        self._patience_s = patience_s

    async def send(self, contract: Contract, rows: Rows, *, sequence: int) -> Receipt:
        """Returns when the rows are on disk in every in-sync centre.

        `sequence` is unique for this producer and log; one that was accepted is answered with its first receipt. Raises
        HubError; UnavailableError once no attempt went well for `patience_s`.
        """
        header = pb.LoadHeader(
            producer=self.name, sequence=sequence, data_set=contract.name, contract_version=contract.version
        )
        async with self._room:
            self._leaders.watch()
            centre = self._leaders.leader_of(contract.home)
            async for attempt in AsyncRetrying(
                wait=wait_random_exponential(_PAUSE_MIN_S, _PAUSE_MAX_S),
                stop=stop_after_delay(self._patience_s),
                retry=retry_if_exception_type((UnavailableError, NotLeaderError)),
                reraise=True,
            ):
                with attempt:
                    try:
                        return await self._load(centre, header, rows)
                    except (UnavailableError, NotLeaderError):
                        centre = self._leaders.leader_of(contract.home, after=centre)
                        raise
        raise AssertionError("the last attempt returns or raises")

    async def _load(self, centre: str, header: pb.LoadHeader, rows: Rows) -> Receipt:
        call: Any = self._stub_of(centre).Load(_requests(header, rows))
        try:
            reply = await call
        except asyncio.CancelledError:
            raise_if_cancelled()
            raise UnavailableError(f"{centre} ended the call", definite=False) from None
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, centre) from error
        finally:
            call.cancel()
        return receipt_of(reply.receipt)


async def _requests(header: pb.LoadHeader, rows: Rows) -> AsyncIterator[pb.LoadRequest]:
    yield pb.LoadRequest(header=header)
    if isinstance(rows, Path):
        with rows.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                yield pb.LoadRequest(parquet=piece)
    else:
        rows_a_chunk = max(1, _CHUNK_BYTES * rows.num_rows // max(1, rows.nbytes))
        for batch in rows.to_batches(rows_a_chunk):
            yield pb.LoadRequest(batch=memoryview(batch.serialize()).tobytes())
