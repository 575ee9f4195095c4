"""Failover: how long writers get no acknowledgement when the leader of a log dies, stands still, is cut off, or hands
over; and whether anything fails over that should not.

A real city and an open-loop load of small exchanges by one producer on this machine. Each run breaks the leader at a
random moment between two heartbeats, waits for the successor, heals, and waits until both centres are in sync again;
before a silence also until the hold-down after the last change is over; the roles go back and forth. The outage is the
client's: from the last acknowledgement before to the first one after. Its parts are read off the successor's log:

    detect   fault → the successor takes the leader for missing
    decide   → the witness's grant is durable at the successor
    promote  → the successor takes exchanges
    route    → the client's first acknowledgement

`false_failovers` counts changes of leader during a closed-loop load that saturates both cores, `saturated_per_s` its
acknowledgements in each second. Verified: every exchange
of every load is accounted for at both centres, digests are equal, and no other change of leader happened.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.bench_exchange import saturate, small_batches, wait_for_catalogue
from benchmarks.harness import Metric, Outcome, metric
from hub.client import HubClient
from hub.config import CENTRES
from hub.errors import HubError
from hub.status import LogStatus
from simulator.drill.checks import accounted_for, equal_digests
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

SIZES: Final[dict[str, dict[str, Any]]] = {
    "smoke": {"runs": 1, "per_s": 200.0, "saturated_s": 3.0, "seed": 1},
    "quick": {"runs": 4, "per_s": 500.0, "saturated_s": 30.0, "seed": 1},
    "full": {"runs": 20, "per_s": 500.0, "saturated_s": 600.0, "seed": 1},
}
_LOG: Final = "ops"
_PARTS: Final = ("detect", "decide", "promote", "route")
_WAIT_S_MAX: Final = 60.0
_HEARTBEAT_S: Final = 0.1
_SATURATION: Final = {"streams": 16, "in_flight": 16, "warm_up_seconds": 0.0}


@dataclass
class Samples:
    """Milliseconds, by metric."""

    values: dict[str, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, value_ms: float) -> None:
        self.values.setdefault(name, []).append(value_ms)

    def metrics(self) -> dict[str, Metric]:
        return {name: metric("ms", values, quote="p99") for name, values in self.values.items()}


def run(parameters: dict[str, Any], folder: Path) -> Outcome:
    samples = Samples()
    rng = random.Random(parameters["seed"])
    with CityProcesses(folder / "plain") as city:
        city.start()
        hold_down_s = city.city.replication.hold_down_ms / 1000
        _drill(city, "kill9", _kill, samples, rng, parameters, rest_s=1)
        _drill(city, "paused", _pause, samples, rng, parameters, rest_s=hold_down_s)
        _drill(city, "switchover", _switch, samples, rng, parameters, rest_s=1)
        changes, per_s = _saturated(city, parameters)
    with CityProcesses(folder / "proxied", proxied=True) as city:
        city.start()
        _drill(city, "isolated", _isolate, samples, rng, parameters, rest_s=hold_down_s)
    for problem in samples.problems:
        print(problem)
    saturated = {"false_failovers": metric("1", [changes]), "saturated_per_s": metric("1/s", per_s)}
    metrics = samples.metrics() | saturated
    return Outcome(verified=not samples.problems, metrics=metrics)


# --- One kind of fault ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    city: CityProcesses
    client: HubClient
    leader: str
    successor: str


def _drill(
    city: CityProcesses,
    name: str,
    fault: Callable[[Scene], Callable[[], None]],
    samples: Samples,
    rng: random.Random,
    parameters: dict[str, Any],
    *,
    rest_s: float,
) -> None:
    """`fault` breaks the leader and returns what heals it."""
    batches = small_batches(10, parameters["seed"])
    with city.client() as client:
        wait_for_catalogue(client)
        with SteadyLoad(client, "readings", batches, producer=f"load-{name}", per_s=parameters["per_s"]) as load:
            for _ in range(parameters["runs"]):
                _until(lambda: _settled(client) and load.acknowledged > 0)
                time.sleep(rest_s + rng.uniform(0, _HEARTBEAT_S))
                leader = _log_at(client, CENTRES[0]).leader
                successor = next(centre for centre in CENTRES if centre != leader)
                scene = Scene(city, client, leader, successor)
                _one_run(scene, name, fault, load, samples)
        samples.problems += [f"{name}: {problem}" for problem in accounted_for(client, load) + equal_digests(client)]


def _one_run(
    scene: Scene, name: str, fault: Callable[[Scene], Callable[[], None]], load: SteadyLoad, samples: Samples
) -> None:
    epoch = _log_at(scene.client, scene.successor).epoch
    acknowledged, fault_s, fault_at = load.acknowledged, time.monotonic(), time.time()
    heal = fault(scene)
    _until(lambda: _log_at(scene.client, scene.successor).role == "leader")
    time.sleep(1)  # The successor's acknowledgements go on.
    if load.acknowledged <= acknowledged:
        samples.problems.append(f"{name}: no acknowledgement after the fault")
    paused_s, resumed_s = load.outage(fault_s)
    outage = f"{name}_pause" if name == "switchover" else f"outage_{name}"
    samples.add(f"{outage}_ms", (resumed_s - paused_s) * 1000)
    if name != "switchover":
        resumed_at = fault_at + resumed_s - fault_s
        for part, value_ms in _parts(scene.city.log_file(scene.successor), epoch + 1, fault_at, resumed_at).items():
            samples.add(f"{name}_{part}_ms", value_ms)
    heal()
    _until(lambda: _settled(scene.client))
    if _log_at(scene.client, scene.successor).epoch != epoch + 1:
        samples.problems.append(f"{name}: more than one change of leader")


def _kill(scene: Scene) -> Callable[[], None]:
    scene.city.kill(scene.leader)
    return lambda: scene.city.start(scene.leader)


def _pause(scene: Scene) -> Callable[[], None]:
    scene.city.pause(scene.leader)
    return lambda: scene.city.resume(scene.leader)


def _isolate(scene: Scene) -> Callable[[], None]:
    scene.city.proxies.isolate(scene.leader)
    return scene.city.proxies.heal


def _switch(scene: Scene) -> Callable[[], None]:
    for step in scene.client.switchover(_LOG, scene.successor):
        if step.done and not step.succeeded:
            raise RuntimeError(step.what)
    return lambda: None


def _saturated(city: CityProcesses, parameters: dict[str, Any]) -> tuple[int, np.ndarray]:
    """(changes of leader, of either log, while both cores are busy; acknowledgements in each second)."""
    with city.client() as client:
        _until(lambda: _settled(client))
        before = _epochs(client)
        load = {**_SATURATION, "seconds": parameters["saturated_s"], "seed": parameters["seed"]}
        _, _, per_s = asyncio.run(saturate(city.addresses, load, small_batches(10, parameters["seed"])))
        _until(lambda: _settled(client))
        return sum(_epochs(client)) - sum(before), per_s


# --- Looking --------------------------------------------------------------------------------------------------------


def _parts(log_file: Path, epoch: int, fault_at: float, resumed_at: float) -> dict[str, float]:
    """Milliseconds of each part of an outage, from the successor's decisions; times are seconds since 1970."""
    found: dict[str, float] = {}
    for line in log_file.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("{"):
            continue
        fact = json.loads(line)
        at = datetime.fromisoformat(fact["timestamp"]).timestamp()
        if at < fault_at or fact.get("log") != _LOG:
            continue
        if fact["event"] == "peer missing":
            found.setdefault("detect", at)
        elif fact["event"] == "configuration" and fact["epoch"] == epoch:
            found.setdefault("decide", at)
        elif fact["event"] == "takes exchanges" and fact["epoch"] == epoch:
            found.setdefault("promote", at)
    times = [fault_at, *(found[part] for part in _PARTS[:-1]), resumed_at]
    return {part: (times[number + 1] - times[number]) * 1000 for number, part in enumerate(_PARTS)}


def _log_at(client: HubClient, centre: str, log: str = _LOG) -> LogStatus:
    return next(one for one in client.status(centre).logs if one.log == log)


def _epochs(client: HubClient) -> list[int]:
    return [_log_at(client, CENTRES[0], log).epoch for log in CENTRES]


def _settled(client: HubClient) -> bool:
    """Both centres name the same leader of each log, both are in sync, and the standby holds nearly all."""
    for log in CENTRES:
        left, right = (_log_at(client, centre, log) for centre in CENTRES)
        if left.leader != right.leader or any(one.in_sync != sorted(CENTRES) for one in (left, right)):
            return False
    return True


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _WAIT_S_MAX
    while True:
        try:
            if condition():
                return
        except HubError:
            pass  # A centre that is down or paused is waited for.
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not so within {_WAIT_S_MAX:.0f} s")
        time.sleep(0.02)
