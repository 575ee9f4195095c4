"""What a centre has to know before it takes part: how each log stands, and whether its own disk can tell.

A centre that has met no witness needs it once: it alone knows whether the city is new or only this disk.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from hub.config import CENTRES, City
from replication.core.types import Configuration, EntryId
from replication.disk import FileDisk
from replication.errors import WitnessError
from replication.observation import View
from replication.witness_client import WitnessLink

_WAITING_LOGGED_S: Final = 5.0
_WITNESS_RETRY_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A log's configuration and pending as they stand here; `blank` when this disk does not know what it held."""

    configuration: Configuration
    pending: frozenset[str] | None
    blank: bool


class Joining:
    """`watch` begins to beat at the witness, and to listen to it."""

    def __init__(
        self,
        city: City,
        centre: str,
        disks: Mapping[str, FileDisk],
        witness: WitnessLink,
        *,
        watch: Callable[[], None],
    ) -> None:
        self._city = city
        self._centre = centre
        self._disks = disks
        self._witness = witness
        self._watch = watch
        self._logger = structlog.get_logger().bind(centre=centre)

    async def run(self) -> dict[str, Joined]:
        """By log, as soon as that is known."""
        await self._meet()
        standings = await self._standings()
        return {log: self._join(disk, standings.get(log)) for log, disk in self._disks.items()}

    async def _meet(self) -> None:
        if self._witness.status.identity is not None:
            self._watch()
            return
        if self._unconfigured() and (await self._until(self._first_look())).identity is None:
            for log, disk in self._disks.items():  # Before the first beat, and so before the witness is formed.
                disk.save_configuration(first_configuration(log, disk.end), None)
        self._watch()
        view = await self._until(self._witness.trusted_view())
        if view.identity is not None and view.identity.generation > 1:
            for disk in self._disks.values():
                disk.forget_configuration()  # A rebuilt witness was not formed by this centre.

    async def _standings(self) -> dict[str, Configuration]:
        """As the witness has them, if that is needed: by a centre without configurations for as long as it takes; by
        one that led a log alone for moments, as an operator may have let the other one lead since."""
        if self._unconfigured():
            return dict((await self._until(self._witness.trusted_view())).standings)
        alone = {self._centre}
        if any(found[0].in_sync == alone for disk in self._disks.values() if (found := disk.configuration())):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._city.replication.witness_call_ms_max / 1000):
                    return dict((await self._witness.trusted_view()).standings)
        return {}

    def _join(self, disk: FileDisk, stands: Configuration | None) -> Joined:
        saved = disk.configuration()
        if saved is None:
            assert stands is not None, "the witness knows every log"
            return Joined(configuration=stands, pending=None, blank=True)
        if stands is not None and stands.version > saved[0].version:
            saved = stands, None
            disk.save_configuration(*saved)
        return Joined(configuration=saved[0], pending=saved[1], blank=False)

    def _unconfigured(self) -> bool:
        return any(disk.configuration() is None for disk in self._disks.values())

    async def _first_look(self) -> View:
        while True:
            with suppress(WitnessError):
                return await self._witness.look()
            await asyncio.sleep(_WITNESS_RETRY_S)

    async def _until(self, waited_for: Coroutine[Any, Any, View]) -> View:
        waiting = asyncio.create_task(waited_for)
        try:
            while not (await asyncio.wait([waiting], timeout=_WAITING_LOGGED_S))[0]:
                self._logger.info(
                    "waiting for the witness, which a new centre needs once",
                    address=self._city.witness.grpc,
                    problem=self._witness.status.problem,
                )
            return waiting.result()
        finally:
            waiting.cancel()


def first_configuration(log: str, end: EntryId) -> Configuration:
    """Of a new city: each centre leads the log that bears its name, and both hold the same: nothing, or a backup."""
    return Configuration(version=1, epoch=end.epoch + 1, leader=log, in_sync=frozenset(CENTRES))
