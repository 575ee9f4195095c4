"""What is due, by what is there. Pure.

Compaction is size-tiered: a tier holds segments of `fan_in`ⁿ to `fan_in`ⁿ⁺¹ rows, and `fan_in` of one tier are merged,
neighbours in time first. So each row is rewritten once a tier, and what waits to be merged is less than `fan_in`
segments a tier. Segments of at least half `compact_rows_max` rows, or of `compact_bytes`, are left alone.
"""

import math
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from hub.catalogue.contract import Contract
from hub.config import UpkeepLimits
from hub.segments.descriptor import Descriptor


def seal_through(lsns: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], rows_max: int) -> int:
    """Through which lsn to seal: as many entries as fit into `rows_max` rows, one at least. `counts` are the hot rows
    of the entries at `lsns`, which rise."""
    fitting = int(np.searchsorted(np.cumsum(counts), rows_max, side="right"))
    return int(lsns[max(0, fitting - 1)])


def to_compact(segments: Iterable[Descriptor], contract: Contract, limits: UpkeepLimits) -> list[Descriptor]:
    """Segments of one data set to be merged into one, in order of time; none when nothing is due."""
    tiers: dict[int, list[Descriptor]] = {}
    for one in segments:
        if is_small(one, limits):
            tiers.setdefault(int(math.log(max(1, one.rows), limits.compact_fan_in)), []).append(one)
    for _, tier in sorted(tiers.items()):
        if len(tier) >= limits.compact_fan_in:
            tier.sort(key=lambda one: begin_of(one, contract))
            return _fitting(tier[: limits.compact_fan_in], limits)
    return []


def compaction_debt(segments: Collection[Descriptor], limits: UpkeepLimits) -> int:
    """Segments that are to be merged some day."""
    return sum(is_small(one, limits) for one in segments)


def is_small(segment: Descriptor, limits: UpkeepLimits) -> bool:
    return segment.rows < limits.compact_rows_max // 2 and segment.size_bytes < limits.compact_bytes


def past_retention(segments: Iterable[Descriptor], contract: Contract, now: datetime) -> tuple[str, ...]:
    """Ids of the segments whose newest row is older than the contract keeps."""
    if contract.retention_days is None:
        return ()
    # As descriptors have times: ISO texts in UTC, which sort as the times do.
    oldest = (now.astimezone(UTC) - timedelta(days=contract.retention_days)).isoformat(timespec="milliseconds")
    return tuple(one.id for one in segments if "" < _time(one, contract, "max") < oldest[:23])


def begin_of(segment: Descriptor, contract: Contract) -> str:
    return _time(segment, contract, "min")


def _time(segment: Descriptor, contract: Contract, bound: str) -> str:
    for column in segment.columns:
        if column.name == contract.time_column:
            return str(getattr(column, bound) or "")
    return ""


def _fitting(segments: list[Descriptor], limits: UpkeepLimits) -> list[Descriptor]:
    rows = 0
    for place, one in enumerate(segments):
        rows += one.rows
        if rows > limits.compact_rows_max:
            return segments[:place]
    return segments
