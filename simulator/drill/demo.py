"""The demo: two centres and a witness, real data, two kills, and proof that nothing was lost or doubled.

`python -m simulator.drill.demo` runs it in a temporary folder, prints what happened, and exits 1 if anything is off.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from hub.client import HubClient
from hub.client.producer import newest
from hub.errors import HubError
from hub.status import LogStatus
from simulator.city.readings import readings, sensors
from simulator.drill.checks import accounted_for, equal_digests, same_answer
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

_READINGS: Final = 2_000_000
_BATCH_ROWS: Final = 20_000
_SMALL_ROWS: Final = 10
_SMALL_PER_S: Final = 500.0
_SEED: Final = 20170082
_WAIT_S: Final = 60.0
_HOTTEST: Final = (
    "select station, count(*) n, max(temperature) hottest, count(*) - count(temperature) missing "
    "from weather_observations group by station order by station"
)
_TOTALS: Final = "select count(*) n, count(distinct sensor_id) sensors, sum(quality) flagged from readings"


@dataclass
class Story:
    """What happened, row by row, and what is wrong."""

    console: Console
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def tell(self, what: str, result: str, seconds: float | None = None) -> None:
        self.rows.append((what, result, "" if seconds is None else f"{seconds:.2f} s"))
        self.console.print(f"· {what}: {result}", highlight=False)

    def blame(self, problems: list[str]) -> None:
        self.problems += problems
        for problem in problems:
            self.console.print(f"✗ {problem}", style="red", highlight=False)

    def show(self) -> None:
        table = Table("what", "result", "time", title="Two centres, one day in miniature")
        for row in self.rows:
            table.add_row(*row)
        self.console.print(table)


def main() -> int:
    story = Story(Console())
    with tempfile.TemporaryDirectory(prefix="cityhub-demo-") as folder, CityProcesses(Path(folder)) as city:
        started_s = time.monotonic()
        city.start()
        story.tell("start the witness, ops and ecc", "all serve", time.monotonic() - started_s)
        with city.client() as client:
            _load_weather(city, client, story)
            _load_readings(client, story)
            _survive_kills(city, client, story)
            started_s = time.monotonic()
            story.blame(equal_digests(client))
            story.tell(
                "compare digests of every data set",
                "equal" if not story.problems else "DIFFERENT",
                time.monotonic() - started_s,
            )
        for name in ("ecc", "ops", "witness"):
            if code := city.stop(name):
                story.blame([f"{name} ended with code {code}"])
    story.show()
    story.console.print("all is well" if not story.problems else f"{len(story.problems)} problems", style="bold")
    return 1 if story.problems else 0


def _load_weather(city: CityProcesses, client: HubClient, story: Story) -> None:
    _until(lambda: all("weather_observations" in client.contracts(centre=centre) for centre in client.centres))
    _until(lambda: all("readings" in client.contracts(centre=centre) for centre in client.centres))
    data = files("simulator.city") / "data"
    started_s = time.monotonic()
    with as_file(data / "weather_hourly_2013.csv.gz") as file, as_file(data / "weather_mapping.toml") as mapping:
        command = [
            sys.executable,
            "-m",
            "hub.cli",
            "load",
            str(file),
            "-d",
            "weather_observations",
            "--mapping",
            str(mapping),
            "--city",
            str(city.path),
            "--json",
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    facts = json.loads(done.stdout)
    if facts["rows"] != 26_115 or facts["accepted"] + facts["quarantined"] != facts["rows"]:
        story.blame([f"the weather file was not taken whole: {facts}"])
    story.tell(
        "cityhub load: real hourly weather of 2013",
        f"{facts['accepted']:,} rows accepted, {facts['quarantined']:,} quarantined",
        time.monotonic() - started_s,
    )
    problems, answer = same_answer(client, _HOTTEST, facts["position"])
    story.blame(problems)
    story.tell(
        "both centres asked for the hottest hour", "; ".join(f"{row['station']} {row['hottest']}" for row in answer)
    )


def _load_readings(client: HubClient, story: Story) -> None:
    client.contract("readings")
    batches = list(readings(_READINGS, _SEED, sensors=sensors(10_000, _SEED), batch_rows=_BATCH_ROWS))
    started_s = time.monotonic()
    with client.producer("demo-readings") as producer:
        outcomes = [producer.send("readings", batch) for batch in batches]
    receipts = [outcome.result() for outcome in outcomes]
    seconds = time.monotonic() - started_s
    story.tell("two million readings into ops", f"{_READINGS / seconds:,.0f} rows/s, on disk in both centres", seconds)
    problems, (answer,) = same_answer(client, _TOTALS, newest(receipts))
    story.blame(problems)
    if answer["n"] != _READINGS:
        story.blame([f"{answer['n']} readings are there, {_READINGS} were sent"])
    story.tell("both centres asked for all readings", f"{answer['n']:,} from {answer['sensors']:,} sensors at both")


def _survive_kills(city: CityProcesses, client: HubClient, story: Story) -> None:
    batches = list(readings(2_000 * _SMALL_ROWS, _SEED + 1, sensors=sensors(10_000, _SEED), batch_rows=_SMALL_ROWS))
    started_s = time.monotonic()
    with SteadyLoad(client, "readings", batches, producer="demo-steady", per_s=_SMALL_PER_S) as load:
        time.sleep(1)
        _kill_standby(city, client, load, story)
        _kill_leader(city, client, load, story)
        _switch_back(client, load, story)
        time.sleep(1)
    seconds = time.monotonic() - started_s
    story.blame(accounted_for(client, load))
    receipts = load.receipts()
    story.tell(
        "small exchanges meanwhile, each acknowledged once at both",
        f"{len(receipts):,} ({sum(one.duplicate for one in receipts)} recognised as sent again)",
        seconds,
    )


def _kill_standby(city: CityProcesses, client: HubClient, load: SteadyLoad, story: Story) -> None:
    killed_s = time.monotonic()
    city.kill("ecc")
    _until(lambda: _log(client, "ops").in_sync == ["ops"])
    time.sleep(1)
    story.tell("kill -9 ecc, the standby, in mid-load", _after(load, killed_s, "ops goes on alone"))
    _start_again(city, client, story, "ecc")


def _kill_leader(city: CityProcesses, client: HubClient, load: SteadyLoad, story: Story) -> None:
    killed_s = time.monotonic()
    city.kill("ops")
    _until(lambda: _log(client, "ecc").role == "leader")
    time.sleep(1)
    (row,) = client.query(_TOTALS, centre="ecc", strong=True).table().to_pylist()
    epoch = _log(client, "ecc").epoch
    story.tell("kill -9 ops, the leader, in mid-load", _after(load, killed_s, f"ecc leads in epoch {epoch}"))
    story.tell("a strong read at ecc meanwhile", f"{row['n']:,} readings")
    _start_again(city, client, story, "ops")


def _start_again(city: CityProcesses, client: HubClient, story: Story, centre: str) -> None:
    started_s = time.monotonic()
    city.start(centre)
    _until(lambda: all(_log(client, name).in_sync == sorted(client.centres) for name in client.centres))
    story.tell(f"start {centre} again", "caught up and in sync by itself", time.monotonic() - started_s)


def _switch_back(client: HubClient, load: SteadyLoad, story: Story) -> None:
    started_s = time.monotonic()
    (*_, last) = client.switchover("ops", "ops")
    if not last.succeeded:
        story.blame([last.what])
    time.sleep(1)
    story.tell("switchover of log ops back to ops", _after(load, started_s, last.what), last.at_ms / 1000)


def _after(load: SteadyLoad, moment_s: float, what: str) -> str:
    return f"{what}; writes paused for {load.outage_s(moment_s) * 1000:,.0f} ms"


def _log(client: HubClient, centre: str) -> LogStatus:
    return next(log for log in client.status(centre).logs if log.log == "ops")


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _WAIT_S
    while True:
        with suppress(HubError):  # A centre that is starting is waited for.
            if condition():
                return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not so within {_WAIT_S:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
