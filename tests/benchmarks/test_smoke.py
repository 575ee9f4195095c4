"""Every benchmark in its smallest size.

Goal: benchmarks stay runnable, verify their answer, and print the agreed form.
Method: the command line, as users run it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks

NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(benchmarks.__file__).parent.glob("bench_*.py"))
SLOTS = {"unit", "value", "min", "p50", "p99", "max", "n"}


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "run", name, "--size", "smoke", "--json", str(tmp_path / "result")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result").read_text())
    assert result["verified"] is True
    assert result["name"] == name
    assert result["metrics"]
    assert all(set(one) == SLOTS for one in result["metrics"].values())


def test_unknown_benchmark_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "run", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "exchange" in done.stderr
