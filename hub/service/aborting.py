"""Ends a call with one of our errors."""

from typing import Any, NoReturn

import grpc
from grpc_status import rpc_status

from hub.errors import HubError
from hub.wire import status_of


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: HubError) -> NoReturn:
    status = rpc_status.to_status(status_of(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
