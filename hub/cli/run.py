"""`up` and `serve`: start the city."""

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Annotated, Final

import typer

from hub.centre import Centre
from hub.cli.common import DEFAULT_CITY, CityOption, DataOption, city_of, command, connect, err, out
from hub.cli.memory import keep_freed_memory
from hub.client import HubClient
from hub.config import City
from hub.errors import ConfigurationError, HubError, UnavailableError
from hub.telemetry import configure_logging

_START_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 15.0
_RESTART_S: Final = 1.0
_LEAVE_MARGIN_S: Final = 1.0
_GC_THRESHOLD: Final = 100_000  # Objects between two collections; exchanges make many that reference counts free.
_WITNESS: Final = "witness"
_NO_RESTART: Final = (0, 2)  # It ended because it was told to, or because its configuration is wrong.


@command
def serve(
    centre: Annotated[str, typer.Argument(help="ops or ecc")],
    city: CityOption = DEFAULT_CITY,
    data: DataOption = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write log lines as JSON.")] = False,
    hand_over: Annotated[
        bool, typer.Option(help="When told to stop, first let the other centre lead what this one leads.")
    ] = True,
) -> None:
    """Run one centre in the foreground, as a service manager starts it.

    SIGTERM and Ctrl-C stop it; a second one stops it without handing over.
    """
    configure_logging(json=log_json)
    topology = city_of(city, data)
    if centre not in topology.centres:
        raise ConfigurationError(f"there is no centre {centre!r}", hint="ops or ecc")
    try:
        asyncio.run(_serve(topology, centre, hand_over=hand_over))
    except* HubError as group:
        raise group.exceptions[0] from None


@command
def up(city: CityOption = DEFAULT_CITY, data: DataOption = None) -> None:
    """Start witness and centres on this machine; Ctrl-C stops them. One that dies is started again."""
    topology = city_of(city, data)
    topology.data.mkdir(parents=True, exist_ok=True)
    arguments = ["--city", str(city), *(["--data", str(data)] if data else [])]
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _interrupt(stopping))
    children = {name: _start(name, arguments, topology) for name in (_WITNESS, *topology.centres)}
    try:
        _wait_until_listening(children[_WITNESS], topology)
        with connect(topology) as client:
            _wait_until_ready(client, children, topology)
        for name, centre in topology.centres.items():
            served = f"grpc {centre.grpc}  flight {centre.flight}  metrics http://{centre.http}/metrics"
            out.print(f"{name}  {served}", highlight=False, soft_wrap=True)
        out.print(f"{_WITNESS}  grpc {topology.witness.grpc}", highlight=False)
        out.print(f"data and log files in {topology.data}; Ctrl-C stops", highlight=False)
        _watch(children, arguments, topology, stopping)
    finally:
        _stop(children)


async def _serve(topology: City, centre: str, *, hand_over: bool) -> None:
    gc.collect()
    gc.freeze()  # What the start made stays; collecting it again and again would stall acknowledgements.
    gc.set_threshold(_GC_THRESHOLD)
    keep_freed_memory()
    node = Centre(topology, centre)
    serving = asyncio.create_task(node.run())
    leaving: list[asyncio.Task[None]] = []

    def stop() -> None:
        if hand_over and not leaving:
            leaving.append(asyncio.create_task(_leave(node, serving, topology)))
        else:
            serving.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await serving
    except asyncio.CancelledError:
        err.print(f"{centre} stopped", highlight=False)
    finally:
        for task in leaving:
            task.cancel()
        gc.unfreeze()


async def _leave(node: Centre, serving: "asyncio.Task[None]", topology: City) -> None:
    """The logs are handed over, or it stops as their leader: it stops in any case."""
    with suppress(TimeoutError):
        try:
            async with asyncio.timeout(topology.replication.hand_over_ms_max / 1000 + _LEAVE_MARGIN_S):
                await node.leave()
        finally:
            serving.cancel()


def _start(name: str, arguments: list[str], topology: City) -> subprocess.Popen[bytes]:
    """A child in a process group of its own: Ctrl-C reaches only us, and we stop it in order."""
    with (topology.data / f"{name}.log").open("ab") as log:
        command = ["witness"] if name == _WITNESS else ["serve", name, "--no-hand-over"]  # All stop together.
        return subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "hub.cli", *command, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(client: HubClient, children: dict[str, subprocess.Popen[bytes]], topology: City) -> None:
    deadline_s = time.monotonic() + _START_S_MAX
    for name in topology.centres:
        while True:
            _check_alive(name, children[name], topology)
            try:
                client.status(name)
                break
            except HubError as error:
                if time.monotonic() > deadline_s:
                    raise UnavailableError(f"{name} did not start in time", hint=str(error)) from error
                time.sleep(0.1)


def _wait_until_listening(witness: subprocess.Popen[bytes], topology: City) -> None:
    deadline_s = time.monotonic() + _START_S_MAX
    host, _, port = topology.witness.grpc.rpartition(":")
    while True:
        _check_alive(_WITNESS, witness, topology)
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
            return
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise UnavailableError(f"{_WITNESS} did not start in time", hint=str(error)) from error
            time.sleep(0.1)


def _check_alive(name: str, child: subprocess.Popen[bytes], topology: City) -> None:
    if child.poll() is not None:
        raise UnavailableError(
            f"{name} ended with code {child.returncode} while starting", hint=f"see {topology.data / f'{name}.log'}"
        )


def _watch(
    children: dict[str, subprocess.Popen[bytes]], arguments: list[str], topology: City, stopping: threading.Event
) -> None:
    while not stopping.wait(_RESTART_S):
        for name, child in children.items():
            code = child.poll()
            if code is not None:
                log = topology.data / f"{name}.log"
                if code in _NO_RESTART:
                    raise UnavailableError(f"{name} ended with code {code}", hint=f"see {log}")
                err.print(f"{name} died (code {code}) and is started again; see {log}", style="yellow")
                children[name] = _start(name, arguments, topology)
    raise KeyboardInterrupt


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        child.terminate()
    deadline_s = time.monotonic() + _STOP_S_MAX
    for name, child in children.items():
        try:
            child.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            err.print(f"{name} did not stop within {_STOP_S_MAX:.0f} s and is killed", style="yellow")
            child.kill()
            child.wait()


def _interrupt(stopping: threading.Event) -> None:
    """The exception alone is not enough: raised in a callback of another library, it would be swallowed there."""
    stopping.set()
    raise KeyboardInterrupt
