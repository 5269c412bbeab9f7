"""A connection that is being prepared in the event loop: a socket, and the layers that were put on it so far.

An outer TLS, a proxy's CONNECT and a WebSocket's upgrade are exchanged here, in whatever order the way takes
them; what is ready is handed over as a plain socket, bridged where there are layers. The outer TLS of a
WebSocket authenticates nobody, on purpose: what counts is the pinned TLS inside (SECURITY.md rule 7). The TLS
to a proxy is verified, because a password goes there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from http import HTTPStatus

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.uri import parse_uri

from comity import limits
from comity.errors import LinkLost, PeerUnreachable, ProxyFailed
from comity.identity.text import printable
from comity.protocol.proxying import ProxyUrl, connect_answer, connect_request
from comity.transport.bridge import Bridges
from comity.transport.layers import Stack, TlsLayer, WebSocketLayer

_READ = 64 * limits.KIB
_REASON_CHARS = 80
#: Where a server that has other pages too serves the rendezvous.
PATH = "/comity"


class UpgradeRefused(PeerUnreachable):
    """What answers does not open a WebSocket. ``status``: its HTTP status, 0 where it says none."""

    code = "upgrade_refused"
    default_hint = "check the address with the rendezvous's operator"
    status = 0


class Wire:
    """Owns ``sock`` until ``finish``; whoever gives up closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._stack = Stack()
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        self.sock.close()

    async def send(self, data: bytes) -> None:
        """All of ``data``, wrapped. OSError, LinkLost."""
        await self._loop.sock_sendall(self.sock, self._stack.outward(data))

    async def receive(self) -> bytes:
        """Some bytes, unwrapped; empty at the end. OSError, LinkLost."""
        while True:
            raw = await self._loop.sock_recv(self.sock, _READ)
            if not raw:
                return b""
            found = self._stack.inward(raw)
            if answer := self._stack.answer():
                await self._loop.sock_sendall(self.sock, answer)
            if found or self._stack.ended:
                return found

    def finish(self, bridges: Bridges) -> socket.socket:
        """The connection as a plain socket. RateLimited, OSError."""
        if not len(self._stack):
            return self.sock
        return bridges.join(self.sock, self._stack)

    # ── what is put on it ─────────────────────────────────────────────────────────────────────────────

    async def start_tls(self, context: ssl.SSLContext, host: str) -> ssl.SSLObject:
        """Be the TLS client of what answers. ssl.SSLError, OSError, LinkLost."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.send(outgoing.read())
                data = await self.receive()
                if not data:
                    raise LinkLost("the connection was cut: it ended in the middle of a handshake") from None
                incoming.write(data)
            except ssl.SSLError:
                if alert := outgoing.read():
                    await self.send(alert)
                raise
        if said := outgoing.read():
            await self.send(said)
        self._stack.add(TlsLayer(tls, incoming, outgoing))
        return tls

    async def connect(self, proxy: ProxyUrl, target: str) -> None:
        """Have the proxy at the other end connect this to ``target``. ProxyFailed, ProxyAuthentication."""
        received = b""
        try:
            await self.send(connect_request(target, proxy.login))
            while not connect_answer(received, proxy, target):
                more = await self.receive()
                if not more:
                    raise ProxyFailed(f"the proxy {proxy} ended the connection without an answer")
                received += more
        except (OSError, LinkLost) as error:
            raise ProxyFailed(f"the proxy {proxy} cut the connection: {error}".lower()) from error

    async def upgrade(self, authority: str) -> None:
        """Open a WebSocket to what answers. UpgradeRefused, OSError, LinkLost."""
        protocol = ClientProtocol(
            parse_uri(f"wss://{authority}{PATH}"), max_size=limits.WEBSOCKET_MESSAGE_BYTES
        )
        request = protocol.connect()
        request.headers["User-Agent"] = "comity"
        protocol.send_request(request)
        await self.send(b"".join(protocol.data_to_send()))
        received = 0
        while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
            data = await self.receive()
            received += len(data)
            if data and received <= limits.UPGRADE_BYTES:
                protocol.receive_data(data)
            else:
                raise UpgradeRefused("no answer to the request for a websocket")
        if protocol.handshake_exc is not None:
            raise _refused(protocol.handshake_exc)
        if len(protocol.events_received()) > 1:  # the answer, and then nobody behind it may speak first
            raise UpgradeRefused("it said more than its answer")
        self._stack.add(WebSocketLayer(protocol))


def outer_context() -> ssl.SSLContext:
    """For the TLS around a WebSocket: any certificate will do, since the pinned TLS inside is what counts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def proxy_context(ca_bundle: str) -> ssl.SSLContext:
    """For the TLS to a proxy: verified against the system's certificates and those of the bundle.

    ProxyFailed where the bundle can't be read.
    """
    context = ssl.create_default_context()
    try:
        if ca_bundle:
            context.load_verify_locations(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ProxyFailed(
            f"the certificates in {ca_bundle} cannot be read: {error.strerror or error}".lower(),
            hint="set ca_bundle to a file of certificates in PEM",
        ) from error
    return context


def _refused(error: Exception) -> UpgradeRefused:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        phrase = printable(error.response.reason_phrase, _REASON_CHARS)
        refused = UpgradeRefused(f"it answers {status} {phrase}".rstrip())
        refused.status = status
        return refused
    return UpgradeRefused(f"it opens no websocket: {printable(str(error), _REASON_CHARS)}")


#: What a reverse proxy says when the server behind it does not answer.
BAD_GATEWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
