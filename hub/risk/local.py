"""The engine without Ray: each task in turn in one DuckDB with all processors; for small cities, and to compare."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from hub.errors import UnavailableError
from hub.risk.tasks import Task, TaskLimits, run_task

_MEMORY_BYTES: Final = 4 << 30


class LocalEngine:
    """`told` is called with (stage, tasks done, tasks)."""

    name = "local"

    def __init__(self, spill_folder: Path, told: Callable[[str, int, int], None]) -> None:
        limits = TaskLimits(spill_folder=spill_folder)
        self._limits = replace(limits, threads=os.cpu_count() or 1, memory_bytes=_MEMORY_BYTES)
        self._told = told

    def share(self, table: pa.Table) -> pa.Table:
        return table

    def run(self, stage: str, tasks: Sequence[Task]) -> list[pa.Table]:
        """Raises UnavailableError."""
        answers = []
        for done, task in enumerate(tasks):
            self._told(stage, done, len(tasks))
            try:
                answers.append(run_task(task, self._limits))
            except duckdb.Error as error:
                raise UnavailableError(f"{stage}: {error}", hint="is there room on the disk, and memory?") from error
        self._told(stage, len(tasks), len(tasks))
        return answers
