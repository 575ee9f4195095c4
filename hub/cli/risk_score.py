"""`risk run`, `risk top` and `risk explain`: the score of the city's risk points."""

import json
import shutil
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

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
    out,
    print_json,
)
from hub.client import HubClient
from hub.client.standby import standby_of
from hub.config import City
from hub.errors import ConfigurationError, InputFileError
from hub.risk.local import LocalEngine
from hub.risk.results import WORDS
from hub.risk.run import NEWEST_RUN, Worked, record, work_out
from hub.risk.tasks import Engine
from hub.risk.weighing import COLOURS, INDICATORS, NEWEST, weights

_PARTS: Final = 8
_STYLES: Final = {"red": "bold red", "orange": "dark_orange", "yellow": "yellow", "blue": "blue"}
_TOP: Final = (
    "select s.risk_point_id, p.name, p.category, p.district, p.street, s.risk, s.colour, s.previous_colour, s.reasons "
    "from risk_scores s left join risk_points p using (risk_point_id) where s.run_id = $run_id "
    "and ($colour is null or s.colour = $colour) and ($district is null or p.district = $district) "
    "order by s.risk desc, s.risk_point_id limit $rows"
)
_POINT: Final = (
    "select s.*, p.name, p.category, p.district, p.street, p.lon, p.lat, p.reach from risk_scores s "
    "left join risk_points p using (risk_point_id) where s.run_id = $run_id and s.risk_point_id = $point"
)


class EngineName(StrEnum):
    RAY = "ray"
    LOCAL = "local"


RunOption = Annotated[str | None, typer.Option("--run", help="Run; default: the newest.")]


@command
def run(
    city: CityOption = DEFAULT_CITY,
    engine: Annotated[EngineName, typer.Option(help="ray, or local: one DuckDB, for small cities.")] = EngineName.RAY,
    ray_address: Annotated[str | None, typer.Option(help="A Ray cluster; default: Ray on this machine.")] = None,
    centre: Annotated[str | None, typer.Option(help="Centre to read; default: the standby of most data.")] = None,
    at: Annotated[datetime | None, typer.Option(help="Moment to judge, UTC; default: the newest hour.")] = None,
    parts: Annotated[int, typer.Option(help="Partitions; the result does not depend on them.", min=1)] = _PARTS,
    weights_version: Annotated[int, typer.Option(help="Version of the weights.", min=1)] = NEWEST,
    work_dir: Annotated[
        Path | None, typer.Option(help="Folder for extracts and spilled rows; shared by all nodes of a cluster.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Work it out, record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score every risk point of the city from all sources, at one position, and record the run."""
    topology, by = city_of(city), weights(weights_version)
    at_ms = int(at.replace(tzinfo=UTC).timestamp() * 1_000) if at else None
    with connect(topology) as client, ExitStack() as stack:
        folder = _work_folder(stack, topology, work_dir)
        read = check_centre(topology, centre) or standby_of(client, "ops")
        bar = stack.enter_context(bar_of(MofNCompleteColumn(), TimeElapsedColumn()))
        chosen = _engine(stack, engine, folder / "spill", ray_address, bar)
        task = bar.add_task("files", total=None)
        worked = work_out(
            topology,
            client,
            chosen,
            by,
            centre=read,
            folder=folder / "extract",
            parts=parts,
            at_ms=at_ms,
            told=lambda step: bar.update(task, description=step),
        )
        position = {} if dry_run else record(client, worked, by, engine.value, parts)
    _show_run(worked, read, position, as_json)


@command
def top(
    city: CityOption = DEFAULT_CITY,
    rows: Annotated[int, typer.Option("-n", help="How many.", min=1)] = 10,
    colour: Annotated[str | None, typer.Option(help=f"Only {', '.join(COLOURS)}.")] = None,
    district: Annotated[str | None, typer.Option(help="Only this district.")] = None,
    run_id: RunOption = None,
    centre: CentreOption = None,
    as_json: JsonOption = False,
) -> None:
    """The worst risk points of a run, with their reasons."""
    topology = city_of(city)
    with connect(topology) as client:
        asked = {"run_id": _run(client, run_id), "colour": colour, "district": district, "rows": rows}
        found = client.query(_TOP, asked, centre=check_centre(topology, centre)).table().to_pylist()
    if as_json:
        print_json(found)
        return
    table = Table("risk", "point", "where", "reasons", title=f"Run {asked['run_id']}")
    for row in found:
        before = row["previous_colour"]
        changed = f" (was {before})" if before and before != row["colour"] else ""
        table.add_row(
            f"[{_STYLES[row['colour']]}]{row['risk']:.3f} {row['colour']}[/]{changed}",
            f"{row['risk_point_id']} {row['name'] or ''}\n{row['category'] or ''}",
            f"{row['district'] or ''} {row['street'] or ''}",
            row["reasons"],
        )
    out.print(table)


@command
def explain(
    point: Annotated[str, typer.Argument(help="Risk point.")],
    city: CityOption = DEFAULT_CITY,
    run_id: RunOption = None,
    centre: CentreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Everything that a point's score was worked out from."""
    topology = city_of(city)
    with connect(topology) as client:
        asked = {"run_id": _run(client, run_id), "point": point}
        found = client.query(_POINT, asked, centre=check_centre(topology, centre)).table().to_pylist()
    if not found:
        raise ConfigurationError(
            f"run {asked['run_id']} has no risk point {point!r}", hint="`cityhub risk top` lists some"
        )
    (row,) = found
    row["inputs"] = json.loads(row["inputs"])
    if as_json:
        print_json({name: str(value) if isinstance(value, datetime) else value for name, value in row.items()})
        return
    by = weights(row["weights_version"])
    table = Table("indicator", "value", "weight", "what", title=f"{point} {row['name'] or ''}")
    for name in INDICATORS:
        bar = "█" * round(row[name] * 20)
        what = WORDS[name] if not name.startswith("m") else WORDS[name] + " (1: none of it)"
        table.add_row(name.upper(), f"{row[name]:.3f} {bar}", f"{by.indicators[name].weight:g}", what)
    out.print(table)
    groups = ", ".join(f"{name} {row[name]:.3f}" for name in ("exposure", "vulnerability", "sensitivity", "mitigation"))
    out.print(f"hazard {row['hazard']:.3f}, {groups}", highlight=False)
    out.print(
        f"risk {row['risk']:.3f} [{_STYLES[row['colour']]}]{row['colour']}[/], "
        f"weights version {row['weights_version']}, run {row['run_id']}",
        highlight=False,
    )
    out.print(row["reasons"], markup=False, highlight=False)
    out.print(", ".join(f"{name} {value}" for name, value in row["inputs"].items()), markup=False, highlight=False)


def _run(client: HubClient, run_id: str | None) -> str:
    if run_id is not None:
        return run_id
    found = client.query(NEWEST_RUN).table()["run_id"].to_pylist()
    if not found:
        raise InputFileError("there is no run yet", hint="`cityhub risk run` makes one")
    newest: str = found[0]
    return newest


def _work_folder(stack: ExitStack, topology: City, work_dir: Path | None) -> Path:
    """A folder of this run's own, removed after it; beside the centres' files, so that they can be linked."""
    parent = work_dir or topology.data
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="risk-", dir=parent))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _engine(stack: ExitStack, name: EngineName, spill: Path, address: str | None, bar: Progress) -> Engine:
    tasks: dict[str, Any] = {}

    def told(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total)
        bar.update(tasks[stage], completed=done)

    if name is EngineName.LOCAL:
        return LocalEngine(spill, told)
    from hub.risk.jobs import RayEngine  # Ray takes a second to import: only who uses it waits.

    return stack.enter_context(RayEngine(spill, told, address=address))


def _show_run(worked: Worked, centre: str, position: dict[str, int], as_json: bool) -> None:
    colours = {name: int((worked.scores.colour == place).sum()) for place, name in enumerate(COLOURS)}
    facts = {
        "run_id": worked.run_id,
        "scored_at": datetime.fromtimestamp(worked.gathered.at_ms / 1_000, UTC).isoformat(),
        "centre": centre,
        "read_at": worked.extract.position,
        "points": worked.gathered.points.num_rows,
        "colours": colours,
        "seconds": worked.seconds,
        "position": position,
    }
    if as_json:
        print_json(facts)
        return
    shown = ", ".join(f"[{_STYLES[name]}]{colours[name]:,} {name}[/]" for name in reversed(COLOURS))
    out.print(f"{facts['points']:,} risk points in {worked.seconds:.1f} s: {shown}", highlight=False)
    out.print(f"run {worked.run_id}, judged for {facts['scored_at']}, read at {centre}", highlight=False)
