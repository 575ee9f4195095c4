"""`quarantine list`, `export` and `resubmit`: rejected rows, put right and sent again."""

import sys
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer
from rich.table import Table

from hub.cli.common import DEFAULT_CITY, CityOption, JsonOption, city_of, command, connect, err, out, print_json
from hub.cli.references import KnownValues
from hub.ingest.load import LoadOptions
from hub.ingest.mapping import Mapping, read_mapping
from hub.quarantine.lines import line_of
from hub.quarantine.open_rows import COUNTS, ROWS
from hub.quarantine.resubmission import resubmit as resubmit_rows

_FAILED: Final = 1
_PART_ROWS: Final = 5_000
_REASONS_SHOWN: Final = 5

app = typer.Typer(help="Rows that were rejected: list, export, mend and resubmit them.", no_args_is_help=True)

DataSetOption = Annotated[str, typer.Option("--dataset", "-d", help="Data set that the rows were sent to.")]


@app.command("list")
@command
def list_rows(
    city: CityOption = DEFAULT_CITY,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Only rows sent to this data set.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count the open rows by data set, producer and kind of reason; one with several reasons counts under each."""
    with connect(city_of(city)) as client:
        rows = client.query(COUNTS, {"data_set": dataset}, strong=True, query_class="analysis").table().to_pylist()
    if as_json:
        print_json(rows)
        return
    table = Table("data set", "producer", "reason", "rows")
    for row in rows:
        table.add_row(row["data_set"], row["producer"], row["kind"], f"{row['rows']:,}")
    out.print(table if rows else "no row is open")


@app.command()
@command
def export(
    dataset: DataSetOption,
    city: CityOption = DEFAULT_CITY,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write to; default: standard output.")
    ] = None,
    producer: Annotated[str | None, typer.Option(help="Only rows from this producer.")] = None,
) -> None:
    """Write the open rows as JSON lines, to be mended: the fields as they came, `_quarantine` and `_reason`."""
    count = 0
    with connect(city_of(city)) as client, ExitStack() as stack:
        client.contract(dataset)
        asked = {"data_set": dataset, "producer": producer}
        answer = client.query(ROWS, asked, strong=True, query_class="analysis")
        sink: TextIO = stack.enter_context(output.open("w", encoding="utf-8")) if output else sys.stdout
        for batch in answer.reader:
            sink.writelines(line_of(row["id"], row["reason"], row["content"]) for row in batch.to_pylist())
            count += batch.num_rows
    err.print(f"{count:,} open rows", style="dim", highlight=False)


@app.command()
@command
def resubmit(
    file: Annotated[Path, typer.Argument(help="Mended rows: what `export` wrote.", exists=True, dir_okay=False)],
    dataset: DataSetOption,
    city: CityOption = DEFAULT_CITY,
    mapping: Annotated[Path | None, typer.Option(help="TOML file, as of `cityhub load`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Load mended rows and close them in the quarantine; those that still fail stay open, and make the exit code 1.

    Sending the same file again adds nothing: an interrupted one is finished by the same command.
    """
    options = LoadOptions(
        format="jsonl", mapping=read_mapping(mapping) if mapping else Mapping(), exchange_rows=_PART_ROWS
    )
    resolved = not_open = 0
    failed: Counter[str] = Counter()
    with connect(city_of(city)) as client:
        now = datetime.now(UTC).replace(tzinfo=None)
        contract, known = client.contract(dataset), KnownValues(client)
        for part in resubmit_rows(client, file, contract, options, now=now, known=known):
            resolved += part.resolved
            not_open += part.not_open
            failed += part.failed
    if as_json:
        facts: dict[str, Any] = {"resolved": resolved, "failed": failed.total(), "not_open": not_open}
        print_json({**facts, "reasons": dict(failed.most_common())})
    else:
        out.print(
            f"{resolved:,} rows put right, {failed.total():,} still fail, {not_open:,} were not open", highlight=False
        )
        for reason, count in failed.most_common(_REASONS_SHOWN):
            out.print(f"  {count:,} × {reason}", markup=False, highlight=False)
    if failed:
        raise typer.Exit(_FAILED)
