"""`inbox`: loads what agencies put into a folder, each file once."""

import fcntl
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.cli.common import DEFAULT_CITY, CityOption, city_of, command, connect, err, out, show_error
from hub.cli.loading import load_file
from hub.client import HubClient
from hub.errors import ConfigurationError, NotLeaderError, OverloadedError, UnavailableError
from hub.inbox.assign import Assignment
from hub.inbox.folders import DONE
from hub.inbox.rounds import Inbox, Load, Report
from hub.ingest.load import LoadOptions, prepare_file

_LOCK: Final = ".cityhub-inbox.lock"
_WAIT_S_MAX: Final = 30.0


@command
def inbox(
    folder: Annotated[
        Path, typer.Argument(help="Folder with one folder an agency.", exists=True, file_okay=False, metavar="DIR")
    ],
    city: CityOption = DEFAULT_CITY,
    once: Annotated[bool, typer.Option("--once", help="Handle what is there, then exit.")] = False,
    settle: Annotated[float, typer.Option(help="Seconds that a file must not have changed for.", min=0)] = 5.0,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.05)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file.")] = False,
) -> None:
    """Load files as they come into DIR/<agency>/, and move each to done/ or rejected/ with its report.

    Mappings (DIR/<agency>/*.toml) say which file is what; without one the name does: <data set>_anything.csv. Write
    under a name that ends in .part, then rename. With --once the exit code is 1 if a file or a row was rejected.
    """
    with _alone(folder), connect(city_of(city)) as client:
        box = Inbox(
            root=folder, settle_s=settle, contracts=client.contracts, load=_loader(client), clock=time.monotonic
        )
        rounds = _once(box) if once else _for_ever(box, every)
        clean = True
        for report in rounds:
            clean = clean and report["outcome"] == DONE and not report["quarantined"]
            _show(report, as_json)
    if box.unsettled:
        err.print(f"{box.unsettled} files were still being written, or wait for their mapping", highlight=False)
    if not clean:
        raise typer.Exit(1)


def _loader(client: HubClient) -> Load:
    def load(path: Path, assignment: Assignment, unchanged: Callable[[], None]) -> dict[str, Any]:
        """Nothing is sent of a file that cannot be read to its end: whoever mends it sends all of it again."""
        options = LoadOptions(mapping=assignment.mapping)
        for _ in prepare_file(path, assignment.contract, options):
            unchanged()
        loaded = load_file(client, path, assignment.contract, options, progress=lambda _: unchanged())
        return loaded.as_json()

    return load


def _once(box: Inbox) -> Iterator[Report]:
    yield from box.round()
    if box.unsettled:
        time.sleep(box.settle_s)
        yield from box.round()


def _for_ever(box: Inbox, every_s: float) -> Iterator[Report]:
    """Waits longer and longer for centres that cannot be asked."""
    wait_s = every_s
    while True:
        try:
            yield from box.round()
            wait_s = every_s
        except (UnavailableError, NotLeaderError, OverloadedError) as error:
            show_error(error)
            wait_s = min(2 * wait_s, _WAIT_S_MAX)
        time.sleep(wait_s)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    name = f"{report['agency']}/{report['file']}" if "file" in report else report["agency"]
    if report["outcome"] == DONE:
        words = (
            f"{report['accepted']:,} rows accepted, {report['quarantined']:,} quarantined, into {report['data_set']}"
        )
    else:
        words = f"{report['error']} ({report['hint']})" if report["hint"] else report["error"]
    out.print(f"{name}: {report['outcome']}: {words}", markup=False, highlight=False)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two that watch one folder would move files away from each other. Raises ConfigurationError."""
    try:
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"{folder} is being watched already") from error
        yield
