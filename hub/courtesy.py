"""How heavy work gives way while people ask.

Threads that are nice (those of DuckDB, analysis, encoders, files of segments, upkeep) leave one core alone: where every
core is busy, however nicely, each wake-up of a thread waits for one, and a short question takes dozens. And bulk rests
between its steps, which would follow each other closely, each with the interpreter's lock.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_ASKED_S: Final = 0.2
_REST_S: Final = 0.04
_LOOK_S: Final = 0.1
_AGAIN_S: Final = 1.0  # Threads that began meanwhile leave the core alone, too.
_THREADS: Final = Path("/proc/self/task")


class Courtesy:
    """`people_ask(s)` says whether anybody does now, or did within the last `s` seconds."""

    def __init__(self, people_ask: Callable[[float], bool]) -> None:
        self._people_ask = people_ask

    def is_due(self) -> bool:
        return self._people_ask(_ASKED_S)

    async def rest(self) -> None:
        """Between two steps of bulk work."""
        if self.is_due():
            await asyncio.sleep(_REST_S)

    async def keep_core_free(self) -> None:
        """Until cancelled. Does nothing where there is one core, or threads cannot be told where to run."""
        if not _THREADS.exists() or len(cores := os.sched_getaffinity(0)) < 2:
            return
        now_s = asyncio.get_running_loop().time
        confined_s = 0.0
        try:
            while True:
                if not self.is_due():
                    if confined_s:
                        _confine_nice_threads(cores)
                    confined_s = 0.0
                elif now_s() - confined_s > _AGAIN_S:
                    _confine_nice_threads(cores - {min(cores)})
                    confined_s = now_s()
                await asyncio.sleep(_LOOK_S)
        finally:
            _confine_nice_threads(cores)


def _confine_nice_threads(cores: set[int]) -> None:
    """Those of this process that are nicer than it began run on these cores alone."""
    began = os.getpriority(os.PRIO_PROCESS, os.getpid())
    for thread in _THREADS.iterdir():
        try:
            if os.getpriority(os.PRIO_PROCESS, int(thread.name)) > began:
                os.sched_setaffinity(int(thread.name), cores)
        except OSError:
            continue  # It has ended.
