"""`link`: persons, legal persons, buildings, grid cells and employers, linked by the three codes."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

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
from hub.linkage.centre import CentreHub
from hub.linkage.hub_port import LinkLimits
from hub.linkage.memory import RUNS
from hub.linkage.run import link as link_registries
from hub.position import position_to_text

_REJECTED: Final = 1
_CITY_ZONE: Final = ZoneInfo("Asia/Shanghai")


@command
def link(
    city: CityOption = DEFAULT_CITY,
    centre: CentreOption = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Compare every link, whatever the last run remembered.")
    ] = False,
    part_rows: Annotated[
        int, typer.Option(help="Rows compared in one query; fewer need less memory at the centre.", min=1)
    ] = LinkLimits().part_rows_max,
    as_json: JsonOption = False,
) -> None:
    """Link persons, legal persons and buildings by their codes; only links that differ are sent.

    Reads at the standby unless --centre says otherwise. A run that broke off is finished by the next one.
    """
    topology = city_of(city)
    limits = LinkLimits(part_rows_max=part_rows)
    now = datetime.now(UTC)
    facts: list[dict[str, Any]] = []
    with connect(topology) as client:
        contracts = client.contracts()
        log = contracts[RUNS].home
        with CentreHub(client, centre=check_centre(topology, centre), log=log, limits=limits) as hub:
            done = link_registries(
                hub,
                contracts,
                now=now.replace(tzinfo=None),
                held_on=now.astimezone(_CITY_ZONE).date(),
                from_scratch=from_scratch,
                limits=limits,
            )
            for one in done:
                facts.append(asdict(one))
                if not as_json:
                    err.print(f"{one.data_set}: {one.changed or 'nothing has changed'}", style="dim", highlight=False)
            rejected = hub.rejected
    if as_json:
        print_json({"registries": facts, "rejected": rejected})
    else:
        _show(facts)
    if rejected:
        err.print(f"{rejected:,} links failed a check; they are in quarantine", style="red", highlight=False)
        raise typer.Exit(_REJECTED)


def _show(facts: list[dict[str, Any]]) -> None:
    table = Table("registry", "sent", "deleted", "links", "something not linked", "as of")
    for fact in facts:
        if fact["changed"]:
            counts = [f"{fact[name]:,}" for name in ("upserted", "deleted", "links", "unlinked")]
            table.add_row(fact["data_set"], *counts, position_to_text(fact["position"]))
    if table.row_count:
        out.print(table)
    else:
        out.print("nothing has changed since the last run")
