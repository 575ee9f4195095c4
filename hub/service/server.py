"""The gRPC server of a centre: its services, health and reflection."""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from hub.errors import ConfigurationError
from hub.rpc.v1 import alert_pb2, catalogue_pb2, exchange_pb2, operations_pb2, query_pb2, snapshot_pb2
from hub.rpc.v1 import alert_pb2_grpc as alert_grpc
from hub.rpc.v1 import catalogue_pb2_grpc as catalogue_grpc
from hub.rpc.v1 import exchange_pb2_grpc as exchange_grpc
from hub.rpc.v1 import operations_pb2_grpc as operations_grpc
from hub.rpc.v1 import query_pb2_grpc as query_grpc
from hub.rpc.v1 import snapshot_pb2_grpc as snapshot_grpc
from hub.service.alerts import AlertServicer
from hub.service.catalogue import CatalogueServicer
from hub.service.exchanges import ExchangeServicer
from hub.service.operations import OperationsServicer
from hub.service.queries import QueryServicer
from hub.service.snapshots import SnapshotServicer
from replication import segment_transport
from replication.segment_transport import SegmentServicer
from replication.transport import CHANNEL_OPTIONS, ReplicationServicer, add_to_server

_GRACE_S: Final = 2.0
_SERVER_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    ("grpc.so_reuseport", 0),  # Two centres on one address are a mistake, not a load balancer.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
)
_SERVICES: Final = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (exchange_pb2, "ExchangeService"),
        (query_pb2, "QueryService"),
        (catalogue_pb2, "CatalogueService"),
        (operations_pb2, "OperationsService"),
        (snapshot_pb2, "SnapshotService"),
        (alert_pb2, "AlertService"),
    )
)


class Server:
    """Serves on one address until stopped; health turns NOT_SERVING before calls are ended."""

    def __init__(
        self,
        address: str,
        *,
        exchanges: ExchangeServicer,
        queries: QueryServicer,
        catalogue: CatalogueServicer,
        operations: OperationsServicer,
        replication: ReplicationServicer,
        segments: SegmentServicer,
        snapshots: SnapshotServicer,
        alerts: AlertServicer,
    ) -> None:
        self._address = address
        self._server = grpc.aio.server(options=_SERVER_OPTIONS)
        self._health = health.aio.HealthServicer()
        exchange_grpc.add_ExchangeServiceServicer_to_server(exchanges, self._server)
        query_grpc.add_QueryServiceServicer_to_server(queries, self._server)
        catalogue_grpc.add_CatalogueServiceServicer_to_server(catalogue, self._server)
        operations_grpc.add_OperationsServiceServicer_to_server(operations, self._server)
        alert_grpc.add_AlertServiceServicer_to_server(alerts, self._server)
        add_to_server(replication, self._server)
        segment_transport.add_to_server(segments, self._server)
        snapshot_grpc.add_SnapshotServiceServicer_to_server(snapshots, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    async def start(self) -> None:
        """Raises ConfigurationError when the address cannot be bound."""
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise ConfigurationError(
                f"{self._address} cannot be bound", hint="is another centre running there?"
            ) from error
        await self._server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(_GRACE_S)

    async def _set_health(self, status: Any) -> None:
        services: Sequence[str] = ("", *_SERVICES)
        for service in services:
            await self._health.set(service, status)
