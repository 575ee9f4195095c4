"""Steps of what takes its time, shown as they come."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Final

import typer

from hub.cli.common import out
from hub.status import Step

_NOT_DONE: Final = 1
StepsJsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a step, as it comes.")]


def show_steps(steps: Iterable[Step], *, as_json: bool) -> None:
    """Prints each step as it comes; exit 1 when the last one did not succeed."""
    succeeded = False
    for step in steps:
        succeeded = step.succeeded
        if as_json:
            sys.stdout.write(json.dumps(asdict(step), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            style = "" if not step.done else "green" if succeeded else "red"
            out.print(f"{step.at_ms:7,.0f} ms  {step.what}", style=style, markup=False, highlight=False, soft_wrap=True)
    if not succeeded:
        raise typer.Exit(_NOT_DONE)
