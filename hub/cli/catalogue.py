"""`contract lint` and `catalogue export`: the catalogue, judged and as linked data."""

import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hub.catalogue.contract import Contract
from hub.catalogue.dcat import catalog, dataset, document
from hub.catalogue.lint import coverage
from hub.catalogue.lint import lint as findings_of
from hub.catalogue.load import builtin_contracts, load_contracts, parse_contract
from hub.cli.common import DEFAULT_CITY, CityOption, JsonOption, city_of, command, connect, err, out, print_json

app = typer.Typer(help="The catalogue as a whole.", no_args_is_help=True)


@command
def lint(
    source: Annotated[
        Path | None,
        typer.Argument(help="A contract file, or a folder of them; default: the built-in ones.", exists=True),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what is doubtful in contracts. Exit 0 only if nothing is found."""
    builtin = builtin_contracts()
    contracts = builtin if source is None else _contracts_of(source)
    findings = findings_of(contracts.values(), known=builtin)
    if source is None:
        findings += coverage(contracts.values())
    if as_json:
        print_json([asdict(one) for one in findings])
    elif findings:
        table = Table("data set", "column", "rule", "finding")
        for one in findings:
            table.add_row(one.data_set, one.column, one.rule, one.message)
        out.print(table)
    else:
        out.print(f"{len(contracts)} data sets, nothing found", highlight=False)
    if findings:
        raise typer.Exit(1)


@app.command()
@command
def export(
    city: CityOption = DEFAULT_CITY,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default: standard output.")] = None,
    open_only: Annotated[
        bool, typer.Option("--open-only", help="Only what may be published, as the public gets it.")
    ] = False,
    built_in: Annotated[bool, typer.Option("--built-in", help="What comes with the hub; asks no centre.")] = False,
) -> None:
    """Write the catalogue as DCAT-AP in JSON-LD, of the city in force."""
    contracts = builtin_contracts() if built_in else _in_force(city)
    chosen = [one for _, one in sorted(contracts.items()) if one.publication is not None or not open_only]
    nodes = [dataset(one, public=open_only) for one in chosen]
    text = json.dumps(document(catalog(nodes, modified=datetime.now(UTC))), ensure_ascii=False, indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
        err.print(f"{len(nodes)} data sets in {output}", highlight=False)


def _contracts_of(source: Path) -> Mapping[str, Contract]:
    """Raises ContractError."""
    if source.is_dir():
        return load_contracts(source)
    text = source.read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(text).get("contract")
    except tomllib.TOMLDecodeError:
        tables = None
    if not isinstance(tables, list) or len(tables) < 2:
        tables = [text]  # It says itself what is wrong with it.
    found = [parse_contract(one, origin=source.name) for one in tables]
    return {contract.name: contract for contract in found}


def _in_force(city: Path) -> Mapping[str, Contract]:
    with connect(city_of(city)) as client:
        return client.contracts()
