"""A stage of a job: the same SQL over parts of its input, in any engine. A task is SQL and the tables it names.

    split files or rows into parts → Task, Task, … → engine → one table a task → merged

Sums over whole numbers and extremes are all that tasks hand on, so that a result is the same to the last bit however
its input is cut, and wherever its tasks run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa

THREADS_OF_TASK: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`tables` are Arrow tables, or an engine's references to them, by the name that the SQL gives them."""

    sql: str
    tables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """Of one task: beyond `memory_bytes` DuckDB puts rows on disk, into `spill_folder`, up to `spill_bytes`."""

    threads: int = THREADS_OF_TASK
    memory_bytes: int = 1 << 30
    spill_bytes: int = 16 << 30
    spill_folder: Path


class Engine(Protocol):
    """Runs tasks; answers come in the order of the tasks."""

    name: str

    def share(self, table: pa.Table) -> Any:
        """What a task may have for a table that many tasks read."""

    def run(self, stage: str, tasks: Sequence[Task]) -> list[pa.Table]:
        """Raises HubError."""


def run_task(task: Task, limits: TaskLimits) -> pa.Table:
    """In a DuckDB of its own. Raises duckdb.Error."""
    config: dict[str, Any] = {
        "threads": limits.threads,
        "memory_limit": f"{limits.memory_bytes >> 20}MiB",
        "max_temp_directory_size": f"{limits.spill_bytes >> 20}MiB",
        "temp_directory": str(limits.spill_folder),
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=config) as connection:
        for name, table in task.tables.items():
            connection.register(name, table)
        return connection.sql(task.sql).to_arrow_table()


def parts_of_files(files: Sequence[tuple[str, int]], parts: int) -> list[list[str]]:
    """Paths in at most so many parts of about equal bytes: the largest file goes to the lightest part."""
    loads = [0] * max(1, min(parts, len(files)))
    made: list[list[str]] = [[] for _ in loads]
    for path, size in sorted(files, key=lambda one: (-one[1], one[0])):
        lightest = loads.index(min(loads))
        made[lightest].append(path)
        loads[lightest] += size
    return made


def merged(parts: Sequence[pa.Table], sql: str) -> pa.Table:
    """All parts as `parts`, through the SQL."""
    with duckdb.connect(config={"preserve_insertion_order": False}) as connection:
        connection.register("parts", pa.concat_tables(parts))
        return connection.sql(sql).to_arrow_table()
