"""OperationsService: status, marks and digests."""

from typing import Protocol

import grpc

from hub.errors import HubError
from hub.rpc.v1 import operations_pb2 as pb
from hub.rpc.v1 import operations_pb2_grpc as pb_grpc
from hub.service.aborting import abort
from hub.status import CentreStatus, Digest


class Operations(Protocol):
    """What the service needs of a centre."""

    def status(self) -> CentreStatus: ...

    async def mark(self, log: str) -> int: ...

    async def digests(self, log: str, lsn: int) -> list[Digest]: ...


class OperationsServicer(pb_grpc.OperationsServiceServicer):
    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def Status(self, request: pb.StatusRequest, context: object) -> pb.StatusReply:  # noqa: N802
        return _status_to_pb(self._operations.status())

    async def Mark(  # noqa: N802
        self, request: pb.MarkRequest, context: "grpc.aio.ServicerContext[pb.MarkRequest, pb.MarkReply]"
    ) -> pb.MarkReply:
        try:
            return pb.MarkReply(lsn=await self._operations.mark(request.log))
        except HubError as error:
            await abort(context, error)

    async def Digests(  # noqa: N802
        self, request: pb.DigestsRequest, context: "grpc.aio.ServicerContext[pb.DigestsRequest, pb.DigestsReply]"
    ) -> pb.DigestsReply:
        try:
            digests = await self._operations.digests(request.log, request.lsn)
        except HubError as error:
            await abort(context, error)
        return pb.DigestsReply(
            digests=[pb.Digest(data_set=one.data_set, rows=one.rows, digest=one.digest) for one in digests]
        )


def _status_to_pb(status: CentreStatus) -> pb.StatusReply:
    """Field names are the same on both sides."""
    facts = status.model_dump()
    return pb.StatusReply(
        **{name: value for name, value in facts.items() if name not in ("logs", "store")},
        logs=[pb.LogStatus(**log) for log in facts["logs"]],
        store=pb.StoreStatus(**facts["store"]),
    )
