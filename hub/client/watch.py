"""Streams that never end: whatever centre they come from, each goes on at the other one where it broke off."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import grpc

from hub.catalogue.contract import Contract
from hub.catalogue.load import contract_from_json
from hub.client.leaders import Leaders
from hub.errors import UnavailableError
from hub.rpc.v1 import alert_pb2, catalogue_pb2
from hub.rpc.v1 import alert_pb2_grpc as alert_grpc
from hub.rpc.v1 import catalogue_pb2_grpc as catalogue_grpc
from hub.rpc.v1.position_pb2 import Position
from hub.wire import error_of_call

_RETRY_S: Final = 0.2
# A stream says every five seconds that it lives.
_SILENCE_S_MAX: Final = 12.0


async def watch_alerts(
    channel_of: Callable[[str], grpc.aio.Channel], leaders: Leaders, centre: str, after: Mapping[str, int] | None
) -> AsyncIterator[tuple[list[alert_pb2.Alert], dict[str, int]]]:
    def call(name: str, position: Mapping[str, int] | None) -> Any:
        stub = alert_grpc.AlertServiceStub(channel_of(name))
        return stub.Watch(alert_pb2.WatchAlertsRequest(after=_position(position)))

    async for reply in _follow(call, leaders, centre, after):
        yield list(reply.alerts), dict(reply.position.applied)


async def watch_contracts(
    channel_of: Callable[[str], grpc.aio.Channel], leaders: Leaders, centre: str, after: Mapping[str, int] | None
) -> AsyncIterator[tuple[list[Contract], dict[str, int]]]:
    def call(name: str, position: Mapping[str, int] | None) -> Any:
        stub = catalogue_grpc.CatalogueServiceStub(channel_of(name))
        return stub.Watch(catalogue_pb2.WatchCatalogueRequest(after=_position(position)))

    async for reply in _follow(call, leaders, centre, after):
        yield [contract_from_json(one) for one in reply.contracts], dict(reply.position.applied)


async def _follow(
    call: Callable[[str, Mapping[str, int] | None], Any], leaders: Leaders, centre: str, after: Mapping[str, int] | None
) -> AsyncIterator[Any]:
    """Replies that bring something, and the first one. Raises HubError other than UnavailableError."""
    first = True
    while True:
        stream = call(centre, after)
        try:
            while True:
                async with asyncio.timeout(_SILENCE_S_MAX):
                    reply = await stream.read()
                if reply is grpc.aio.EOF:
                    break
                after = dict(reply.position.applied)
                if first or getattr(reply, "alerts", None) or getattr(reply, "contracts", None):
                    first = False
                    yield reply
        except TimeoutError:
            pass
        except grpc.aio.AioRpcError as error:
            told = error_of_call(error, centre)
            if not isinstance(told, UnavailableError):
                raise told from error
        finally:
            stream.cancel()
        centre = leaders.other_than(centre)
        await asyncio.sleep(_RETRY_S)


def _position(position: Mapping[str, int] | None) -> Position | None:
    return None if position is None else Position(applied=dict(position))
