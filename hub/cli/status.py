"""`status`: who leads, how far each copy is, what would follow if a leader were lost. Readable at 80 columns."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hub.cli.common import DEFAULT_CITY, CityOption, JsonOption, city_of, command, connect, out, print_json
from hub.cli.figures import size, span
from hub.client import HubClient
from hub.config import CENTRES, City
from hub.errors import HubError
from hub.mode import ModeName
from hub.recovery import Recovery, estimate
from hub.status import CentreStatus, LogStatus

_WATCH_S: Final = 1.0
_NONE: Final = "–"

Found = Mapping[str, CentreStatus | HubError]


@command
def status(
    city: CityOption = DEFAULT_CITY,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every second until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show roles, positions and lag of each log, the state of each centre, and what would follow if a leader were lost.
    Exit 3 if no centre answers."""
    topology = city_of(city)
    with connect(topology) as client:
        if watch:
            with Live(console=out, auto_refresh=False) as live:
                while True:
                    live.update(_show(*_ask(client), topology), refresh=True)
                    time.sleep(_WATCH_S)
        found, asked_s = _ask(client)
    if as_json:
        print_json(_facts(found, asked_s, topology))
    else:
        out.print(_show(found, asked_s, topology))
    if not any(isinstance(one, CentreStatus) for one in found.values()):
        raise typer.Exit(3)


def show_recovery(recoveries: Iterable[Recovery]) -> Group:
    """What follows if the leader of a log is lost now."""
    table = _table("log", "leader", "after a crash", "after silence", "lost", title="If a leader is lost now")
    reasons = []
    for one in recoveries:
        style = "red" if one.loss_entries != 0 else ""
        times = (_seconds(one.after_crash_ms), _seconds(one.after_silence_ms))
        table.add_row(one.log, one.leader, *times, Text(one.loss, style=style))
        if one.reason:
            reasons.append(Text(f"log {one.log} would stay without a leader: {one.reason}", style="red"))
    return Group(table, *reasons)


def _ask(client: HubClient) -> tuple[Found, float]:
    """Both centres' status, and the moment before they were asked."""
    asked_s = time.monotonic()
    return client.statuses(), asked_s


def _facts(found: Found, asked_s: float, city: City) -> dict[str, Any]:
    age_ms = (time.monotonic() - asked_s) * 1000
    facts: dict[str, Any] = {
        name: {**one.model_dump(), "computed_ms_ago": age_ms} if isinstance(one, CentreStatus) else {"error": str(one)}
        for name, one in found.items()
    }
    return {**facts, "recovery": [asdict(one) for one in estimate(found, city)]}


# --- What is shown --------------------------------------------------------------------------------------------------


def _show(found: Found, asked_s: float, city: City) -> Group:
    alive = {name: one for name, one in found.items() if isinstance(one, CentreStatus)}
    parts: list[RenderableType] = [_line(name, one) for name, one in found.items()]
    if alive:
        age_s = time.monotonic() - asked_s
        parts += [_positions(alive), _lags(alive, age_s), *_troubles(alive)]
        parts += [show_recovery(estimate(found, city)), _centres(alive), _segments(alive)]
    return Group(*parts)


def _line(name: str, one: CentreStatus | HubError) -> Text:
    """One centre and how it sees the witness."""
    line = Text(f"{name}  ")
    if isinstance(one, HubError):
        return line.append(f"does not answer: {one.message}", style="bold red")
    witness = one.witness
    if witness.seen:
        line.append(f"sees the witness, generation {witness.generation}, {witness.last_view_ms_ago:,.0f} ms ago")
    else:
        line.append("UNOBSERVED", style="bold white on red")
        line.append(f": no role can change, {witness.problem}", style="bold red")
    if witness.maintenance:
        line.append("; MAINTENANCE is on", style="bold yellow")
    if one.mode == ModeName.EMERGENCY:
        line.append(f"; EMERGENCY mode: {one.mode_reason}", style="bold red")
    return line


def _positions(alive: Mapping[str, CentreStatus]) -> Table:
    table = _table("log", "at", "role", "epoch", "in sync", "end", "committed", "applied", title="Logs")
    for name, log in _logs(alive):
        table.add_row(
            log.log,
            name,
            log.role,
            str(log.epoch),
            Text(" ".join(log.in_sync), style="" if len(log.in_sync) == len(CENTRES) else "yellow"),
            f"{log.end_lsn:,}",
            f"{log.commit_lsn:,}",
            f"{log.applied_lsn:,}",
        )
    return table


def _lags(alive: Mapping[str, CentreStatus], age_s: float) -> Table:
    """What a standby says is as old as the last word that it heard of its leader."""
    table = _table("log", "at", "transport lag", "apply lag", "computed", "waiting", "peer", title="Lag in entries")
    for name, log in _logs(alive):
        leads = log.role == "leader"
        transport = f"{log.lag_entries:,}, {size(log.lag_bytes)}, {span(log.lag_s)}"
        peer = Text("suspected", style="red") if log.suspected else Text("connected" if log.peer_connected else "away")
        table.add_row(
            log.log,
            name,
            transport if leads else _NONE,
            f"{log.apply_lag_entries:,}",
            f"{span(age_s if leads else age_s + log.lag_s)} ago",
            f"{log.waiting:,}" if leads else _NONE,
            peer,
        )
    return table


def _troubles(alive: Mapping[str, CentreStatus]) -> list[Text]:
    """Sentences that are too long for a table."""
    lines = []
    for name, log in _logs(alive):
        asked = f"for {' '.join(log.pending)} since {log.pending_ms:,.0f} ms" if log.pending else ""
        lost = log.standby_lost_in_s
        cut_off = f"lost in {span(lost)}: then it comes back by a snapshot" if lost >= 0 else ""
        said = (
            ("says its standby is", cut_off),
            ("blocked", log.blocked),
            ("suspects its peer", log.suspected),
            ("asks the witness", asked),
        )
        lines += [Text(f"log {log.log} at {name} {what}: {why}", style="red") for what, why in said if why]
    fetching = [(name, one.store.snapshots) for name, one in alive.items() if one.store.snapshots]
    return lines + [Text(f"snapshot of {name}: {who}", style="yellow") for name, who in fetching]


def _centres(alive: Mapping[str, CentreStatus]) -> Table:
    table = _table("at", "up", "store", "logs", "free", "memory", "sets", "streams", "queries", title="Centres")
    for name, one in alive.items():
        store = one.store
        table.add_row(
            name,
            span(one.uptime_s),
            size(store.store_bytes),
            size(sum(log.log_bytes for log in one.logs)),
            size(store.disk_free_bytes),
            size(store.resident_bytes),
            str(store.data_sets),
            str(store.streams),
            f"{store.queries} (+{store.queries_waiting})" if store.queries_waiting else str(store.queries),
        )
    return table


def _segments(alive: Mapping[str, CentreStatus]) -> Table:
    table = _table("at", "segments", "rows", "size", "to merge", "missing", "damaged", "repaired", title="Segments")
    for name, one in alive.items():
        store = one.store
        counts = (store.segments_to_compact, store.segments_missing, store.segments_damaged, store.segments_repaired)
        table.add_row(
            name,
            f"{store.segments:,}",
            f"{store.segment_rows:,}",
            size(store.segment_bytes),
            *(f"{count:,}" for count in counts),
        )
    return table


# --- Small helpers --------------------------------------------------------------------------------------------------


def _table(*columns: str, title: str) -> Table:
    table = Table(
        box=None, title=f"\n{title}", title_style="bold", title_justify="left", padding=(0, 2, 0, 0), pad_edge=False
    )
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    return table


def _logs(alive: Mapping[str, CentreStatus]) -> list[tuple[str, LogStatus]]:
    """(centre, log), both centres' word on a log together."""
    return [(name, log) for which in CENTRES for name, one in alive.items() for log in one.logs if log.log == which]


def _seconds(milliseconds: int | None) -> str:
    return "never" if milliseconds is None else f"about {milliseconds / 1000:.1f} s"
