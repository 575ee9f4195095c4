"""One centre: the composition root. Opens disk and store, makes a driver and an admission a log, and serves.

Start: logs are recovered → the store is opened (its applied lsn says where to go on) → drivers run → the built-in
contracts of the logs led here are put in force → calls are served. Stop: health turns NOT_SERVING → calls end →
drivers stop → files are closed. A log that can no longer be trusted ends the process with its error.
"""

import asyncio
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
import psutil
import structlog

from hub.catalogue.change import check_change
from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts, contract_to_json
from hub.config import CENTRES, City
from hub.errors import ConfigurationError, ContractError, HubError, NotLeaderError, UnavailableError
from hub.ingest.admission import Admission
from hub.ingest.exchange import Receipt
from hub.query.run import Limits, RunningQuery, run
from hub.service.catalogue import CatalogueServicer
from hub.service.exchanges import ExchangeServicer
from hub.service.operations import OperationsServicer
from hub.service.queries import QueryServicer
from hub.service.server import Server
from hub.status import CentreStatus, Digest, LogStatus, StoreStatus
from hub.store.store import Store
from hub.telemetry import CentreCollector, serve_metrics
from replication.core.state import recover
from replication.core.types import Entry, Kind
from replication.disk import FileDisk
from replication.driver import Driver
from replication.errors import ReplicationError
from replication.transport import CHANNEL_OPTIONS, GrpcLink, ReplicationServicer
from replication.witness import FixedWitness

_HOME_EACH = "each"


class SystemClock:
    """The clock port over the real one."""

    def now_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Node:
    """Implements what the services ask of a centre. Made and run in one event loop."""

    def __init__(self, city: City, centre: str) -> None:
        self._city = city
        self._centre = centre
        self._folder = city.folder(centre)
        self._started_s = time.monotonic()
        self._applying = ThreadPoolExecutor(max_workers=1, thread_name_prefix="apply")
        self._logger = structlog.get_logger().bind(centre=centre)
        self._witness = FixedWitness(frozenset(CENTRES))
        self._disks: dict[str, FileDisk] = {}
        self._drivers: dict[str, Driver] = {}
        self._links: dict[str, GrpcLink] = {}
        self._admissions: dict[str, Admission] = {}

    async def run(self, *, ready: asyncio.Event | None = None) -> None:
        """Serves until cancelled. Raises HubError or ReplicationError when it cannot start or go on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        limits = self._city.store
        self._store = Store.open(
            self._folder / "store.duckdb",
            memory_bytes_max=limits.memory_bytes_max,
            threads=limits.threads,
            temp_bytes_max=limits.temp_bytes_max,
        )
        peer = self._city.centres[self._city.peer(self._centre)]
        channel = grpc.aio.insecure_channel(peer.grpc, options=CHANNEL_OPTIONS)
        try:
            for log in CENTRES:
                await self._open_log(log, channel)
            await self._serve(ready)
        finally:
            await channel.close()
            for disk in self._disks.values():
                disk.close()
            self._applying.shutdown()
            self._store.close()

    async def _open_log(self, log: str, channel: grpc.aio.Channel) -> None:
        city, centre = self._city, self._centre
        disk = FileDisk.open(self._folder / "log" / log, file_bytes_max=city.replication.log_file_bytes_max)
        self._disks[log] = disk
        saved = disk.configuration()
        if saved is None:
            saved = (await self._witness.configuration(log), None)
            disk.save_configuration(*saved)
        applied_lsn = self._store.applied()[log]
        if applied_lsn > disk.end.lsn:
            raise ConfigurationError(
                f"the store at {self._folder} has applied entry {applied_lsn} of log {log}, which ends at "
                f"{disk.end.lsn}: the log lost entries, or the store is another centre's",
                hint="restore the log's folder, or move the whole folder away to seed this centre anew",
            )
        replica = recover(
            log=log,
            centre=centre,
            peer=city.peer(centre),
            configuration=saved[0],
            pending=saved[1],
            end=disk.end,
            epochs=disk.epochs,
            applied_lsn=applied_lsn,
            ship_window_entries_max=city.replication.ship_window_entries_max,
        )
        self._links[log] = GrpcLink(log, centre, channel)
        driver = Driver(
            replica,
            disk=disk,
            link=self._links[log],
            clock=SystemClock(),
            witness=self._witness,
            apply=self._apply,
            limits=city.replication,
        )
        self._drivers[log] = driver
        self._admissions[log] = Admission(
            driver,
            contracts=self._store.contracts,
            outcomes=lambda keys: self._outcomes(log, keys),
            sequences=self._store.sequences(log),
            limits=city.ingest,
            disk_free_bytes=self._disk_free_bytes,
            address_of=lambda name: city.centres[name].grpc,
        )

    async def _serve(self, ready: asyncio.Event | None) -> None:
        query_limits = self._city.query
        self._exchanges = ExchangeServicer(
            self._admissions,
            self._store.contracts,
            stream_window_exchanges_max=self._city.ingest.stream_window_exchanges_max,
        )
        self._queries = QueryServicer(
            self._run_query,
            self._reached,
            limits=Limits(
                rows_max=query_limits.rows_max,
                time_s_max=query_limits.time_s_max,
                batch_rows=query_limits.batch_rows,
                sql_bytes_max=query_limits.sql_bytes_max,
            ),
            concurrent_max=query_limits.concurrent_max,
        )
        own = self._city.centres[self._centre]
        server = Server(
            own.grpc,
            exchanges=self._exchanges,
            queries=self._queries,
            catalogue=CatalogueServicer(self),
            operations=OperationsServicer(self),
            replication=ReplicationServicer(self._centre, self._city.peer(self._centre), self._links, self._drivers),
        )
        metrics, _ = serve_metrics(own.http, CentreCollector(self.status, self._counts))
        try:
            async with asyncio.TaskGroup() as tasks:
                for log, driver in self._drivers.items():
                    tasks.create_task(driver.run())
                    tasks.create_task(self._links[log].run(driver))
                    tasks.create_task(self._admissions[log].run())
                await server.start()
                tasks.create_task(self._put_builtin_contracts_in_force())
                self._logger.info("serving", grpc=own.grpc, http=own.http)
                if ready is not None:
                    ready.set()
        finally:
            await server.stop()
            metrics.shutdown()
            metrics.server_close()

    # --- For the services ---------------------------------------------------------------------------------------

    def contracts(self) -> dict[str, Contract]:
        return dict(self._store.contracts())

    async def change(self, contract: Contract) -> tuple[int, bool]:
        """Puts a contract in force through its home log. Raises ContractError or NotLeaderError."""
        if contract.home == _HOME_EACH:
            raise ContractError(f"{contract.name}: only the hub's own data sets have home {_HOME_EACH!r}")
        driver = self._led(contract.home)
        existing = self._store.contracts().get(contract.name)
        if existing == contract:
            return 0, False
        if existing is not None:
            check_change(existing, contract)
        lsn = await self._write(driver, Kind.CONTRACT, contract_to_json(contract).encode())
        await driver.applied(lsn)
        return lsn, True

    async def mark(self, log: str) -> int:
        return await self._write(self._led(log), Kind.MARK, b"")

    async def digests(self, log: str, lsn: int) -> list[Digest]:
        if log not in self._drivers:
            raise ConfigurationError(f"there is no log {log!r}")
        await self._reached({log: lsn})
        return await asyncio.to_thread(self._store.digests_at_mark, log, lsn)

    def status(self) -> CentreStatus:
        return CentreStatus(
            centre=self._centre,
            version=version("cityhub"),
            uptime_s=time.monotonic() - self._started_s,
            logs=[self._log_status(log) for log in CENTRES],
            store=StoreStatus(
                store_bytes=self._store.size_bytes(),
                disk_free_bytes=self._disk_free_bytes(),
                data_sets=len(self._store.contracts()),
                streams=self._exchanges.streams,
                queries=self._queries.running,
                resident_bytes=psutil.Process().memory_info().rss,
            ),
        )

    def _log_status(self, log: str) -> LogStatus:
        driver = self._drivers[log]
        state = driver.state
        entries, size_bytes, seconds = driver.lag
        return LogStatus(
            log=log,
            role="leader" if driver.leads else "standby",
            leader=state.configuration.leader,
            configuration_version=state.configuration.version,
            epoch=state.configuration.epoch,
            in_sync=sorted(state.configuration.in_sync),
            pending=sorted(state.pending or ()),
            end_lsn=state.end.lsn,
            durable_lsn=state.durable_lsn,
            commit_lsn=state.commit_lsn,
            applied_lsn=driver.applied_lsn,
            peer_connected=driver.connected,
            lag_entries=entries,
            lag_bytes=size_bytes,
            lag_s=seconds,
            waiting=self._admissions[log].waiting,
            log_bytes=driver.log_bytes,
            blocked=driver.blocked,
        )

    # --- Parts handed to others ---------------------------------------------------------------------------------

    async def _apply(self, log: str, entries: Sequence[Entry]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._applying, self._store.apply, log, entries)

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

    def _run_query(self, sql: str, limits: Limits) -> RunningQuery:
        return run(self._store, sql, limits=limits)

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
            leader = driver.state.configuration.leader
            raise NotLeaderError(
                f"log {log} is led by {leader}", leader=leader, address=self._city.centres[leader].grpc
            )
        return driver

    async def _write(self, driver: Driver, kind: Kind, payload: bytes) -> int:
        wait_ms = self._city.ingest.write_wait_ms_max
        try:
            lsn, committed = driver.propose(kind, payload)
            async with asyncio.timeout(wait_ms / 1000):
                await committed
        except TimeoutError:
            cause = driver.blocked or "the standby is slow"
            raise UnavailableError(f"not acknowledged within {wait_ms} ms: {cause}", definite=False) from None
        except ReplicationError as error:
            raise UnavailableError(str(error)) from error
        return lsn

    async def _put_builtin_contracts_in_force(self) -> None:
        """Once the pair can write; a contract that was changed by hand since is left alone."""
        for contract in builtin_contracts().values():
            existing = self._store.contracts().get(contract.name)
            if contract.home == _HOME_EACH or not self._drivers[contract.home].leads:
                continue
            while existing is None or existing.version < contract.version:
                try:
                    await self.change(contract)
                except UnavailableError:
                    await asyncio.sleep(0.2)
                except HubError as error:
                    self._logger.warning("contract not put in force", data_set=contract.name, error=str(error))
                    break
                existing = self._store.contracts().get(contract.name)
