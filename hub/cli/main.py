"""Starts the command `cityhub`.

A process of a city loads only what it is: a third of the time that a centre takes to start, and most of a witness's,
would go to commands that people use.
"""

import sys
from importlib.metadata import entry_points

import typer


def main() -> None:
    (_process if sys.argv[1:2] in (["serve"], ["witness"]) else _everything)()()


def _process() -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, callback=lambda: None)
    if sys.argv[1] == "serve":
        from hub.cli.run import serve

        app.command()(serve)
    else:
        from hub.cli.witness import app as witness

        app.add_typer(witness, name="witness")
    return app


def _everything() -> typer.Typer:
    from hub.cli.app import app

    for one in entry_points(group="cityhub.commands"):  # What other packages add; the hub knows none of them.
        app.add_typer(one.load(), name=one.name)
    return app
