"""Whether nobody listens at an address: tells a process that is gone from one that is silent."""

import asyncio
import socket
from typing import Final

_PORT_MAX: Final = 65_535


async def refused(address: str, *, times: int, within_ms: int) -> bool:
    """True once `times` new connections in a row to "host:port" were refused within the time.

    One that is accepted, or not answered in time, is no refusal; neither is an address that cannot be used. A process
    that is being ended may accept a last connection after its others were closed, so the count then begins anew.
    """
    pause_s = within_ms / 1000 / (times + 1)  # Leaves room for one that is accepted first.
    in_a_row = 0
    try:
        async with asyncio.timeout(within_ms / 1000):
            while True:
                in_a_row = in_a_row + 1 if await _is_refused(address) else 0
                if in_a_row >= times:
                    return True
                await asyncio.sleep(pause_s)
    except (TimeoutError, OSError, ValueError):
        return False


async def _is_refused(address: str) -> bool:
    """Of a name with several addresses all must refuse."""
    host, _, text = address.rpartition(":")
    port = int(text)
    if not (host and 0 < port <= _PORT_MAX):  # The resolver would take such a port modulo 65536.
        raise ValueError(f"{address} is no address")
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, place in found:
        try:
            _, writer = await asyncio.open_connection(*place[:2])
        except ConnectionRefusedError:
            continue
        writer.close()
        return False
    return bool(found)
