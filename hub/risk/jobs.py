"""The engine on Ray: each task a Ray task with a DuckDB of its own. The only module that knows ray.

One machine by default: Ray is started for the run, with the processors of this machine and a bounded object store, and
ended after it. With an address the tasks go to that cluster; the extract's folder must then be one that all see. A task
whose worker dies is tried again: tasks read immutable files and give the same answer every time.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import ray
import ray.exceptions
from tenacity import Retrying, stop_after_attempt

from hub.errors import UnavailableError
from hub.risk.tasks import Task, TaskLimits, run_task

_RETRIES_MAX: Final = 3
_OBJECT_STORE_BYTES: Final = 1 << 30
_TASK_MEMORY_BYTES: Final = 2 << 30
_WAIT_S: Final = 0.5
_STARTS_MAX: Final = 3


class RayEngine:
    """Use as a context manager. `told` is called with (stage, tasks done, tasks)."""

    name = "ray"

    def __init__(
        self, spill_folder: Path, told: Callable[[str, int, int], None], *, address: str | None = None
    ) -> None:
        self._limits = TaskLimits(spill_folder=spill_folder, memory_bytes=_TASK_MEMORY_BYTES)
        self._told = told
        self._address = address
        self._remote: Any = None

    def __enter__(self) -> "RayEngine":
        """Raises UnavailableError."""
        settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self._address is None:
            settings |= {
                "num_cpus": os.cpu_count(),
                "object_store_memory": _OBJECT_STORE_BYTES,
                "include_dashboard": False,
            }
        starts = stop_after_attempt(_STARTS_MAX)
        for attempt in Retrying(stop=starts, reraise=True, before_sleep=lambda _: ray.shutdown()):
            with attempt:
                self._start(settings)
        self._remote = ray.remote(num_cpus=1, max_retries=_RETRIES_MAX)(_run)
        return self

    def _start(self, settings: dict[str, Any]) -> None:
        """A busy machine may not have its processes ready in the time that Ray gives them."""
        try:
            ray.init(address=self._address, **settings)
        except Exception as error:  # Ray raises that very class where its processes come too late.
            raise UnavailableError(f"Ray cannot be used: {error}", hint="--engine local does without it") from error

    def __exit__(self, *exception: object) -> None:
        ray.shutdown()

    def share(self, table: pa.Table) -> Any:
        return ray.put(table)

    def run(self, stage: str, tasks: Sequence[Task]) -> list[pa.Table]:
        """Raises UnavailableError."""
        self._told(stage, 0, len(tasks))
        references = [
            self._remote.remote(task.sql, list(task.tables), self._limits, *task.tables.values()) for task in tasks
        ]
        pending = list(references)
        try:
            while pending:
                _, pending = ray.wait(pending, num_returns=len(pending), timeout=_WAIT_S)
                self._told(stage, len(references) - len(pending), len(references))
            answers: list[pa.Table] = ray.get(references)
        except ray.exceptions.RayError as error:
            raise UnavailableError(f"{stage}: {error}", hint="is there room on the disk, and memory?") from error
        except BaseException:
            for one in pending:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(one, force=True)
            raise
        return answers


def _run(sql: str, names: list[str], limits: TaskLimits, *tables: pa.Table) -> pa.Table:
    """Tables come as arguments of their own: Ray hands over what a reference stands for only there."""
    limits.spill_folder.mkdir(parents=True, exist_ok=True)
    return run_task(Task(sql=sql, tables=dict(zip(names, tables, strict=True))), limits)
