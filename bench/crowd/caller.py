"""What holds a connection to an echo server: the floor that a crowd of nodes is compared with.

``Framed`` speaks this project's channel, ``Plain`` TLS to anybody, without a certificate of its own. Both say
a heartbeat's worth of bytes as often as a node does, and wait for them to come back.
"""

from __future__ import annotations

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from OpenSSL import SSL

from comity import limits
from comity.clock import SystemClock
from comity.errors import ComityError
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.transport.channel import SecureChannel
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials
from comity.transport.tlssocket import TlsSocket

BEAT = b"." * 30  # as long as a node's


class Caller(ABC):
    """One connection; a beat and a measured question never overlap."""

    def __init__(self, server: JoinUrl, hostname: str, hear: Callable[[str], None]) -> None:
        self.hostname = hostname
        self.ended: Exception | None = None
        self._server = server
        self._turn = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    async def come(self) -> None:
        sock = await connect_tcp(self._server.host, self._server.port, limits.CONNECT_TIMEOUT)
        await self._connect(sock)
        self._beating = asyncio.create_task(self._beat())

    async def resolve(self, _: str) -> float:
        """Seconds until what was said came back."""
        async with self._turn:
            began = time.perf_counter()
            await self._echo()
            return time.perf_counter() - began

    async def leave(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait((self._beating,))
        self._drop()

    async def _beat(self) -> None:
        try:
            while True:
                await asyncio.sleep(limits.RENDEZVOUS_HEARTBEAT)
                async with self._turn:
                    await self._echo()
        except ComityError as error:
            self.ended = error

    @abstractmethod
    async def _connect(self, sock: socket.socket) -> None: ...

    @abstractmethod
    async def _echo(self) -> None: ...

    @abstractmethod
    def _drop(self) -> None: ...


class Framed(Caller):
    async def _connect(self, sock: socket.socket) -> None:
        credentials = Credentials(Identity.generate(), SystemClock())
        self._channel = await SecureChannel.connect(sock, credentials, self._server.fingerprint)

    async def _echo(self) -> None:
        await self._channel.write_frame(Kind.DATA, BEAT)
        await self._channel.read_frame(limits.FRAME_BYTES)

    def _drop(self) -> None:
        self._channel.abort()


class Plain(Caller):
    async def _connect(self, sock: socket.socket) -> None:
        self._tls = TlsSocket(sock, _plain)
        await self._tls.drive(limits.HANDSHAKE_TIMEOUT, self._tls.connection.do_handshake)

    async def _echo(self) -> None:
        await self._tls.write(BEAT, None)
        left = len(BEAT)
        while left:
            left -= len(await self._tls.drive(None, self._tls.connection.recv, left))

    def _drop(self) -> None:
        self._tls.abort()


class Made(Protocol):
    def __call__(self, server: JoinUrl, hostname: str, hear: Callable[[str], None]) -> Caller: ...


def _plain(sock: socket.socket) -> SSL.Connection:
    connection = SSL.Connection(_CONTEXT, sock)
    connection.set_connect_state()
    return connection


_CONTEXT = SSL.Context(SSL.TLS_CLIENT_METHOD)
_CONTEXT.set_min_proto_version(SSL.TLS1_3_VERSION)
_CONTEXT.set_mode(SSL.MODE_RELEASE_BUFFERS)
