"""A centre's end of the witness: the witness port over gRPC, and the stream that tells both how the other is.

Each view goes, when the witness is trusted (`replication.witness_trust`), to every observer at once. Which witness the
centre knows is durable before anything that it says is passed on. Nothing is suspected here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import grpc
import structlog

from replication import witness_identity_file
from replication.cancellation import raise_if_cancelled
from replication.core.types import Configuration
from replication.errors import WitnessLostError, WitnessRefusedError
from replication.limits import ReplicationLimits
from replication.observation import Beat, Change, LogReport, PeerReport, View, WitnessIdentity
from replication.ports import Clock
from replication.rpc.v1 import witness_pb2 as pb
from replication.rpc.v1 import witness_pb2_grpc as pb_grpc
from replication.wire import configuration_from_pb, configuration_to_pb
from replication.witness_trust import objection, outdated
from replication.witness_wire import beat_to_pb, change_from_pb, identity_to_pb, view_from_pb

CHANNEL_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
)
_RECONNECT_MIN_S: Final = 0.05
_RECONNECT_MAX_S: Final = 0.5
_CONNECTION_ERRORS: Final = (
    grpc.aio.AioRpcError,
    grpc.aio.UsageError,
    asyncio.InvalidStateError,
    ConnectionError,
    TimeoutError,
)
_HISTORY_S_MAX: Final = 10.0
Reply = TypeVar("Reply")


class Observer(Protocol):
    """Who is told: a driver."""

    def observe(self, view: View) -> None: ...

    def witness_lost(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessStatus:
    """The witness as this centre sees it now.

    `seen`: its stream is open and it is trusted; else `problem` says why not. `identity` is the witness that this
    centre knows, `last_view_ms_ago` is None before any view came.
    """

    address: str
    seen: bool
    identity: WitnessIdentity | None
    maintenance: bool
    last_view_ms_ago: int | None
    problem: str


class WitnessLink:
    """Implements `replication.ports.Witness`. Made and used in one event loop.

    `address` is where this centre serves, `report` gives its logs as they are, `observers` are keyed by log and may be
    added later. Raises WitnessDamagedError or OSError when the file at `identity_path` cannot be read.
    """

    def __init__(
        self,
        *,
        centre: str,
        address: str,
        witness_address: str,
        channel: grpc.aio.Channel,
        identity_path: Path,
        report: Callable[[], tuple[LogReport, ...]],
        observers: Mapping[str, Observer],
        clock: Clock,
        limits: ReplicationLimits,
    ) -> None:
        self._centre = centre
        self._address = address
        self._witness_address = witness_address
        self._stub = pb_grpc.WitnessServiceStub(channel)
        self._identity_path = identity_path
        self._identity = witness_identity_file.load(identity_path)
        self._report = report
        self._observers = observers
        self._clock = clock
        self._beat_s = limits.heartbeat_ms / 1000
        self._view_s_max = limits.suspect_after_ms / 1000
        self._call_s_max = limits.witness_call_ms_max / 1000
        self._beat_wanted = asyncio.Event()
        self._view: View | None = None
        self._view_at_s = 0.0
        self._trusted = asyncio.Event()
        self._problem = "it has not been reached yet"
        self._objection = ""
        self._logger = structlog.get_logger().bind(centre=centre, witness=witness_address)

    @property
    def status(self) -> WitnessStatus:
        ago_s = self._clock.now_s() - self._view_at_s
        return WitnessStatus(
            address=self._witness_address,
            seen=not self._problem,
            identity=self._identity,
            maintenance=self._view is not None and self._view.maintenance,
            last_view_ms_ago=None if self._view is None else max(0, int(ago_s * 1000)),
            problem=self._problem,
        )

    @property
    def peer(self) -> PeerReport | None:
        """The other centre in the newest view; None when that is not trusted or the witness is not seen."""
        return None if self._problem or self._view is None else self._view.peer

    def beat_now(self) -> None:
        """Tells the witness at once, as after a change of configuration."""
        self._beat_wanted.set()

    async def look(self) -> View:
        """What the witness says, trusted or not. Raises WitnessLostError or WitnessRefusedError."""
        return view_from_pb(await self._ask(self._stub.Read, pb.ReadRequest(centre=self._centre)))

    async def trusted_view(self) -> View:
        """Waits for the first view that is trusted; `run` must be running."""
        await self._trusted.wait()
        assert self._view is not None, "trusted is what was viewed"
        return self._view

    # --- The port -----------------------------------------------------------------------------------------------

    async def configuration(self, log: str) -> Configuration:
        own = self._own()
        try:
            view = view_from_pb(await self._ask(self._stub.Read, pb.ReadRequest(centre=self._centre)))
        except WitnessRefusedError as error:
            raise self._lost(error.reason) from error
        self._trust(view, own)
        standing = dict(view.standings).get(log)
        if self._objection or standing is None:
            raise self._lost(self._objection or f"it knows no log {log}")
        return standing

    async def compare_and_swap(self, log: str, configuration: Configuration, reason: str) -> Configuration:
        if self._objection or self._identity is None:
            raise self._lost(self._objection or self._problem)
        own = self._own()
        request = pb.CompareAndSwapRequest(
            log=log,
            configuration=configuration_to_pb(configuration),
            identity=identity_to_pb(self._identity),
            centre=self._centre,
            reason=reason,
        )
        try:
            reply = await self._ask(self._stub.CompareAndSwap, request)
        except WitnessRefusedError as error:
            raise self._lost(error.reason) from error
        standing = configuration_from_pb(reply.configuration)
        if log in own and (complaint := outdated(log, standing, own[log])):
            self._object(f"refused: {complaint}")
            raise self._lost(self._objection)
        return standing

    # --- For operators ------------------------------------------------------------------------------------------

    async def set_maintenance(self, *, on: bool) -> View:
        """Raises WitnessLostError or WitnessRefusedError."""
        return view_from_pb(await self._ask(self._stub.SetMaintenance, pb.SetMaintenanceRequest(on=on)))

    async def rebuild(self, standings: Mapping[str, Configuration], generation: int) -> View:
        """Gives the witness the newest configuration of each log, and a generation above `generation`, the highest
        that any centre knows. Raises WitnessLostError or WitnessRefusedError."""
        request = pb.RebuildRequest(
            standings=[
                pb.StandingOfLog(log=log, configuration=configuration_to_pb(standing))
                for log, standing in sorted(standings.items())
            ],
            generation=generation,
        )
        return view_from_pb(await self._ask(self._stub.Rebuild, request))

    async def history(self) -> tuple[Change, ...]:
        """Oldest first. Raises WitnessLostError or WitnessRefusedError."""
        reply = await self._ask(self._stub.History, pb.HistoryRequest(), seconds_max=_HISTORY_S_MAX)
        return tuple(change_from_pb(change) for change in reply.changes)

    async def _ask(
        self, method: Callable[..., Awaitable[Any]], request: object, *, seconds_max: float | None = None
    ) -> Any:
        try:
            return await method(request, timeout=seconds_max or self._call_s_max)
        except grpc.aio.AioRpcError as error:
            raise_if_cancelled()
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                raise WitnessRefusedError(error.details() or "") from None
            raise self._lost(_said(error)) from None
        except _CONNECTION_ERRORS as error:
            raise self._lost(_said(error)) from error

    def _lost(self, reason: str) -> WitnessLostError:
        return WitnessLostError(self._witness_address, reason)

    # --- The stream ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keeps the stream open until cancelled."""
        wait_s = _RECONNECT_MIN_S
        while True:
            before_s = self._view_at_s
            try:
                await self._converse()
            except _CONNECTION_ERRORS as error:
                raise_if_cancelled()
                self._set_problem(f"it is not reached: {_said(error)}")
            wait_s = _RECONNECT_MIN_S if self._view_at_s != before_s else min(2 * wait_s, _RECONNECT_MAX_S)
            await self._clock.sleep(wait_s)

    async def _converse(self) -> None:
        call = self._stub.Observe()
        own = self._own()  # Every view on this stream answers a beat that is sent from here on.
        sending = asyncio.create_task(self._send(call))
        try:
            while True:
                async with asyncio.timeout(self._view_s_max):
                    message = await call.read()
                if not isinstance(message, pb.View):
                    raise ConnectionError("it ended the stream")
                self._take(view_from_pb(message), own)
        finally:
            sending.cancel()
            call.cancel()

    async def _send(self, call: "grpc.aio.StreamStreamCall[pb.Beat, pb.View]") -> None:
        with suppress(*_CONNECTION_ERRORS):  # Who reads sees the same end of the stream.
            while True:
                self._beat_wanted.clear()
                await call.write(
                    beat_to_pb(
                        Beat(centre=self._centre, address=self._address, identity=self._identity, logs=self._report())
                    )
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._beat_s):
                        await self._beat_wanted.wait()

    def _take(self, view: View, own: Mapping[str, Configuration]) -> None:
        self._view, self._view_at_s = view, self._clock.now_s()
        self._trust(view, own)
        self._set_problem(self._objection)
        if not self._problem:
            self._trusted.set()
            for observer in self._observers.values():
                observer.observe(view)

    # --- Trust --------------------------------------------------------------------------------------------------

    def _own(self) -> dict[str, Configuration]:
        return {report.log: report.configuration for report in self._report()}

    def _trust(self, view: View, own: Mapping[str, Configuration]) -> None:
        """Sets the objection to the witness, or clears it and adopts the witness's identity."""
        complaint = objection(view, known=self._identity, own=own)
        if not complaint and view.identity is not None and view.identity != self._identity:
            try:  # Blocks for an fsync: the witness changes rarely, and nothing that it says may overtake it.
                witness_identity_file.save(self._identity_path, view.identity)
            except OSError as error:
                complaint = f"refused: its identity cannot be saved here: {error}"
            else:
                self._logger.info("witness adopted", id=view.identity.id, generation=view.identity.generation)
                self._identity = view.identity
                self.beat_now()
        self._object(complaint)

    def _object(self, complaint: str) -> None:
        self._objection = complaint
        if complaint:
            self._set_problem(complaint)

    def _set_problem(self, problem: str) -> None:
        """Tells the observers once when the witness is lost, and the log whenever something changes."""
        before, self._problem = self._problem, problem
        if problem == before:
            return
        if not problem:
            self._logger.info("witness seen")
            return
        self._logger.warning("witness not seen", problem=problem)
        if not before:
            for observer in self._observers.values():
                observer.witness_lost()


def _said(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name.lower().replace('_', ' ')}: {error.details() or 'no details'}"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return str(error).partition("\n")[0] or type(error).__name__
