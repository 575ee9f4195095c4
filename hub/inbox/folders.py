"""The folders of an inbox: what is in them, and moving files within them, so that a crash loses and doubles nothing.

A file is moved by one rename, its report having been written, fsynced and renamed before. A place is free when no file
is there: a report without its file is what a crash left, and is written anew.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hub.errors import ConfigurationError
from hub.inbox.settle import Look

DONE: Final = "done"
REJECTED: Final = "rejected"
REPORT_SUFFIX: Final = ".report.json"
_LEFT_ALONE: Final = (".part", ".tmp", REPORT_SUFFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """`files` are what came, `links` what is not followed, `mappings` the agency's TOML files."""

    name: str
    folder: Path
    files: dict[Path, Look]
    links: tuple[Path, ...]
    mappings: tuple[Path, ...]


def agencies(root: Path) -> Iterator[Agency]:
    """Every folder of an inbox, by name; one that is a link is none. Raises ConfigurationError."""
    try:
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise ConfigurationError(f"{root} cannot be read: {error}") from error
    for name in folders:
        if not is_left_alone(name):
            yield _agency(root / name)


def _agency(folder: Path) -> Agency:
    files: dict[Path, Look] = {}
    links, mappings = [], []
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = folder / entry.name
        if is_left_alone(entry.name) or entry.is_dir(follow_symlinks=False):
            continue
        if entry.is_symlink():
            links.append(path)
        elif entry.name.endswith(".toml"):
            mappings.append(path)
        elif entry.is_file(follow_symlinks=False) and (look := look_at(path)) is not None:
            files[path] = look
    return Agency(name=folder.name, folder=folder, files=files, links=tuple(links), mappings=tuple(mappings))


def is_left_alone(name: str) -> bool:
    return name.startswith(".") or name.casefold().endswith(_LEFT_ALONE)


def look_at(path: Path) -> Look | None:
    """None for a file that is gone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return Look(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


def put_away(path: Path, outcome: str, report: dict[str, Any]) -> Path:
    """Moves a file into the folder of its outcome, its report beside it; returns where it is. Raises
    ConfigurationError."""
    folder = path.parent / outcome
    try:
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise ConfigurationError(f"{folder} is a link", hint="make it a folder")
        target = free_place(folder, path.name)
        _write(target.with_name(target.name + REPORT_SUFFIX), report | {"moved_to": f"{outcome}/{target.name}"})
        path.rename(target)
        _sync(folder)
        _sync(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be moved to {folder}: {error}") from error
    return target


def free_place(folder: Path, name: str) -> Path:
    """`a.csv.gz`, or `a-2.csv.gz` and so on when there is such a file."""
    stem, dot, suffixes = name.partition(".")
    target, number = folder / name, 2
    while os.path.lexists(target):
        target = folder / f"{stem}-{number}{dot}{suffixes}"
        number += 1
    return target


def _write(path: Path, report: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.tmp")
    with part.open("w", encoding="utf-8") as file:
        json.dump(report, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
