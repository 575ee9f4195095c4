"""`python -m simulator.world --seeds A..B [--jobs N] [--json]` runs schedules, `--seed N` one, with its transcript.

Stops at the first violation, prints property, seed and transcript, and exits 1. Seeds A to B - 1 are run; a seed gives
the same history on every machine and whatever runs beside it.
"""

import argparse
import json
import multiprocessing
import sys
from contextlib import nullcontext
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.world.campaign import Tally, run_all
from simulator.world.schedule import judged, report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator.world", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seeds", type=_seeds, metavar="A..B", help="run the schedules of these seeds")
    which.add_argument("--seed", type=int, help="run one schedule and print its transcript")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes (all cores)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _show(arguments.seed)
    return _run(arguments.seeds, arguments.jobs, as_json=arguments.json)


def _seeds(text: str) -> range:
    first, dots, end = text.partition("..")
    if not dots or not first.isdigit() or not end.isdigit() or int(first) >= int(end):
        raise argparse.ArgumentTypeError("seeds are given as A..B with A below B")
    return range(int(first), int(end))


def _show(seed: int) -> int:
    history, found = judged(seed)
    if found:
        print(report(history, found[0]))
        return 1
    print(history.transcript())
    return 0


def _run(seeds: range, jobs: int, *, as_json: bool) -> int:
    progress = Progress(
        TextColumn("schedules"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=as_json or not sys.stderr.isatty(),
    )
    with progress if not as_json else nullcontext():
        task = progress.add_task("schedules", total=len(seeds))
        tally = run_all(seeds, jobs=jobs, advanced=lambda count: progress.advance(task, count))
    if as_json:
        print(json.dumps({**asdict(tally), "schedules_per_min": round(tally.schedules_per_min)}))
    else:
        _print(tally)
    return 1 if tally.violation else 0


def _print(tally: Tally) -> None:
    if tally.violation:
        print(tally.violation)
    print(
        f"{tally.schedules} schedules, {tally.virtual_s / 3600:.1f} virtual hours, {tally.acknowledged} acknowledged "
        f"writes, {tally.reads} strong reads, {tally.role_changes} changes of leader; "
        f"{tally.schedules_per_min:.0f} schedules a minute"
    )
    for kind, count in sorted(tally.faults.items(), key=lambda item: -item[1]):
        print(f"{count:9} {kind}")


if __name__ == "__main__":
    sys.exit(main())
