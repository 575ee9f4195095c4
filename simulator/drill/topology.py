"""The topology files of a drill's city: everyone's view of where the others are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hub.config import CENTRES
from simulator.drill.ports import free_ports
from simulator.drill.proxy import CLIENT

WITNESS: Final = "witness"
PROCESSES: Final = (WITNESS, *CENTRES)
# Who calls whom, source first. Each of these edges can be broken alone.
EDGES: Final = (
    ("ops", "ecc"),
    ("ecc", "ops"),
    ("ops", WITNESS),
    ("ecc", WITNESS),
    (CLIENT, "ops"),
    (CLIENT, "ecc"),
)


class Topology:
    """Addresses of one city's processes, chosen once. `limits` are tables of the topology file."""

    def __init__(self, limits: Mapping[str, Mapping[str, Any]]) -> None:
        ports = iter(free_ports(len(PROCESSES) + 2 * len(CENTRES)))
        self.grpc = {name: f"127.0.0.1:{next(ports)}" for name in PROCESSES}
        self._flight = {name: f"127.0.0.1:{next(ports)}" for name in CENTRES}
        self._http = {name: f"127.0.0.1:{next(ports)}" for name in CENTRES}
        self._limits = limits

    def write(self, path: Path, ways: Mapping[str, str]) -> None:
        """Writes a file in which the processes named in `ways` are at those addresses instead of their own."""
        grpc = {**self.grpc, **ways}
        tables: dict[str, dict[str, Any]] = {
            f"centres.{name}": {"grpc": grpc[name], "flight": self._flight[name], "http": self._http[name]}
            for name in CENTRES
        }
        tables[WITNESS] = {"grpc": grpc[WITNESS]}
        for table, values in self._limits.items():
            tables.setdefault(table, {}).update(values)
        lines = ['data = "data"']
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
