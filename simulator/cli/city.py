"""`cityhub city`: the synthetic city, generated, loaded, asked, replayed.

The city itself is imported by the commands: what knows outlines and workbooks would slow down every other one.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, TimeElapsedColumn

from hub.cli.common import DEFAULT_CITY, CityOption, JsonOption, bar_of, city_of, command, connect, out, print_json
from hub.errors import ConfigurationError
from simulator.city.chance import SEED

if TYPE_CHECKING:
    from simulator.city.plan import City
    from simulator.city.replay import Replayed

app = typer.Typer(help="The synthetic city: generate it, load it, check it, replay a day of it.", no_args_is_help=True)

ScaleOption = Annotated[float, typer.Option("--scale", help="1 is 20 million people and 10.6 billion records.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Another seed is another city.")]


@app.command()
@command
def generate(
    folder: Annotated[Path, typer.Argument(help="Where to write one Parquet file a data set.", file_okay=False)],
    scale: ScaleOption = 0.001,
    seed: SeedOption = SEED,
    data_sets: Annotated[list[str], typer.Option("--dataset", "-d", help="Only these; may be repeated.")] = [],  # noqa: B006  # typer's form
    as_json: JsonOption = False,
) -> None:
    """Write the city's data sets as Parquet files: equal arguments give equal rows."""
    from simulator.city.write import write_tables

    plan = _plan(scale, seed)
    with bar_of(MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("rows", total=plan.records)
        rows = write_tables(
            plan, folder, data_sets, lambda data_set, count: bar.update(task, advance=count, description=data_set)
        )
    if as_json:
        print_json({"folder": str(folder), "rows": rows})
    else:
        out.print(f"{sum(rows.values()):,} rows of {len(rows)} data sets in {folder}", highlight=False)


@app.command()
@command
def files(
    folder: Annotated[Path, typer.Argument(help="An inbox: a folder for each agency.", file_okay=False)],
    scale: ScaleOption = 0.001,
    seed: SeedOption = SEED,
    as_json: JsonOption = False,
) -> None:
    """Write files as agencies send them, with their flaws and mapping files, for `cityhub inbox`."""
    from simulator.city.agency_files import write_agency_files

    made = write_agency_files(_plan(scale, seed), folder)
    if as_json:
        print_json([one.facts() for one in made])
    else:
        for one in made:
            out.print(f"{one.path}: {one.rows:,} rows, {one.rejected:,} of them to be rejected", highlight=False)


@app.command()
@command
def load(
    city: CityOption = DEFAULT_CITY,
    scale: ScaleOption = 0.001,
    seed: SeedOption = SEED,
    as_json: JsonOption = False,
) -> None:
    """Load a city through the hub's interfaces. Doing it again adds nothing."""
    from simulator.city.load import load_city

    plan = _plan(scale, seed)
    started_s = time.monotonic()
    with connect(city_of(city)) as client, bar_of(MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("records", total=plan.records)
        loaded = load_city(client, plan, lambda data_set, rows: bar.update(task, advance=rows, description=data_set))
    seconds = time.monotonic() - started_s
    facts = {"rows": loaded.rows, "rejected": loaded.rows_rejected, "seconds": seconds, "position": loaded.position}
    if as_json:
        print_json(facts)
    else:
        total = sum(loaded.rows.values())
        out.print(
            f"{total:,} rows of {len(loaded.rows)} data sets in {seconds:.1f} s, on disk in both centres",
            highlight=False,
        )


@app.command()
@command
def check(
    city: CityOption = DEFAULT_CITY,
    scale: ScaleOption = 0.001,
    seed: SeedOption = SEED,
    as_json: JsonOption = False,
) -> None:
    """Ask both centres what is known of the loaded city; exit code 1 if an answer is another one."""
    from simulator.city.load import check_city

    found: list[dict[str, Any]] = []
    with connect(city_of(city)) as client:
        for centre, known, table, right in check_city(client, _plan(scale, seed), {}):
            found.append({"centre": centre, "question": known.name, "right": right})
            if not as_json:
                out.print(f"{'✓' if right else '✗'} {centre}: {known.name}", highlight=False)
                if not right:
                    out.print(f"    known {known.rows[:3]}, found {table.slice(0, 3).to_pylist()}", highlight=False)
    if as_json:
        print_json(found)
    if not all(one["right"] for one in found):
        raise typer.Exit(1)


@app.command()
@command
def replay(
    city: CityOption = DEFAULT_CITY,
    scale: ScaleOption = 0.001,
    seed: SeedOption = SEED,
    speed: Annotated[float, typer.Option(help="Seconds of the city a second; 0: as fast as it goes.", min=0)] = 0,
    day: Annotated[int, typer.Option(help="Which day, counted from the city's first.", min=1)] = 400,
    hours: Annotated[float, typer.Option(help="How much of the day.", min=0.01, max=24)] = 24,
    as_json: JsonOption = False,
) -> None:
    """Play a day's exchanges of all 29 source units; Ctrl-C stops after what is on its way."""
    from simulator.city.replay import replay_day

    plan = _plan(scale, seed)
    with bar_of(MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("exchanges", total=round(plan.exchanges_a_day * hours / 24))
        done = replay_day(
            {name: centre.grpc for name, centre in city_of(city).centres.items()},
            plan,
            day=day,
            speed=speed,
            hours=hours,
            progress=lambda count: bar.update(task, advance=count),
        )
    _show(done, as_json)


def _show(done: "Replayed", as_json: bool) -> None:
    if as_json:
        print_json(done.facts())
        return
    out.print(
        f"{done.exchanges:,} exchanges with {done.rows:,} rows from {len(done.by_agency)} source units in "
        f"{done.seconds:.1f} s ({done.exchanges / done.seconds:,.0f} a second), on disk in both centres; "
        f"acknowledged after {done.latency_ms(50):.0f} ms (p50), {done.latency_ms(99):.0f} ms (p99)",
        highlight=False,
    )


def _plan(scale: float, seed: int) -> "City":
    from simulator.city.plan import City

    try:
        return City(scale, seed)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
