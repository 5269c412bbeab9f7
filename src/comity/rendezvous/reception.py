"""What is behind the doors: a node's visit over TLS, one side of a relay lane, an observer, the server's
keys, or a WebSocket with any of these but an observer inside.

It takes a connection out of the lobby as soon as somebody has registered on it, or shown a ticket.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from comity import limits
from comity.entropy import Entropy
from comity.errors import LinkLost, RemoteProtocolError, TimedOut
from comity.protocol.observing import OBSERVE_REQUEST, answer
from comity.protocol.registry import RELAY_PREFACE
from comity.protocol.succession import LINEAGE_REQUEST, LINEAGE_REQUEST_BYTES, Lineage
from comity.rendezvous.desk import Desk
from comity.rendezvous.doors import first_byte
from comity.rendezvous.files import Files
from comity.rendezvous.lobby import Lobby
from comity.rendezvous.presence import Presence
from comity.rendezvous.relay import Relay
from comity.rendezvous.upgrade import accept_websocket
from comity.rendezvous.visit import Visit
from comity.transport.bounds import Bounds
from comity.transport.bridge import Bridges
from comity.transport.channel import SecureChannel
from comity.transport.tls import Credentials

HTTP_GET = b"G"
TLS_HANDSHAKE = b"\x16"  # RFC 8446 section 5.1, ContentType
_CHANNEL_BOUNDS = Bounds(stall=limits.RENDEZVOUS_DEAD_AFTER)
_NONCE_BYTES = 32


class Reception:
    """Its public methods are doors: each owns the socket from the call on."""

    def __init__(
        self,
        credentials: Credentials,
        desk: Desk,
        presence: Presence,
        relay: Relay,
        lobby: Lobby,
        entropy: Entropy,
        bridges: Bridges,
        files: Files,
        lineage: Lineage,
    ) -> None:
        self._credentials = credentials
        self._desk = desk
        self._presence = presence
        self._relay = relay
        self._lobby = lobby
        self._entropy = entropy
        self._bridges = bridges
        self._files = files
        self._lineage = lineage.to_json()

    async def node(self, sock: socket.socket, remote: str) -> None:
        """A node's whole visit. Raises what is wrong with its TLS; it was refused uniformly then."""
        channel = await SecureChannel.accept(sock, self._credentials, bounds=_CHANNEL_BOUNDS)
        guest = asyncio.current_task()
        nonce = self._entropy.token(_NONCE_BYTES)
        visit = Visit(channel, remote, nonce, self._desk, self._presence, lambda: self._lobby.leave(guest))
        await visit.run()

    async def lane(self, sock: socket.socket, _: str) -> None:
        """One side of a relay lane, until it is joined to the other."""
        try:
            seat = await self._relay.seat(sock)
        except BaseException:
            sock.close()
            raise
        self._lobby.leave(asyncio.current_task())
        await self._relay.take(sock, seat)

    async def wrapped(self, sock: socket.socket, remote: str) -> None:
        """What a reverse proxy that ends an outer TLS hands on."""
        inside, origin = await accept_websocket(
            sock, remote, self._bridges, self._files, self._credentials.clock.now()
        )
        doors = {
            TLS_HANDSHAKE: self.node,
            RELAY_PREFACE[:1]: self.lane,
            LINEAGE_REQUEST[:1]: self.lineage,
        }
        try:
            door = doors.get(await first_byte(inside))
            if door is None:
                raise RemoteProtocolError("a websocket carries something that is not served inside one")
        except BaseException:
            inside.close()
            raise
        await door(inside, origin)

    async def observer(self, sock: socket.socket, remote: str) -> None:
        """Tell a connection where it comes from, and hold it while its mapping is in use."""
        with sock:
            loop = asyncio.get_running_loop()
            asked = await _question(sock, len(OBSERVE_REQUEST))
            if asked != OBSERVE_REQUEST:
                raise RemoteProtocolError("a connection asked an observer something else")
            await loop.sock_sendall(sock, answer(remote))
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.OBSERVED_HOLD):
                    await loop.sock_recv(sock, 1)

    async def lineage(self, sock: socket.socket, _: str) -> None:
        """Show a node that has pinned an earlier key of this server how it came to the one of now."""
        with sock:
            asked = await _question(sock, LINEAGE_REQUEST_BYTES)
            if not asked.startswith(LINEAGE_REQUEST):
                raise RemoteProtocolError("a connection asked for the server's keys in other words")
            try:
                async with asyncio.timeout(limits.PREFACE_TIMEOUT):
                    await asyncio.get_running_loop().sock_sendall(sock, self._lineage)
            except TimeoutError:
                raise TimedOut("whoever asked for the server's keys does not read them") from None


async def _question(sock: socket.socket, size: int) -> bytes:
    """The first ``size`` bytes of a connection. LinkLost, TimedOut."""
    loop = asyncio.get_running_loop()
    asked = b""
    try:
        async with asyncio.timeout(limits.PREFACE_TIMEOUT):
            while len(asked) < size:
                more = await loop.sock_recv(sock, size - len(asked))
                if not more:
                    raise LinkLost("the connection ended before its question")
                asked += more
    except TimeoutError:
        raise TimedOut("no whole question came in time") from None
    return asked
