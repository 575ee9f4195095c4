"""What every command shares: options, consoles, exit codes, and the way errors are shown."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

from hub.config import City, load_city
from hub.errors import BadRequestError, ConfigurationError, HubError, LimitError, NotLeaderError, UnavailableError
from replication.errors import ReplicationError

if TYPE_CHECKING:
    from hub.client import HubClient

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 a check failed, centres differ or roles did not change as asked, 2 wrong use or "
    "configuration, 3 not available now, 4 refused, 5 an error of ours, 130 interrupted."
)

CityOption = Annotated[Path, typer.Option("--city", envvar="CITYHUB_CITY", help="Topology file.", show_default=True)]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="CITYHUB_DATA", help="Folder that holds everything; default: as in the topology file."
    ),
]  # an annotation
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CentreOption = Annotated[str | None, typer.Option("--centre", help="Centre to ask: ops or ecc.")]

DEFAULT_CITY: Final = Path("city.toml")
out = Console()
err = Console(stderr=True)

Parameters = ParamSpec("Parameters")
_EXITS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ConfigurationError, 2),
    (UnavailableError, 3),
    (NotLeaderError, 3),
    (BadRequestError, 4),
    (LimitError, 4),
    (HubError, 5),
    (ReplicationError, 5),
)


def command(work: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Shows our errors as one sentence with a hint, and Ctrl-C as nothing."""

    @functools.wraps(work)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except (HubError, ReplicationError) as error:
            show_error(error)
            raise typer.Exit(next(code for kind, code in _EXITS if isinstance(error, kind))) from error
        except KeyboardInterrupt:
            err.print("interrupted", style="yellow")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            sys.stderr.close()  # The reader went away; Python would complain while it flushes.
            raise typer.Exit(0) from None

    return run


def show_error(error: Exception) -> None:
    message = error.message if isinstance(error, HubError) else str(error)
    hint = error.hint if isinstance(error, HubError | ReplicationError) else ""
    err.print(f"error: {message}", style="red", markup=False, highlight=False)
    if hint:
        err.print(f"hint: {hint}", style="yellow", markup=False, highlight=False)


def connect(city: City) -> "HubClient":
    from hub.client import HubClient  # A witness starts without it.

    return HubClient({name: centre.grpc for name, centre in city.centres.items()})


def check_centre(city: City, centre: str | None) -> str | None:
    if centre is not None and centre not in city.centres:
        raise ConfigurationError(f"there is no centre {centre!r}", hint=f"one of {', '.join(city.centres)}")
    return centre


def bar_of(*columns: ProgressColumn) -> Progress:
    """A progress bar on standard error with these columns behind it, gone when it is done."""
    return Progress(TextColumn("{task.description}"), BarColumn(), *columns, console=err, transient=True)


def print_json(facts: Any) -> None:
    sys.stdout.write(json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


def city_of(path: Path, data: Path | None = None) -> City:
    return load_city(path, data=data)
