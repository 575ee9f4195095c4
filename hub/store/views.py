"""The view of a data set, by what is held of it."""

from collections.abc import Mapping
from typing import Final

from hub.catalogue.contract import Contract
from hub.segments.descriptor import Descriptor
from hub.store import tables
from replication.segments import SegmentFiles

SEGMENTS_MISSING: Final = "segments are missing of data set"


def view_of(contract: Contract, held: Mapping[str, Descriptor], files: SegmentFiles) -> tuple[str, bool]:
    """(SQL, whether it is open to queries): hot rows and the files of these segments, or an error while one of them
    is missing."""
    missing = sum(not files.holds(one) for one in held)
    if missing:
        return tables.create_closed_view(contract, f"{missing} {SEGMENTS_MISSING} {contract.name}"), False
    paths: dict[int, list[str]] = {}
    for one in held.values():
        paths.setdefault(len(one.columns), []).append(str(files.path(one.id)))
    return tables.create_view(contract, paths), True
