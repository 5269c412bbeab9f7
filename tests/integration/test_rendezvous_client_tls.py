"""The rendezvous client on real sockets: who is not the rendezvous, and who is it and misbehaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.errors import (
    ComityError,
    LinkLost,
    RemoteProtocolError,
    RendezvousIdentityMismatch,
    RendezvousRefused,
    RendezvousUnreachable,
)
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.protocol.registry import (
    Challenge,
    Open,
    Register,
    Registered,
    encode_message,
    parse_node_message,
)
from comity.transport.channel import SecureChannel
from comity.transport.rendezvous import RendezvousClient
from comity.transport.tls import Credentials, TlsFailure
from tests.integration.transport_nodes import closed_port
from tests.integration.transport_rig import listening
from tests.worlds import Diary, Signer

Serve = Callable[[socket.socket, Credentials], Awaitable[None]]


@dataclass
class Stage:
    """A client that runs, what it was told, and the server's key."""

    client: RendezvousClient
    diary: Diary

    async def first_loss(self) -> ComityError:
        await self.diary.until(lambda diary: bool(diary.losses), 60)
        assert self.client.problem is not None
        return self.client.problem


@asynccontextmanager
async def client(port: int, pinned: Fingerprint) -> AsyncIterator[Stage]:
    identity, clock, entropy = Identity.generate(), SystemClock(), SystemEntropy()
    join = JoinUrl("127.0.0.1", port, fingerprint=pinned)
    signer, diary = Signer(identity, join, clock, entropy), Diary()
    made = RendezvousClient(
        join,
        Credentials(identity, clock),
        diary,
        sealing_key=signer.sealing_key,
        register=signer.register,
        hostname="anna",
        public=False,
        tags=(),
        clock=clock,
        entropy=entropy,
        instance=entropy.token(16).hex(),
    )
    running = asyncio.create_task(made.run())
    try:
        yield Stage(made, diary)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def facing(serve: Serve, pinned: Fingerprint | None = None) -> AsyncIterator[Stage]:
    """A client whose server is ``serve``, one connection after the other."""
    credentials = Credentials(Identity.generate(), SystemClock())
    with listening() as listener:

        async def accept() -> None:
            while True:
                sock, _ = await asyncio.get_running_loop().sock_accept(listener)
                try:
                    await serve(sock, credentials)
                except (LinkLost, OSError):
                    pass
                finally:
                    sock.close()

        accepting = asyncio.create_task(accept())
        expected = pinned or credentials.identity.public.fingerprint
        try:
            async with client(listener.getsockname()[1], expected) as stage:
                yield stage
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)


async def register(channel: SecureChannel) -> None:
    """What the real server does up to Registered."""
    _, body = await channel.read_frame(2**20)
    assert isinstance(parse_node_message(body), Open)
    challenge = Challenge(version=1, nonce="00" * 32, time=int(SystemClock().now()))
    await channel.write_frame(Kind.DATA, encode_message(challenge))
    _, body = await channel.read_frame(2**20)
    message = parse_node_message(body)
    assert isinstance(message, Register)
    answer = Registered(id=message.id, address="1:0001.0000.0010", hostname="anna", observed=channel.remote)
    await channel.write_frame(Kind.DATA, encode_message(answer))


async def test_nobody_listens() -> None:
    port = closed_port()
    async with client(port, Identity.generate().public.fingerprint) as stage:
        problem = await stage.first_loss()
        assert isinstance(problem, RendezvousUnreachable)
        assert f"127.0.0.1:{port}" in problem.message
        assert problem.hint == RendezvousUnreachable.default_hint


async def test_another_key_answers_and_learns_nothing() -> None:
    ends: list[ComityError] = []

    async def serve(sock: socket.socket, credentials: Credentials) -> None:
        try:
            await SecureChannel.accept(sock, credentials)
        except ComityError as error:
            ends.append(error)

    async with facing(serve, Identity.generate().public.fingerprint) as stage:
        problem = await stage.first_loss()
        assert isinstance(problem, RendezvousIdentityMismatch)
        assert "phone" in problem.hint
        assert stage.client.link is None
        with pytest.raises(RendezvousIdentityMismatch):
            await stage.client.find()
    assert len(ends) == 2  # the handshake, and the question for its keys: it is not tried again at once


async def test_something_else_than_tls_answers() -> None:
    async def serve(sock: socket.socket, _: Credentials) -> None:
        await asyncio.get_running_loop().sock_sendall(sock, b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with facing(serve) as stage:
        problem = await stage.first_loss()
        assert isinstance(problem, TlsFailure | RendezvousUnreachable)
        with pytest.raises(RendezvousUnreachable):
            await stage.client.find()


async def test_a_server_that_refuses_this_certificate_is_heard() -> None:
    async def serve(sock: socket.socket, credentials: Credentials) -> None:
        other = Identity.generate().public.fingerprint
        with pytest.raises(ComityError):
            await SecureChannel.accept(sock, credentials, other)

    async with facing(serve) as stage:
        problem = await stage.first_loss()
        assert isinstance(problem, RendezvousRefused)
        assert "not approved" in problem.message


@pytest.mark.parametrize(
    "said", [b"", b"{}", b"\xff", b'{"type":"mail"}', b'{"type":"challenge","version":1}'], ids=repr
)
async def test_a_server_that_stammers_is_left_and_tried_again(said: bytes) -> None:
    visits = 0

    async def serve(sock: socket.socket, credentials: Credentials) -> None:
        nonlocal visits
        visits += 1
        channel = await SecureChannel.accept(sock, credentials)
        try:
            await channel.write_frame(Kind.DATA, said)
            await channel.read_frame(2**20)
            await channel.read_frame(2**20)
        finally:
            channel.abort()

    async with facing(serve) as stage:
        assert isinstance(await stage.first_loss(), RemoteProtocolError)
        await stage.diary.until(lambda diary: len(diary.losses) == 2, 60)
    assert visits >= 2


async def test_a_cut_connection_is_noticed_and_made_again() -> None:
    async def serve(sock: socket.socket, credentials: Credentials) -> None:
        channel = await SecureChannel.accept(sock, credentials)
        try:
            await register(channel)
            await asyncio.sleep(0.1)
        finally:
            channel.abort()

    async with facing(serve) as stage:
        await stage.diary.until(lambda diary: len(diary.registrations) == 2, 60)
        assert isinstance(stage.diary.losses[0], RendezvousUnreachable)


async def test_stopping_ends_tls_in_order() -> None:
    credentials = Credentials(Identity.generate(), SystemClock())

    async def serve(listener: socket.socket) -> str:
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        channel = await SecureChannel.accept(sock, credentials)
        try:
            await register(channel)
            await channel.read_frame(2**20)
        except LinkLost as lost:
            return lost.message
        finally:
            channel.abort()
        return "it said more"

    with listening() as listener:
        serving = asyncio.create_task(serve(listener))
        async with client(listener.getsockname()[1], credentials.identity.public.fingerprint) as stage:
            await stage.diary.until(lambda diary: bool(diary.registrations), 60)
            assert stage.client.link is not None
            assert stage.client.link.group == "X25519MLKEM768"
        assert await asyncio.wait_for(serving, 30) == "the other side closed the link"
        assert stage.diary.losses == []
