"""The files of some data sets as a centre holds them at one position: what a job reads instead of asking the centre.

    snapshot of the data sets → files linked (same disk) or fetched → Parquet paths by data set → the job → let go

Events are their segments and the file of their hot rows; a registry is the files of its table. Files are immutable and
named by their checksum, so that a job sees one position whatever comes in meanwhile. On a cluster the folder is a
shared one.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pyarrow.parquet as pq

from hub.catalogue.contract import Contract
from hub.client.snapshots import Told, fetched
from hub.config import City
from hub.snapshots.description import Snapshot
from replication.segments import SegmentFiles
from replication.transport import CHANNEL_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """`files`: data set → Parquet files, with their sizes in bytes; none for one without rows."""

    centre: str
    position: dict[str, int]
    files: dict[str, tuple[tuple[str, int], ...]]

    def paths(self, data_set: str) -> list[str]:
        return [path for path, _ in self.files[data_set]]


@asynccontextmanager
async def extracted(
    city: City, centre: str, data_sets: Collection[str], folder: Path, *, told: Told
) -> AsyncIterator[Extract]:
    """Inside, every file is in `folder`, and is removed after. Raises HubError; another try goes on from there."""
    files = SegmentFiles.open(folder)
    channel = grpc.aio.insecure_channel(city.centres[centre].grpc, options=CHANNEL_OPTIONS)
    try:
        async with fetched(
            channel,
            files,
            by="risk job",
            limits=city.replication,
            told=told,
            data_sets=data_sets,
            beside=city.folder(centre) / "segments",
        ) as snapshot:
            yield _extract(snapshot, files, data_sets)
    finally:
        await channel.close()
        files.delete(files.ids())


def source(contract: Contract, paths: Sequence[str], columns: Sequence[str]) -> str:
    """SQL of a relation with these columns of all files; without files it has no rows."""
    if paths:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        return f"(select {', '.join(columns)} from read_parquet([{listed}]))"
    nothing = ", ".join(f"null::{contract.column(name).duckdb} as {name}" for name in columns)
    return f"(select {nothing} where false)"


def _extract(snapshot: Snapshot, files: SegmentFiles, data_sets: Collection[str]) -> Extract:
    found: dict[str, list[str]] = {name: [] for name in data_sets}
    wanted = set(snapshot.segments)
    for table in snapshot.tables:
        if table.schema == "hot":
            found[table.name] += table.files
        else:
            for one in table.files:
                rows = pq.read_table(files.path(one), columns=["id", "data_set"]).to_pylist()
                for row in rows:
                    if row["id"] in wanted:
                        found[row["data_set"]].append(row["id"])
    return Extract(
        centre=snapshot.centre,
        position={log: point.lsn for log, point in snapshot.position.items()},
        files={name: tuple((str(files.path(one)), files.size(one)) for one in ids) for name, ids in found.items()},
    )
