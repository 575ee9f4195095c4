"""`risk map`: the newest run of the risk score as one page of HTML."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
    CityOption,
    JsonOption,
    check_centre,
    city_of,
    command,
    connect,
    out,
    print_json,
)
from hub.client import HubClient
from hub.client.standby import standby_of
from hub.errors import BadRequestError, ConfigurationError, UnavailableError
from hub.position import position_to_text
from hub.risk.map.page import page
from hub.risk.map.tables import SQL, MapTables, tables_of


@command
def write_map(
    file: Annotated[Path, typer.Option("--out", "-o", help="File to write: one HTML page.", dir_okay=False)],
    city: CityOption = DEFAULT_CITY,
    run: Annotated[str | None, typer.Option("--run", help="Run to show; the newest when not given.")] = None,
    centre: CentreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the risk map: points, grid and districts of one run as one page that opens without a network.

    Read at one position, at the standby unless --centre says otherwise.
    """
    topology = city_of(city)
    check_centre(topology, centre)
    with connect(topology) as client:
        tables = _ask(client, run, centre)
    text = page(tables)
    _write(file, text)
    if as_json:
        print_json(
            {"file": str(file), "bytes": len(text.encode()), "run": tables.run["run_id"], "centre": tables.centre}
        )
        return
    out.print(
        f"{file}: run {tables.run['run_id']}, {tables.points.num_rows:,} risk points, "
        f"{tables.cells.num_rows:,} grid cells, {len(text.encode()) / 1e6:.1f} MB, read at {tables.centre}, "
        f"{position_to_text(tables.position)}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _ask(client: HubClient, run: str | None, centre: str | None) -> MapTables:
    """Raises HubError: BadRequestError for a run that is not there, UnavailableError when there is none."""
    contract = client.contract("risk_scores")
    asked = centre or standby_of(client, contract.home)
    answer = client.query(SQL, {"run": run}, centre=asked, query_class="analysis")
    titles = {column.name: column.title for column in contract.columns}
    found = tables_of(answer.table(), titles=titles, position=answer.position, centre=asked)
    if found is None and run is not None:
        raise BadRequestError(f"there is no run {run!r}", hint='`cityhub query "select * from risk_runs"` lists them')
    if found is None:
        raise UnavailableError("the risk points have not been scored yet", hint="run `cityhub risk run` first")
    return found


def _write(file: Path, text: str) -> None:
    """As a whole or not at all: a browser may have the old one open."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error
