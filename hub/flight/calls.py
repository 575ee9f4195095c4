"""The way from the thread of a Flight call into the event loop.

pyarrow runs each call in a thread of its own, and tells of a caller that went away only when it is asked.
"""

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import pyarrow.flight as fl

from hub.errors import UnavailableError

Result = TypeVar("Result")
_LOOK_S: Final = 0.1
END: Final = b"end"
"""Metadata of the last message of whoever sends rows: without it they are no exchange."""
KEEPALIVE: Final = [("grpc.keepalive_time_ms", 5000), ("grpc.keepalive_timeout_ms", 5000)]
"""Options of whoever sends rows: a centre that works at them says so every second, and pings find one that stands
still."""


class Loop:
    """The event loop of a centre, for the threads of Flight calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(
        self,
        work: Coroutine[Any, Any, Result],
        context: fl.ServerCallContext | None = None,
        *,
        told: Callable[[], None] | None = None,
    ) -> Result:
        """Runs a coroutine to its end, or cancels it when the caller of `context` goes away. `told` is called now and
        then meanwhile. Raises UnavailableError when it was cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                done, _ = concurrent.futures.wait([future], timeout=_LOOK_S)
                if done:
                    return future.result()
                if context is not None and context.is_cancelled():
                    raise UnavailableError("the caller went away")
                if told is not None:
                    told()
        except (concurrent.futures.CancelledError, asyncio.CancelledError):
            raise UnavailableError("the centre is stopping", definite=False) from None
        finally:
            future.cancel()
