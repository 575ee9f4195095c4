"""The demo: two centres and a witness, a city of 10.6 million records, two kills, and proof that nothing was lost.

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
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from hub.catalogue.load import builtin_contracts
from hub.client import HubClient
from hub.errors import HubError
from hub.status import LogStatus
from simulator.city.agency_files import write_agency_files
from simulator.city.chance import SEED
from simulator.city.load import check_city
from simulator.city.plan import City
from simulator.city.readings import readings, sensors
from simulator.drill.checks import accounted_for, equal_digests, same_answer
from simulator.drill.load import SteadyLoad
from simulator.drill.processes import CityProcesses

_SMALL_ROWS: Final = 10
_SMALL_PER_S: Final = 500.0
_CITY: Final = City(0.001)
_WAIT_S: Final = 60.0
_UNITS: Final = 29
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
            position = _load_city(city, client, story)
            _take_files_in(city, client, story, Path(folder) / "inbox")
            _link_and_open(city, client, story, Path(folder) / "open-data")
            _replay(city, story)
            _score(city, client, story, Path(folder) / "map.html")
            _survive_kills(city, client, story)
            _answer(client, story, position, "the same, after the kills")
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
    wanted = builtin_contracts().keys()
    _until(lambda: all(wanted <= client.contracts(centre=centre).keys() for centre in client.centres))
    data = files("simulator.city") / "data"
    started_s = time.monotonic()
    with as_file(data / "weather_hourly_2013.csv.gz") as file, as_file(data / "weather_mapping.toml") as mapping:
        facts = _cityhub(city, "load", str(file), "-d", "weather_observations", "--mapping", str(mapping))
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


def _load_city(city: CityProcesses, client: HubClient, story: Story) -> dict[str, int]:
    """The position that covers the city."""
    facts = _cityhub(city, "city", "load", "--scale", f"{_CITY.scale:g}")
    rows = sum(facts["rows"].values())
    if rows != _CITY.records or facts["rejected"]:
        story.blame([f"{rows} records were accepted and {facts['rejected']} rejected, of {_CITY.records}"])
    story.tell(
        f"cityhub city load: {_CITY.people:,} people, {_CITY.firms:,} firms, {_CITY.sensors:,} sensors",
        f"{rows:,} records of {len(facts['rows'])} data sets, on disk in both centres",
        facts["seconds"],
    )
    position: dict[str, int] = facts["position"]
    _answer(client, story, position, "what is known of the city, asked at both centres")
    return position


def _answer(client: HubClient, story: Story, position: dict[str, int], what: str) -> None:
    started_s = time.monotonic()
    found = list(check_city(client, _CITY, position))
    wrong = [
        f"{centre}: {known.name}: {table.slice(0, 3).to_pylist()}" for centre, known, table, right in found if not right
    ]
    story.blame(wrong)
    questions = len(found) // len(client.centres)
    story.tell(what, f"{questions} questions, {len(wrong)} answers wrong", time.monotonic() - started_s)


def _take_files_in(city: CityProcesses, client: HubClient, story: Story, inbox: Path) -> None:
    """Files with flaws: what is to be rejected is, and kept; all else is there."""
    files = {one.path.name: one for one in write_agency_files(_CITY, inbox)}
    started_s = time.monotonic()
    reports = _cityhub_lines(city, "inbox", str(inbox), "--once", "--settle", "0", codes=(0, 1))
    for report in reports:
        expected = files[report["file"]]
        if expected.taken and (report["rows"], report["quarantined"]) != (expected.rows, expected.rejected):
            counts = f"{report['quarantined']} of {report['rows']} rows were rejected"
            story.blame([f"{report['file']}: {counts}, not {expected.rejected} of {expected.rows}"])
    taken = [one for one in reports if files[one["file"]].taken]
    if len(reports) != len(files):
        story.blame([f"{len(reports)} of {len(files)} files were taken"])
    mended = sum(sum(one["put_right"].values()) for one in taken)
    story.tell(
        f"cityhub inbox: {len(files)} files of agencies, GB18030, workbook, JSON lines, Parquet",
        f"{sum(one['rows'] for one in taken):,} rows, {mended:,} values put right, "
        f"{sum(one['quarantined'] for one in taken):,} rows kept with their reason",
        time.monotonic() - started_s,
    )


def _link_and_open(city: CityProcesses, client: HubClient, story: Story, folder: Path) -> None:
    started_s = time.monotonic()
    _cityhub(city, "link")
    sql = "select count(*) n, count(grid_id) g, count(credit_code) e, count(reason) r from person_links"
    _until(lambda: client.query(sql, centre="ecc").table().to_pylist()[0]["n"] == _CITY.people)
    problems, (links,) = same_answer(client, sql, {})
    story.blame(problems)
    if links["n"] != _CITY.people:
        story.blame([f"{links['n']} people are linked of {_CITY.people}"])
    found = f"{links['g']:,} with a grid cell, {links['e']:,} with an employer, {links['r']:,} with a reason"
    story.tell(
        "cityhub link: person, building, grid cell, employer",
        f"{links['n']:,} people, {found}",
        time.monotonic() - started_s,
    )
    started_s = time.monotonic()
    opened = _cityhub(city, "publish", "residents", "legal_persons", "sensors", "--out", str(folder))
    story.tell(
        "cityhub publish: residents, legal persons and sensors as open data",
        "; ".join(f"{one['data_set']} {one['rows']:,} rows, {one['rows_withheld']:,} withheld" for one in opened),
        time.monotonic() - started_s,
    )


def _score(city: CityProcesses, client: HubClient, story: Story, page: Path) -> None:
    """The risk of every point, for the end of the city's first day: the gas leak is on it."""
    started_s = time.monotonic()
    done = _cityhub(city, "risk", "run", "--at", "2026-06-02")
    colours = ", ".join(f"{count:,} {name}" for name, count in done["colours"].items() if count)
    story.tell(
        "cityhub risk run, on Ray: 13 indicators of every risk point",
        f"{done['points']:,} points: {colours}",
        time.monotonic() - started_s,
    )
    sql = "select risk_point_id, risk, colour, reasons from risk_scores order by risk desc, risk_point_id limit 10"
    problems, worst = same_answer(client, sql, done["position"])
    story.blame(problems)
    for row in worst:
        story.console.print(
            f"    {row['risk']:.3f} {row['colour']:6} {row['risk_point_id']}: {row['reasons']}", highlight=False
        )
    _cityhub(city, "risk", "map", "-o", str(page))
    story.tell("both centres asked for the ten worst; the risk map", f"the same; {page.stat().st_size:,} bytes of HTML")


def _replay(city: CityProcesses, story: Story) -> None:
    done = _cityhub(city, "city", "replay", "--scale", f"{_CITY.scale:g}")
    if done["rows_rejected"] or len(done["by_agency"]) != _UNITS:
        story.blame([f"{done['rows_rejected']} rows were rejected, of {len(done['by_agency'])} units"])
    story.tell(
        f"cityhub city replay: a day of {len(done['by_agency'])} source units",
        f"{done['exchanges']:,} exchanges, {done['exchanges'] / done['seconds']:,.0f} a second",
        done["seconds"],
    )


def _survive_kills(city: CityProcesses, client: HubClient, story: Story) -> None:
    batches = list(readings(2_000 * _SMALL_ROWS, SEED + 1, sensors=sensors(10_000, SEED), batch_rows=_SMALL_ROWS))
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


def _cityhub(city: CityProcesses, *words: str) -> Any:
    """What a command prints with --json."""
    return json.loads(_run(city, *words, codes=(0,)))


def _cityhub_lines(city: CityProcesses, *words: str, codes: tuple[int, ...]) -> list[Any]:
    return [json.loads(line) for line in _run(city, *words, codes=codes).splitlines()]


def _run(city: CityProcesses, *words: str, codes: tuple[int, ...]) -> bytes:
    command = [sys.executable, "-m", "hub.cli", *words, "--city", str(city.path), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with code {done.returncode}")
    return done.stdout


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
