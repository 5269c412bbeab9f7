"""One forwarded connection between real sockets, over a stream that lies in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from comity import limits
from comity.clock import ManualClock, SystemClock
from comity.errors import Denied, LinkLost, LocalProtocolError, RemoteProtocolError
from comity.identity.keys import Identity, PublicKey
from comity.policy.operation import Decision
from comity.protocol.forwarding.messages import Tag, bare, credit
from comity.protocol.hello import FORWARD_PORT, Hello
from comity.services.forwarding.pipe import Pipe
from comity.transport.interface import Buffer, Lane, LinkInfo

KEY: PublicKey = Identity.generate().public
YES = Decision(True, ("it is",))


class MemoryStream:
    """``transport.interface.Stream`` in memory: whoever sends waits until the other has read."""

    peer = KEY
    instance = "0" * 32
    info = LinkInfo(path="direct", remote="memory", tls="", cipher="", group="")
    hello = Hello(oldest=1, newest=1, port=FORWARD_PORT, instance="0" * 32)

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self.other: MemoryStream | None = None
        self.finished = False

    async def send(self, body: Buffer) -> None:
        assert self.other is not None
        assert len(body) <= limits.FRAME_BYTES
        await self.other.incoming.put(bytes(body))

    async def receive(self) -> bytes | None:
        return await self.incoming.get()

    async def finish(self) -> None:
        self.finished = True

    def abort(self) -> None:
        """Its owner's business, not the pipe's."""

    def lane(self) -> Lane:
        raise LocalProtocolError("a forward hands no stream to a thread")

    async def __aenter__(self) -> MemoryStream:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """As ``finish``."""


def streams() -> tuple[MemoryStream, MemoryStream]:
    one, two = MemoryStream(), MemoryStream()
    one.other, two.other = two, one
    return one, two


def connected() -> tuple[socket.socket, socket.socket]:
    """A TCP connection on loopback, so that a reset can be told from an end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    for sock in (ours, theirs):
        sock.setblocking(False)
    return ours, theirs


@asynccontextmanager
async def carried() -> AsyncIterator[tuple[socket.socket, socket.socket, Pipe, Pipe]]:
    """Two programs whose sockets two pipes connect; every pipe has to end well."""
    (here, one), (there, two) = connected(), connected()
    near, far = streams()
    pipes = [Pipe(sock, stream, SystemClock(), lambda: YES) for sock, stream in ((one, near), (two, far))]
    running = [asyncio.create_task(pipe.run()) for pipe in pipes]
    with here, there:
        yield here, there, pipes[0], pipes[1]
        async with asyncio.timeout(60):
            await asyncio.gather(*running)


async def test_both_directions_end_by_themselves() -> None:
    loop = asyncio.get_running_loop()
    async with carried() as (here, there, near, far):
        await loop.sock_sendall(here, b"question")
        here.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(there, 100) == b"question"
        assert await loop.sock_recv(there, 100) == b""
        await loop.sock_sendall(there, b"answer")
        there.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(here, 100) == b"answer"
        assert await loop.sock_recv(here, 100) == b""
    assert (near.flow.sent, near.flow.received) == (far.flow.received, far.flow.sent) == (8, 6)


async def test_a_program_that_reads_nothing_stops_its_partner_at_the_window() -> None:
    loop = asyncio.get_running_loop()
    async with carried() as (here, there, near, _):
        data = bytes(24 * limits.MIB)
        sending = asyncio.create_task(loop.sock_sendall(here, data))
        async with asyncio.timeout(60):
            while near.flow.credit:  # noqa: ASYNC110  the pipe has no event for it
                await asyncio.sleep(0.01)
        sent = near.flow.sent
        await asyncio.sleep(0.2)
        assert not sending.done()
        assert near.flow.sent == sent
        taken = 0
        while taken < len(data):
            taken += len(await loop.sock_recv(there, 1 << 20))
        await sending
        here.shutdown(socket.SHUT_WR)
        there.shutdown(socket.SHUT_WR)


async def alone(
    *said: bytes | None, clock: ManualClock | None = None, decision: Decision = YES
) -> tuple[socket.socket, asyncio.Task[None]]:
    """A pipe whose peer says these frames; the program's socket, and the pipe at work."""
    program, sock = connected()
    stream, peer = streams()
    pipe = Pipe(sock, stream, clock or SystemClock(), lambda: decision)
    running = asyncio.create_task(pipe.run())
    for body in said:
        await stream.incoming.put(body)
    stream.other = peer
    return program, running


async def ends_by_a_reset(program: socket.socket) -> bool:
    try:
        while await asyncio.get_running_loop().sock_recv(program, 1 << 20):
            pass  # what had come before
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize(
    "said",
    [
        [b""],
        [bytes((99,))],
        [bare(Tag.OPENED)],
        [bare(Tag.DONE)],
        [credit(1)],
        [None],
    ],
    ids=["empty", "unknown", "opened", "done", "credit", "cut"],
)
async def test_what_breaks_the_protocol_resets_the_program(said: list[bytes | None]) -> None:
    program, running = await alone(*said)
    with program:
        with pytest.raises(RemoteProtocolError):
            async with asyncio.timeout(60):
                await running
        assert await ends_by_a_reset(program)


@pytest.mark.parametrize("tag", [Tag.PAYLOAD, Tag.END], ids=["payload", "another end"])
async def test_what_follows_the_peers_end_breaks_the_connection(tag: Tag) -> None:
    program, running = await alone(bare(Tag.END), bare(tag) + b"x" * (tag is Tag.PAYLOAD))
    with program, pytest.raises(RemoteProtocolError):
        async with asyncio.timeout(60):
            await running


async def test_a_silent_peer_and_a_permission_that_ends_reset_the_program() -> None:
    clock = ManualClock()
    program, running = await alone(clock=clock)
    clock.advance(limits.FORWARD_DEAD_AFTER)
    with program, pytest.raises(LinkLost):
        await running
    program, running = await alone(decision=Decision(False, ("the window is over",)))
    with program:
        with pytest.raises(Denied, match="the window is over"):
            async with asyncio.timeout(limits.FORWARD_RECHECK_EVERY + 60):
                await running
        assert await ends_by_a_reset(program)
