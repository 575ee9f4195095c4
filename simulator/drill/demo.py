"""The demo: two centres, real data, two kills, and proof that nothing was lost or doubled.

`python -m simulator.drill.demo` runs it in a temporary folder, prints what happened, and exits 1 if anything is off.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from hub.client import HubClient
from hub.client.producer import newest
from simulator.city.readings import readings, sensors
from simulator.drill.checks import acknowledged_once, equal_digests, same_answer
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

_READINGS: Final = 2_000_000
_BATCH_ROWS: Final = 20_000
_SMALL_ROWS: Final = 10
_SMALL_PER_S: Final = 500.0
_SEED: Final = 20170082
_WAIT_S: Final = 60.0
_LAG_ENTRIES: Final = 10  # Under load a few entries are always on their way.
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
        story.tell("start ops and ecc", "both serve", time.monotonic() - started_s)
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
        for centre in ("ops", "ecc"):
            if code := city.stop(centre):
                story.blame([f"{centre} ended with code {code}"])
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
        time.sleep(2)
        _kill_and_return(city, client, load, story, "ecc", "standby")
        _kill_and_return(city, client, load, story, "ops", "leader")
        time.sleep(1)
    seconds = time.monotonic() - started_s
    receipts = load.receipts()
    for centre in client.centres:
        story.blame(acknowledged_once(client, centre, load.producer, receipts))
    story.tell(
        "small exchanges meanwhile, each acknowledged once at both",
        f"{len(receipts):,} ({sum(one.duplicate for one in receipts)} recognised as sent again)",
        seconds,
    )


def _kill_and_return(
    city: CityProcesses, client: HubClient, load: SteadyLoad, story: Story, centre: str, role: str
) -> None:
    city.kill(centre)
    before = load.acknowledged
    time.sleep(1.5)
    other = next(name for name in client.centres if name != centre)
    (row,) = client.query(_TOTALS, centre=other).table().to_pylist()
    story.tell(
        f"kill -9 {centre}, the {role}, in mid-load",
        f"{other} still answers ({row['n']:,} readings); {load.acknowledged - before} writes meanwhile",
    )
    started_s = time.monotonic()
    city.start(centre)
    _until(lambda: load.acknowledged > before + 10)
    writes_s = time.monotonic() - started_s
    _until(lambda: _caught_up(client))
    story.tell(
        f"start {centre} again", f"writes resume after {writes_s:.2f} s, caught up", time.monotonic() - started_s
    )


def _caught_up(client: HubClient) -> bool:
    return all(log.lag_entries < _LAG_ENTRIES for centre in client.centres for log in client.status(centre).logs)


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not so within {_WAIT_S:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
