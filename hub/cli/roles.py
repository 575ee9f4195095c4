"""`validate`, `switchover`, `failover`, `history` and `maintenance`: who leads, and who would."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hub.cli.common import (
    DEFAULT_CITY,
    CityOption,
    JsonOption,
    check_centre,
    city_of,
    command,
    connect,
    err,
    out,
    print_json,
)
from hub.cli.figures import span
from hub.cli.status import show_recovery
from hub.cli.steps import StepsJsonOption, show_steps
from hub.client import HubClient
from hub.config import CENTRES, City
from hub.errors import ConfigurationError, UnavailableError
from hub.readiness import Check, checks
from hub.recovery import estimate
from hub.status import CentreStatus, RoleChange

_NOT_DONE: Final = 1

LogArgument = Annotated[str, typer.Argument(help="ops or ecc.")]
ToOption = Annotated[str, typer.Option("--to", help="Centre that is to lead the log.")]


class Switch(StrEnum):
    ON = "on"
    OFF = "off"
    STATUS = "status"


@command
def validate(city: CityOption = DEFAULT_CITY, as_json: JsonOption = False) -> None:
    """Check whether the pair is ready for a switchover and a failover. Exit 1 if any check fails."""
    topology = city_of(city)
    with connect(topology) as client:
        found = client.statuses()
    results, recoveries = checks(found, topology), estimate(found, topology)
    ready = all(one.ok for one in results)
    if as_json:
        print_json(
            {
                "ready": ready,
                "checks": [asdict(one) for one in results],
                "recovery": [asdict(one) for one in recoveries],
            }
        )
    else:
        out.print(_show_checks(results), show_recovery(recoveries))
        failed = sum(not one.ok for one in results)
        out.print("ready" if ready else f"not ready: {failed} failed", style="green" if ready else "red")
    if not ready:
        raise typer.Exit(_NOT_DONE)


@command
def switchover(
    log: LogArgument, to: ToOption, city: CityOption = DEFAULT_CITY, as_json: StepsJsonOption = False
) -> None:
    """Hand a log over as planned: no write is lost, writes pause for moments. Exit 1 if it was called off."""
    topology = city_of(city)
    _check_names(topology, log, to)
    with connect(topology) as client:
        show_steps(client.switchover(log, to), as_json=as_json)


@command
def failover(
    log: LogArgument,
    to: ToOption,
    city: CityOption = DEFAULT_CITY,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Go on although acknowledged entries are missing there.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: StepsJsonOption = False,
) -> None:
    """Make a centre lead a log, whatever the other one does. Shows first what would be lost, and asks. Exit 1 if the
    centre does not lead in the end.

    What is lost is recorded in the witness's history.
    """
    topology = city_of(city)
    _check_names(topology, log, to)
    with connect(topology) as client:
        if not yes and not _confirmed(client, log, to, allow_data_loss=allow_data_loss):
            raise typer.Exit(_NOT_DONE)
        show_steps(client.failover(log, to, allow_data_loss=allow_data_loss), as_json=as_json)


@command
def history(
    city: CityOption = DEFAULT_CITY,
    log: Annotated[str | None, typer.Option("--log", help="Of this log alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the changes of leader and of in_sync, oldest first, as the witness remembers them."""
    _check_log(log)
    with connect(city_of(city)) as client:
        changes = [one for one in client.history() if log in (None, one.log)]
    rows = list(_with_durations(changes))
    if as_json:
        print_json([{**change.model_dump(), "after_s": after_s} for change, after_s in rows])
        return
    for change, after_s in rows:
        at = datetime.fromtimestamp(change.at_unix_ms / 1000).astimezone().isoformat(" ", "milliseconds")
        in_sync = " ".join(change.in_sync)
        after = "" if after_s is None else f"after {span(after_s)}, "
        out.print(
            f"{at}  log {change.log}, epoch {change.epoch}: {change.leader} leads, in sync {in_sync}\n"
            f"    {after}asked by {change.centre or 'the witness'}: {change.reason}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


@command
def maintenance(
    switch: Annotated[Switch, typer.Argument(help="on, off or status.")],
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
) -> None:
    """While on, no role changes by itself: no failover, no standby left out, no hand-over when a centre is stopped."""
    with connect(city_of(city)) as client:
        on = _maintenance(client) if switch is Switch.STATUS else client.set_maintenance(on=switch is Switch.ON)
    if as_json:
        print_json({"on": on})
    else:
        out.print(f"maintenance is {'on: no role changes by itself' if on else 'off'}", highlight=False)


# --- Failover ---------------------------------------------------------------------------------------------------------


def _confirmed(client: HubClient, log: str, to: str, *, allow_data_loss: bool) -> bool:
    """Shows what would be lost; whether to go on."""
    preview = client.preview_failover(log, to)
    if preview.leads_already:
        return True
    err.print(preview.what, style="" if preview.lossless else "red", markup=False, highlight=False)
    if not preview.lossless and not allow_data_loss:
        err.print("nothing was changed: --allow-data-loss goes on without these entries", style="yellow")
        return False
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody can be asked here", hint="--yes goes on without asking")
    typed = typer.prompt(f"Type {log} to make {to} lead it", default="", show_default=False, err=True)
    if typed.strip() != log:
        err.print("nothing was changed", style="yellow")
        return False
    return True


# --- Shared -----------------------------------------------------------------------------------------------------------


def _check_names(city: City, log: str, centre: str) -> None:
    _check_log(log)
    check_centre(city, centre)


def _check_log(log: str | None) -> None:
    if log is not None and log not in CENTRES:
        raise ConfigurationError(f"there is no log {log!r}", hint=f"one of {', '.join(CENTRES)}")


def _maintenance(client: HubClient) -> bool:
    """As a centre that sees the witness says."""
    problems = []
    for name, one in client.statuses().items():
        if isinstance(one, CentreStatus) and one.witness.seen:
            return one.witness.maintenance
        problems.append(f"{name}: {one.witness.problem if isinstance(one, CentreStatus) else one.message}")
    raise UnavailableError(f"nobody sees the witness: {'; '.join(problems)}", hint="see `cityhub validate`")


def _with_durations(changes: Iterable[RoleChange]) -> Iterator[tuple[RoleChange, float | None]]:
    """Each change with the seconds since the one before of the same log."""
    before: dict[str, int] = {}
    for change in changes:
        at_ms = before.get(change.log)
        yield change, None if at_ms is None else (change.at_unix_ms - at_ms) / 1000
        before[change.log] = change.at_unix_ms


def _show_checks(results: Sequence[Check]) -> Group:
    """The table, and below it what to do, once for all checks that need the same."""
    table = Table("", "check", "value", "limit", box=None, pad_edge=False)
    remedies: dict[str, list[str]] = {}
    for one in results:
        mark = Text("ok", style="green") if one.ok else Text("NO", style="bold red")
        table.add_row(mark, one.name, Text(one.value, style="" if one.ok else "red"), one.limit)
        if not one.ok:
            remedies.setdefault(one.remedy, []).append(one.name)
    lines = [Text.assemble((f"{', '.join(names)} → ", "red"), remedy) for remedy, names in remedies.items()]
    return Group(table, *([Text("\nWhat to do", style="bold"), *lines] if lines else []))
