"""The command `cityhub`: Typer commands in modules by topic, put together in `app`."""

from hub.cli.app import main

__all__ = ["main"]
