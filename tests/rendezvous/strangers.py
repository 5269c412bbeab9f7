"""A crowd that has nothing to do at a rendezvous and keeps its doors busy: each connects, does not get on in
one of several ways, holds its connection for as long as it may, and comes again.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from OpenSSL import SSL

from comity.clock import SystemClock
from comity.errors import ComityError
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.protocol.registry import RELAY_PREFACE, Open, encode_message
from comity.transport.channel import SecureChannel
from comity.transport.tls import Credentials

_DRIP = 1.0  # seconds between two bytes
_PAUSE = 0.5  # before somebody comes again
_HOLD = 60.0  # for as long as the server lets it
_ADDRESSES = 16
WAYS = 10
_TELL = 0.2
UPGRADE = (
    b"GET /comity HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_OPEN = encode_message(Open(oldest=1, newest=1, network=1, instance="0" * 32))


def client_hello() -> bytes:
    """The first flight of an honest TLS client."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    connection.set_connect_state()
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(65536)


class Crowd:
    """``came`` counts connections, by what they did."""

    def __init__(self, join: JoinUrl) -> None:
        self._join = join
        self._hello = client_hello()
        self._credentials = Credentials(Identity.generate(), SystemClock())
        self.came: Counter[str] = Counter()
        self._ways: list[Callable[[socket.socket], Awaitable[None]]] = [
            self.silent,
            self.half_a_hello,
            self.a_hello_and_no_more,
            self.a_byte_a_second,
            self.idle_after_the_handshake,
            self.idle_after_the_challenge,
            self.reads_no_answer,
            self.half_a_ticket,
            self.a_websocket_and_no_more,
            self.a_websocket_byte_by_byte,
        ]

    async def stranger(self, number: int) -> None:
        """One of them, again and again until cancelled."""
        way = self._ways[number % len(self._ways)]
        while True:
            with socket.socket() as sock:
                sock.setblocking(False)
                # Not closed orderly, as that keeps the port for a minute: there are not so many.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                if sys.platform == "linux":  # where loopback has many addresses
                    sock.bind((f"127.0.1.{1 + number % _ADDRESSES}", 0))
                with suppress(OSError, ComityError, TimeoutError):
                    async with asyncio.timeout(_HOLD):
                        await asyncio.get_running_loop().sock_connect(
                            sock, (self._join.host, self._join.port)
                        )
                        self.came[way.__name__] += 1
                        await way(sock)
            await asyncio.sleep(_PAUSE)

    # ── how they do not get on ────────────────────────────────────────────────────────────────────────

    async def silent(self, sock: socket.socket) -> None:
        await _until_closed(sock)

    async def half_a_hello(self, sock: socket.socket) -> None:
        await _say(sock, self._hello[: len(self._hello) // 2])
        await _until_closed(sock)

    async def a_hello_and_no_more(self, sock: socket.socket) -> None:
        """The server makes its keys, answers, and waits; nobody reads."""
        await _say(sock, self._hello)
        await asyncio.sleep(_HOLD)

    async def a_byte_a_second(self, sock: socket.socket) -> None:
        await _drip(sock, self._hello)

    async def idle_after_the_handshake(self, sock: socket.socket) -> None:
        await (await self._channel(sock)).read_frame(65536)

    async def idle_after_the_challenge(self, sock: socket.socket) -> None:
        channel = await self._channel(sock)
        await channel.write_frame(Kind.DATA, _OPEN)
        await channel.read_frame(65536)
        await channel.read_frame(65536)

    async def reads_no_answer(self, sock: socket.socket) -> None:
        """As large a message as there is, but its last byte, and no look at what is said."""
        channel = await self._channel(sock)
        await channel.write_frame(Kind.DATA, _OPEN)
        await _say(sock, b"\x17\x03\x03\x40\x00" + bytes(16_000))
        await asyncio.sleep(_HOLD)

    async def half_a_ticket(self, sock: socket.socket) -> None:
        await _say(sock, RELAY_PREFACE)
        await _drip(sock, b"0" * 64)

    async def a_websocket_and_no_more(self, sock: socket.socket) -> None:
        await _say(sock, UPGRADE)
        await _until_closed(sock)

    async def a_websocket_byte_by_byte(self, sock: socket.socket) -> None:
        await _drip(sock, UPGRADE)

    async def _channel(self, sock: socket.socket) -> SecureChannel:
        return await SecureChannel.connect(sock, self._credentials, self._join.fingerprint)


class Watched:
    """The crowd as the test sees it: how often somebody came, and in how many ways."""

    def __init__(self) -> None:
        self.came = self.ways = 0


@asynccontextmanager
async def crowd(join: JoinUrl, count: int) -> AsyncIterator[Watched]:
    """So many strangers at ``join``, in a process of their own, all gone at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.rendezvous.strangers",
        str(join),
        str(count),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    watched = Watched()

    async def watch() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            watched.came, watched.ways = map(int, line.split())

    watching = asyncio.create_task(watch())
    try:
        yield watched
    finally:
        process.kill()
        await process.wait()
        await watching


async def _main() -> None:
    count = int(sys.argv[2])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count + 100, hard)), hard))
    made = Crowd(JoinUrl.parse(sys.argv[1]))
    tasks = [asyncio.create_task(made.stranger(number)) for number in range(count)]
    while not tasks[0].done():  # somebody ends this process
        sys.stdout.write(f"{made.came.total()} {len(made.came)}\n")
        sys.stdout.flush()
        await asyncio.sleep(_TELL)


async def _say(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def _drip(sock: socket.socket, data: bytes) -> None:
    for byte in data:
        await _say(sock, bytes([byte]))
        await asyncio.sleep(_DRIP)


async def _until_closed(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 65536):
        pass


if __name__ == "__main__":
    asyncio.run(_main())
