"""What the entries of a log name, and whether this centre may hold them: an entry is held only where its segments are.

A standby passes an entry over, and all after it, while one of its segments is missing, and fetches that from the
leader meanwhile; the leader sends the entry again. So whoever holds an entry can apply it, whatever becomes of the
other centre.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog

from hub.ingest.sections import decode_sections
from hub.segments.payloads import SEGMENTS, change_from_json, descriptors_from_rows, is_change
from replication.core.types import Entry, Kind
from replication.errors import SegmentError, SegmentMissingError
from replication.segment_transport import SegmentPeer
from replication.segments import SegmentFiles


def named_by(entry: Entry) -> tuple[str, ...]:
    """Ids of the segments that a centre must hold to hold this entry."""
    if entry.kind is Kind.SEGMENTS:
        sections = [one for one in decode_sections(entry.payload) if one.data_set == SEGMENTS]
        return tuple(one.id for section in sections for one in descriptors_from_rows(section.rows))
    if is_change(entry):
        return tuple(one.id for one in change_from_json(entry.payload).added)
    return ()


class Arrivals:
    """Of all logs of a centre. Made and used in one event loop.

    `unavailable` holds segments that the leader does not have any more: only a snapshot helps. `undecided`: whether
    one is needed is not known yet, and no entry is taken until then.
    """

    def __init__(self, files: SegmentFiles, peer: SegmentPeer, *, applied_lsn: Callable[[str], int]) -> None:
        self.unavailable: set[str] = set()
        self.undecided = False
        self._files = files
        self._peer = peer
        self._applied_lsn = applied_lsn
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._named: dict[str, tuple[str, int]] = {}
        self._logger = structlog.get_logger()

    def take(self, log: str, entries: Sequence[Entry]) -> int:
        """How many of these entries may be held now; begins to fetch what the others need."""
        if self.undecided:
            return 0
        taken = len(entries)
        for place, entry in enumerate(entries):
            for segment_id in named_by(entry):
                self._named[segment_id] = log, entry.lsn
                if not self._files.holds(segment_id):
                    taken = min(taken, place)
                    self._fetch(segment_id)
        return taken

    def claim(self, log: str, lsn: int, segment_ids: Collection[str]) -> bool:
        """For an entry that this leader is about to write: whether they are all here, and stay so until it is
        applied."""
        self._named |= dict.fromkeys(segment_ids, (log, lsn))
        return all(map(self._files.holds, segment_ids))

    def named(self) -> frozenset[str]:
        """Segments that entries name which are not applied here yet, as far as they came since the start."""
        self._named = {one: (log, lsn) for one, (log, lsn) in self._named.items() if lsn > self._applied_lsn(log)}
        return frozenset(self._named)

    async def close(self) -> None:
        for fetch in self._fetches.values():
            fetch.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    def _fetch(self, segment_id: str) -> None:
        if segment_id not in self._fetches and segment_id not in self.unavailable:
            self._fetches[segment_id] = asyncio.create_task(self._fetch_one(segment_id))

    async def _fetch_one(self, segment_id: str) -> None:
        try:
            await self._peer.fetch(segment_id, self._files)
        except SegmentMissingError as error:
            self.unavailable.add(segment_id)
            self._logger.warning("segment is held nowhere", segment=segment_id, error=str(error))
        except SegmentError as error:
            self._logger.warning("segment not fetched", segment=segment_id, error=str(error))
        finally:
            del self._fetches[segment_id]
