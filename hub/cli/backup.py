"""`backup` and `restore`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hub import backup as backups
from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
    CityOption,
    DataOption,
    JsonOption,
    check_centre,
    city_of,
    command,
    err,
    out,
    print_json,
)
from hub.cli.figures import size
from hub.client.snapshots import FetchProgress
from hub.config import CENTRES
from hub.errors import ConfigurationError

Folder = Annotated[Path, typer.Argument(help="Folder of backups; one may hold many.", file_okay=False)]


@command
def backup(
    folder: Folder,
    city: CityOption = DEFAULT_CITY,
    centre: CentreOption = None,
    keep: Annotated[int, typer.Option(help="Backups to keep in the folder; 0 keeps all.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Back up a centre's whole store at one position; only files that are new since the last backup are brought."""
    topology = city_of(city)
    name = check_centre(topology, centre) or CENTRES[1]
    with _progress("backup") as (bar, task):

        def tell(progress: FetchProgress) -> None:
            bar.update(task, description=progress.at, completed=progress.done_bytes, total=progress.total_bytes or None)

        made = asyncio.run(backups.back_up(topology, name, folder, told=tell))
    dropped = backups.prune(folder, keep) if keep else 0
    position = {log: point.lsn for log, point in made.snapshot.position.items()}
    if as_json:
        print_json(
            {
                "name": made.name,
                "centre": name,
                "position": position,
                "files": len(made.snapshot.sizes_bytes),
                "bytes": made.total_bytes,
                "new_bytes": made.new_bytes,
                "files_dropped": dropped,
            }
        )
        return
    shown = ", ".join(f"{log} {lsn:,}" for log, lsn in sorted(position.items()))
    out.print(f"{made.name}: position {shown}; {size(made.total_bytes)}, of which {size(made.new_bytes)} are new")


@command
def restore(
    folder: Folder,
    city: CityOption = DEFAULT_CITY,
    data: DataOption = None,
    name: Annotated[str | None, typer.Option("--backup", help="Which one; default: the newest.")] = None,
    verify_only: Annotated[
        bool, typer.Option("--verify", help="Read and check the backup, and change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new city of a backup: both centres' folders, which must be empty. `cityhub up` then starts it."""
    found = backups.names(folder)
    if not found:
        raise ConfigurationError(f"there is no backup in {folder}", hint="`cityhub backup` makes one")
    if name is not None and name not in found:
        raise ConfigurationError(f"there is no backup {name!r}", hint=f"one of {', '.join(found)}")
    chosen = name or found[-1]
    snapshot = backups.read(folder, chosen)
    problems: list[str] = []
    with _progress("check" if verify_only else "restore") as (bar, task):

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if verify_only:
            problems = backups.verify(folder, snapshot, copied=tell)
        else:
            backups.restore(city_of(city, data), folder, snapshot, copied=tell)
    position = {log: point.lsn for log, point in snapshot.position.items()}
    if as_json:
        print_json({"name": chosen, "position": position, "restored": not verify_only, "problems": problems})
    else:
        shown = ", ".join(f"{log} {lsn:,}" for log, lsn in sorted(position.items()))
        what = "damaged" if problems else "sound" if verify_only else "restored in both centres"
        out.print(f"{chosen}: {what}; position {shown}", highlight=False)
        for problem in problems:
            err.print(problem, style="red", markup=False, highlight=False)
    if problems:
        raise typer.Exit(1)


@contextmanager
def _progress(what: str) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        yield bar, bar.add_task(what, total=None)
