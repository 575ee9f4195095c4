"""A city as real processes on free loopback ports, which can be broken one by one and leave nothing behind."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psutil

from hub.client import HubClient
from hub.config import CENTRES, City, load_city
from hub.errors import HubError
from simulator.drill.proxy import CLIENT, FaultProxies
from simulator.drill.topology import EDGES, PROCESSES, WITNESS, Topology

_START_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 20.0
_PAUSE_S_MAX: Final = 5.0
_POLL_S: Final = 0.02


class CityProcesses:
    """The witness and both centres of a city under `folder`: "witness", "ops", "ecc". Use as a context manager:
    leaving it kills what still runs, paused or not.

    `limits` are tables of the topology file, such as {"ingest": {"write_wait_ms_max": 1000}}. Without `witness` the
    pair runs unobserved: a start of all ends the witness again, which new centres need once. With `proxied`, every
    process and every client reaches the others through `proxies`, where each edge can be cut, refused or slowed;
    `path` and `city` are then the client's view.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: Mapping[str, Mapping[str, Any]] | None = None,
        witness: bool = True,
        proxied: bool = False,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._witness = witness
        topology = Topology(limits or {})
        self._direct = topology.grpc
        self._proxies = FaultProxies({edge: topology.grpc[edge[1]] for edge in EDGES}) if proxied else None
        self.path = folder / "city.toml"
        self._paths: dict[str, Path] = {}
        for source in (CLIENT, *PROCESSES):
            path = folder / f"city-{source}.toml" if proxied and source != CLIENT else self.path
            self._paths[source] = path
            topology.write(path, self._ways(source))
        self.city: City = load_city(self.path)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "CityProcesses":
        if self._proxies is not None:
            self._proxies.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # Each is tried, whatever the others raise.
            if self._proxies is not None:
                stack.callback(self._proxies.__exit__, kind, error, trace)
            for name in tuple(self._children):
                stack.callback(self.kill, name)

    @property
    def addresses(self) -> dict[str, str]:
        """Of the centres, as clients reach them."""
        return {name: centre.grpc for name, centre in self.city.centres.items()}

    @property
    def proxies(self) -> FaultProxies:
        assert self._proxies is not None, "this city has no proxies: make it with proxied=True"
        return self._proxies

    def client(self) -> HubClient:
        return HubClient(self.addresses)

    def start(self, *names: str) -> None:
        """Starts the processes named, or all, the witness first, and returns when they answer; their edges then
        let connections in, unless a fault is in force. Raises RuntimeError with the end of the log file."""
        chosen = names or PROCESSES
        for group in ((WITNESS,), CENTRES):
            starting = [name for name in chosen if name in group]
            for name in starting:
                self._spawn(name)
            for name in starting:
                self._wait_until_up(name)
        if not names and not self._witness:
            self.kill(WITNESS)

    def spawn(self, name: str) -> None:
        """Starts a process and returns at once, whether it answers or not."""
        self._spawn(name)

    def running(self, name: str) -> bool:
        """Whether the process lives; a paused one does."""
        return name in self._children and self._children[name].poll() is None

    def pid(self, name: str) -> int:
        return self._children[name].pid

    def kill(self, name: str) -> None:
        """kill -9, as a power cut would; works on a paused process, too."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def stop(self, name: str) -> int:
        """Asks the process to stop; its exit code."""
        child = self._children.pop(name)
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGCONT)  # A paused one would not hear it.
        try:
            return child.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise RuntimeError(f"{name} did not stop within {_STOP_S_MAX:.0f} s") from None

    def pause(self, name: str) -> None:
        """Returns when the process stands still: it answers nobody, and its connections stay open."""
        self._children[name].send_signal(signal.SIGSTOP)
        process = psutil.Process(self.pid(name))
        deadline_s = time.monotonic() + _PAUSE_S_MAX
        while process.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline_s, f"{name} does not stand still"
            time.sleep(_POLL_S / 10)

    def resume(self, name: str) -> None:
        self._children[name].send_signal(signal.SIGCONT)

    def wipe(self, name: str) -> None:
        """Removes the data of a process that does not run."""
        assert not self.running(name), f"{name} is running"
        folder = self.city.witness_folder if name == WITNESS else self.city.folder(name)
        if folder.exists():
            shutil.rmtree(folder)

    def usage(self, name: str) -> tuple[float, int]:
        """(CPU seconds, peak resident bytes) of a running process so far."""
        process = psutil.Process(self.pid(name))
        times = process.cpu_times()
        return times.user + times.system, peak_bytes(process.pid)

    def log_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _ways(self, source: str) -> dict[str, str]:
        """Addresses that a process or a client uses instead of the others' own."""
        if self._proxies is None:
            return {}
        return {target: address for (one, target), address in self._proxies.addresses.items() if one == source}

    def _spawn(self, name: str) -> None:
        assert not self.running(name), f"{name} is running"
        arguments = ["witness"] if name == WITNESS else ["serve", name]
        command = [sys.executable, "-m", "hub.cli", *arguments, "--log-json", "--city", str(self._paths[name])]
        with self.log_file(name).open("ab") as log:
            self._children[name] = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _wait_until_up(self, name: str) -> None:
        deadline_s = time.monotonic() + _START_S_MAX
        with HubClient({centre: self._direct[centre] for centre in CENTRES}) as client:
            while (problem := self._problem(client, name)) is not None:
                if not self.running(name) or time.monotonic() > deadline_s:
                    tail = self.log_file(name).read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise RuntimeError(f"{name} did not start: {problem}\n{tail}") from problem
                time.sleep(_POLL_S)
        if self._proxies is not None:
            self._proxies.look(name)

    def _problem(self, client: HubClient, name: str) -> Exception | None:
        """What keeps a process from answering, asked of itself whatever the edges' faults."""
        try:
            if name == WITNESS:
                host, _, port = self._direct[name].rpartition(":")
                socket.create_connection((host, int(port)), timeout=1.0).close()
            else:
                client.status(name)
        except (HubError, OSError) as error:
            return error
        return None


def peak_bytes(pid: int) -> int:
    """Peak resident memory of a process, from the kernel's accounting."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0
