"""How much of a log a centre keeps.

An entry goes once it is applied here and held by the other centre, and enough newer ones are left for a standby that
was away for a moment. While the standby is out of sync everything stays, up to a cap of bytes and of time, which is
announced; past it the standby comes back by a snapshot. What a snapshot under way goes on with stays in any case.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from hub.config import LogLimits
from replication.core.state import Leader
from replication.disk import FileDisk
from replication.driver import Driver
from replication.errors import ReplicationError

_LOOK_S: Final = 2.0


class Retention:
    """Of one log at one centre. `snapshot_lsn` is the oldest entry after which a snapshot under way goes on."""

    def __init__(
        self, driver: Driver, disk: FileDisk, *, snapshot_lsn: Callable[[], int | None], limits: LogLimits
    ) -> None:
        self._driver = driver
        self._disk = disk
        self._snapshot_lsn = snapshot_lsn
        self._limits = limits
        self._away: tuple[float, int] | None = None  # Since when, and how long the log was then.
        self._logger = structlog.get_logger().bind(log=driver.state.log)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._watch_standby()
            before_lsn = self._before_lsn()
            if before_lsn > self._disk.first_lsn:
                try:
                    removed = await self._disk.trim(before_lsn)
                except ReplicationError as error:
                    self._logger.warning("log not trimmed", error=str(error))
                else:
                    if removed:
                        self._logger.info("log trimmed", entries=removed, first_lsn=self._disk.first_lsn)

    def passed(self, lsn: int) -> bool:
        """Whether the standby will never ask for an entry through `lsn`, or for what it names: it holds it, leads, or
        is lost."""
        role = self._driver.state.role
        if not isinstance(role, Leader):
            return True
        if self._driver.relies_on_peer:
            return role.matched_lsn >= lsn
        return self._away is not None and self.standby_lost_in_s() == 0

    def standby_lost_in_s(self) -> float:
        """Seconds until a standby that is away can only come back by a snapshot; negative when none is away."""
        if self._away is None:
            return -1.0
        since_s, size_bytes = self._away
        away_s = time.monotonic() - since_s
        grown = self._disk.size_bytes - size_bytes
        left_bytes = max(0, self._limits.cap_bytes - self._disk.size_bytes)
        by_size_s = left_bytes * away_s / grown if grown > 0 else self._limits.cap_s
        return max(0.0, min(self._limits.cap_s - away_s, by_size_s))

    def _watch_standby(self) -> None:
        leads_alone = self._driver.leads and not self._driver.relies_on_peer
        if not leads_alone:
            self._away = None
        elif self._away is None:
            self._away = time.monotonic(), self._disk.size_bytes

    def _before_lsn(self) -> int:
        kept = [self._disk.lsn_within(self._limits.keep_bytes), self._driver.applied_lsn + 1]
        if (lsn := self._snapshot_lsn()) is not None:
            kept.append(lsn + 1)
        role = self._driver.state.role
        if isinstance(role, Leader) and self._driver.relies_on_peer:
            kept.append(role.matched_lsn + 1)
        elif self._away is not None and self.standby_lost_in_s() > 0:
            kept.append(0)
        return min(kept)
