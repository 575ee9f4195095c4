"""Changes of roles at an operator's word: switchover, failover, maintenance, the witness's history and its rebuilding.

Each change tells its steps with their times as it goes; the last step says whether it did what was asked. A hand-over
that has begun goes on when the caller goes away: half of one would keep writers waiting.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from hub.errors import ConfigurationError, UnavailableError
from hub.status import FailoverPreview, RoleChange, Step
from replication.core.types import Configuration
from replication.driver import Driver
from replication.errors import WitnessError
from replication.witness_client import WitnessLink

_NOT_HANDED_OVER: Final = "called off: {log} is still led here; {reason}"
_LOSSLESS: Final = "{to} holds every acknowledged entry: nothing is lost"


class Led(Protocol):
    def __call__(self, log: str) -> Driver:
        """The driver of a log that this centre leads. Raises NotLeaderError or ConfigurationError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Takeover:
    """`loss` is empty when every acknowledged entry is held here."""

    driver: Driver
    stands: Configuration
    loss: str


class Roles:
    """`drivers` are keyed by log; `led` refuses a log that this centre does not lead."""

    def __init__(self, centre: str, peer: str, drivers: Mapping[str, Driver], led: Led, witness: WitnessLink) -> None:
        self._centre = centre
        self._peer = peer
        self._drivers = drivers
        self._led = led
        self._witness = witness
        self._handing_over: set[asyncio.Task[bool]] = set()
        self._logger = structlog.get_logger().bind(centre=centre)

    async def switchover(self, log: str, to: str) -> AsyncIterator[Step]:
        """Hands a log that this centre leads to the other one. Raises HubError before the first step."""
        driver = self._led(log)
        self._check_centre(to)
        clock = _Steps()
        if to == self._centre:
            yield clock.last(f"{log} is led by {to} already", succeeded=True)
            return
        if refusal := self._not_ready(driver):
            raise UnavailableError(f"{log} cannot be handed over: {refusal}", hint="see `cityhub validate`")
        yield clock.step(f"{self._centre} takes no more writes into {log}; {to} is {driver.lag[0]} entries behind")
        handed_over = await self._hand_over(driver)
        epoch = driver.state.configuration.epoch
        if handed_over:
            yield clock.last(f"{driver.state.configuration.leader} leads {log} in epoch {epoch}", succeeded=True)
        else:
            yield clock.last(_NOT_HANDED_OVER.format(log=log, reason=self._why_not(driver)), succeeded=False)

    async def leave(self) -> None:
        """Before a planned stop of this centre: hands over every log that it leads, as far as that goes within
        `hand_over_ms_max`. With maintenance on, roles stay as they are."""
        led = [driver for driver in self._drivers.values() if driver.leads]
        reasons = {driver.state.log: self._not_ready(driver) for driver in led}
        if self._witness.status.maintenance:
            reasons = {driver.state.log: "maintenance is on" for driver in led}
        ready = [driver for driver in led if not reasons[driver.state.log]]
        for driver, handed_over in zip(ready, await asyncio.gather(*map(self._hand_over, ready)), strict=True):
            if handed_over:
                self._logger.info("handed over", log=driver.state.log, epoch=driver.state.configuration.epoch)
            else:
                reasons[driver.state.log] = self._why_not(driver)
        for log, reason in reasons.items():
            if reason:
                self._logger.warning("stops as leader", log=log, not_handed_over=reason)

    async def preview_failover(self, log: str, to: str) -> FailoverPreview:
        """What `failover` would do now. Raises HubError."""
        if self._asked_to_lead(log, to).leads:
            return FailoverPreview(leads_already=True, lossless=True, what=f"{log} is led by {to} already")
        loss = (await self._takeover(log, to)).loss
        return FailoverPreview(leads_already=False, lossless=not loss, what=loss or _LOSSLESS.format(to=to))

    async def failover(self, log: str, to: str, *, allow_data_loss: bool) -> AsyncIterator[Step]:
        """Makes this centre lead a log, whatever the other one does. Raises HubError before the first step."""
        driver = self._asked_to_lead(log, to)
        clock = _Steps()
        if driver.leads:
            yield clock.last(f"{log} is led by {to} already", succeeded=True)
            return
        takeover = await self._takeover(log, to)
        if not takeover.loss:
            yield clock.step(f"{_LOSSLESS.format(to=to)}; asking the witness")
            led = await driver.lead()
        else:
            yield clock.step(takeover.loss)
            if not allow_data_loss:
                yield clock.last("nothing was changed: allow the loss to go on", succeeded=False)
                return
            led = await self._force(takeover)
        epoch = driver.state.configuration.epoch
        if led:
            yield clock.last(f"{to} leads {log} in epoch {epoch}", succeeded=True)
        else:
            reason = driver.blocked or f"{driver.state.configuration.leader} leads it in epoch {epoch}"
            yield clock.last(f"{to} does not lead {log}: {reason}", succeeded=False)

    async def history(self) -> list[RoleChange]:
        """Oldest first. Raises UnavailableError."""
        with _witness_needed():
            changes = await self._witness.history()
        return [
            role_change(one.log, one.configuration, centre=one.centre, reason=one.reason, at_unix_ms=one.at_unix_ms)
            for one in changes
        ]

    async def set_maintenance(self, *, on: bool) -> bool:
        with _witness_needed():
            return (await self._witness.set_maintenance(on=on)).maintenance

    async def rebuild_witness(self, theirs: Sequence[RoleChange], generation: int) -> AsyncIterator[Step]:
        """Gives the witness the newest configuration of each log that either centre holds."""
        clock = _Steps()
        own = self._witness.status.identity
        newest = {log: driver.state.configuration for log, driver in self._drivers.items()}
        for one in theirs:
            if one.log in newest and one.version > newest[one.log].version:
                newest[one.log] = Configuration(
                    version=one.version, epoch=one.epoch, leader=one.leader, in_sync=frozenset(one.in_sync)
                )
        for log, configuration in newest.items():
            yield clock.step(
                f"{log}: version {configuration.version}, epoch {configuration.epoch}, {configuration.leader} leads"
            )
        with _witness_needed():
            view = await self._witness.rebuild(newest, max(generation, own.generation if own else 0))
        assert view.identity is not None, "a rebuilt witness has an identity"
        yield clock.last(f"the witness is rebuilt as generation {view.identity.generation}", succeeded=True)

    # --- Checks -------------------------------------------------------------------------------------------------

    def _driver(self, log: str) -> Driver:
        if log not in self._drivers:
            raise ConfigurationError(f"there is no log {log!r}", hint=f"one of {', '.join(self._drivers)}")
        return self._drivers[log]

    def _check_centre(self, name: str) -> None:
        if name not in (self._centre, self._peer):
            raise ConfigurationError(f"there is no centre {name!r}", hint=f"{self._centre} or {self._peer}")

    def _asked_to_lead(self, log: str, to: str) -> Driver:
        self._check_centre(to)
        if to != self._centre:
            raise ConfigurationError(f"{to} is to lead, and {self._centre} was asked", hint=f"ask {to}")
        return self._driver(log)

    async def _takeover(self, log: str, to: str) -> _Takeover:
        """Raises UnavailableError for a log that could not be led here whatever stands at the witness."""
        driver = self._driver(log)
        if driver.state.halted or driver.state.blank:
            raise UnavailableError(f"{to} cannot lead {log}: {driver.blocked}", hint=f"start {self._peer}, which may")
        with _witness_needed():
            stands = await self._witness.configuration(log)
        loss = "" if self._centre in stands.in_sync else self._loss(driver, stands)
        return _Takeover(driver=driver, stands=stands, loss=loss)

    async def _hand_over(self, driver: Driver) -> bool:
        work = asyncio.create_task(driver.hand_over())
        self._handing_over.add(work)
        work.add_done_callback(self._handing_over.discard)
        return await asyncio.shield(work)

    def _why_not(self, driver: Driver) -> str:
        return driver.blocked or self._witness.status.problem or f"{self._peer} did not confirm the log's end in time"

    def _not_ready(self, driver: Driver) -> str:
        if self._peer not in driver.state.configuration.in_sync:
            return f"{self._peer} is not in sync"
        return driver.blocked or self._witness.status.problem

    def _loss(self, driver: Driver, stands: Configuration) -> str:
        """What this centre lacks, as far as anybody alive knows."""
        log, own = driver.state.log, driver.state.end.lsn
        peer = self._witness.peer
        theirs = [report.commit_lsn for report in peer.logs if report.log == log] if peer else []
        if not theirs:
            return (
                f"{stands.leader} has led {log} alone since version {stands.version}, and the witness does not know "
                f"how far: all entries after {own} that it acknowledged would be lost"
            )
        assert peer is not None
        when = f"as the witness heard it {peer.silent_ms / 1000:.1f} s ago"
        return (
            f"{stands.leader} acknowledged entries of {log} through {theirs[0]}, {when}; {self._centre} holds them "
            f"through {own}: {max(0, theirs[0] - own)} entries, and any acknowledged since, would be lost"
        )

    async def _force(self, takeover: _Takeover) -> bool:
        wanted = Configuration(
            version=takeover.stands.version + 1,
            epoch=takeover.stands.epoch + 1,
            leader=self._centre,
            in_sync=frozenset({self._centre}),
        )
        with _witness_needed():
            return await takeover.driver.force(wanted, f"forced by the operator: {takeover.loss}")


class _Steps:
    def __init__(self) -> None:
        self._started_s = time.monotonic()

    def step(self, what: str) -> Step:
        return Step(at_ms=(time.monotonic() - self._started_s) * 1000, what=what)

    def last(self, what: str, *, succeeded: bool) -> Step:
        return Step(at_ms=(time.monotonic() - self._started_s) * 1000, what=what, done=True, succeeded=succeeded)


def role_change(
    log: str, configuration: Configuration, *, centre: str = "", reason: str = "", at_unix_ms: int = 0
) -> RoleChange:
    return RoleChange(
        log=log,
        version=configuration.version,
        epoch=configuration.epoch,
        leader=configuration.leader,
        in_sync=sorted(configuration.in_sync),
        centre=centre,
        reason=reason,
        at_unix_ms=at_unix_ms,
    )


@contextmanager
def _witness_needed() -> Iterator[None]:
    try:
        yield
    except WitnessError as error:
        raise UnavailableError(str(error), hint=error.hint, definite=error.definite) from error
