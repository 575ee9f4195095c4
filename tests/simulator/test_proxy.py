"""The fault proxy of the drills.

Goal: without a fault an edge is not to be told from the process behind it, dead or alive; each fault does what it says
and nothing else, keeps every byte, and ends when it is healed; nothing is left behind.
Method: real sockets through one edge to an echo server or to one that only reads, in this process.
"""

import hashlib
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from simulator.drill.ports import free_ports
from simulator.drill.proxy import FaultProxies, FaultProxy

SEED = 20170082
SILENCE_S = 0.15


class Target:
    """A process of a kind: listens on its port until it dies, and may come back. Sends back what it gets."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.received = 0
        self.ends = 0
        self._echoing: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,))
        self._accepting.start()

    def die(self, *, reset: bool = False) -> None:
        """As the kernel cleans up behind a process: the listener first, then its connections, which are reset when it
        had not read everything."""
        with suppress(OSError):  # It died before.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for one in self._open:
            with suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RD)
                else:
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._echoing:
            thread.join()
        self._echoing.clear()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                one, _ = listener.accept()
                self._open.append(one)
                self._echoing.append(threading.Thread(target=self._echo, args=(one,)))
                self._echoing[-1].start()

    def _echo(self, one: socket.socket) -> None:
        got = 0
        with one, suppress(OSError):
            while data := one.recv(65536):
                got += len(data)
                self.received += len(data)
                one.sendall(data)
            self.ends += got > 0  # The edge itself connects, too, and says nothing.


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.die()


@pytest.fixture
def proxies(target: Target) -> Iterator[FaultProxies]:
    with FaultProxies({("ops", "ecc"): f"127.0.0.1:{target.port}"}) as proxies:
        yield proxies


@pytest.fixture
def edge(proxies: FaultProxies) -> FaultProxy:
    return proxies.edge("ops", "ecc")


@pytest.fixture
def source(proxies: FaultProxies) -> Iterator[socket.socket]:
    with connect(proxies) as one:
        assert echoed(one, b"hello")
        yield one


def connect(proxies: FaultProxies) -> socket.socket:
    host, _, port = proxies.addresses["ops", "ecc"].partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def echoed(one: socket.socket, data: bytes) -> bool:
    one.sendall(data)
    return receive(one, len(data)) == data


def receive(one: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := one.recv(size - len(found))):
        found += data
    return found


def silent(one: socket.socket) -> bool:
    """Nothing comes, not even an end."""
    one.settimeout(SILENCE_S)
    try:
        one.recv(1)
    except TimeoutError:
        return True
    else:
        return False
    finally:
        one.settimeout(5)


def ended(one: socket.socket) -> bool:
    """The end or a reset comes, and nothing before it."""
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


def refused(proxies: FaultProxies) -> bool:
    try:
        connect(proxies).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # It was made while the listener closed.
        return False
    return False


def until(condition: Callable[[], bool], seconds: float = 2.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, f"not so within {seconds} s"
        time.sleep(0.002)


def test_bytes_pass_unchanged(proxies: FaultProxies, target: Target) -> None:
    """Method: 8 MB each way on each of four connections at once, sent and received in pieces of any size,
    received so slowly that all buffers fill."""
    data = random.Random(SEED).randbytes(8 << 20)
    digests: list[bytes] = []

    def converse(seed: int) -> None:
        rng = random.Random(seed)
        with connect(proxies) as one:
            sending = threading.Thread(target=send_in_pieces, args=(one, rng))
            sending.start()
            found = hashlib.sha256()
            while part := one.recv(rng.randrange(1, 200_000)):
                found.update(part)
                time.sleep(rng.uniform(0, 0.004))
            digests.append(found.digest())
            sending.join()

    def send_in_pieces(one: socket.socket, rng: random.Random) -> None:
        rest = memoryview(data)
        while rest:
            size = rng.randrange(1, 300_000)
            one.sendall(rest[:size])
            rest = rest[size:]
        one.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=converse, args=(SEED + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [hashlib.sha256(data).digest()] * 4, f"seed {SEED}"
    assert target.received == 4 * len(data)


def test_half_closed_connection_still_answers(proxies: FaultProxies, edge: FaultProxy) -> None:
    with connect(proxies) as one:
        one.sendall(b"last words")
        one.shutdown(socket.SHUT_WR)
        assert receive(one, 100) == b"last words"
    until(lambda: edge.connections == 0)


@pytest.mark.parametrize("reset", [False, True])
def test_death_ends_connections_and_refuses_at_once(proxies: FaultProxies, target: Target, reset: bool) -> None:
    """Goal: the end of a connection is seen only once the target refuses. Method: it ends them, or resets them."""
    with connect(proxies) as one:
        assert echoed(one, b"x")
        target.die(reset=reset)
        assert ended(one)
        assert refused(proxies)


def test_dead_target_refuses_and_comes_back(proxies: FaultProxies, target: Target, edge: FaultProxy) -> None:
    """Goal: ECONNREFUSED while the target is gone, with nobody connected when it dies. Method: five deaths, and
    two ways of waiting for its return."""
    for number in range(5):
        with connect(proxies) as one:
            assert echoed(one, b"x")
        until(lambda: edge.connections == 0)
        target.die()
        until(lambda: refused(proxies))
        assert all(refused(proxies) for _ in range(20))
        target.start()
        if number % 2:
            edge.look()
        else:
            until(lambda: edge.listening)
        assert not refused(proxies)


def test_edge_to_a_target_that_never_ran() -> None:
    (port,) = free_ports(1)
    with FaultProxies({("ops", "ecc"): f"127.0.0.1:{port}"}) as proxies:
        assert refused(proxies)


def test_cut_holds_bytes_and_heal_lets_them_go(source: socket.socket, edge: FaultProxy, target: Target) -> None:
    """Method: bytes sent into a cut; none arrives; after it the same connection goes on with all of them."""
    before = target.received
    edge.cut()
    data = random.Random(SEED).randbytes(50_000)
    source.sendall(data)
    assert silent(source)
    assert target.received == before
    edge.heal()
    assert receive(source, len(data)) == data
    assert echoed(source, b"and on")


def test_cut_with_bytes_in_flight(proxies: FaultProxies, edge: FaultProxy) -> None:
    """Goal: flapping while a stream is full loses, doubles and swaps nothing. Method: 40 cuts, each way and both, in a
    stream of 16 MB that comes back."""
    data = random.Random(SEED).randbytes(16 << 20)
    with connect(proxies) as one:
        sending = threading.Thread(target=one.sendall, args=(data,))
        flapping = threading.Thread(target=flap, args=(edge,))
        sending.start()
        flapping.start()
        assert receive(one, len(data)) == data, f"seed {SEED}"
        sending.join()
        flapping.join()


def flap(edge: FaultProxy) -> None:
    rng = random.Random(SEED)
    for _ in range(40):
        edge.cut(rng.choice(("both", "out", "in")))
        time.sleep(rng.uniform(0, 0.01))
        edge.heal()
        time.sleep(rng.uniform(0, 0.005))


def test_cut_holds_what_was_delayed_before(source: socket.socket, edge: FaultProxy, target: Target) -> None:
    """Method: bytes, then an end, are on their way when the cut comes; they arrive when it is over."""
    before = target.received
    edge.slow(delay_ms=50)
    source.sendall(b"going")
    time.sleep(0.01)
    edge.cut()
    assert silent(source)
    assert target.received == before
    edge.heal()
    assert receive(source, 5) == b"going"
    edge.slow(delay_ms=50)
    source.shutdown(socket.SHUT_WR)
    time.sleep(0.01)
    edge.cut()
    assert silent(source)
    assert target.ends == 0
    edge.heal()
    assert ended(source)
    assert target.ends == 1


@pytest.mark.parametrize("cut", [False, True])
def test_what_waits_is_bounded(source: socket.socket, edge: FaultProxy, cut: bool) -> None:
    """Goal: who sends to nobody is stopped by flow control. Method: into a cut, and to an echo that is not read."""
    if cut:
        edge.cut()
    source.settimeout(SILENCE_S)
    sent = 0
    with suppress(TimeoutError):
        while sent < 128 << 20:
            sent += source.send(bytes(1 << 20))
    assert 0 < sent < 128 << 20


def test_one_way_cuts(source: socket.socket, edge: FaultProxy, target: Target) -> None:
    """Method: cut in, what is sent arrives and its echo does not; cut out, nothing arrives."""
    before = target.received
    edge.cut("in")
    source.sendall(b"heard")
    until(lambda: target.received == before + 5)
    assert silent(source)
    edge.heal()
    assert receive(source, 5) == b"heard"
    edge.cut("out")
    source.sendall(b"lost")
    assert silent(source)
    assert target.received == before + 5
    edge.heal()
    assert receive(source, 4) == b"lost"


@pytest.mark.parametrize("direction", ["both", "out", "in"])
def test_new_connection_into_a_cut(proxies: FaultProxies, edge: FaultProxy, direction: str) -> None:
    """Goal: it is made, says nothing, and works after the cut."""
    edge.cut(direction)  # type: ignore[arg-type]
    with connect(proxies) as one:
        one.sendall(b"anyone?")
        assert silent(one)
        edge.heal()
        assert receive(one, 7) == b"anyone?"


def test_death_behind_a_cut_is_not_seen(
    proxies: FaultProxies, source: socket.socket, edge: FaultProxy, target: Target
) -> None:
    """Goal: silent and dead look alike through a cut, on old connections and new ones; afterwards they do not."""
    edge.cut("in")
    target.die()
    for _ in range(3):  # The first is answered with a reset, which fails the next.
        source.sendall(b"still there?")
        time.sleep(0.02)
    assert silent(source)
    with connect(proxies) as late:
        assert silent(late)
        edge.heal()
        assert ended(source)
        assert ended(late)
    until(lambda: refused(proxies))


def test_refuse(proxies: FaultProxies, source: socket.socket, edge: FaultProxy) -> None:
    """Goal: connections are reset, new ones refused, and taken again when it is over."""
    edge.refuse()
    with pytest.raises(ConnectionResetError):
        source.recv(1)
    assert edge.connections == 0
    assert refused(proxies)
    edge.heal()
    with connect(proxies) as one:
        assert echoed(one, b"back")


def test_delay_counts_each_way_and_keeps_order(source: socket.socket, edge: FaultProxy) -> None:
    """Method: 50 ms and up to 20 ms of jitter; a hundred messages are under way at once."""
    edge.slow(delay_ms=50, jitter_ms=20)
    started_s = time.monotonic()
    data = b"".join(number.to_bytes(4, "big") for number in range(100))
    for number in range(100):
        source.sendall(number.to_bytes(4, "big"))
    assert receive(source, len(data)) == data
    assert 0.1 <= time.monotonic() - started_s < 3
    edge.slow(delay_ms=60_000)
    source.sendall(b"late")
    assert silent(source)
    edge.heal()  # Ends the delay of what is on its way, too.
    assert receive(source, 4) == b"late"


def test_jitter_differs_from_message_to_message(source: socket.socket, edge: FaultProxy) -> None:
    """Method: ten answers under 40 ms of jitter each way."""
    edge.slow(jitter_ms=40)
    times_s = []
    for _ in range(10):
        started_s = time.monotonic()
        assert echoed(source, b"x")
        times_s.append(time.monotonic() - started_s)
    assert max(times_s) - min(times_s) > 0.005


def test_rate(source: socket.socket, edge: FaultProxy) -> None:
    """Method: 400 kB at 1 MB/s, there and back at once."""
    edge.slow(rate_bytes_per_s=1e6)
    data = random.Random(SEED).randbytes(400_000)
    started_s = time.monotonic()
    sending = threading.Thread(target=source.sendall, args=(data,))
    sending.start()
    assert receive(source, len(data)) == data
    sending.join()
    assert 0.35 <= time.monotonic() - started_s < 3


def test_group_of_edges() -> None:
    """Method: the triangle and its clients, as names only; each helper touches its edges and no others."""
    pairs = [("ops", "ecc"), ("ecc", "ops"), ("ops", "witness"), ("ecc", "witness"), ("client", "ops")]
    with FaultProxies({pair: f"127.0.0.1:{port}" for pair, port in zip(pairs, free_ports(5), strict=True)}) as proxies:
        proxies.isolate("ops", clients=False)
        assert {(one.source, one.target) for one in proxies if one.healed} == {("ecc", "witness"), ("client", "ops")}
        proxies.isolate("ops")
        assert {(one.source, one.target) for one in proxies if one.healed} == {("ecc", "witness")}
        proxies.heal("ops", "ecc")
        assert proxies.edge("ops", "ecc").healed
        assert proxies.edge("ecc", "ops").healed
        assert not proxies.all_healed
        proxies.heal()
        assert proxies.all_healed
        proxies.cut("ops", "ecc", one_way=True)
        assert (proxies.edge("ops", "ecc").fault.cut_out, proxies.edge("ops", "ecc").fault.cut_in) == (True, False)
        assert (proxies.edge("ecc", "ops").fault.cut_out, proxies.edge("ecc", "ops").fault.cut_in) == (False, True)


def test_nothing_is_left(target: Target) -> None:
    """Goal: threads, ports and connections go with the group, also under faults. Method: three connections, one made
    into a cut."""
    threads = set(threading.enumerate())
    with FaultProxies({("ops", "ecc"): f"127.0.0.1:{target.port}"}) as proxies:
        one, other = connect(proxies), connect(proxies)
        assert echoed(one, b"x")
        proxies.edge("ops", "ecc").cut()
        late = connect(proxies)
    for each in (one, other, late):
        with each:
            assert ended(each)
    assert refused(proxies)
    assert not [left for left in set(threading.enumerate()) - threads if left.name == "fault proxies"]


def test_programs_choose_their_ports_apart() -> None:
    """Goal: drills that start at once choose no port twice. Method: another program, while this one has ports."""
    own = {port // 1000 for port in free_ports(20)}
    program = "from simulator.drill.ports import free_ports; print(*free_ports(20))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(own) == 1
    assert own.isdisjoint(int(port) // 1000 for port in other.stdout.split())
