"""A city as real processes on free loopback ports, which can be killed one by one and leave nothing behind."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psutil

from hub.client import HubClient
from hub.config import CENTRES, City, load_city
from hub.errors import HubError

_START_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 20.0


class CityProcesses:
    """Both centres of a city under `folder`. Use as a context manager: leaving it kills what still runs.

    `limits` are tables of the topology file, such as {"ingest": {"write_wait_ms_max": 1000}}.
    """

    def __init__(self, folder: Path, *, limits: dict[str, dict[str, Any]] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "city.toml"
        self.path.write_text(_topology(limits or {}), encoding="utf-8")
        self.city: City = load_city(self.path)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "CityProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for centre in tuple(self._children):
            self.kill(centre)

    @property
    def addresses(self) -> dict[str, str]:
        return {name: centre.grpc for name, centre in self.city.centres.items()}

    def client(self) -> HubClient:
        return HubClient(self.addresses)

    def start(self, *centres: str) -> None:
        """Starts the centres named, or both, and returns when they answer. Raises RuntimeError with the log's end."""
        names = centres or CENTRES
        for name in names:
            with self.log_file(name).open("ab") as log:
                command = [sys.executable, "-m", "hub.cli", "serve", name, "--city", str(self.path)]
                self._children[name] = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
        with self.client() as client:
            for name in names:
                self._wait(client, name)

    def kill(self, centre: str) -> None:
        """kill -9, as a power cut would."""
        child = self._children.pop(centre)
        child.kill()
        child.wait()

    def stop(self, centre: str) -> int:
        """Asks the centre to stop; its exit code."""
        child = self._children.pop(centre)
        child.send_signal(signal.SIGTERM)
        try:
            return child.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise RuntimeError(f"{centre} did not stop within {_STOP_S_MAX:.0f} s") from None

    def usage(self, centre: str) -> tuple[float, int]:
        """(CPU seconds, peak resident bytes) of a running centre so far."""
        process = psutil.Process(self._children[centre].pid)
        times = process.cpu_times()
        return times.user + times.system, peak_bytes(process.pid)

    def log_file(self, centre: str) -> Path:
        return self.folder / f"{centre}.log"

    def _wait(self, client: HubClient, name: str) -> None:
        deadline_s = time.monotonic() + _START_S_MAX
        while True:
            try:
                client.status(name)
            except HubError as error:
                if self._children[name].poll() is not None or time.monotonic() > deadline_s:
                    tail = self.log_file(name).read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise RuntimeError(f"{name} did not start: {error}\n{tail}") from error
                time.sleep(0.05)
            else:
                return


def peak_bytes(pid: int) -> int:
    """Peak resident memory of a process, from the kernel's accounting."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def _topology(limits: dict[str, dict[str, Any]]) -> str:
    lines = ['data = "data"']
    ports = _free_ports(2 * len(CENTRES))
    for index, name in enumerate(CENTRES):
        grpc, http = ports[2 * index : 2 * index + 2]
        lines += [f"[centres.{name}]", f'grpc = "127.0.0.1:{grpc}"', f'http = "127.0.0.1:{http}"']
    for table, values in limits.items():
        lines += [f"[{table}]", *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, each another."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
