"""Puts the commands together."""

from importlib.metadata import version
from typing import Annotated

import typer

from hub.cli import (
    backup,
    catalogue,
    data,
    inbox,
    inspect,
    linkage,
    publish,
    quality,
    quarantine,
    queries,
    risk,
    roles,
    run,
    status,
    warning,
    witness,
)
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
app.command()(inbox.inbox)
app.command()(data.query)
app.command()(linkage.link)
app.command()(quality.quality)
app.command()(publish.publish)
app.command()(queries.named)
app.command()(queries.queries)
app.command()(queries.kill)
app.command()(queries.mode)
contract = typer.Typer(help="Create and change data sets.", no_args_is_help=True)
contract.command("apply")(data.apply_contracts)
contract.command("lint")(catalogue.lint)
app.add_typer(contract, name="contract")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(risk.app, name="risk")
app.add_typer(warning.app, name="warn")
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
