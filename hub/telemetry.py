"""Structured logs and metrics of a centre."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.status import CentreStatus


def configure_logging(*, json: bool) -> None:
    """One line a decision, to standard error."""
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def serve_metrics(address: str, collector: Collector) -> tuple[WSGIServer, threading.Thread]:
    """Serves /metrics. Raises OSError when the address cannot be bound."""
    registry = CollectorRegistry()
    registry.register(collector)
    host, port = address.rsplit(":", 1)
    return start_http_server(int(port), host, registry=registry)


class CentreCollector(Collector):
    """Turns a centre's status into metrics when they are asked for: nothing is counted twice."""

    def __init__(self, status: Callable[[], CentreStatus], counts: Callable[[], dict[str, dict[str, int]]]) -> None:
        self._status = status
        self._counts = counts

    def describe(self) -> Iterator[Metric]:
        """Named late: the centre may not be up when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        for name in (
            "end_lsn",
            "durable_lsn",
            "commit_lsn",
            "applied_lsn",
            "epoch",
            "lag_entries",
            "lag_bytes",
            "lag_s",
            "apply_lag_entries",
            "waiting",
            "log_bytes",
            "first_lsn",
            "standby_lost_in_s",
        ):
            gauge = GaugeMetricFamily(f"cityhub_log_{name}", f"{name} of a log at this centre", labels=["log"])
            for log in status.logs:
                gauge.add_metric([log.log], getattr(log, name))
            yield gauge
        yield from _roles(status)
        for name, value in status.store.model_dump(exclude={"snapshots"}).items():
            yield GaugeMetricFamily(f"cityhub_{name}", f"{name} of this centre", value=value)
        for name, by_log in self._counts().items():
            counter = CounterMetricFamily(f"cityhub_{name}", f"{name} since the start, through a log", labels=["log"])
            for log_name, count in by_log.items():
                counter.add_metric([log_name], count)
            yield counter


def _roles(status: CentreStatus) -> Iterator[Metric]:
    witness = status.witness
    yield GaugeMetricFamily("cityhub_witness_seen", "1 while the witness is seen and trusted", value=int(witness.seen))
    yield GaugeMetricFamily("cityhub_maintenance", "1 while no role changes by itself", value=int(witness.maintenance))
    for name, about, values in (
        ("leads", "1 where this centre leads the log", {one.log: one.role == "leader" for one in status.logs}),
        ("in_sync", "centres that hold every acknowledged entry", {one.log: len(one.in_sync) for one in status.logs}),
        ("peer_connected", "1 while the peer is connected", {one.log: one.peer_connected for one in status.logs}),
        ("suspected", "1 while the peer is suspected", {one.log: bool(one.suspected) for one in status.logs}),
        ("blocked", "1 while the log cannot be written here", {one.log: bool(one.blocked) for one in status.logs}),
    ):
        gauge = GaugeMetricFamily(f"cityhub_log_{name}", about, labels=["log"])
        for log, value in values.items():
            gauge.add_metric([log], int(value))
        yield gauge
    changes = CounterMetricFamily("cityhub_log_leader_changes", "changes of leader since the first one", labels=["log"])
    for one in status.logs:
        changes.add_metric([one.log], one.epoch - 1)  # Each begins an epoch.
    yield changes
