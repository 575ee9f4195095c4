"""`warn`: early warning, pass by pass, and what people do with its alerts."""

import queue
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
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
    show_error,
)
from hub.client import HubClient
from hub.config import City
from hub.errors import LimitError, NotLeaderError, UnavailableError
from hub.warning import states
from hub.warning.calls import who_to_call
from hub.warning.centre import at_pair, pass_at_pair
from hub.warning.rules import builtin_rules
from hub.warning.run import Outcome, detectors

_STYLES: Final = {"red": "bold red", "orange": "dark_orange", "yellow": "yellow", "blue": "blue"}
_SHOWN_MAX: Final = 1000
_Moment = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], metavar="TIME")
]
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `cityhub warn list` shows it.")]
_By = Annotated[str, typer.Option("--by", help="Who does it.")]

app = typer.Typer(help="Early warning: find what goes wrong, take and close alerts.", no_args_is_help=True)


@app.command()
@command
def run(
    city: CityOption = DEFAULT_CITY,
    since: _Moment = None,
    until: _Moment = None,
    centre: CentreOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look once at sensors, rain and hidden dangers; by default from where the last pass ended to now. TIME is UTC.

    Reads at the standby unless --centre says otherwise. A pass that is made again sends nothing twice.
    """
    topology = city_of(city)
    rules = builtin_rules()
    with connect(topology) as client:
        outcome = pass_at_pair(
            client,
            rules,
            detectors(rules),
            now=_now(),
            since=since,
            until=until,
            centre=check_centre(topology, centre),
            dry_run=dry_run,
            progress=_tell if not as_json else lambda cause, until: None,
        )
    if as_json:
        print_json(_facts(outcome))
    else:
        _show(outcome, dry_run=dry_run)


@app.command()
@command
def watch(
    city: CityOption = DEFAULT_CITY,
    every: Annotated[float, typer.Option(help="Seconds from one pass to the next.", min=1)] = 60.0,
    centre: CentreOption = None,
) -> None:
    """Look again and again until Ctrl-C, and print every alert as it comes, whoever sends it."""
    topology = city_of(city)
    check_centre(topology, centre)
    rules = builtin_rules()
    looking = detectors(rules)
    came: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_follow, args=(topology, came), name="alerts", daemon=True).start()
    with connect(topology) as client:
        while True:
            next_s = time.monotonic() + every
            try:
                outcome = pass_at_pair(client, rules, looking, now=_now(), centre=centre)
                err.print(_says(outcome), style="dim", highlight=False)
            except (UnavailableError, NotLeaderError, LimitError) as error:  # The next pass makes up for it.
                show_error(error)
            _print_until(next_s, came)


@app.command("list")
@command
def list_alerts(
    city: CityOption = DEFAULT_CITY,
    state: Annotated[str | None, typer.Option(help="Only those that are sent, taken or closed.")] = None,
    centre: CentreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the alerts as they are now, the newest first."""
    topology = city_of(city)
    with connect(topology) as client:
        chosen = check_centre(topology, centre)
        rows = at_pair(client, lambda hub: states.listed(hub, state=state, rows_max=_SHOWN_MAX), centre=chosen)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    table = Table("id", "level", "state", "at (UTC)", "by", "summary", box=None, pad_edge=False)
    for row in rows:
        level = Text(row["level"], style=_STYLES[row["level"]])
        moment = f"{row['at']:%Y-%m-%d %H:%M:%S}"
        table.add_row(Text(row["alert_id"]), level, row["state"], moment, Text(row["by"] or ""), Text(row["summary"]))
    out.print(table if rows else "there is no alert")


@app.command()
@command
def take(alert_id: _Id, by: _By, city: CityOption = DEFAULT_CITY, as_json: JsonOption = False) -> None:
    """Take an alert: somebody sees to it. Refused when somebody else has taken it."""
    with connect(city_of(city)) as client:
        row = at_pair(client, lambda hub: states.take(hub, hub.contract, alert_id, by=by, at=_now()))
    _done(row, as_json)


@app.command()
@command
def close(
    alert_id: _Id,
    by: _By,
    note: Annotated[str, typer.Option(help="What was done; kept with the record.")] = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
) -> None:
    """Close an alert that was taken."""
    with connect(city_of(city)) as client:
        row = at_pair(client, lambda hub: states.close(hub, hub.contract, alert_id, by=by, at=_now(), note=note))
    _done(row, as_json)


@app.command()
@command
def call(alert_id: _Id, city: CityOption = DEFAULT_CITY, as_json: JsonOption = False) -> None:
    """Show whom to call for an alert: experts by hazard, and the nearest rescue stations of a fitting kind."""
    with connect(city_of(city)) as client:
        calls = builtin_rules().calls
        found = at_pair(client, lambda hub: who_to_call(hub, calls, states.current(hub, alert_id).sent))
    if as_json:
        print_json(
            {"alert_id": alert_id, **{name: getattr(found, name) for name in ("hazards", "experts", "stations")}}
        )
        return
    experts = Table("expert", "name", "field", "hazards", "organisation", "phone", "", box=None, pad_edge=False)
    for row in found.experts:
        texts = (row[name] or "" for name in ("expert_id", "name", "field", "hazards", "organisation", "phone"))
        experts.add_row(*map(Text, texts), "" if row["available"] else "not available")
    stations = Table("station", "name", "kind", "km", "people", "vehicles", "phone", box=None, pad_edge=False)
    for row in found.stations:
        texts = (row[name] for name in ("station_id", "name", "kind", "km", "people", "vehicles", "phone"))
        stations.add_row(*(Text("" if one is None else str(one)) for one in texts))
    out.print(experts if found.experts else "no expert is known for it")
    out.print(stations if found.stations else "no rescue station is known for it")


def _now() -> datetime:
    """UTC to the millisecond, as rows hold it."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _tell(cause: str, until: datetime) -> None:
    err.print(f"{cause}: looked at until {until:%Y-%m-%d %H:%M:%S}", style="dim", highlight=False)


def _follow(city: City, came: "queue.Queue[Any]") -> None:
    """Puts every alert into the queue, without end; in a thread and with a client of its own."""
    client: HubClient = connect(city)
    for alerts, _ in client.watch_alerts():
        for one in alerts:
            came.put(one)


def _print_until(deadline_s: float, came: "queue.Queue[Any]") -> None:
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            one = came.get(timeout=left_s)
        except queue.Empty:
            return
        moment = datetime.fromtimestamp(one.at_unix_ms / 1000, UTC)
        by = f" by {one.by}" if one.by else ""
        out.print(Text(f"{moment:%Y-%m-%d %H:%M:%S} {one.level} {one.state}{by}: ", style=_STYLES[one.level]), end="")
        out.print(Text(f"{one.summary}  ({one.alert_id})"))


def _says(outcome: Outcome) -> str:
    looked = ", ".join(f"{cause} {count:,}" for cause, count in sorted(outcome.looked_at.items())) or "nothing new"
    return f"until {outcome.until:%Y-%m-%d %H:%M:%S}: {looked}; {len(outcome.sent)} sent, {len(outcome.closed)} closed"


def _show(outcome: Outcome, *, dry_run: bool) -> None:
    _list("would be sent" if dry_run else "sent", outcome.sent)
    _list("would be closed" if dry_run else "closed", outcome.closed)
    err.print(f"since {outcome.since:%Y-%m-%d %H:%M:%S} {_says(outcome)}", style="dim", highlight=False)


def _list(word: str, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        out.print(Text(f"{word} {row['level']}: ", style=_STYLES[row["level"]]), end="")
        out.print(Text(f"{row['summary']}  ({row['alert_id']})"))


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "since": _text(outcome.since),
        "until": _text(outcome.until),
        "looked_at": outcome.looked_at,
        "position": outcome.position,
        "sent": [_plain(row) for row in outcome.sent],
        "closed": [_plain(row) for row in outcome.closed],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _text(at: datetime) -> str:
    return f"{at.isoformat(timespec='milliseconds')}Z"


def _done(row: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(_plain(row))
    else:
        out.print(Text(f"{row['alert_id']} is {row['state']} by {row['by']}"))
