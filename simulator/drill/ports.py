"""Free loopback ports for the processes of a drill."""

import functools
import random
import socket
from typing import Final

# Below the ports that systems give to outgoing connections. A process that is down leaves its port free, and one of
# those could take it, or, tried again and again, even connect to itself.
_PORTS: Final = range(20_000, 32_000)
_SHARE: Final = 1_000


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, each another, and that no other program takes that asks here. Raises OSError
    when there are not as many."""
    ports, _ = _share()
    found: list[int] = []
    for port in random.SystemRandom().sample(ports, len(ports)):
        if len(found) == count:
            return found
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    raise OSError(f"there are no {count} free ports from {ports.start} to {ports.stop - 1}")


@functools.cache
def _share() -> tuple[range, socket.socket | None]:
    """This process's own share of the ports: of two drills that start at once, neither takes what the other has chosen
    and not bound yet. Claimed by a socket of an abstract name, which goes with the process; all of them where there is
    none left."""
    for start in _PORTS[::_SHARE]:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0cityhub drill ports {start}")
        except OSError:
            claim.close()
            continue
        return range(start, start + _SHARE), claim
    return _PORTS, None
