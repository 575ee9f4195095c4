"""What all benchmarks share: the form of a result, statistics, the facts about machine and commit."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

SIZES: Final = ("smoke", "quick", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`value` is what to quote; the others describe the samples behind it."""

    unit: str
    value: float
    min: float
    p50: float
    p99: float
    max: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`verified` is True only when the answer was checked and is right."""

    verified: bool
    metrics: dict[str, Metric] = field(default_factory=dict)


def metric(unit: str, samples: Sequence[float] | np.ndarray, *, quote: str = "p50") -> Metric:
    """Statistics of samples, of which `quote` (p50, p99, min or max) is the value."""
    values = np.asarray(samples, dtype=np.float64)
    low, middle, high = np.percentile(values, [0, 50, 99])
    found = {"min": float(low), "p50": float(middle), "p99": float(high), "max": float(values.max())}
    return Metric(unit=unit, value=found[quote], n=len(values), **found)


def report(name: str, size: str, parameters: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """The JSON object of one run."""
    return {
        "name": name,
        "commit": _commit(),
        "machine": machine(),
        "size": size,
        "parameters": parameters,
        "verified": outcome.verified,
        "metrics": {
            name: {slot: getattr(one, slot) for slot in Metric.__slots__} for name, one in outcome.metrics.items()
        },
    }


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": _processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """The commit, with a plus sign where the tree has changes; empty outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
