"""Backups: snapshots of a city in a folder of their own.

    <folder>/segments/<id>.parquet      every file of every snapshot, once
    <folder>/snapshots/<name>.json      one description a backup; written last, so that what it names is there

A backup brings the files that are new since the one before. Restoring makes the store and the logs of both centres of
a new city, which then hold the same and go on after the snapshot's position.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from hub.client.snapshots import Told, fetched
from hub.config import CENTRES, City
from hub.errors import ConfigurationError, InputFileError
from hub.snapshots.description import Snapshot, SnapshotError, snapshot_from_json, snapshot_to_json
from hub.snapshots.install import install
from replication.disk import FileDisk
from replication.durable import make_directory, replace_file
from replication.errors import SegmentError
from replication.segments import SegmentFiles
from replication.transport import CHANNEL_OPTIONS

_COPY_BYTES: Final = 4 << 20
Copied = Callable[[int, int], None]
"""Bytes done and bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    name: str
    snapshot: Snapshot
    new_bytes: int

    @property
    def total_bytes(self) -> int:
        return sum(self.snapshot.sizes_bytes.values())


async def back_up(city: City, centre: str, folder: Path, *, told: Told) -> Backup:
    """Takes a snapshot of a centre into the folder. Raises HubError; another try goes on from there."""
    make_directory(folder / "snapshots")
    files = SegmentFiles.open(folder / "segments")
    before = files.ids()
    channel = grpc.aio.insecure_channel(city.centres[centre].grpc, options=CHANNEL_OPTIONS)
    try:
        async with fetched(channel, files, by=f"backup {folder.name}", limits=city.replication, told=told) as snapshot:
            name = _name(snapshot)
            await asyncio.to_thread(replace_file, _path(folder, name), [snapshot_to_json(snapshot).encode()])
    finally:
        await channel.close()
    new_bytes = sum(size for one, size in snapshot.sizes_bytes.items() if one not in before)
    return Backup(name=name, snapshot=snapshot, new_bytes=new_bytes)


def names(folder: Path) -> list[str]:
    """Backups in a folder, oldest first."""
    return sorted(path.stem for path in (folder / "snapshots").glob("*.json"))


def read(folder: Path, name: str) -> Snapshot:
    """Raises InputFileError."""
    try:
        return snapshot_from_json(_path(folder, name).read_bytes())
    except (OSError, SnapshotError) as error:
        raise InputFileError(f"backup {name} in {folder} cannot be read: {error}") from error


def verify(folder: Path, snapshot: Snapshot, *, copied: Copied) -> list[str]:
    """Reads every file of a backup; returns what is wrong."""
    files = SegmentFiles.open(folder / "segments")
    problems = []
    done = 0
    for one, size in snapshot.sizes_bytes.items():
        try:
            files.verify(one)
        except SegmentError as error:
            problems.append(str(error))
        done += size
        copied(done, sum(snapshot.sizes_bytes.values()))
    return problems


def prune(folder: Path, keep: int) -> int:
    """Drops all backups but the newest `keep`, and the files that no other one needs; returns how many files."""
    assert keep > 0, "a folder without backups"
    for name in names(folder)[:-keep]:
        _path(folder, name).unlink()
    files = SegmentFiles.open(folder / "segments")
    needed = {one for name in names(folder) for one in read(folder, name).sizes_bytes}
    unneeded = files.ids() - needed
    files.delete(unneeded)
    return len(unneeded)


def restore(city: City, folder: Path, snapshot: Snapshot, *, copied: Copied) -> None:
    """Makes both centres of a new city. Raises ConfigurationError where there is one already, SegmentError for a
    damaged backup."""
    for path in (*(city.folder(centre) for centre in CENTRES), city.witness_folder):
        if path.exists() and any(path.iterdir()):
            raise ConfigurationError(f"{path} is not empty", hint="move it away, or restore with --data elsewhere")
    source = SegmentFiles.open(folder / "segments")
    total = 2 * sum(snapshot.sizes_bytes.values())
    done = 0
    for centre in CENTRES:
        files = SegmentFiles.open(city.folder(centre) / "segments")
        for one, size in snapshot.sizes_bytes.items():
            _copy(source, files, one)
            done += size
            copied(done, total)
        with ExitStack() as stack:
            disks = {}
            for log in CENTRES:
                path = city.folder(centre) / "log" / log
                disks[log] = FileDisk.open(path, file_bytes_max=city.replication.log_file_bytes_max)
                stack.callback(disks[log].close)
            install(city.folder(centre), snapshot, files, disks, city.store)
        files.delete(set(snapshot.table_files) - set(snapshot.segments))


def _copy(source: SegmentFiles, sink: SegmentFiles, segment_id: str) -> None:
    """Checked on the way."""
    if sink.holds(segment_id):
        return
    with sink.receive(segment_id, source.size(segment_id)) as reception:
        for chunk in source.read_chunks(segment_id, reception.received_bytes, _COPY_BYTES):
            reception.write(chunk)
        reception.finish()


def _name(snapshot: Snapshot) -> str:
    position = "-".join(f"{log}{point.lsn}" for log, point in sorted(snapshot.position.items(), reverse=True))
    return f"{snapshot.taken_at[:19].replace(':', '')}-{position}"


def _path(folder: Path, name: str) -> Path:
    return folder / "snapshots" / f"{name}.json"
