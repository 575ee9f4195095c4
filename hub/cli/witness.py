"""`witness`: run the city's witness, and `witness rebuild`."""

import asyncio
import signal
import time
from typing import Annotated, Final

import typer

from hub.cli.common import DEFAULT_CITY, CityOption, DataOption, city_of, command, connect, err
from hub.cli.steps import StepsJsonOption, show_steps
from hub.config import CENTRES, City
from hub.errors import ConfigurationError
from hub.telemetry import configure_logging
from replication.errors import WitnessRefusedError
from replication.witness_server import serve_witness
from replication.witness_store import SqliteWitnessStore

_FILE: Final = "witness.sqlite"


class _Clock:
    def now_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


app = typer.Typer(help="Run the witness in the foreground, or rebuild it.", invoke_without_command=True)


@app.callback()
@command
def witness(
    context: typer.Context,
    city: CityOption = DEFAULT_CITY,
    data: DataOption = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write log lines as JSON.")] = False,
) -> None:
    """Run the witness in the foreground, as a service manager starts it."""
    if context.invoked_subcommand is not None:
        source = context.get_parameter_source("city")
        if source is not None and source.name == "COMMANDLINE":  # It would go unheard.
            raise ConfigurationError("--city stands before the command", hint=f"{context.invoked_subcommand} --city …")
    else:
        configure_logging(json=log_json)
        asyncio.run(_serve(city_of(city, data)))


@app.command()
@command
def rebuild(city: CityOption = DEFAULT_CITY, as_json: StepsJsonOption = False) -> None:
    """Give a witness that lost its files, or has old ones, what both centres hold. Both centres must answer."""
    with connect(city_of(city)) as client:
        show_steps(client.rebuild_witness(), as_json=as_json)


async def _serve(topology: City) -> None:
    place = topology.witness
    try:
        store = SqliteWitnessStore.open(topology.witness_folder / _FILE, changes_max=place.history_changes_max)
    except WitnessRefusedError as error:
        raise ConfigurationError(error.reason, hint="is another witness running there?") from error
    serving = asyncio.create_task(
        serve_witness(
            place.grpc,
            store,
            centres=CENTRES,
            logs=CENTRES,
            limits=topology.replication,
            clock=_Clock(),
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        err.print("witness stopped", highlight=False)
    except OSError as error:
        raise ConfigurationError(str(error), hint="is another witness running there?") from error
