"""Network faults between the processes of a drill: `FaultProxies`, with one `FaultProxy` for each edge.

An edge leads from one process, the source, to another, the target: the source is told the proxy's address instead of
the target's. All edges run in one thread with an event loop of its own; the calls here block until a fault is in
force and may come from any thread. What a cut, a refusal and a slow link are is told in `relay` and `edge`.

    with FaultProxies({("ops", "witness"): "127.0.0.1:20001"}) as proxies:
        start_ops(witness=proxies.addresses["ops", "witness"])
        proxies.cut("ops", "witness")
        ...
        proxies.heal()
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Literal, TypeVar

from simulator.drill.edge import Edge
from simulator.drill.ports import free_ports
from simulator.drill.relay import Fault

CLIENT: Final = "client"  # The source of the edges that clients take.
Direction = Literal["both", "out", "in"]
Result = TypeVar("Result")
_CALL_S_MAX: Final = 10.0


class FaultProxy:
    """One edge. `out` is the direction from source to target, `in` the other; delays are one way each."""

    def __init__(self, source: str, target: str, edge: Edge, loop: "_LoopThread") -> None:
        self.source = source
        self.target = target
        self._edge = edge
        self._loop = loop

    @property
    def fault(self) -> Fault:
        return self._edge.fault

    @property
    def healed(self) -> bool:
        return self.fault == Fault()

    @property
    def listening(self) -> bool:
        """False while new connections are refused: by `refuse`, or because the target refuses them."""
        return self._edge.listening

    @property
    def connections(self) -> int:
        """That are open, or wait for a cut to end."""
        return self._edge.connections

    def cut(self, direction: Direction = "both") -> None:
        """No byte passes in this direction, and no new connection in either; ends of connections are not seen."""
        self._set(
            replace(
                self.fault,
                cut_out=self.fault.cut_out or direction != "in",
                cut_in=self.fault.cut_in or direction != "out",
            )
        )

    def refuse(self) -> None:
        """Resets all connections and refuses new ones, as when the target's process is gone."""
        self._set(replace(self.fault, refused=True))

    def slow(self, *, delay_ms: float = 0.0, jitter_ms: float = 0.0, rate_bytes_per_s: float | None = None) -> None:
        """Each direction takes `delay_ms` and up to `jitter_ms` more, and passes at most that many bytes a second,
        over all connections. Replaces what an earlier call set."""
        assert delay_ms >= 0
        assert jitter_ms >= 0
        assert rate_bytes_per_s is None or rate_bytes_per_s > 0
        self._set(replace(self.fault, delay_ms=delay_ms, jitter_ms=jitter_ms, rate_bytes_per_s=rate_bytes_per_s))

    def heal(self) -> None:
        """Ends every fault. What waited in a cut passes now."""
        self._set(Fault())

    def look(self) -> None:
        """Returns when the edge refuses connections exactly if the target does."""
        self._loop.run(self._edge.look())

    def _set(self, fault: Fault) -> None:
        self._loop.run(self._edge.set(fault))


class FaultProxies:
    """The edges of a city. `targets` gives by (source, target) the address "host:port" that the target serves at;
    `addresses` the one that the source uses instead. Use as a context manager; leaving it resets all connections.

    Raises OSError when a port was taken meanwhile, and at the end an ExceptionGroup if an edge failed by itself.
    """

    def __init__(self, targets: Mapping[tuple[str, str], str]) -> None:
        ports = dict(zip(targets, free_ports(len(targets)), strict=True))
        self.addresses = {edge: f"127.0.0.1:{port}" for edge, port in ports.items()}
        self._targets = dict(targets)
        self._loop: _LoopThread | None = None
        self._edges: dict[tuple[str, str], Edge] = {}
        self._proxies: dict[tuple[str, str], FaultProxy] = {}

    def __enter__(self) -> "FaultProxies":
        assert self._loop is None, "it runs already"
        self._loop = _LoopThread()
        try:
            for (source, target), address in self._targets.items():
                edge = self._loop.run(_started(self.addresses[source, target], address))
                self._edges[source, target] = edge
                self._proxies[source, target] = FaultProxy(source, target, edge, self._loop)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        errors = [one for edge in self._edges.values() for one in edge.errors]
        self._stop()
        if errors and error is None:
            raise BaseExceptionGroup("edges failed", errors)

    def __iter__(self) -> Iterator[FaultProxy]:
        return iter(self._proxies.values())

    def edge(self, source: str, target: str) -> FaultProxy:
        return self._proxies[source, target]

    @property
    def all_healed(self) -> bool:
        return all(one.healed for one in self)

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Cuts the link of two processes, whichever opened the connection; `one_way`: only what `one` says."""
        for proxy in self._between(one, other):
            proxy.cut("both" if not one_way else "out" if proxy.source == one else "in")

    def slow(
        self,
        one: str,
        other: str,
        *,
        delay_ms: float = 0.0,
        jitter_ms: float = 0.0,
        rate_bytes_per_s: float | None = None,
    ) -> None:
        """As `FaultProxy.slow`, on each edge between two processes."""
        for proxy in self._between(one, other):
            proxy.slow(delay_ms=delay_ms, jitter_ms=jitter_ms, rate_bytes_per_s=rate_bytes_per_s)

    def isolate(self, name: str, *, clients: bool = True) -> None:
        """Cuts every edge from and to a process; without `clients`, its clients still reach it."""
        for proxy in self:
            if name in (proxy.source, proxy.target) and (clients or proxy.source != CLIENT):
                proxy.cut()

    def heal(self, *pair: str) -> None:
        """Ends every fault on every edge, or on those between two processes."""
        for proxy in self._between(*pair) if pair else self:
            proxy.heal()

    def look(self, target: str) -> None:
        """Returns when every edge to a process refuses connections exactly if the process does."""
        for proxy in self:
            if proxy.target == target:
                proxy.look()

    def _between(self, one: str, other: str) -> list[FaultProxy]:
        found = [proxy for proxy in self if {proxy.source, proxy.target} == {one, other}]
        assert found, f"there is no edge between {one} and {other}"
        return found

    def _stop(self) -> None:
        assert self._loop is not None
        try:
            for edge in self._edges.values():
                self._loop.run(edge.stop())
        finally:
            self._loop.close()
            self._loop = None
            self._edges.clear()
            self._proxies.clear()


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxies", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S_MAX)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _started(listen: str, target: str) -> Edge:
    edge = Edge(_split(listen), _split(target))
    await edge.start()
    return edge


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
