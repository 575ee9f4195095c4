"""The command line of the benchmarks."""

import importlib
import json
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from benchmarks.harness import report

app = typer.Typer(add_completion=False, no_args_is_help=True)
err = Console(stderr=True)


class Size(StrEnum):
    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"


@app.command("list")
def list_names() -> None:
    """Name every benchmark."""
    typer.echo("\n".join(_names()))


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="As in `list`.")],
    size: Annotated[
        Size, typer.Option(help="smoke: seconds; quick: about a minute; full: as long as it takes.")
    ] = Size.QUICK,
    json_file: Annotated[str, typer.Option("--json", help="File for the result, - for standard output.")] = "-",
    folder: Annotated[
        Path | None, typer.Option(help="Where to work; default: a temporary folder, removed after.")
    ] = None,
) -> None:
    """Run one benchmark and print one JSON object. Exit 1 if its answer was wrong."""
    if name not in _names():
        err.print(f"there is no benchmark {name!r}; one of {', '.join(_names())}", style="red")
        raise typer.Exit(2)
    module = importlib.import_module(f"benchmarks.bench_{name}")
    parameters: dict[str, Any] = module.SIZES[size.value]
    with tempfile.TemporaryDirectory(prefix="cityhub-bench-") as temporary:
        outcome = module.run(parameters, folder or Path(temporary))
    result = report(name, size.value, parameters, outcome)
    _show(result)
    text = json.dumps(result, indent=2) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
    else:
        Path(json_file).write_text(text, encoding="utf-8")
    if not outcome.verified:
        raise typer.Exit(1)


def _show(result: dict[str, Any]) -> None:
    metric = Column("metric", overflow="fold")
    table = Table(metric, "unit", "value", "min", "p50", "p99", "max", "n", title=f"{result['name']} {result['size']}")
    for name, one in result["metrics"].items():
        numbers = [f"{one[part]:,.2f}" for part in ("value", "min", "p50", "p99", "max")]
        table.add_row(name, one["unit"], *numbers, str(one["n"]))
    err.print(table)
    if not result["verified"]:
        err.print("the answer was wrong", style="red")


def _names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


if __name__ == "__main__":
    app()
