"""The way from this machine to its rendezvous: TCP, through an HTTP proxy where one is set, and inside a
WebSocket where something on the way ends TLS (docs: protocol, "Ways out").

The rendezvous's client and the relay open their connections here and nowhere else, so that both take the same
way. It pins nobody: the TLS that counts comes after, and is the same on every way.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from comity.errors import LinkLost, PeerUnreachable, ProxyFailed
from comity.identity.authority import format_authority, parse_authority
from comity.protocol.proxying import DIRECT, Outlet, ProxyUrl
from comity.transport.bridge import Bridges
from comity.transport.tcp import connect_tcp
from comity.transport.wire import BAD_GATEWAY, UpgradeRefused, Wire, outer_context, proxy_context


class NothingBehind(UpgradeRefused):
    """A reverse proxy answers, and the rendezvous behind it doesn't."""

    code = "gateway_failed"
    default_hint = "ask the rendezvous's operator whether it runs"


class Way:
    """To ``host:port``, by ``outlet``. ``wrapped``: inside a WebSocket, which whoever pins finds out.

    ``close`` it once nothing is opened any more: it ends every wrapped connection.
    """

    def __init__(self, host: str, port: int, outlet: Outlet = DIRECT) -> None:
        self.host = host
        self.port = port
        self.outlet = outlet
        self.wrapped = False
        self._bridges = Bridges()
        self._trusted: ssl.SSLContext | None = None

    @classmethod
    def to(cls, authority: str) -> Way:
        """Straight to ``host:port``."""
        return cls(*parse_authority(authority))

    @property
    def authority(self) -> str:
        return format_authority(self.host, self.port)

    @property
    def via(self) -> str:
        """What is between, as ``proxy http://proxy.example.org:3128, websocket``; empty for nothing."""
        proxy = f"proxy {self.outlet.proxy}" if self.outlet.proxy else ""
        return ", ".join(filter(None, (proxy, "websocket" if self.wrapped else "")))

    async def open(self, timeout: float) -> socket.socket:
        """A connected, non-blocking socket to the rendezvous, on which it waits for the first byte.

        ``timeout`` bounds the whole. PeerUnreachable, ProxyFailed, ProxyAuthentication; UpgradeRefused and
        LinkLost where it is ``wrapped`` and there is no WebSocket.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        wire = await self.wire(timeout)
        try:
            if self.wrapped:
                async with asyncio.timeout_at(deadline):
                    await self._wrap(wire)
            return wire.finish(self._bridges)
        except TimeoutError:
            wire.close()
            raise PeerUnreachable(f"{self.authority}: no answer within {timeout:g} seconds") from None
        except BaseException:
            wire.close()
            raise

    def close(self) -> None:
        """End every wrapped connection."""
        self._bridges.close()

    async def wire(self, timeout: float) -> Wire:
        """A connection to the rendezvous, or to what stands before it, as the proxy opens it."""
        proxy = self.outlet.proxy
        if proxy is None:
            return Wire(await connect_tcp(self.host, self.port, timeout))
        try:
            async with asyncio.timeout(timeout):
                return await self._through(proxy, timeout)
        except TimeoutError:
            raise ProxyFailed(f"the proxy {proxy} gave no answer within {timeout:g} seconds") from None

    async def _through(self, proxy: ProxyUrl, timeout: float) -> Wire:
        try:
            wire = Wire(await connect_tcp(proxy.host, proxy.port, timeout))
        except PeerUnreachable as error:
            raise ProxyFailed(
                f"the proxy {proxy} cannot be reached: {error.message}",
                hint="check the proxy's host and port with your IT department: comity config get proxy",
            ) from error
        try:
            if proxy.tls:
                if self._trusted is None:  # reading all certificates takes a while
                    self._trusted = proxy_context(self.outlet.ca_bundle)
                await _secure(wire, proxy, self._trusted)
            await wire.connect(proxy, self.authority)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _wrap(self, wire: Wire) -> None:
        try:
            await wire.start_tls(outer_context(), self.host)
            await wire.upgrade(self.authority)
        except ssl.SSLError as error:
            raise LinkLost(f"no outer tls: {(error.reason or str(error)).lower()}") from error
        except OSError as error:
            raise LinkLost(f"the connection failed: {error.strerror or error}".lower()) from error
        except UpgradeRefused as error:
            if error.status in BAD_GATEWAY:
                raise NothingBehind(
                    f"{self.authority}: {error.message}: the rendezvous behind it can't be reached"
                ) from error
            raise


async def _secure(wire: Wire, proxy: ProxyUrl, context: ssl.SSLContext) -> None:
    try:
        await wire.start_tls(context, proxy.host)
    except ssl.SSLCertVerificationError as error:
        raise ProxyFailed(
            f"the certificate of the proxy {proxy} is not trusted: {error.verify_message}".rstrip("."),
            hint="ask your IT department for its CA certificate, then comity config set ca_bundle FILE",
        ) from error
    except (OSError, LinkLost) as error:  # ssl.SSLError is an OSError
        reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
        raise ProxyFailed(f"no tls with the proxy {proxy}: {reason}".lower()) from error
