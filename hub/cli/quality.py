"""`quality`: how good the data sets of each agency are."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

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
from hub.quality.measuring import measure
from hub.quality.measuring import record as record_scores
from hub.quality.score import AgencyScore, Scored, builtin_rules, by_agency

_SHARES: Final = ("validity", "completeness", "uniqueness", "linkage")


@command
def quality(
    datasets: Annotated[list[str] | None, typer.Argument(help="Data sets; all when none is named.")] = None,
    city: CityOption = DEFAULT_CITY,
    centre: CentreOption = None,
    record: Annotated[bool, typer.Option("--record", help="Append the scores to data set quality_scores.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score data sets and agencies by validity, completeness, uniqueness and linkage; the worst agency comes first."""
    topology = city_of(city)
    with connect(topology) as client:
        if datasets:
            chosen = [client.contract(name) for name in datasets]
        else:  # What the hub itself records has no agency that could do better.
            chosen = [one for one in client.contracts().values() if one.home != "each"]
        scored = list(measure(client, chosen, builtin_rules(), centre=check_centre(topology, centre)))
        if record and scored:
            now = datetime.now(UTC).replace(tzinfo=None)
            record_scores(client, scored, measured_at=now.replace(microsecond=now.microsecond // 1000 * 1000))
    agencies = by_agency(scored)
    if as_json:
        print_json({"data_sets": [asdict(one) for one in scored], "agencies": [asdict(one) for one in agencies]})
    else:
        _show(scored, agencies)
        if unsent := len(chosen) - len(scored):
            err.print(f"{unsent:,} data sets have never had a row", style="dim", highlight=False)


def _show(scored: list[Scored], agencies: list[AgencyScore]) -> None:
    table = Table("agency", "data set", "rows", "rejected", *_SHARES, "score")
    for one in sorted(scored, key=lambda one: (one.agency, one.score)):
        shares = [_percent(getattr(one.measures, name)) for name in _SHARES]
        table.add_row(one.agency, one.data_set, f"{one.rows:,}", f"{one.rows_rejected:,}", *shares, f"{one.score:.1f}")
    out.print(table)
    rolled = Table("agency", "data sets", "rows", "rejected", "score")
    for agency in agencies:
        counts = [f"{count:,}" for count in (agency.data_sets, agency.rows, agency.rows_rejected)]
        rolled.add_row(agency.agency, *counts, f"{agency.score:.1f}")
    out.print(rolled)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
