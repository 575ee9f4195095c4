"""Calls to either centre, without blocking: catalogue, queries, status, marks, digests, producers, roles."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any, Final, TypedDict, TypeVar, Unpack
from uuid import uuid4

import grpc
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from hub.catalogue.contract import Contract, Title
from hub.catalogue.load import contract_from_json, contract_to_json
from hub.client.bulk import AsyncBulk
from hub.client.leaders import Leaders
from hub.client.producer import AsyncProducer
from hub.client.roles import RoleCalls
from hub.client.watch import watch_alerts, watch_contracts
from hub.errors import ConfigurationError, HubError, NotLeaderError, UnavailableError, UnknownDataSetError
from hub.position import raise_to
from hub.query.named import NamedQuery, QueryParameter
from hub.query.scheduler import QueryFacts
from hub.rpc.v1 import alert_pb2, catalogue_pb2, operations_pb2, query_pb2
from hub.rpc.v1 import catalogue_pb2_grpc as catalogue_grpc
from hub.rpc.v1 import exchange_pb2_grpc as exchange_grpc
from hub.rpc.v1 import operations_pb2_grpc as operations_grpc
from hub.rpc.v1 import query_pb2_grpc as query_grpc
from hub.rpc.v1.position_pb2 import Position
from hub.status import (
    CentreStatus,
    Digest,
    FailoverPreview,
    LogStatus,
    RoleChange,
    Step,
    StoreStatus,
    WitnessStatus,
)
from hub.wire import error_of_call
from hub.wire_values import value_of, value_to_pb
from replication.cancellation import raise_if_cancelled

Result = TypeVar("Result")
_CALL_TIMEOUT_S: Final = 30.0
_FOLLOW_S_MAX: Final = 10.0
_QUERY_FACTS: Final = tuple(one.name for one in fields(QueryFacts))
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Reading(TypedDict, total=False):
    """How to read, of any query.

    `at_least` waits until that position is applied at the centre. `strong` sees all that was acknowledged before the
    call, or raises UnavailableError with the reason. Without `centre`, the other centre is asked when one cannot
    answer. Zero and an empty `query_class` stand for what the centre has configured.
    """

    centre: str | None
    at_least: Mapping[str, int] | None
    strong: bool
    rows_max: int
    time_s_max: float
    query_class: str


class AsyncQuery:
    """An answer on its way: `position` it reflects, and the parts of its Arrow IPC stream."""

    def __init__(
        self, call: "grpc.aio.UnaryStreamCall[query_pb2.QueryRequest, query_pb2.QueryReply]", target: str
    ) -> None:
        self._call = call
        self._target = target
        self._first: bytes | None = None
        self.position: dict[str, int] = {}

    async def start(self) -> "AsyncQuery":
        """Waits for the first part."""
        reply = await self._read()
        if reply is None:
            raise UnavailableError(f"{self._target} ended the answer before it began")
        self._first = reply.ipc
        self.position = dict(reply.position.applied)
        return self

    async def part(self) -> bytes | None:
        """The next part; None at the end."""
        if self._first is not None:
            part, self._first = self._first, None
            return part
        reply = await self._read()
        return None if reply is None else reply.ipc

    def cancel(self) -> None:
        self._call.cancel()

    async def _read(self) -> query_pb2.QueryReply | None:
        try:
            reply = await self._call.read()
        except asyncio.CancelledError:
            raise_if_cancelled()
            raise UnavailableError("the query was cancelled") from None
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self._target) from error
        return reply if isinstance(reply, query_pb2.QueryReply) else None


class AsyncHubClient:
    """Both centres' gRPC addresses, keyed by centre. Where nothing else is said the first one is asked, and the other
    one when it cannot answer."""

    def __init__(self, addresses: Mapping[str, str], *, session: bool = False) -> None:
        """A `session` reads its own writes, and never an older state than it has read before, whichever centre
        answers: every query waits for `position`."""
        self.centres = tuple(addresses)
        self.position: dict[str, int] = {}
        """The highest lsn of each log that was acknowledged to this client or reflected in an answer."""
        self._session = session
        self._addresses = dict(addresses)
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._contracts: dict[str, Contract] = {}
        self._reads_from = self.centres[0]
        self._leaders = Leaders(self.centres, self._operations)
        self._roles = RoleCalls(self.centres, self._leaders, self._operations, self.statuses)

    async def __aenter__(self) -> "AsyncHubClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leaders.close()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def contracts(self, *data_sets: str, centre: str | None = None) -> dict[str, Contract]:
        """The contracts in force at a centre, by name, of these data sets or of all; kept for producers."""

        async def ask(name: str) -> Any:
            stub = catalogue_grpc.CatalogueServiceStub(self._channel(name))
            return await self._call(name, stub.List, catalogue_pb2.ListRequest(data_sets=data_sets))

        reply = await self._at_either(centre, ask)
        found = {contract.name: contract for contract in map(contract_from_json, reply.contracts)}
        for contract in found.values():  # A centre that lags must not take a newer version back.
            if (known := self._contracts.get(contract.name)) is None or known.version < contract.version:
                self._contracts[contract.name] = contract
        return found

    async def contract(self, data_set: str) -> Contract:
        """From either centre. Raises UnknownDataSetError, or UnavailableError while one that may have it is away."""
        away: UnavailableError | None = None
        for centre in self.centres:
            if data_set not in self._contracts:
                try:
                    await self.contracts(data_set, centre=centre)
                except UnavailableError as error:  # The other one may have it.
                    away = error
        if data_set not in self._contracts:
            if away is not None:
                raise away
            raise UnknownDataSetError(f"there is no data set {data_set!r}", hint="`cityhub datasets` lists them")
        return self._contracts[data_set]

    async def apply_contract(self, contract: Contract) -> tuple[int, bool]:
        """Creates or changes a data set: lsn of its entry and whether anything changed."""
        request = catalogue_pb2.ApplyRequest(contract=contract_to_json(contract))

        async def apply(centre: str) -> Any:
            return await self._call(centre, catalogue_grpc.CatalogueServiceStub(self._channel(centre)).Apply, request)

        reply = await self._at_leader(contract.home, apply)
        self._contracts[contract.name] = contract
        return reply.lsn, reply.changed

    def producer(
        self,
        name: str | None = None,
        *,
        log: str = "ops",
        window_max: int = 32,
        patience_s: float = 30.0,
        exchange_bytes_max: int = 8 << 20,
    ) -> AsyncProducer:
        """A producer of exchanges for the data sets of one log.

        `name` must be unique among producers, or the same as before where a restarted one sends again;
        `window_max` exchanges may be unanswered; without any answer for `patience_s` the producer fails. The
        contracts of the data sets must have been fetched (`contract` or `contracts`).
        """
        return AsyncProducer(
            name or f"client-{uuid4().hex}",
            log=log,
            leaders=self._leaders,
            stub_of=lambda centre: exchange_grpc.ExchangeServiceStub(self._channel(centre)),
            contract_of=self._known_contract,
            window_max=window_max,
            patience_s=patience_s,
            exchange_bytes_max=exchange_bytes_max,
            acknowledged=self._saw,
        )

    def bulk(self, name: str | None = None, *, in_flight_max: int = 4, patience_s: float = 60.0) -> AsyncBulk:
        """A producer of bulk exchanges; its name as that of `producer`. At a centre `exchanges_max` calls are served at
        a time."""
        return AsyncBulk(
            name or f"client-{uuid4().hex}",
            leaders=self._leaders,
            in_flight_max=in_flight_max,
            patience_s=patience_s,
            acknowledged=self._saw,
        )

    async def query(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = (), **how: Unpack[Reading]
    ) -> AsyncQuery:
        """Runs one read-only statement; `parameters` for its `?` by place, for its `$name` by name. Raises HubError:
        OverloadedError says when to come back."""
        request = _query_request(parameters, how)
        request.sql = sql
        return await self._ask(request, how.get("centre"))

    async def query_named(
        self, name: str, parameters: Mapping[str, object] | None = None, *, version: int = 0, **how: Unpack[Reading]
    ) -> AsyncQuery:
        """Runs a named query; version 0 stands for the newest."""
        request = _query_request(parameters or {}, how)
        request.name, request.version = name, version
        return await self._ask(request, how.get("centre"))

    async def named_queries(self, *, centre: str | None = None) -> list[NamedQuery]:
        """Every version of the named queries."""

        async def ask(name: str) -> Any:
            return await self._call(name, self._queries(name).NamedQueries, query_pb2.NamedQueriesRequest())

        return [_named_of(one) for one in (await self._at_either(centre, ask)).queries]

    async def queries(self, centre: str) -> list[QueryFacts]:
        """What waits and runs at a centre."""
        reply = await self._call(centre, self._queries(centre).ListQueries, query_pb2.ListQueriesRequest())
        return [QueryFacts(**{one: getattr(query, one) for one in _QUERY_FACTS}) for query in reply.queries]

    async def kill_query(self, centre: str, query_id: str) -> None:
        """Raises BadRequestError when there is no such query."""
        await self._call(centre, self._queries(centre).KillQuery, query_pb2.KillQueryRequest(id=query_id))

    async def set_mode(self, name: str, *, reason: str, asked_by: str = "") -> tuple[int, bool]:
        """Changes the city's mode of operation ("daily", "emergency"): lsn in log ecc, and whether it changed."""
        request = operations_pb2.SetModeRequest(mode=name, reason=reason, asked_by=asked_by)

        async def change(centre: str) -> Any:
            return await self._call(centre, self._operations(centre).SetMode, request)

        reply = await self._at_leader("ecc", change)
        return reply.lsn, reply.changed

    def watch_alerts(
        self, after: Mapping[str, int] | None = None, *, centre: str | None = None
    ) -> AsyncIterator[tuple[list[alert_pb2.Alert], dict[str, int]]]:
        """Alerts as they are acknowledged, with the position to go on after; without end, and over a failover. None
        begins now, an empty position at the beginning."""
        return watch_alerts(self._channel, self._leaders, centre or self.centres[0], after)

    def watch_contracts(
        self, after: Mapping[str, int] | None = None, *, centre: str | None = None
    ) -> AsyncIterator[tuple[list[Contract], dict[str, int]]]:
        """Contracts as they come into force; as `watch_alerts`."""
        return watch_contracts(self._channel, self._leaders, centre or self.centres[0], after)

    async def _ask(self, request: query_pb2.QueryRequest, centre: str | None) -> AsyncQuery:
        if self._session:
            at_least = dict(request.at_least.applied)
            raise_to(at_least, self.position)
            request.at_least.applied.update(at_least)

        async def ask(name: str) -> AsyncQuery:
            return await AsyncQuery(self._queries(name).Query(request), name).start()

        answer = await self._at_either(centre, ask)
        raise_to(self.position, answer.position)
        return answer

    def _saw(self, log: str, lsn: int) -> None:
        raise_to(self.position, {log: lsn})

    async def _at_either(self, centre: str | None, call: Callable[[str], Awaitable[Result]]) -> Result:
        """Asks `centre`, or, when none is named, each in turn until one can answer: first the one that did last."""
        if centre is not None:
            return await call(centre)
        first = self._reads_from
        try:
            return await call(first)
        except UnavailableError as error:
            other = self._leaders.other_than(first)
            if other == first:
                raise
            try:
                answer = await call(other)
            except UnavailableError:
                raise error from None
            self._reads_from = other
            return answer

    def _queries(self, centre: str) -> query_grpc.QueryServiceStub:
        return query_grpc.QueryServiceStub(self._channel(centre))

    async def status(self, centre: str) -> CentreStatus:
        reply = await self._call(centre, self._operations(centre).Status, operations_pb2.StatusRequest(), timeout_s=2.0)
        return _status_of(reply)

    async def statuses(self) -> dict[str, CentreStatus | HubError]:
        """Of both centres at once; the error of one that does not answer."""

        async def ask(centre: str) -> CentreStatus | HubError:
            try:
                return await self.status(centre)
            except HubError as error:
                return error

        return dict(zip(self.centres, await asyncio.gather(*map(ask, self.centres)), strict=True))

    def switchover(self, log: str, to: str) -> AsyncIterator[Step]:
        """Hands a log over as planned, without losing a write; the last step says whether it came about."""
        return self._roles.switchover(log, to)

    def failover(self, log: str, to: str, *, allow_data_loss: bool = False) -> AsyncIterator[Step]:
        """Makes a centre lead a log whatever the other does. What would be lost is the first step."""
        return self._roles.failover(log, to, allow_data_loss=allow_data_loss)

    async def preview_failover(self, log: str, to: str) -> FailoverPreview:
        """What a failover would lose now; changes nothing."""
        return await self._roles.preview_failover(log, to)

    async def history(self) -> list[RoleChange]:
        """Every change of a configuration that the witness remembers, oldest first."""
        return await self._roles.history()

    async def set_maintenance(self, *, on: bool) -> bool:
        """While it is on, no role changes by itself. Whether it is on now."""
        return await self._roles.set_maintenance(on=on)

    def rebuild_witness(self) -> AsyncIterator[Step]:
        """Gives a witness that lost its files, or has old ones, what both centres hold."""
        return self._roles.rebuild_witness()

    async def mark(self, log: str) -> int:
        """Writes a mark into a log; its lsn."""

        async def mark(centre: str) -> Any:
            return await self._call(centre, self._operations(centre).Mark, operations_pb2.MarkRequest(log=log))

        return int((await self._at_leader(log, mark)).lsn)

    async def digests(self, centre: str, log: str, lsn: int) -> list[Digest]:
        request = operations_pb2.DigestsRequest(log=log, lsn=lsn)
        reply = await self._call(centre, self._operations(centre).Digests, request, timeout_s=600.0)
        return [Digest(data_set=one.data_set, rows=one.rows, digest=one.digest) for one in reply.digests]

    async def _at_leader(self, log: str, call: Callable[[str], Awaitable[Any]]) -> Any:
        """Asks the centre that leads a log, and follows when it is another one by now; for calls that may be made
        twice."""
        centre = self._leaders.leader_of(log)
        async for attempt in AsyncRetrying(
            wait=wait_random_exponential(0.02, 0.25),
            stop=stop_after_delay(_FOLLOW_S_MAX),
            retry=retry_if_exception_type((UnavailableError, NotLeaderError)),
            reraise=True,
        ):
            with attempt:
                try:
                    return await call(centre)
                except NotLeaderError as error:
                    centre = error.leader if error.leader in self.centres else self._leaders.other_than(centre)
                    raise
                except UnavailableError:
                    centre = self._leaders.other_than(centre)
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _operations(self, centre: str) -> operations_grpc.OperationsServiceStub:
        return operations_grpc.OperationsServiceStub(self._channel(centre))

    def _known_contract(self, data_set: str) -> Contract:
        if data_set not in self._contracts:
            raise UnknownDataSetError(f"there is no data set {data_set!r}, or its contract was not fetched")
        return self._contracts[data_set]

    def _channel(self, centre: str) -> grpc.aio.Channel:
        if centre not in self._addresses:
            raise ConfigurationError(f"no address is known for centre {centre!r}")
        if centre not in self._channels:
            self._channels[centre] = grpc.aio.insecure_channel(self._addresses[centre], options=_OPTIONS)
        return self._channels[centre]

    async def _call(self, target: str, method: Any, request: Any, *, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, target) from error


async def verify_log(client: AsyncHubClient, log: str) -> tuple[int, dict[str, list[Digest]]]:
    """Marks a log and fetches both centres' digests there: (lsn, digests by centre)."""
    lsn = await client.mark(log)
    found = await asyncio.gather(*(client.digests(centre, log, lsn) for centre in client.centres))
    return lsn, dict(zip(client.centres, found, strict=True))


def _query_request(parameters: Sequence[object] | Mapping[str, object], how: Reading) -> query_pb2.QueryRequest:
    by_name = parameters if isinstance(parameters, Mapping) else {}
    return query_pb2.QueryRequest(
        parameters=[] if isinstance(parameters, Mapping) else [value_to_pb(one) for one in parameters],
        named_parameters={name: value_to_pb(one) for name, one in by_name.items()},
        at_least=Position(applied=dict(how.get("at_least") or {})),
        rows_max=how.get("rows_max", 0),
        time_ms_max=int(how.get("time_s_max", 0.0) * 1000),
        strong=how.get("strong", False),
        query_class=how.get("query_class", ""),
    )


def _named_of(query: query_pb2.NamedQuery) -> NamedQuery:
    return NamedQuery(
        name=query.name,
        version=query.version,
        title=Title(zh=query.title_zh, en=query.title_en),
        description=query.description,
        data_sets=tuple(query.data_sets),
        parameters=tuple(
            QueryParameter(
                name=one.name,
                type=one.type,
                description=one.description,
                default=value_of(one.default) if one.HasField("default") else None,  # type: ignore[arg-type]
                optional=one.optional,
            )
            for one in query.parameters
        ),
        sql=query.sql,
    )


def _status_of(reply: operations_pb2.StatusReply) -> CentreStatus:
    """Field names are the same on both sides."""
    return CentreStatus(
        centre=reply.centre,
        version=reply.version,
        uptime_s=reply.uptime_s,
        mode=reply.mode,
        mode_reason=reply.mode_reason,
        logs=[LogStatus(**{name: _plain(getattr(log, name)) for name in LogStatus.model_fields}) for log in reply.logs],
        store=StoreStatus(**{name: getattr(reply.store, name) for name in StoreStatus.model_fields}),
        witness=WitnessStatus(**{name: getattr(reply.witness, name) for name in WitnessStatus.model_fields}),
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else list(value)
