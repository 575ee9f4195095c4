"""Real processes for the tests of this folder."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.catalogue.load import builtin_contracts
from hub.client import HubClient
from simulator.drill.processes import CityProcesses


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for a condition; fails when it does not come."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, f"not so within {seconds} s"
        time.sleep(0.05)


def start_with_catalogue(city: CityProcesses) -> None:
    """Starts the city and waits for the built-in contracts."""
    city.start()
    with city.client() as client:
        until(lambda: all(set(builtin_contracts()) <= set(client.contracts(centre=one)) for one in client.centres))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcesses]:
    """A city that the tests of one module share; it must be up after each. Reads wait two seconds for a position."""
    limits = {"query": {"position_wait_ms_max": 2000}}
    with CityProcesses(tmp_path_factory.mktemp("city"), limits=limits) as processes:
        start_with_catalogue(processes)
        yield processes


@pytest.fixture
def client(city: CityProcesses) -> Iterator[HubClient]:
    with city.client() as client:
        yield client


@pytest.fixture
def own_city(tmp_path: Path) -> Iterator[CityProcesses]:
    """A city of one test's own, for tests that kill; writes give up after a second."""
    with CityProcesses(tmp_path, limits={"ingest": {"write_wait_ms_max": 1000}}) as processes:
        start_with_catalogue(processes)
        yield processes


@pytest.fixture
def own_pair(tmp_path: Path) -> Iterator[CityProcesses]:
    """As `own_city` without a witness: whoever is left when the other dies waits for it."""
    with CityProcesses(tmp_path, limits={"ingest": {"write_wait_ms_max": 1000}}, witness=False) as processes:
        start_with_catalogue(processes)
        yield processes
