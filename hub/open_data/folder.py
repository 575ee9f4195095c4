"""The folder of open data: versions that are whole or not there.

    DIR/catalog.jsonld                       the newest version of every data set
    DIR/DATA_SET/v3/DATA_SET.csv, DATA_SET.parquet, metadata.jsonld
    DIR/DATA_SET/.new/                       a version that is being made

A version is made under that name, then recorded in `publications`, then gets its own: so whoever sees a
version sees all of it, and none that is not on record. One process at a time works in a folder.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hub.errors import ConfigurationError, UnavailableError

CATALOG: Final = "catalog.jsonld"
METADATA: Final = "metadata.jsonld"
TO_CATALOG: Final = "../../"
"""From the folder of a version to that of the catalogue."""
_LOCK: Final = ".lock"


class Versions:
    """Versions of one data set."""

    def __init__(self, root: Path, data_set: str) -> None:
        self._folder = root / data_set

    def path(self, version: int) -> Path:
        return self._folder / f"v{version}"

    def newest(self) -> int:
        """0 if there is none."""
        found = self._folder.glob("v*")
        return max((int(one.name[1:]) for one in found if one.name[1:].isdecimal()), default=0)

    @property
    def staged(self) -> Path:
        return self._folder / ".new"

    def stage(self) -> None:
        """Makes an empty folder for a version; what an earlier process left is removed."""
        self.clear()
        self.staged.mkdir(parents=True)

    def show(self, version: int) -> None:
        """Gives what is staged its name. Its files must be on disk."""
        _sync(self.staged)
        self.staged.rename(self.path(version))
        _sync(self._folder)
        _sync(self._folder.parent)

    def clear(self) -> None:
        """Removes what is staged, and the data set's folder if nothing else is there."""
        if self.staged.exists():
            shutil.rmtree(self.staged)
        if self._folder.exists() and not any(self._folder.iterdir()):
            self._folder.rmdir()


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Raises UnavailableError while another process publishes there, ConfigurationError for no folder."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / _LOCK).open("w")
    except OSError as error:
        raise ConfigurationError(f"{root}: cannot be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError(
                f"{root}: another process publishes there", hint="try again when it is done"
            ) from error
        yield


def newest_metadata(root: Path) -> Iterator[dict[str, Any]]:
    """Of every data set, by name: what its newest version says of itself."""
    for folder in sorted(one for one in root.iterdir() if one.is_dir()):
        versions = Versions(root, folder.name)
        metadata = versions.path(versions.newest()) / METADATA
        if metadata.exists():
            yield json.loads(metadata.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """All of it or nothing, on disk when this returns."""
    partial = path.with_name(f".{path.name}")
    with partial.open("w", encoding="utf-8") as sink:
        sink.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        sink.flush()
        os.fsync(sink.fileno())
    partial.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
