"""`load`, `query` and `contract apply`: data in and out."""

import sys
from concurrent.futures import Future
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import pyarrow as pa
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hub.catalogue.load import load_contracts, parse_contract
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
from hub.client.calls import Reading
from hub.errors import BadRequestError, ConfigurationError
from hub.ingest.convert import read_mapping
from hub.ingest.exchange import Receipt
from hub.ingest.group import SENT_QUARANTINE_SCHEMA
from hub.ingest.load import LoadOptions, file_producer, prepare_file
from hub.position import position_of_text
from hub.query.formats import FORMATS, write_result

_REASONS_SHOWN: Final = 5


class Read(StrEnum):
    LOCAL = "local"
    STRONG = "strong"


@command
def load(
    file: Annotated[
        Path, typer.Argument(help="CSV, Parquet or JSON lines; .gz is taken too.", exists=True, dir_okay=False)
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Data set to load into.")],
    city: CityOption = DEFAULT_CITY,
    mapping: Annotated[Path | None, typer.Option(help="TOML file: source column → column of the data set.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, parquet or jsonl; default: by the file's name.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8 or gb18030; default: detected.")] = None,
    exchange_rows: Annotated[int, typer.Option(help="Rows in one exchange.", min=1)] = 20_000,
    again: Annotated[str, typer.Option(help="A word of your own: loads a file that was loaded before once more.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Load a file: map, check, submit. Rows that fail go to the data set `quarantine` with their reason.

    Loading the same file again adds nothing: an interrupted load is finished by the same command.
    """
    with connect(city_of(city)) as client:
        contract = client.contract(dataset)
        chosen = read_mapping(mapping) if mapping else None
        options = LoadOptions(format=file_format, encoding=encoding, mapping=chosen, exchange_rows=exchange_rows)
        name = file_producer(file, contract, options) + (f"-{again}" if again else "")
        outcomes: list[Future[Receipt]] = []
        reasons: dict[str, int] = {}
        rows = 0
        with _progress() as bar, client.producer(name, log=contract.home) as producer:
            task = bar.add_task(file.name, total=file.stat().st_size)
            for part in prepare_file(file, contract, options):
                rows += part.rows_read
                for one in part.rejected:
                    reasons[one.reason] = reasons.get(one.reason, 0) + 1
                quarantine = pa.RecordBatch.from_pylist(
                    [{"row": one.row, "reason": one.reason, "content": one.content} for one in part.rejected],
                    schema=SENT_QUARANTINE_SCHEMA,
                )
                outcomes.append(producer.send(dataset, part.rows, sequence=part.sequence, quarantine=quarantine))
                bar.update(task, completed=part.bytes_read)
            producer.flush()
            bar.update(task, completed=file.stat().st_size)
        receipts = [outcome.result() for outcome in outcomes]
    facts = {
        "file": str(file),
        "data_set": dataset,
        "producer": name,
        "rows": rows,
        "accepted": sum(receipt.rows for receipt in receipts),
        "quarantined": sum(receipt.rows_rejected for receipt in receipts),
        "exchanges": len(receipts),
        "loaded_before": sum(receipt.duplicate for receipt in receipts),
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1])),
        "position": {contract.home: max((receipt.lsn for receipt in receipts), default=0)},
    }
    if as_json:
        print_json(facts)
    else:
        _show_load(facts)


@command
def query(
    sql: Annotated[str, typer.Argument(help="One read-only statement; - reads it from standard input.")] = "",
    city: CityOption = DEFAULT_CITY,
    centre: CentreOption = None,
    name: Annotated[str, typer.Option("--name", help="A named query instead; `cityhub named` lists them.")] = "",
    settings: Annotated[list[str], typer.Option("--set", help="PARAMETER=VALUE for $PARAMETER; may be repeated.")] = [],  # noqa: B006  # typer's form
    query_class: Annotated[
        str, typer.Option("--class", help="interactive, analysis (may take long) or system.")
    ] = "interactive",
    output: Annotated[str, typer.Option("--format", "-f", help=f"{', '.join(FORMATS)}.")] = "table",
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write to; default: standard output.")
    ] = None,
    at_least: Annotated[list[str], typer.Option(help="LOG=LSN: wait until this is applied; may be repeated.")] = [],  # noqa: B006  # typer's form
    read: Annotated[
        Read, typer.Option(help="local: as the centre is; strong: all that was acknowledged before, or an error.")
    ] = Read.LOCAL,
    rows_max: Annotated[int, typer.Option(help="Refuse a longer answer; 0: the centre's limit.", min=0)] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds; 0: the centre's limit.", min=0)] = 0.0,
) -> None:
    """Ask either centre; Ctrl-C cancels the query there too."""
    if output not in FORMATS:
        raise ConfigurationError(f"there is no format {output!r}", hint=f"one of {', '.join(FORMATS)}")
    if bool(sql) == bool(name):
        raise ConfigurationError("give a statement, or a named query with --name")
    topology = city_of(city)
    parameters = dict(_setting(one) for one in settings)
    how: Reading = {
        "centre": check_centre(topology, centre),
        "at_least": _position(at_least),
        "strong": read is Read.STRONG,
        "rows_max": rows_max,
        "time_s_max": timeout,
        "query_class": query_class,
    }
    with connect(topology) as client, ExitStack() as stack:
        if name:
            result = client.query_named(name, parameters, **how)
        else:
            result = client.query(sys.stdin.read() if sql == "-" else sql, parameters, **how)
        sink: BinaryIO = stack.enter_context(file.open("wb")) if file else sys.stdout.buffer
        try:
            write_result(result.reader.schema, result.reader, output, sink)
        except BaseException:
            result.cancel()
            raise
        if output == "table":
            position = ", ".join(f"{log} {lsn:,}" for log, lsn in sorted(result.position.items()))
            err.print(f"at position {position}", style="dim", highlight=False)


@command
def apply_contracts(
    source: Annotated[Path, typer.Argument(help="A contract file, or a folder of them.", exists=True)],
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
) -> None:
    """Create data sets or change their contracts, as logged entries."""
    contracts = load_contracts(source) if source.is_dir() else {}
    if not contracts:
        one = parse_contract(source.read_text(encoding="utf-8"), origin=str(source))
        contracts = {one.name: one}
    facts: list[dict[str, Any]] = []
    with connect(city_of(city)) as client:
        for contract in contracts.values():
            lsn, changed = client.apply_contract(contract)
            facts.append({"data_set": contract.name, "log": contract.home, "lsn": lsn, "changed": changed})
    if as_json:
        print_json(facts)
    else:
        for fact in facts:
            out.print(f"{fact['data_set']}: {'in force' if fact['changed'] else 'unchanged'}", highlight=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


def _setting(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise ConfigurationError(f"{pair!r} sets nothing", hint="write PARAMETER=VALUE")
    return name, value


def _position(pairs: list[str]) -> dict[str, int]:
    try:
        return position_of_text(",".join(pairs))
    except BadRequestError as error:
        raise ConfigurationError(error.message, hint=error.hint) from None


def _show_load(facts: dict[str, Any]) -> None:
    out.print(
        f"{facts['rows']:,} rows read, {facts['accepted']:,} accepted, {facts['quarantined']:,} quarantined, "
        f"in {facts['exchanges']:,} exchanges ({facts['loaded_before']:,} had been loaded before)",
        highlight=False,
    )
    for reason, count in list(facts["reasons"].items())[:_REASONS_SHOWN]:
        out.print(f"  {count:,} × {reason}", markup=False, highlight=False)
    if facts["quarantined"]:
        out.print(f"they are in data set quarantine, with producer {facts['producer']}", highlight=False)
