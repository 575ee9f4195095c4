"""`load`, `query` and `contract apply`: data in and out."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.progress import DownloadColumn, TimeRemainingColumn

from hub.catalogue.load import load_contracts, parse_contract
from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
    CityOption,
    JsonOption,
    bar_of,
    check_centre,
    city_of,
    command,
    connect,
    err,
    out,
    print_json,
)
from hub.cli.loading import Loaded, load_file
from hub.client.calls import Reading
from hub.errors import BadRequestError, ConfigurationError
from hub.ingest.load import LoadOptions
from hub.ingest.mapping import Mapping, read_mapping
from hub.position import position_of_text
from hub.query.formats import FORMATS, write_result

_REASONS_SHOWN: Final = 12


class Read(StrEnum):
    LOCAL = "local"
    STRONG = "strong"


@command
def load(
    file: Annotated[
        Path,
        typer.Argument(help="CSV, Parquet, JSON lines or Excel; text may be gzipped.", exists=True, dir_okay=False),
    ],
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Data set to load into; default: the mapping's.")
    ] = None,
    city: CityOption = DEFAULT_CITY,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file: which column is which, values, time zone, datum.")
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, parquet, jsonl or xlsx; default: by the file's name.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8 or gb18030; default: detected.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook; default: the first.")] = None,
    exchange_rows: Annotated[
        int | None, typer.Option(help="Rows in one exchange; default: 20000.", min=1, show_default=False)
    ] = None,
    again: Annotated[str, typer.Option(help="A word of your own: loads a file that was loaded before once more.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Load a file: map, put right, check, submit. Rows that fail go to data set `quarantine` with their reason.

    Loading the same file again adds nothing: an interrupted load is finished by the same command.
    """
    chosen = read_mapping(mapping) if mapping else Mapping()
    data_set = dataset or chosen.data_set
    if data_set is None:
        raise ConfigurationError("name the data set", hint="with -d, or as data_set in the mapping")
    options = LoadOptions(
        format=file_format, encoding=encoding, sheet=sheet, mapping=chosen, exchange_rows=exchange_rows
    )
    size = file.stat().st_size
    with connect(city_of(city)) as client, bar_of(DownloadColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(file.name, total=size)
        loaded = load_file(
            client,
            file,
            client.contract(data_set),
            options,
            again=again,
            progress=lambda done: bar.update(task, completed=done),
        )
        bar.update(task, completed=size)
    if as_json:
        print_json({"file": str(file), "data_set": data_set} | loaded.as_json())
    else:
        _show_load(loaded)


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


def _show_load(loaded: Loaded) -> None:
    report = loaded.report
    out.print(
        f"{report.rows_read:,} rows read, {loaded.accepted:,} accepted, {loaded.quarantined:,} quarantined, "
        f"in {len(loaded.receipts):,} exchanges ({loaded.loaded_before:,} had been loaded before)",
        highlight=False,
    )
    for what, count in report.put_right.most_common():
        out.print(f"  {count:,} × put right: {what}", markup=False, highlight=False)
    for reason, count in report.kinds.most_common(_REASONS_SHOWN):
        out.print(f"  {count:,} × {reason}", markup=False, highlight=False)
    for note in report.notes:
        out.print(f"  {note}", markup=False, highlight=False)
    if loaded.quarantined:
        out.print(f"they are in data set quarantine, with producer {loaded.producer}", highlight=False)
