"""Changes of roles as a client asks for them: each call finds the centre that must carry it out.

A switchover is asked of the log's leader, a failover of the centre that is to lead, the rest of whichever answers.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

import grpc

from hub.client.leaders import Leaders
from hub.errors import HubError, NotLeaderError, UnavailableError
from hub.rpc.v1 import operations_pb2 as pb
from hub.rpc.v1 import operations_pb2_grpc as pb_grpc
from hub.status import CentreStatus, FailoverPreview, RoleChange, Step
from hub.wire import error_of_call

_CALL_S_MAX: Final = 15.0
_STEPS_S_MAX: Final = 30.0
_ASKED_MAX: Final = 6
_PAUSE_S: Final = 0.05


class _StubOf(Protocol):
    def __call__(self, centre: str) -> pb_grpc.OperationsServiceStub: ...


class _Statuses(Protocol):
    def __call__(self) -> Awaitable[Mapping[str, CentreStatus | HubError]]: ...


class RoleCalls:
    """Made in the event loop that uses it."""

    def __init__(self, centres: Sequence[str], leaders: Leaders, stub_of: _StubOf, statuses: _Statuses) -> None:
        self._centres = tuple(centres)
        self._leaders = leaders
        self._stub_of = stub_of
        self._statuses = statuses

    async def switchover(self, log: str, to: str) -> AsyncIterator[Step]:
        """Raises HubError before the first step when nothing was begun; later, when the outcome is unknown."""
        request = pb.SwitchoverRequest(log=log, to=to)
        centre = self._leaders.leader_of(log)
        away: dict[str, HubError] = {}
        for asked in range(1, _ASKED_MAX + 1):
            begun = False
            try:
                call = self._stub_of(centre).Switchover(request, timeout=_STEPS_S_MAX)
                async with aclosing(_told(centre, call)) as steps:
                    async for step in steps:
                        begun = True
                        yield step
                return
            except NotLeaderError as error:
                if begun or asked == _ASKED_MAX:
                    raise
                if error.leader in away:
                    raise away[error.leader] from error
                centre = error.leader if error.leader in self._centres else self._leaders.other_than(centre)
            except UnavailableError as error:
                other = self._leaders.other_than(centre)
                if begun or error.definite or other in away or asked == _ASKED_MAX:
                    raise
                away[centre] = error
                centre = other
            await asyncio.sleep(_PAUSE_S)

    async def failover(self, log: str, to: str, *, allow_data_loss: bool) -> AsyncIterator[Step]:
        """Raises HubError as `switchover`."""
        request = pb.FailoverRequest(log=log, to=to, allow_data_loss=allow_data_loss)
        async with aclosing(_told(to, self._stub_of(to).Failover(request, timeout=_STEPS_S_MAX))) as steps:
            async for step in steps:
                yield step

    async def preview_failover(self, log: str, to: str) -> FailoverPreview:
        request = pb.PreviewFailoverRequest(log=log, to=to)
        reply = await _answer(to, self._stub_of(to).PreviewFailover(request, timeout=_CALL_S_MAX))
        return FailoverPreview(leads_already=reply.leads_already, lossless=reply.lossless, what=reply.what)

    async def history(self) -> list[RoleChange]:
        """Oldest first."""
        reply = await self._either(lambda stub: stub.History(pb.HistoryRequest(), timeout=_CALL_S_MAX))
        return [
            RoleChange(**{name: _plain(getattr(change, name)) for name in RoleChange.model_fields})
            for change in reply.changes
        ]

    async def set_maintenance(self, *, on: bool) -> bool:
        """Whether it is on now."""
        request = pb.SetMaintenanceRequest(on=on)
        return bool((await self._either(lambda stub: stub.SetMaintenance(request, timeout=_CALL_S_MAX))).on)

    async def rebuild_witness(self) -> AsyncIterator[Step]:
        """Both centres must answer: either may hold the newest configuration of a log. Raises HubError."""
        found = await self._statuses()
        statuses = [one for one in found.values() if isinstance(one, CentreStatus)]
        missing = [centre for centre, one in found.items() if not isinstance(one, CentreStatus)]
        if missing:
            raise UnavailableError(
                f"no answer from {' and '.join(missing)}, and the witness is rebuilt from both centres",
                hint="start both centres first: either may hold the newest configuration of a log",
            )
        asked, other = statuses
        if not asked.witness.seen and asked.witness.last_view_ms_ago < 0:
            asked, other = other, asked  # This one does not reach it.
        request = pb.RebuildWitnessRequest(
            configurations=[
                pb.RoleChange(
                    log=log.log,
                    version=log.configuration_version,
                    epoch=log.epoch,
                    leader=log.leader,
                    in_sync=log.in_sync,
                )
                for log in other.logs
            ],
            generation=max(one.witness.generation for one in statuses),
        )
        call = self._stub_of(asked.centre).RebuildWitness(request, timeout=_STEPS_S_MAX)
        async with aclosing(_told(asked.centre, call)) as steps:
            async for step in steps:
                yield step

    async def _either(self, call: Callable[[pb_grpc.OperationsServiceStub], Any]) -> Any:
        """The first answer; the last error when neither centre can."""
        for centre in self._centres[:-1]:
            try:
                return await _answer(centre, call(self._stub_of(centre)))
            except UnavailableError:
                continue
        return await _answer(self._centres[-1], call(self._stub_of(self._centres[-1])))


async def _answer(centre: str, call: Any) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, centre) from error


async def _told(centre: str, call: Any) -> AsyncGenerator[Step, None]:
    """The steps of a role change, through the last one."""
    done = False
    try:
        async for one in call:
            done = one.done
            yield Step(at_ms=one.at_ms, what=one.what, done=one.done, succeeded=one.succeeded)
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, centre) from error
    finally:
        call.cancel()
    if not done:
        raise UnavailableError(f"{centre} went away before the end", hint="see `cityhub status`", definite=False)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int) else list(value)
