"""Puts the commands together."""

from importlib.metadata import version
from typing import Annotated

import typer

from hub.cli import backup, data, inspect, queries, roles, run, status, witness
from hub.cli.common import EXIT_CODES

app = typer.Typer(
    help=f"Dual-centre replicated city data hub. {EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run.up)
app.command()(run.serve)
app.command()(status.status)
app.command()(roles.validate)
app.command()(roles.switchover)
app.command()(roles.failover)
app.command()(roles.history)
app.command()(roles.maintenance)
app.command()(inspect.verify)
app.command()(inspect.datasets)
app.command()(inspect.describe)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(data.load)
app.command()(data.query)
app.command()(queries.named)
app.command()(queries.queries)
app.command()(queries.kill)
app.command()(queries.mode)
contract = typer.Typer(help="Create and change data sets.", no_args_is_help=True)
contract.command("apply")(data.apply_contracts)
app.add_typer(contract, name="contract")
app.add_typer(witness.app, name="witness")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("cityhub"))
        raise typer.Exit()


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main() -> None:
    app()
