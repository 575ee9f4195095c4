"""OperationsService: status, marks and digests, who leads, and changes of roles."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Protocol

import grpc

from hub.errors import BadRequestError, HubError
from hub.mode import ModeName
from hub.rpc.v1 import operations_pb2 as pb
from hub.rpc.v1 import operations_pb2_grpc as pb_grpc
from hub.service.aborting import abort
from hub.status import CentreStatus, Digest, FailoverPreview, Leadership, RoleChange, Step

Context = grpc.aio.ServicerContext


class Operations(Protocol):
    """What the service needs of a centre."""

    def status(self) -> CentreStatus: ...

    async def mark(self, log: str) -> int: ...

    async def digests(self, log: str, lsn: int) -> list[Digest]: ...

    @property
    def flight_address(self) -> str: ...

    def leaders(self) -> AsyncIterator[list[Leadership]]:
        """Now, and after every change."""

    async def proved_lsn(self, log: str) -> int: ...

    async def set_mode(self, name: ModeName, reason: str, asked_by: str) -> tuple[int, bool]:
        """Lsn of the entry and whether anything changed; it is applied here on return."""


class RoleChanges(Protocol):
    """What the service needs to change roles; see `hub.roles`."""

    def switchover(self, log: str, to: str) -> AsyncIterator[Step]: ...

    def failover(self, log: str, to: str, *, allow_data_loss: bool) -> AsyncIterator[Step]: ...

    async def preview_failover(self, log: str, to: str) -> FailoverPreview: ...

    async def history(self) -> list[RoleChange]: ...

    async def set_maintenance(self, *, on: bool) -> bool: ...

    def rebuild_witness(self, theirs: list[RoleChange], generation: int) -> AsyncIterator[Step]: ...


class OperationsServicer(pb_grpc.OperationsServiceServicer):
    def __init__(self, operations: Operations, roles: RoleChanges) -> None:
        self._operations = operations
        self._roles = roles

    async def Status(self, request: pb.StatusRequest, context: object) -> pb.StatusReply:  # noqa: N802
        return _status_to_pb(self._operations.status())

    async def Mark(self, request: pb.MarkRequest, context: "Context[Any, Any]") -> pb.MarkReply:  # noqa: N802
        try:
            return pb.MarkReply(lsn=await self._operations.mark(request.log))
        except HubError as error:
            await abort(context, error)

    async def Digests(  # noqa: N802
        self, request: pb.DigestsRequest, context: "Context[Any, Any]"
    ) -> pb.DigestsReply:
        try:
            digests = await self._operations.digests(request.log, request.lsn)
        except HubError as error:
            await abort(context, error)
        return pb.DigestsReply(
            digests=[pb.Digest(data_set=one.data_set, rows=one.rows, digest=one.digest) for one in digests]
        )

    async def WatchLeaders(  # noqa: N802
        self, request: pb.WatchLeadersRequest, context: object
    ) -> AsyncIterator[pb.LeadersReply]:
        async for leaders in self._operations.leaders():
            logs = [pb.Leadership(**asdict(one)) for one in leaders]
            yield pb.LeadersReply(logs=logs, flight=self._operations.flight_address)

    async def ProvedLsn(  # noqa: N802
        self, request: pb.ProvedLsnRequest, context: "Context[Any, Any]"
    ) -> pb.ProvedLsnReply:
        try:
            return pb.ProvedLsnReply(lsn=await self._operations.proved_lsn(request.log))
        except HubError as error:
            await abort(context, error)

    async def Switchover(  # noqa: N802
        self, request: pb.SwitchoverRequest, context: "Context[Any, Any]"
    ) -> AsyncIterator[pb.Step]:
        async for step in _told(context, self._roles.switchover(request.log, request.to)):
            yield step

    async def Failover(  # noqa: N802
        self, request: pb.FailoverRequest, context: "Context[Any, Any]"
    ) -> AsyncIterator[pb.Step]:
        steps = self._roles.failover(request.log, request.to, allow_data_loss=request.allow_data_loss)
        async for step in _told(context, steps):
            yield step

    async def PreviewFailover(  # noqa: N802
        self, request: pb.PreviewFailoverRequest, context: "Context[Any, Any]"
    ) -> pb.PreviewFailoverReply:
        try:
            preview = await self._roles.preview_failover(request.log, request.to)
        except HubError as error:
            await abort(context, error)
        return pb.PreviewFailoverReply(**asdict(preview))

    async def History(self, request: pb.HistoryRequest, context: "Context[Any, Any]") -> pb.HistoryReply:  # noqa: N802
        try:
            changes = await self._roles.history()
        except HubError as error:
            await abort(context, error)
        return pb.HistoryReply(changes=[pb.RoleChange(**change.model_dump()) for change in changes])

    async def SetMaintenance(  # noqa: N802
        self, request: pb.SetMaintenanceRequest, context: "Context[Any, Any]"
    ) -> pb.SetMaintenanceReply:
        try:
            return pb.SetMaintenanceReply(on=await self._roles.set_maintenance(on=request.on))
        except HubError as error:
            await abort(context, error)

    async def SetMode(self, request: pb.SetModeRequest, context: "Context[Any, Any]") -> pb.SetModeReply:  # noqa: N802
        try:
            lsn, changed = await self._operations.set_mode(_mode_name(request.mode), request.reason, request.asked_by)
        except HubError as error:
            await abort(context, error)
        return pb.SetModeReply(lsn=lsn, changed=changed)

    async def RebuildWitness(  # noqa: N802
        self, request: pb.RebuildWitnessRequest, context: "Context[Any, Any]"
    ) -> AsyncIterator[pb.Step]:
        theirs = [
            RoleChange(log=one.log, version=one.version, epoch=one.epoch, leader=one.leader, in_sync=list(one.in_sync))
            for one in request.configurations
        ]
        async for step in _told(context, self._roles.rebuild_witness(theirs, request.generation)):
            yield step


async def _told(context: "Context[Any, Any]", steps: AsyncIterator[Step]) -> AsyncIterator[pb.Step]:
    try:
        async for step in steps:
            yield pb.Step(**asdict(step))
    except HubError as error:
        await abort(context, error)


def _mode_name(name: str) -> ModeName:
    try:
        return ModeName(name)
    except ValueError:
        raise BadRequestError(f"there is no mode {name!r}", hint=f"one of {', '.join(ModeName)}") from None


def _status_to_pb(status: CentreStatus) -> pb.StatusReply:
    """Field names are the same on both sides."""
    facts = status.model_dump()
    logs, store, witness = (facts.pop(name) for name in ("logs", "store", "witness"))
    return pb.StatusReply(
        **facts,
        logs=[pb.LogStatus(**log) for log in logs],
        store=pb.StoreStatus(**store),
        witness=pb.WitnessStatus(**witness),
    )
