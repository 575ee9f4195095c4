"""The witness as a process: its host, its gRPC server, health and reflection."""

import asyncio
import functools
import time
import uuid
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from replication.limits import ReplicationLimits
from replication.ports import Clock
from replication.probing import refused
from replication.witness_host import WitnessHost
from replication.witness_service import SERVICE_NAME, DamagedRequests, WitnessServicer, add_to_server
from replication.witness_store import WitnessStore

_GRACE_S: Final = 1.0
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # Two witnesses on one address are a mistake, not a load balancer.
    ("grpc.max_receive_message_length", 64 << 10),
    ("grpc.max_metadata_size", 8 << 10),
    # A centre that is cut off without a word is noticed in this time; its silence is noticed before.
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
)
_CALLS_MAX: Final = 64  # At a time; two centres need four.


async def serve_witness(
    address: str,
    store: WitnessStore,
    *,
    centres: tuple[str, str],
    logs: tuple[str, ...],
    limits: ReplicationLimits,
    clock: Clock,
    ready: asyncio.Event | None = None,
) -> None:
    """Serves until cancelled, and closes the store.

    Raises OSError when the address cannot be bound, and what the store raises when it fails.
    """
    host = WitnessHost(
        store,
        centres=centres,
        logs=logs,
        limits=limits,
        clock=clock,
        probe=functools.partial(refused, times=limits.refused_times, within_ms=limits.refused_for_ms),
        new_id=lambda: uuid.uuid4().hex,
        unix_ms=lambda: time.time_ns() // 1_000_000,
    )
    server = grpc.aio.server(interceptors=(DamagedRequests(),), options=_OPTIONS, maximum_concurrent_rpcs=_CALLS_MAX)
    healths = health.aio.HealthServicer()
    add_to_server(WitnessServicer(host, first_beat_ms_max=limits.suspect_after_ms), server)
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        _bind(server, address)
        await server.start()
        await _set_health(healths, health_pb2.HealthCheckResponse.SERVING)
        structlog.get_logger().info("serving", grpc=address)
        if ready is not None:
            ready.set()
        await host.run()
    finally:
        host.end_streams()
        await _set_health(healths, health_pb2.HealthCheckResponse.NOT_SERVING)
        await server.stop(_GRACE_S)
        await host.close()


def _bind(server: grpc.aio.Server, address: str) -> None:
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be bound") from error


async def _set_health(healths: Any, status: Any) -> None:
    for service in ("", SERVICE_NAME):
        await healths.set(service, status)
