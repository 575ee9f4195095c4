"""Heavy work gives way.

Goal: while people ask, nice threads leave a core alone and bulk rests; afterwards they have all cores again.
Method: a real thread that is nice, and one that is not.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hub.courtesy import Courtesy
from replication.file_threads import be_nice

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@contextmanager
def waiting_thread(niceness: int) -> Iterator[int]:
    """Its id for the system."""
    begun, ended = threading.Event(), threading.Event()

    def wait() -> None:
        be_nice(niceness)
        begun.set()
        ended.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    assert thread.native_id is not None
    try:
        yield thread.native_id
    finally:
        ended.set()
        thread.join()


async def until_on(thread: int, cores: set[int]) -> None:
    async with asyncio.timeout(10):
        while os.sched_getaffinity(thread) != cores:
            await asyncio.sleep(0.01)


@pytest.mark.skipif(len(CORES) < 2, reason="one core cannot be left alone")
def test_a_core_is_left_alone_while_people_ask() -> None:
    asked = True

    async def scenario(nice: int, other: int) -> None:
        nonlocal asked
        keeping = asyncio.create_task(Courtesy(lambda within_s: asked).keep_core_free())
        await until_on(nice, CORES - {min(CORES)})
        assert os.sched_getaffinity(other) == CORES
        asked = False
        await until_on(nice, CORES)
        asked = True
        await until_on(nice, CORES - {min(CORES)})
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert os.sched_getaffinity(nice) == CORES

    with waiting_thread(5) as nice, waiting_thread(0) as other:
        asyncio.run(scenario(nice, other))


@pytest.mark.parametrize("asked", [True, False])
def test_bulk_rests_only_while_people_ask(asked: bool) -> None:
    async def scenario() -> None:
        resting = asyncio.create_task(Courtesy(lambda within_s: asked).rest())
        await asyncio.sleep(0)
        assert resting.done() is not asked
        await resting

    asyncio.run(scenario())
