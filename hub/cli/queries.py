"""`queries`, `kill`, `named` and `mode`: what is asked of the centres, and in which mode they answer."""

import getpass
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
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
from hub.client import HubClient
from hub.errors import ConfigurationError, HubError, QueryError, UnavailableError
from hub.mode import ModeName
from hub.query.named import NamedQuery
from hub.status import CentreStatus

_TEXT_MAX: Final = 120


@command
def queries(city: CityOption = DEFAULT_CITY, centre: CentreOption = None, as_json: JsonOption = False) -> None:
    """List the queries that wait and run at the centres; `kill` ends one."""
    topology = city_of(city)
    chosen = check_centre(topology, centre)
    rows: list[dict[str, Any]] = []
    with connect(topology) as client:
        for name in [chosen] if chosen else client.centres:
            try:
                rows += ({"centre": name, **asdict(one)} for one in client.queries(name))
            except UnavailableError as error:
                if chosen:
                    raise
                err.print(f"{name} does not answer: {error.message}", style="yellow", highlight=False)
    if as_json:
        print_json(rows)
        return
    table = Table("id", "class", "state", "waited", "running", "asked by", "statement", box=None, pad_edge=False)
    for row in rows:
        text = " ".join(row["text"].split())
        table.add_row(
            row["id"],
            row["query_class"],
            "running" if row["running"] else "waiting",
            f"{row['waited_s']:.1f} s",
            f"{row['running_s']:.1f} s",
            row["asked_by"],
            Text(text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"),
        )
    out.print(table if rows else "no query waits or runs")


@command
def kill(
    query_id: Annotated[str, typer.Argument(metavar="ID", help="As `cityhub queries` lists it, such as ops-12.")],
    city: CityOption = DEFAULT_CITY,
) -> None:
    """End a query that waits or runs; whoever asked it gets an error."""
    topology = city_of(city)
    centre = check_centre(topology, query_id.partition("-")[0])
    assert centre is not None
    with connect(topology) as client:
        client.kill_query(centre, query_id)
    out.print(f"{query_id} is ended", highlight=False)


@command
def named(
    name: Annotated[str | None, typer.Argument(help="One query: its parameters and its SQL.")] = None,
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
) -> None:
    """List the named queries; `cityhub query --name NAME --set PARAMETER=VALUE` runs one."""
    with connect(city_of(city)) as client:
        found = [one for one in client.named_queries() if name in (None, one.name)]
    if not found:
        raise QueryError(f"there is no query {name!r}", hint="`cityhub named` lists them")
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
    elif name is None:
        table = Table("query", "version", "title", "标题", "parameters")
        for one in found:
            parameters = ", ".join(parameter.name for parameter in one.parameters)
            table.add_row(one.name, str(one.version), one.title.en, one.title.zh, parameters)
        out.print(table)
    else:
        for one in found:
            _show_named(one)


@command
def mode(
    name: Annotated[ModeName | None, typer.Argument(help="The mode to change to; without it, show the mode.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the change.")] = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
) -> None:
    """Show or change the city's mode of operation (平战结合). In emergency mode the command centre answers more queries
    at a time, and analysis gives way.

    A change is a logged fact at both centres; the data set `modes` has all of them.
    """
    with connect(city_of(city)) as client:
        if name is not None:
            if name is ModeName.EMERGENCY and not reason:
                raise ConfigurationError("an emergency has a reason", hint="--reason 'typhoon signal 10'")
            _, changed = client.set_mode(name, reason=reason, asked_by=getpass.getuser())
            err.print(f"the mode {'is' if changed else 'was already'} {name}", style="dim", highlight=False)
        shown = _modes(client)
    if as_json:
        print_json({centre: {"mode": one.mode, "reason": one.reason} for centre, one in shown.items()})
        return
    for centre, one in shown.items():
        style = "bold red" if one.mode == ModeName.EMERGENCY else ""
        out.print(f"{centre}  {one.mode}{f': {one.reason}' if one.reason else ''}", style=style, highlight=False)


@dataclass(frozen=True, slots=True)
class _Shown:
    mode: str
    reason: str


def _modes(client: HubClient) -> dict[str, _Shown]:
    found: dict[str, CentreStatus | HubError] = client.statuses()
    return {
        name: _Shown(one.mode, one.mode_reason) if isinstance(one, CentreStatus) else _Shown("unknown", one.message)
        for name, one in found.items()
    }


def _show_named(one: NamedQuery) -> None:
    out.print(f"{one.name} v{one.version}  {one.title.zh}  {one.title.en}", style="bold", highlight=False)
    out.print(one.description, highlight=False)
    table = Table("parameter", "type", "default", "", box=None, pad_edge=False)
    for each in one.parameters:
        default = "none" if each.optional else "" if each.default is None else str(each.default)
        table.add_row(each.name, each.type, default, each.description)
    out.print(table)
    out.print(f"\n{one.sql}\n", highlight=False, markup=False)
