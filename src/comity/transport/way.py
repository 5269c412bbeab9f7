"""The way from this machine to its rendezvous: TCP, through an HTTP proxy where one is set (docs: protocol,
"Ways out").

The rendezvous's client and the relay open their connections here and nowhere else, so that both take the same
way. It pins nobody and encrypts nothing: the TLS that counts comes after, and is the same on every way.
"""

from __future__ import annotations

import asyncio
import socket

from comity.errors import PeerUnreachable, ProxyFailed
from comity.identity.authority import format_authority, parse_authority
from comity.protocol.proxying import DIRECT, Outlet, ProxyUrl, connect_answer, connect_request
from comity.transport.tcp import connect_tcp

_READ = 4096


class Way:
    """To ``host:port``, by ``outlet``."""

    def __init__(self, host: str, port: int, outlet: Outlet = DIRECT) -> None:
        self.host = host
        self.port = port
        self.outlet = outlet

    @classmethod
    def to(cls, authority: str) -> Way:
        """Straight to ``host:port``."""
        return cls(*parse_authority(authority))

    @property
    def authority(self) -> str:
        return format_authority(self.host, self.port)

    @property
    def via(self) -> str:
        """What stands between, as ``proxy http://proxy.example.org:3128``; empty for nothing."""
        return f"proxy {self.outlet.proxy}" if self.outlet.proxy else ""

    async def open(self, timeout: float) -> socket.socket:
        """A connected, non-blocking socket to the rendezvous, on which it waits for the first byte.

        ``timeout`` bounds the whole. PeerUnreachable, ProxyFailed, ProxyAuthentication.
        """
        proxy = self.outlet.proxy
        if proxy is None:
            return await connect_tcp(self.host, self.port, timeout)
        try:
            async with asyncio.timeout(timeout):
                return await self._through(proxy, timeout)
        except TimeoutError:
            raise ProxyFailed(f"the proxy {proxy} gave no answer within {timeout:g} seconds") from None

    async def _through(self, proxy: ProxyUrl, timeout: float) -> socket.socket:
        try:
            sock = await connect_tcp(proxy.host, proxy.port, timeout)
        except PeerUnreachable as error:
            raise ProxyFailed(
                f"the proxy {proxy} cannot be reached: {error.message}",
                hint="check the proxy's host and port with your IT department: comity config get proxy",
            ) from error
        try:
            await tunnel(sock, proxy, self.authority)
        except BaseException:
            sock.close()
            raise
        return sock


async def tunnel(sock: socket.socket, proxy: ProxyUrl, target: str) -> None:
    """Have the proxy at the other end of ``sock`` connect it to ``target``. ProxyFailed,
    ProxyAuthentication; the socket stays the caller's.
    """
    loop = asyncio.get_running_loop()
    received = b""
    try:
        await loop.sock_sendall(sock, connect_request(target, proxy.login))
        while not connect_answer(received, proxy, target):
            more = await loop.sock_recv(sock, _READ)
            if not more:
                raise ProxyFailed(f"the proxy {proxy} ended the connection without an answer")
            received += more
    except OSError as error:
        raise ProxyFailed(
            f"the proxy {proxy} cut the connection: {error.strerror or error}".lower()
        ) from error
