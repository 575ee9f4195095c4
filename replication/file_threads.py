"""File calls of an event loop, in threads of their own: bulk work takes no thread from anybody else."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

HEAVY_NICENESS: Final = 10
"""Of threads with much to do that nobody waits for."""

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class FileThreads:
    def __init__(self, threads_max: int, name: str, *, niceness: int = 0) -> None:
        """`niceness` above 0 lets threads of other work go first where processors are short."""
        self._pool = ThreadPoolExecutor(
            max_workers=threads_max, thread_name_prefix=name, initializer=be_nice, initargs=(niceness,)
        )

    async def run(
        self, call: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Result:
        """Whoever is cancelled waits until the thread has let go: what the call works on may be closed then."""
        future = asyncio.wrap_future(self._pool.submit(call, *arguments, **options))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((future,))
            future.exception()  # Nobody else will ask for it.
            raise

    def close(self) -> None:
        """Waits for the calls under way."""
        self._pool.shutdown()


def be_nice(niceness: int) -> None:
    """Of this thread; 0 leaves it as it is."""
    if niceness:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)  # On Linux a thread has its own.
