"""One local port for a punch: held, seen from outside by the observers, and told to the peer.

Every socket of a punch is bound to this port, so that the NAT in between gives all of them the mapping that
the observers saw. The connections to them stay open as long as the foothold: a mapping lives with them. It
sends nothing to peers: ``simultaneous`` does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.authority import format_authority, parse_authority
from comity.protocol.observing import OBSERVE_REQUEST, mapping, parse_answer
from comity.transport.listener import interface_addresses

_V4, _V6 = socket.AF_INET, socket.AF_INET6


@dataclass(frozen=True)
class Foothold:
    """``local``: this machine's addresses with the port; ``observed``: the mapping, empty where none is
    known. ``seen``: what each observer saw, where all answered.
    """

    port: int
    local: tuple[str, ...]
    observed: tuple[str, ...]
    seen: tuple[str, ...] = ()


@asynccontextmanager
async def foothold(observers: Sequence[str]) -> AsyncIterator[Foothold]:
    """A port that is free now, for the block's length. OSError where this machine gives none."""
    async with AsyncExitStack() as stack:
        holder = stack.enter_context(bound(_V4, 0))
        port: int = holder.getsockname()[1]
        asked = [place for text in observers if ":" not in (place := parse_authority(text))[0]]
        seen: list[str] = []
        try:
            async with asyncio.timeout(limits.OBSERVE_TIMEOUT):
                seen = await asyncio.gather(*(_ask(stack, port, place) for place in asked))
        except (OSError, RemoteProtocolError):  # TimeoutError is one; with one of two answers it is a guess
            seen = []
        looks = mapping(port, seen)
        loopback = ["127.0.0.1"] if any(host.startswith("127.") for host, _ in asked) else []
        own = [*loopback, *interface_addresses(4), *interface_addresses(6)]
        local = tuple(format_authority(address, port) for address in own[: limits.CANDIDATES - 1])
        yield Foothold(port, local, () if looks is None else (looks,), tuple(seen))


def bound(family: socket.AddressFamily, port: int) -> socket.socket:
    """A non-blocking socket on a port that others of this process are on too."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == _V6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("::" if family == _V6 else "0.0.0.0", port))  # noqa: S104  it connects, and never listens
    except BaseException:
        sock.close()
        raise
    return sock


async def _ask(stack: AsyncExitStack, port: int, place: tuple[str, int]) -> str:
    loop = asyncio.get_running_loop()
    sock = stack.enter_context(bound(_V4, port))
    await loop.sock_connect(sock, place)
    await loop.sock_sendall(sock, OBSERVE_REQUEST)
    line = b""
    while not line.endswith(b"\n") and len(line) < len(OBSERVE_REQUEST):
        more = await loop.sock_recv(sock, len(OBSERVE_REQUEST) - len(line))
        if not more:
            raise RemoteProtocolError("an observer ended the connection")
        line += more
    return parse_answer(line)
