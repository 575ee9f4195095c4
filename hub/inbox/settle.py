"""Which files have not changed for a while. Pure: it is given what was seen and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What can be seen of a file without reading it; `inode` tells one that was put in another's place."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """`since_s` is when a file was first seen as it is now, by the watcher's own clock: those of others may be off."""

    look: Look
    since_s: float


def watched(before: Mapping[Path, Watched], now: Mapping[Path, Look], now_s: float) -> dict[Path, Watched]:
    """The files that are there now; those that are gone are forgotten."""
    return {
        path: before[path] if path in before and before[path].look == look else Watched(look=look, since_s=now_s)
        for path, look in now.items()
    }


def settled(files: Mapping[Path, Watched], now_s: float, settle_s: float) -> list[Path]:
    """Those that have not changed for `settle_s`, the ones that were written first coming first."""
    still = [path for path, one in files.items() if now_s - one.since_s >= settle_s]
    return sorted(still, key=lambda path: (files[path].look.mtime_ns, path))
