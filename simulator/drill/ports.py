"""Free loopback ports for the processes of a drill."""

import random
import socket
from typing import Final

# Below the ports that systems give to outgoing connections. A process that is down leaves its port free, and one of
# those could take it, or, tried again and again, even connect to itself.
_PORTS: Final = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, each another. Raises OSError when there are not as many."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            return found
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    raise OSError(f"there are no {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}")
