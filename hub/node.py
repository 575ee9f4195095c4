"""One centre: the composition root. Opens disk and store, makes a driver and an admission a log, and serves.

Start: logs are recovered → the store is opened (its applied lsn says where to go on) → drivers run → the built-in
contracts of the logs led here are put in force → calls are served. Stop: health turns NOT_SERVING → calls end →
drivers stop → files are closed. A log that can no longer be trusted ends the process with its error.
"""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Final
from wsgiref.simple_server import WSGIServer

import grpc
import psutil
import structlog

from hub.arrivals import Arrivals
from hub.catalogue.change import check_change
from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts, contract_to_json
from hub.client import AsyncHubClient
from hub.config import CENTRES, City
from hub.courtesy import Courtesy
from hub.errors import ConfigurationError, ContractError, HubError, NotLeaderError, UnavailableError
from hub.flight.server import FlightServer
from hub.ingest.admission import Admission
from hub.ingest.bulk import Segmenter
from hub.ingest.exchange import Receipt
from hub.ingest.producers import Sequences
from hub.ingest.reception import Reception
from hub.joining import Joined, Joining, first_configuration
from hub.mode import LOG as MODE_LOG
from hub.mode import ModeName, mode_now, mode_to_payload
from hub.query.desk import QueryDesk, limits_by_class
from hub.query.named import builtin_queries
from hub.query.scheduler import QueryClass, Scheduler
from hub.query.share import running_max
from hub.reporting import Reporter
from hub.retention import Retention
from hub.roles import Roles
from hub.seeding import SnapshotNeededError, wait_until_needed
from hub.service.alerts import AlertServicer
from hub.service.catalogue import CatalogueServicer
from hub.service.exchanges import ExchangeServicer
from hub.service.operations import OperationsServicer
from hub.service.proofs import proved_lsn_of_peer
from hub.service.queries import QueryServicer
from hub.service.server import Server
from hub.service.snapshots import SnapshotServicer
from hub.snapshots.description import Snapshot
from hub.snapshots.take import Snapshots, take
from hub.status import CentreStatus, Digest, Leadership, StoreStatus
from hub.store.store import Store
from hub.telemetry import CentreCollector, serve_metrics
from hub.upkeep.arrange import Arranger
from hub.upkeep.plan import compaction_debt
from hub.upkeep.repair import Keeper
from hub.watch import Watches
from replication.core.state import recover
from replication.core.types import Entry, Kind
from replication.disk import FileDisk
from replication.driver import Driver
from replication.errors import NotLeadingError, ReplicationError, WitnessError
from replication.observation import LogReport
from replication.segment_transport import SegmentPeer, SegmentServicer
from replication.segments import SegmentFiles
from replication.transport import CHANNEL_OPTIONS, GrpcLink, ReplicationServicer
from replication.witness_client import CHANNEL_OPTIONS as WITNESS_CHANNEL_OPTIONS
from replication.witness_client import WitnessLink

_HOME_EACH: Final = "each"
_CONTRACTS_RETRY_S: Final = 0.2
_SMALL_S: Final = 0.2
# A connection of its own: what is sent in bulk must not stand before a log's messages.
_BULK_OPTIONS: Final = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))


class SystemClock:
    """The clock port over the real one."""

    def now_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Node:
    """Implements what the services ask of a centre. Made and run in one event loop."""

    def __init__(
        self, city: City, centre: str, *, files: SegmentFiles, disks: Mapping[str, FileDisk], store: Store
    ) -> None:
        """What is open stays the caller's."""
        self._files = files
        self._disks = disks
        self._store = store
        self._city = city
        self._centre = centre
        self._peer = city.peer(centre)
        self._folder = city.folder(centre)
        self._started_s = time.monotonic()
        self._applying = ThreadPoolExecutor(max_workers=1, thread_name_prefix="apply")
        self._logger = structlog.get_logger().bind(centre=centre)
        self._drivers: dict[str, Driver] = {}
        self._links: dict[str, GrpcLink] = {}
        self._admissions: dict[str, Admission] = {}
        self._retentions: dict[str, Retention] = {}
        self._leaders_changed = asyncio.Event()
        self._desk = QueryDesk(
            store,
            Scheduler(limits_by_class(city.query), centre=centre, running_max=self._queries_running_max),
            city.query,
            reached=self._reached,
            proved=self._proved,
        )
        self._courtesy = Courtesy(self._desk.scheduler.people_ask)

    async def run(self, *, ready: asyncio.Event | None = None) -> None:
        """Serves until cancelled. Raises HubError or ReplicationError when it cannot start or go on, and
        SnapshotNeededError, all in groups."""
        to_peer = self._city.centres[self._peer].grpc
        self._channel = grpc.aio.insecure_channel(to_peer, options=CHANNEL_OPTIONS)
        bulk_channel = grpc.aio.insecure_channel(to_peer, options=_BULK_OPTIONS)
        to_witness = grpc.aio.insecure_channel(self._city.witness.grpc, options=WITNESS_CHANNEL_OPTIONS)
        peer = SegmentPeer(bulk_channel, limits=self._city.replication, rest=self._courtesy.rest)
        self._make_segment_parts(peer)
        try:
            self._witness = WitnessLink(
                centre=self._centre,
                address=self._city.centres[self._centre].grpc,
                witness_address=self._city.witness.grpc,
                channel=to_witness,
                identity_path=self._folder / "witness.json",
                report=self._report,
                observers=self._drivers,
                clock=SystemClock(),
                limits=self._city.replication,
            )
            self._reporter = Reporter(self._drivers, self._witness)
            self._roles = Roles(self._centre, self._peer, self._drivers, self._led, self._witness)
            await self._serve(ready)
        finally:
            await self._arrivals.close()
            for channel in (self._channel, bulk_channel, to_witness):
                await channel.close()
            self._segmenter.close()
            self._segments.close()
            self._applying.shutdown()

    def _make_segment_parts(self, peer: SegmentPeer) -> None:
        self._segments = peer
        self._arrivals = Arrivals(self._files, peer, applied_lsn=lambda log: self._drivers[log].applied_lsn)
        self._segmenter = Segmenter(
            self._files,
            peer,
            limits=self._city.segments,
            pushes=lambda log: self._drivers[log].relies_on_peer,
            gives_way=lambda: self._small_exchanges_come() or self._courtesy.is_due(),
            rest=self._courtesy.rest,
        )
        self._snapshots = Snapshots()
        self._keeper = Keeper(
            self._store,
            self._files,
            peer,
            self._arrivals,
            self._snapshots,
            reopen=self._reopen,
            passed=lambda log, lsn: self._retentions[log].passed(lsn),
            limits=self._city.upkeep,
        )

    async def leave(self) -> None:
        """Before a planned stop, while it serves: lets the other centre lead what this one does, within moments."""
        if self._drivers:
            await self._roles.leave()

    def _report(self) -> tuple[LogReport, ...]:
        """For the witness; before the drivers run, a new city's first configurations."""
        if self._drivers:
            return tuple(driver.report() for driver in self._drivers.values())
        return tuple(self._first_report(log, disk) for log, disk in self._disks.items())

    def _first_report(self, log: str, disk: FileDisk) -> LogReport:
        configuration, _ = disk.configuration() or (first_configuration(log, disk.end), None)
        return LogReport(log=log, configuration=configuration, end_lsn=disk.end.lsn, commit_lsn=0, fit=False)

    async def _make_drivers(self) -> None:
        joining = Joining(self._city, self._centre, self._disks, self._witness, watch=self._watch_witness)
        for log, joined in (await joining.run()).items():
            self._make_driver(log, joined)
            self._arrivals.undecided |= joined.blank and self._disks[log].end.lsn == 0

    def _watch_witness(self) -> None:
        self._watching = self._tasks.create_task(self._witness.run())

    def _make_driver(self, log: str, joined: Joined) -> None:
        city, centre, disk = self._city, self._centre, self._disks[log]
        replica = recover(
            log=log,
            centre=centre,
            peer=self._peer,
            configuration=joined.configuration,
            pending=joined.pending,
            end=disk.end,
            epochs=disk.epochs,
            applied_lsn=self._store.applied()[log],
            ship_window_entries_max=city.replication.ship_window_entries_max,
            blank=joined.blank,
        )
        link = GrpcLink(
            log,
            centre,
            self._channel,
            peer_address=city.centres[self._peer].grpc,
            limits=city.replication,
        )
        driver = Driver(
            replica,
            disk=disk,
            link=link,
            clock=SystemClock(),
            witness=self._witness,
            apply=self._apply,
            take=lambda entries: self._arrivals.take(log, entries),
            limits=city.replication,
            changed=lambda: self._roles_changed(log),
            first_probe=secrets.randbits(62),
        )
        self._links[log] = link
        self._drivers[log] = driver
        self._reporter.changed(log)
        self._retentions[log] = Retention(
            driver, disk, snapshot_lsn=lambda: self._snapshots.oldest_lsn(log), limits=city.log
        )
        self._admissions[log] = Admission(
            driver,
            contracts=self._store.contracts,
            outcomes=lambda keys: self._outcomes(log, keys),
            accepted=lambda: self._accepted(log),
            limits=city.ingest,
            disk_free_bytes=self._disk_free_bytes,
            address_of=lambda name: city.centres[name].grpc,
            claim=lambda lsn, ids: self._arrivals.claim(log, lsn, ids),
        )

    async def _watch_for_gap(self) -> None:
        """Ends this life when only a snapshot helps."""
        async with AsyncHubClient({self._peer: self._city.centres[self._peer].grpc}) as peer:
            while True:
                reason = await wait_until_needed(self._centre, peer, self._drivers, self._arrivals)
                await self._roles.leave()
                if not any(driver.leads for driver in self._drivers.values()):
                    raise SnapshotNeededError(reason)

    def _take_snapshot(self, told: Callable[[str], None], data_sets: Sequence[str]) -> Snapshot:
        return take(
            self._store,
            self._files,
            data_sets=data_sets,
            centre=self._centre,
            id_at=lambda log, lsn: self._disks[log].id_now(lsn),
            told=told,
        )

    def _arranger(self, log: str) -> Arranger:
        return Arranger(
            self._drivers[log],
            self._store,
            self._files,
            self._segmenter,
            claim=self._arrivals.claim,
            limits=self._city.upkeep,
        )

    def _small_exchanges_come(self) -> bool:
        return any(time.monotonic() - one.small_s < _SMALL_S for one in self._admissions.values())

    def _roles_changed(self, log: str) -> None:
        self._reporter.changed(log)
        self._witness.beat_now()
        if log in self._admissions:
            self._admissions[log].role_changed()
        self._leaders_changed.set()
        self._leaders_changed = asyncio.Event()

    async def _serve(self, ready: asyncio.Event | None) -> None:
        own = self._city.centres[self._centre]
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
            self._tasks = tasks
            await self._make_drivers()
            server, metrics = self._make_server()
            try:
                for log, driver in self._drivers.items():
                    tasks.create_task(driver.run())
                    tasks.create_task(self._links[log].run(driver))
                    tasks.create_task(self._admissions[log].run())
                    tasks.create_task(self._arranger(log).run())
                    tasks.create_task(self._retentions[log].run())
                tasks.create_task(self._keeper.run())
                tasks.create_task(self._watch_for_gap())
                tasks.create_task(self._courtesy.keep_core_free())
                await server.start()
                flight = FlightServer(
                    own.flight,
                    Reception(self._admissions, self._store.contracts, self._segmenter),
                    self._desk,
                    contracts=self._store.contracts,
                    applied=self._store.applied,
                    create=self.change,
                    flight_address=lambda grpc: next(c.flight for c in self._city.centres.values() if c.grpc == grpc),
                )
                stack.push_async_callback(flight.stop)
                tasks.create_task(self._put_builtin_contracts_in_force())
                self._logger.info("serving", grpc=own.grpc, flight=own.flight, http=own.http)
                if ready is not None:
                    ready.set()
                await asyncio.Event().wait()  # Until a task fails or the whole is cancelled.
            finally:
                self._suspect_nobody()
                await server.stop()
                await asyncio.to_thread(self._queries.close)
                metrics.shutdown()
                metrics.server_close()

    def _suspect_nobody(self) -> None:
        """A centre that stops takes nothing over: it would be gone with it, and the other one could not go on."""
        self._watching.cancel()
        for driver in self._drivers.values():
            driver.witness_lost()

    def _make_server(self) -> tuple[Server, WSGIServer]:
        self._exchanges = ExchangeServicer(
            self._admissions,
            self._store.contracts,
            stream_window_exchanges_max=self._city.ingest.stream_window_exchanges_max,
        )
        self._queries = QueryServicer(self._desk, builtin_queries())
        watches = Watches(self._store, self._reached)
        own = self._city.centres[self._centre]
        server = Server(
            own.grpc,
            exchanges=self._exchanges,
            queries=self._queries,
            catalogue=CatalogueServicer(self, watches),
            alerts=AlertServicer(watches),
            operations=OperationsServicer(self, self._roles),
            replication=ReplicationServicer(self._centre, self._peer, self._links, self._drivers),
            segments=SegmentServicer(self._files, limits=self._city.replication),
            snapshots=SnapshotServicer(self._snapshots, self._take_snapshot, self._keeper.drop),
        )
        metrics, _ = serve_metrics(own.http, CentreCollector(self.status, self._counts))
        return server, metrics

    # --- For the services ---------------------------------------------------------------------------------------

    def contracts(self) -> dict[str, Contract]:
        return dict(self._store.contracts())

    async def change(self, contract: Contract) -> tuple[int, bool]:
        """Puts a contract in force through its home log. Raises ContractError, NotLeaderError or UnavailableError."""
        if contract.home == _HOME_EACH:
            raise ContractError(f"{contract.name}: only the hub's own data sets have home {_HOME_EACH!r}")
        driver = self._led(contract.home)
        await self._admissions[contract.home].caught_up()
        existing = self._store.contracts().get(contract.name)
        if existing == contract:
            return 0, False
        if existing is not None:
            check_change(existing, contract)
        lsn = await self._write(driver, Kind.CONTRACT, contract_to_json(contract).encode())
        await driver.applied(lsn)
        return lsn, True

    async def set_mode(self, name: ModeName, reason: str, asked_by: str) -> tuple[int, bool]:
        """Lsn of the entry and whether anything changed. Raises NotLeaderError or UnavailableError."""
        driver = self._led(MODE_LOG)
        if self._store.mode().name is name:
            return 0, False
        lsn = await self._write(driver, Kind.MODE, mode_to_payload(mode_now(name, reason, asked_by)))
        await driver.applied(lsn)
        return lsn, True

    def _queries_running_max(self, query_class: QueryClass, configured: int) -> int:
        share = self._city.query.emergency_share
        return running_max(self._store.mode(), self._centre, query_class, configured, share)

    async def mark(self, log: str) -> int:
        return await self._write(self._led(log), Kind.MARK, b"")

    @property
    def flight_address(self) -> str:
        return self._city.centres[self._centre].flight

    async def leaders(self) -> AsyncIterator[list[Leadership]]:
        while True:
            changed = self._leaders_changed
            states = [driver.state for driver in self._drivers.values()]
            yield [
                Leadership(log=one.log, epoch=one.configuration.epoch, leader=one.configuration.leader)
                for one in states
            ]
            await changed.wait()

    async def proved_lsn(self, log: str) -> int:
        """Raises NotLeaderError, or UnavailableError when the proof does not come in time."""
        driver = self._led(log)
        wait_ms = self._city.query.position_wait_ms_max
        try:
            async with asyncio.timeout(wait_ms / 1000):
                return await driver.prove()
        except NotLeadingError as error:
            raise self._not_leader(log, error.leader) from error
        except (WitnessError, TimeoutError) as error:
            reason = str(error) or f"{driver.blocked or self._peer} did not confirm it within {wait_ms} ms"
            raise UnavailableError(
                f"cannot prove that {self._centre} still leads log {log}: {reason}", hint="read local, or try again"
            ) from error

    async def digests(self, log: str, lsn: int) -> list[Digest]:
        if log not in self._drivers:
            raise ConfigurationError(f"there is no log {log!r}")
        await self._reached({log: lsn})
        return await asyncio.to_thread(self._store.digests_at_mark, log, lsn)

    def status(self) -> CentreStatus:
        segments = tuple(self._store.manifest().all())
        queries = self._desk.scheduler.queries()
        return CentreStatus(
            centre=self._centre,
            version=version("cityhub"),
            uptime_s=time.monotonic() - self._started_s,
            mode=self._store.mode().name,
            mode_reason=self._store.mode().reason,
            logs=[
                self._reporter.log(
                    log,
                    waiting=self._admissions[log].waiting,
                    standby_lost_in_s=self._retentions[log].standby_lost_in_s(),
                )
                for log in CENTRES
            ],
            store=StoreStatus(
                store_bytes=self._store.size_bytes(),
                disk_free_bytes=self._disk_free_bytes(),
                data_sets=len(self._store.contracts()),
                streams=self._exchanges.streams,
                queries=sum(one.running for one in queries),
                queries_waiting=sum(not one.running for one in queries),
                segments=len(segments),
                segment_rows=sum(one.rows for one in segments),
                segment_bytes=sum(one.size_bytes for one in segments),
                segments_to_compact=compaction_debt(segments, self._city.upkeep),
                segments_missing=len(self._keeper.missing()),
                segments_damaged=self._keeper.damaged,
                segments_repaired=self._keeper.repaired,
                snapshots=self._snapshots.shown(),
                resident_bytes=psutil.Process().memory_info().rss,
            ),
            witness=self._reporter.witness(),
        )

    # --- Parts handed to others ---------------------------------------------------------------------------------

    async def _apply(self, log: str, entries: Sequence[Entry]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._applying, self._store.apply, log, entries)
        if any(entry.kind is Kind.MODE for entry in entries):
            self._desk.scheduler.changed()
            self._logger.warning("mode of operation", mode=self._store.mode().name, reason=self._store.mode().reason)

    async def _reopen(self, data_sets: Collection[str]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._applying, self._store.reopen, data_sets)

    async def _accepted(self, log: str) -> Sequences:
        """In the thread that applies, which also changes them."""
        return await asyncio.get_running_loop().run_in_executor(self._applying, self._store.sequences, log)

    async def _proved(self) -> dict[str, int]:
        """The position that holds all that was acknowledged before the call. Raises HubError."""
        wait_s = self._city.query.position_wait_ms_max / 1000
        position = {}
        for log, driver in self._drivers.items():
            if driver.leads:
                position[log] = await self.proved_lsn(log)
            else:
                position[log] = await proved_lsn_of_peer(self._channel, log, peer=self._peer, timeout_s=wait_s)
        return position

    def _outcomes(self, log: str, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], Receipt]:
        return {
            key: Receipt(
                sequence=key[1],
                log=log,
                lsn=found.lsn,
                rows=found.rows,
                rows_rejected=found.rows_rejected,
                duplicate=True,
            )
            for key, found in self._store.outcomes(log, keys).items()
        }

    async def _reached(self, position: Mapping[str, int]) -> None:
        """Waits until a position is applied here. Raises UnavailableError when that takes too long."""
        wait_ms = self._city.query.position_wait_ms_max
        unknown = set(position) - set(self._drivers)
        if unknown:
            raise ConfigurationError(f"a position names unknown logs: {', '.join(sorted(unknown))}")
        try:
            async with asyncio.timeout(wait_ms / 1000):
                for log, lsn in position.items():
                    await self._drivers[log].applied(lsn)
        except TimeoutError:
            raise UnavailableError(
                f"{self._centre} did not reach {dict(position)} within {wait_ms} ms", hint="ask the other centre"
            ) from None

    def _disk_free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    def _counts(self) -> dict[str, dict[str, int]]:
        names = ("exchanges_accepted", "rows_accepted", "rows_rejected")
        return {name: {log: getattr(one, name) for log, one in self._admissions.items()} for name in names}

    # --- Writing entries of our own -----------------------------------------------------------------------------

    def _led(self, log: str) -> Driver:
        driver = self._drivers.get(log)
        if driver is None:
            raise ConfigurationError(f"there is no log {log!r}")
        if not driver.leads:
            raise self._not_leader(log, driver.state.configuration.leader)
        return driver

    def _not_leader(self, log: str, leader: str, *, definite: bool = True) -> NotLeaderError:
        address = self._city.centres[leader].grpc
        return NotLeaderError(f"log {log} is led by {leader}", leader=leader, address=address, definite=definite)

    async def _write(self, driver: Driver, kind: Kind, payload: bytes) -> int:
        wait_ms = self._city.ingest.write_wait_ms_max
        try:
            lsn, committed = driver.propose(kind, payload)
            async with asyncio.timeout(wait_ms / 1000):
                await committed
        except TimeoutError:
            cause = driver.blocked or "the standby is slow"
            raise UnavailableError(f"not acknowledged within {wait_ms} ms: {cause}", definite=False) from None
        except NotLeadingError as error:
            raise self._not_leader(error.log, error.leader, definite=error.definite) from error
        except ReplicationError as error:
            raise UnavailableError(str(error)) from error
        return lsn

    async def _put_builtin_contracts_in_force(self) -> None:
        """Once the pair can write, by the centre that leads; one that was changed by hand since is left alone."""
        async with asyncio.TaskGroup() as tasks:
            for contract in builtin_contracts().values():
                if contract.home != _HOME_EACH:
                    tasks.create_task(self._put_in_force(contract))

    async def _put_in_force(self, contract: Contract) -> None:
        existing = self._store.contracts().get(contract.name)
        while existing is None or existing.version < contract.version:
            try:
                await self.change(contract)
            except (UnavailableError, NotLeaderError):
                await asyncio.sleep(_CONTRACTS_RETRY_S)
            except HubError as error:
                self._logger.warning("contract not put in force", data_set=contract.name, error=str(error))
                break
            existing = self._store.contracts().get(contract.name)
