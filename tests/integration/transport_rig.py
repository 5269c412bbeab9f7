"""What the transport's tests stand on: real loopback sockets, credentials, and a proxy that cuts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from comity.clock import Clock, SystemClock
from comity.identity.keys import Identity
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.tls import Credentials

#: Deadlines that a loaded test machine keeps, and that a test can wait for.
QUICK = Bounds(connect=20, handshake=20, hello=20, link_idle=20, stall=20, close=1, relay_ready=20)


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the code under test has no event for it
            await asyncio.sleep(0.01)


def credentials(clock: Clock | None = None) -> Credentials:
    return Credentials(Identity.generate(), clock or SystemClock())


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


async def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection, both non-blocking: dialled, accepted."""
    loop = asyncio.get_running_loop()
    with listening() as listener:
        dialled = socket.socket()
        dialled.setblocking(False)
        _, (accepted, _) = await asyncio.gather(
            loop.sock_connect(dialled, listener.getsockname()), loop.sock_accept(listener)
        )
    return dialled, accepted


@asynccontextmanager
async def channels(
    bounds: Bounds = QUICK, via: Callable[[socket.socket, socket.socket], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[SecureChannel, SecureChannel]]:
    """A dialler's and an acceptor's channel; ``via`` carries the bytes between two further sockets."""
    ours, theirs = credentials(), credentials()
    dialled, accepted = await socket_pair()
    carrier: asyncio.Future[None] | None = None
    if via is not None:
        outer, inner = accepted, (second := await socket_pair())[0]
        accepted = second[1]
        carrier = asyncio.ensure_future(via(outer, inner))
    dialler, acceptor = await asyncio.gather(
        SecureChannel.connect(dialled, ours, theirs.identity.public.fingerprint, bounds),
        SecureChannel.accept(accepted, theirs, None, bounds),
    )
    try:
        yield dialler, acceptor
    finally:
        dialler.abort()
        acceptor.abort()
        if carrier is not None:
            await carrier


class Cutter:
    """A carrier of bytes that ends both TCP connections in order, with a FIN, when told to."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()
        self.silent = asyncio.Event()

    async def __call__(self, outer: socket.socket, inner: socket.socket) -> None:
        with outer, inner:
            tasks = [
                asyncio.ensure_future(each)
                for each in (self._copy(outer, inner), self._copy(inner, outer), self.cut.wait())
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _copy(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, 65536):
            if not self.silent.is_set():
                await loop.sock_sendall(target, data)


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[tuple[str, Cutter]]:
    """Where to dial instead of ``port`` of this machine, and what cuts the one connection that comes."""
    loop, cutter = asyncio.get_running_loop(), Cutter()

    async def carry(listener: socket.socket) -> None:
        outer, _ = await loop.sock_accept(listener)
        inner = socket.socket()
        inner.setblocking(False)
        await loop.sock_connect(inner, ("127.0.0.1", port))
        await cutter(outer, inner)

    with listening() as listener:
        carrying = asyncio.create_task(carry(listener))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", cutter
        finally:
            carrying.cancel()
            await asyncio.wait([carrying])
