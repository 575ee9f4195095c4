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
            "waiting",
            "log_bytes",
        ):
            gauge = GaugeMetricFamily(f"cityhub_log_{name}", f"{name} of a log at this centre", labels=["log"])
            for log in status.logs:
                gauge.add_metric([log.log], getattr(log, name))
            yield gauge
        leads = GaugeMetricFamily("cityhub_log_leads", "1 where this centre leads the log", labels=["log"])
        peer = GaugeMetricFamily("cityhub_log_peer_connected", "1 while the peer is connected", labels=["log"])
        for log in status.logs:
            leads.add_metric([log.log], int(log.role == "leader"))
            peer.add_metric([log.log], int(log.peer_connected))
        yield leads
        yield peer
        for name, value in status.store.model_dump().items():
            yield GaugeMetricFamily(f"cityhub_{name}", f"{name} of this centre", value=value)
        for name, by_log in self._counts().items():
            counter = CounterMetricFamily(f"cityhub_{name}", f"{name} since the start, through a log", labels=["log"])
            for log_name, count in by_log.items():
                counter.add_metric([log_name], count)
            yield counter
