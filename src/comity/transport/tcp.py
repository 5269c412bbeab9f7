"""TCP connections: opened with a deadline, and set so that small frames leave at once and dead peers show.

It returns plain non-blocking sockets and knows nothing of TLS. Addresses are ``host:port`` as
``identity.authority`` writes them; which of them may be dialled at all is decided in
``protocol.candidates`` (SECURITY.md rule 9).
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

from comity.errors import InvalidInput, PeerUnreachable
from comity.identity.authority import format_authority

_BACKLOG = 128
#: Seconds of silence before the first probe, seconds between probes, unanswered probes that end the
#: connection: a machine that is gone is found within ten seconds.
_KEEPALIVE = (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
#: TCP_CONGESTION of linux/tcp.h; the socket module names it on Linux only.
_CONGESTION: int | None = getattr(socket, "TCP_CONGESTION", None)
#: Loses little where packets are lost: 20.9 MB/s instead of 0.3 through 40 ms and 2 %.
_ALGORITHM = b"bbr"


class Bridged(socket.socket):
    """One end of a socket pair whose other end leads on to ``remote`` (``bridge``)."""

    def __init__(self, sock: socket.socket, remote: str) -> None:
        super().__init__(fileno=sock.detach())
        self.setblocking(False)
        self.remote = remote


async def connect_tcp(host: str, port: int, timeout: float) -> socket.socket:
    """A connected, non-blocking socket to the first of the host's addresses that answers.

    ``timeout`` bounds the whole, name lookup included. Raises PeerUnreachable, whose message names the
    address and the cause.
    """
    name = format_authority(host, port)
    loop = asyncio.get_running_loop()
    failure = "no address"
    try:
        async with asyncio.timeout(timeout) as deadline:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for left, (family, _, _, _, address) in zip(range(len(found), 0, -1), found, strict=True):
                share = ((deadline.when() or 0.0) - loop.time()) / left
                try:
                    return await _connect(family, address, share)
                except (OSError, TimeoutError) as error:
                    failure = _cause(error)
    except (OSError, TimeoutError) as error:
        failure = _cause(error)
    raise PeerUnreachable(f"{name}: {failure}")


async def _connect(family: int, address: tuple[Any, ...], timeout: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, address)
        tune(sock)
    except BaseException:  # cancelled as well: nobody else knows the socket yet
        sock.close()
        raise
    return sock


def listen_tcp(host: str, port: int) -> socket.socket:
    """A non-blocking listener; port 0 chooses one. InvalidInput where the address can't be listened on."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {format_authority(host, port)}: {_cause(error)}",
            hint="choose another HOST:PORT for --listen",
        ) from error
    sock.setblocking(False)
    return sock


def tune(sock: socket.socket) -> None:
    """What every connected socket gets, dialled or accepted."""
    if isinstance(sock, Bridged):  # its outer one has it
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        if hasattr(socket, option):  # macOS names the first one otherwise, and does without
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if _CONGESTION is not None:
        with suppress(OSError):  # the kernel has it not, or not for everybody
            sock.setsockopt(socket.IPPROTO_TCP, _CONGESTION, _ALGORITHM)


def remote_of(sock: socket.socket) -> str:
    """``ip:port`` at the other end; empty where the connection is gone already."""
    if isinstance(sock, Bridged):
        return sock.remote
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return ""
    return format_authority(host, port)


def _cause(error: OSError | TimeoutError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer in time"
    if error.errno is not None and error.errno > 0:  # asyncio's own text repeats the address
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error) or type(error).__name__).lower()
