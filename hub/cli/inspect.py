"""`verify`, `datasets` and `describe`: look at the data."""

from typing import Annotated, Any

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
    out,
    print_json,
)
from hub.config import CENTRES
from hub.errors import UnknownDataSetError
from hub.status import Digest


@command
def verify(city: CityOption = DEFAULT_CITY, as_json: JsonOption = False) -> None:
    """Compare every data set of both centres at one position of each log. Exit 0 only if all digests are equal."""
    topology = city_of(city)
    rows: list[dict[str, Any]] = []
    with connect(topology) as client:
        for log in CENTRES:
            lsn, digests = client.verify_log(log)
            rows += _compare(log, lsn, digests)
    equal = all(row["equal"] for row in rows)
    if as_json:
        print_json({"equal": equal, "data_sets": rows})
    else:
        table = Table("log", "lsn", "data set", "rows", "digest", "equal", title="Digests of both centres")
        for row in rows:
            style = "" if row["equal"] else "red"
            shown = {
                name: " / ".join(dict.fromkeys(str(one) for one in row[name].values())) for name in ("rows", "digest")
            }
            table.add_row(
                row["log"],
                str(row["lsn"]),
                row["data_set"],
                shown["rows"],
                shown["digest"],
                "yes" if row["equal"] else "NO",
                style=style,
            )
        out.print(table)
    if not equal:
        raise typer.Exit(1)


@command
def datasets(city: CityOption = DEFAULT_CITY, centre: CentreOption = None, as_json: JsonOption = False) -> None:
    """List the catalogue."""
    topology = city_of(city)
    with connect(topology) as client:
        contracts = client.contracts(centre=check_centre(topology, centre))
    if as_json:
        print_json([one.model_dump(mode="json") for one in contracts.values()])
        return
    table = Table("data set", "title", "标题", "agency", "log", "kind", "version", "columns")
    for one in sorted(contracts.values(), key=lambda one: one.name):
        table.add_row(
            one.name,
            one.title.en,
            one.title.zh,
            one.agency,
            one.home,
            one.kind,
            str(one.version),
            str(len(one.columns)),
        )
    out.print(table)


@command
def describe(
    data_set: Annotated[str, typer.Argument(help="Name of the data set.")],
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
) -> None:
    """Show the contract of one data set."""
    with connect(city_of(city)) as client:
        contracts = client.contracts()
    if data_set not in contracts:
        raise UnknownDataSetError(f"there is no data set {data_set!r}", hint="`cityhub datasets` lists them")
    one = contracts[data_set]
    if as_json:
        print_json(one.model_dump(mode="json"))
        return
    table = Table(
        "column",
        "type",
        "unit",
        "required",
        "domain",
        "sensitivity",
        "title",
        "标题",
        title=f"{one.name} {one.title.zh}",
    )
    for column in one.columns:
        domain = (
            ""
            if column.domain is None
            else ", ".join(f"{name} {value}" for name, value in column.domain.model_dump(exclude_none=True).items())
        )
        required = "key" if column.name in one.key else "yes" if column.required else ""
        table.add_row(
            column.name,
            column.type,
            column.unit,
            required,
            domain,
            column.sensitivity,
            column.title.en,
            column.title.zh,
        )
    out.print(table)


def _compare(log: str, lsn: int, digests: dict[str, list[Digest]]) -> list[dict[str, Any]]:
    """One row a data set; a data set that one centre lacks is a difference."""
    by_centre = {centre: {one.data_set: one for one in found} for centre, found in digests.items()}
    rows = []
    for data_set in sorted(set().union(*by_centre.values())):
        found = {centre: ones.get(data_set) for centre, ones in by_centre.items()}
        rows.append(
            {
                "log": log,
                "lsn": lsn,
                "data_set": data_set,
                "rows": {centre: one.rows if one else None for centre, one in found.items()},
                "digest": {centre: one.digest if one else None for centre, one in found.items()},
                "equal": len({(one.rows, one.digest) if one else None for one in found.values()}) == 1,
            }
        )
    return rows
