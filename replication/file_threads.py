"""File calls of an event loop, in threads of their own: bulk work takes no thread from anybody else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class FileThreads:
    def __init__(self, threads_max: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads_max, thread_name_prefix=name)

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
