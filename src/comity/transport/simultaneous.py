"""TCP simultaneous open (RFC 9293 section 3.5, figure 8): SYNs to a peer that sends its own, until they meet.

No socket listens. A SYN that comes before the other side has sent its own is answered with RST, by the peer's
machine or by a box before it; on Linux a filter on the socket ignores RSTs until the connection stands, so
that the SYN is still waiting when the peer's arrives. Elsewhere, and for what ends a connect otherwise, the
next SYN is sent when its time comes (``protocol.punching.PAUSES``).

It does not know whom it reaches: TLS comes after.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from comity import limits
from comity.entropy import Entropy
from comity.identity.authority import parse_authority
from comity.protocol.punching import PAUSES
from comity.transport.foothold import bound
from comity.transport.tcp import tune

#: linux/filter.h: load byte 13 of the TCP header; if RST (0x04) is set, drop the segment, else keep it.
_IGNORE_RST = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x04), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
)
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h; the socket module doesn't name them
_LINUX = sys.platform == "linux"
_MET = (1, 3)  # TCP_ESTABLISHED, TCP_SYN_RECV (linux/tcp.h)

#: SYNs of both sides shall not stay in step: which passes a box first decides whether it lets the other in.
_SPREAD = 0.3
#: After a place refused at once (a box's ICMP), doubled each time: the peer's SYN may just have gone out.
_SOON = 0.05


@asynccontextmanager
async def volley(
    port: int, places: Iterable[str], seconds: float, entropy: Entropy
) -> AsyncIterator[Sockets]:
    """Send SYNs from ``port`` to all places for ``seconds``; what connects comes out of ``Sockets``.

    Leaving the block ends all of it; sockets that were taken out are the caller's.
    """
    sockets = Sockets()
    shooting = asyncio.create_task(_shoot(port, places, seconds, entropy, sockets))
    try:
        yield sockets
    finally:
        shooting.cancel()
        await asyncio.wait([shooting])
        sockets.close()


class Sockets:
    """Connected, tuned, non-blocking sockets, in the order in which they came to be."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[tuple[str, socket.socket] | None] = asyncio.Queue()  # one a place, and None

    async def next(self) -> tuple[str, socket.socket] | None:
        """The next one with the place it reached; None, once, when there will be no more."""
        return await self._came.get()

    def put(self, place: str, sock: socket.socket) -> None:
        self._came.put_nowait((place, sock))

    def end(self) -> None:
        self._came.put_nowait(None)

    def close(self) -> None:
        while not self._came.empty():
            found = self._came.get_nowait()
            if found is not None:
                found[1].close()


async def _shoot(
    port: int, places: Iterable[str], seconds: float, entropy: Entropy, sockets: Sockets
) -> None:
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for place in places:
                    group.create_task(_aim(port, place, entropy, sockets))
    finally:
        sockets.end()


async def _aim(port: int, place: str, entropy: Entropy, sockets: Sockets) -> None:
    host, remote = parse_authority(place)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    soon = _SOON
    for longest in PAUSES:
        pause = longest * (1 - _SPREAD * entropy.jitter())
        due = loop.time() + pause
        try:
            sock = bound(family, port)
        except OSError:
            return  # this machine has no such family, or the port is taken
        try:
            _filter(sock, attach=True)
            await _connect(sock, (host, remote), pause)
            _filter(sock, attach=False)
            tune(sock)
        except OSError:  # TimeoutError is one
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            sockets.put(place, sock)
            return
        await asyncio.sleep(min(due - loop.time(), soon))
        soon *= 2


async def _connect(sock: socket.socket, address: tuple[str, int], pause: float) -> None:
    """Within ``pause``, or a second longer where the peer's SYN is here already. OSError, TimeoutError."""
    connecting = asyncio.ensure_future(asyncio.get_running_loop().sock_connect(sock, address))
    try:
        await asyncio.wait([connecting], timeout=pause)
        if not connecting.done() and _answered(sock):  # to close it now would reset what the peer has
            await asyncio.wait([connecting], timeout=limits.PUNCH_SYN_EVERY)
        if not connecting.done():
            raise TimeoutError
        connecting.result()
    finally:
        connecting.cancel()
        await asyncio.wait([connecting])


def _answered(sock: socket.socket) -> bool:
    """Whether anything but RSTs has come back."""
    if not _LINUX:
        return False
    state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in _MET


def _filter(sock: socket.socket, *, attach: bool) -> None:
    """Ignore RSTs from now on, or heed them again."""
    if not _LINUX:
        return
    if not attach:
        with suppress(OSError):  # where none could be attached
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        return
    program = ctypes.create_string_buffer(_IGNORE_RST, len(_IGNORE_RST))
    described = struct.pack("@HP", len(_IGNORE_RST) // 8, ctypes.addressof(program))
    with suppress(OSError):  # a sandbox may forbid it: then it is as on other systems
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
