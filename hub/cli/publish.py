"""`publish`: data sets as files for the public."""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
    CityOption,
    JsonOption,
    bar_of,
    check_centre,
    city_of,
    command,
    connect,
    err,
    out,
    print_json,
    show_error,
)
from hub.client import HubClient
from hub.errors import ConfigurationError, HubError
from hub.open_data.folder import locked
from hub.open_data.publish import Outcome, State, write_catalog
from hub.open_data.publish import publish as publish_one


@command
def publish(
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the open data.", file_okay=False)],
    data_sets: Annotated[list[str] | None, typer.Argument(metavar="DATASET", help="Data sets to publish.")] = None,
    city: CityOption = DEFAULT_CITY,
    everything: Annotated[bool, typer.Option("--all", help="Every data set whose contract has a publication.")] = False,
    centre: CentreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish data sets as CSV and Parquet: the open columns, personal ones made coarser, nobody in a small crowd.

    What is unchanged since its newest version is no new version. Read at the standby unless --centre says otherwise.
    """
    if bool(data_sets) == everything:
        raise ConfigurationError("name the data sets to publish, or give --all")
    topology = city_of(city)
    check_centre(topology, centre)
    failures: list[tuple[str, HubError]] = []
    outcomes: list[Outcome] = []
    with connect(topology) as client, locked(folder), bar_of(MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        for name in data_sets or _open_data(client):
            task = bar.add_task(name, total=None)
            try:
                contract, moved = client.contract(name), partial(_move, bar, task)
                outcomes.append(publish_one(client, contract, folder, now=_now(), centre=centre, progress=moved))
            except HubError as error:
                if data_sets and len(data_sets) == 1:
                    raise
                failures.append((name, error))
            bar.remove_task(task)
        write_catalog(folder)
    _show([_facts(one) for one in outcomes], failures, as_json)
    if failures:
        raise typer.Exit(1)


def _now() -> datetime:
    """UTC to the millisecond, as rows of `publications` hold it."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _open_data(client: HubClient) -> list[str]:
    return [name for name, one in sorted(client.contracts().items()) if one.publication is not None]


def _facts(outcome: Outcome) -> dict[str, Any]:
    version = {} if outcome.version is None else asdict(outcome.version)
    moment = {} if outcome.version is None else {"published_at": f"{outcome.version.published_at.isoformat()}Z"}
    return {"data_set": outcome.data_set, "state": outcome.state, **version, **moment}


def _show(facts: list[dict[str, Any]], failures: list[tuple[str, HubError]], as_json: bool) -> None:
    if as_json:
        failed = [{"data_set": name, "state": "failed", "error": str(error)} for name, error in failures]
        print_json([*facts, *failed])
        return
    for one in facts:
        text = f"{one['data_set']}: {one['state']}"
        if one["state"] == State.EMPTY:
            text += ", no row can go out"
        else:
            text += f", version {one['version']}, {one['rows']:,} rows, {one['rows_withheld']:,} withheld"
        out.print(text, highlight=False)
    for name, error in failures:
        err.print(f"{name}: failed", style="red", highlight=False)
        show_error(error)


def _move(bar: Progress, task: TaskID, rows: int, rows_all: int) -> None:
    bar.update(task, completed=rows, total=rows_all)
