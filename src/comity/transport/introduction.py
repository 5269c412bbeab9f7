"""How a link begins: the TLS handshake from either side, up to a peer that was checked or an error.

The dialler pins one key and learns by its verify callback that another answered. The acceptor lets the
handshake finish whoever calls, so that every caller it can't use reads the same refusal and learns nothing
from it (SECURITY.md rule 10). Whether a well-formed key is approved is not decided here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from OpenSSL import SSL

from comity.errors import ComityError, IdentityMismatch, LinkLost, RemoteProtocolError, TimedOut
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.framing import Kind, header
from comity.protocol.hello import UNIFORM_REFUSAL, encode_message
from comity.transport.bounds import Bounds
from comity.transport.tls import Credentials, Pin, TlsFailure, check_pin, inspect
from comity.transport.tlssocket import TlsSocket


async def call(
    sock: socket.socket, credentials: Credentials, expected: Fingerprint, bounds: Bounds
) -> tuple[TlsSocket, PublicKey]:
    """The TLS client's side over a socket that it owns from now on; errors as ``SecureChannel.connect``."""
    return await _call(sock, credentials, Pin(expected, credentials.clock.now()), bounds)


async def look(sock: socket.socket, credentials: Credentials, bounds: Bounds) -> PublicKey:
    """The key that a TLS server shows, whoever's: for trust on first use. It learns nothing of who looked.

    That it holds the private key shows only when it is called by that pin. Errors as ``call``.
    """
    own = credentials.identity.public
    pin = Pin(own.fingerprint, credentials.clock.now())  # nobody else's: the handshake ends at the pin
    try:
        _, peer = await _call(sock, credentials, pin, bounds)
    except IdentityMismatch:
        if pin.shown is None:
            raise
        return pin.shown
    return peer


async def _call(
    sock: socket.socket, credentials: Credentials, pin: Pin, bounds: Bounds
) -> tuple[TlsSocket, PublicKey]:
    def make(sock: socket.socket) -> SSL.Connection:
        return credentials.client_connection(sock, pin)

    tls = _over(sock, make)
    try:
        await _handshake(tls, bounds.handshake)
        peer = inspect(tls.connection, credentials.identity.public, credentials.clock.now(), server=False)
        check_pin(peer, pin.expected)
        return tls, peer
    except BaseException as error:
        tls.abort()
        if pin.failure is not None and isinstance(error, ComityError):
            raise pin.failure from error  # OpenSSL only knows that the callback said no
        raise


async def answer(
    sock: socket.socket, credentials: Credentials, expected: Fingerprint | None, bounds: Bounds
) -> tuple[TlsSocket, PublicKey]:
    """The TLS server's side over a socket that it owns from now on; errors as ``SecureChannel.accept``."""
    tls = _over(sock, credentials.server_connection)
    try:
        await _handshake(tls, bounds.handshake)
        try:
            peer = inspect(tls.connection, credentials.identity.public, credentials.clock.now(), server=True)
            if expected is not None:
                check_pin(peer, expected)
        except (RemoteProtocolError, IdentityMismatch):
            await _refuse(tls, bounds)
            raise
        return tls, peer
    except BaseException:
        tls.abort()
        raise


def _over(sock: socket.socket, make: Callable[[socket.socket], SSL.Connection]) -> TlsSocket:
    try:
        return TlsSocket(sock, make)
    except BaseException:
        sock.close()
        raise


async def _handshake(tls: TlsSocket, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await tls.drive(None, tls.connection.do_handshake)
    except TimeoutError:
        raise TimedOut(f"no TLS handshake within {timeout:g} seconds") from None
    except LinkLost as lost:
        if type(lost.__cause__) is SSL.Error:  # not one of its kinds, which tell of the connection's end
            raise TlsFailure(f"handshake failed: {lost.message}") from lost
        raise


async def _refuse(tls: TlsSocket, bounds: Bounds) -> None:
    """The same bytes to everybody: a REFUSED frame in one record, close_notify, end."""
    body = encode_message(UNIFORM_REFUSAL)
    try:
        await tls.write(header(Kind.REFUSED, len(body)) + body, bounds.close)
        await tls.close(bounds.close)
    except LinkLost:  # it didn't wait for the answer
        pass
