"""A minimal node on a real connection; not the product's client.

It says what it is told to, and keeps what it hears.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from comity.clock import Clock, SystemClock
from comity.identity.card import JoinUrl
from comity.protocol.framing import Kind
from comity.protocol.registry import (
    MESSAGE_BYTES,
    RELAY_PREFACE,
    RELAY_READY,
    Challenge,
    Failure,
    GoingAway,
    Mail,
    NodeMessage,
    Register,
    Registered,
    RelayOffer,
    ServerMessage,
    Superseded,
    encode_message,
    parse_server_message,
)
from comity.transport.channel import SecureChannel
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials
from tests.rendezvous.nodes import Registrant

M = TypeVar("M", bound=ServerMessage)
PATIENCE = 45.0
SYSTEM = SystemClock()


class Refusal(Exception):
    """The server said Failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.code = failure.code
        self.id = failure.id


class Client:
    """One connection of ``who``; ``ask`` sends a request and returns its answer, pushes go to ``pushed``."""

    def __init__(self, channel: SecureChannel, who: Registrant, clock: Clock) -> None:
        self.channel = channel
        self.who = who
        self.clock = clock
        self.pushed: list[Mail | RelayOffer | Superseded | GoingAway] = []
        self.numbers = itertools.count(1)
        self.nonce = b""

    async def send(self, message: NodeMessage) -> None:
        await self.channel.write_frame(Kind.DATA, encode_message(message))

    async def hear(self) -> ServerMessage:
        async with asyncio.timeout(PATIENCE):
            kind, body = await self.channel.read_frame(MESSAGE_BYTES)
        assert kind is Kind.DATA
        return parse_server_message(body)

    async def answer(self, expected: type[M]) -> M:
        """The next answer; Refusal for a Failure."""
        while True:
            message = await self.hear()
            if isinstance(message, expected):
                return message
            if isinstance(message, Failure):
                raise Refusal(message)
            assert isinstance(message, Mail | RelayOffer | Superseded | GoingAway), message
            self.pushed.append(message)

    async def ask(self, message: NodeMessage, expected: type[M]) -> M:
        await self.send(message)
        return await self.answer(expected)

    async def mail(self) -> Mail:
        return await self.push(Mail)

    async def push(self, expected: type[M]) -> M:
        """The oldest push that nobody took yet."""
        if not self.pushed:
            message = await self.hear()
            assert isinstance(message, Mail | RelayOffer | Superseded | GoingAway), message
            self.pushed.append(message)
        first = self.pushed.pop(0)
        assert isinstance(first, expected), first
        return first

    async def open(self) -> None:
        challenge = await self.ask(self.who.open(), Challenge)
        self.nonce = bytes.fromhex(challenge.nonce)

    async def register(self, **changes: object) -> Registered:
        """Register (again), with what ``changes`` about the node."""
        self.who = replace(self.who, **changes)  # type: ignore[arg-type]  # by name
        return await self.ask(self.statement(), Registered)

    def statement(self) -> Register:
        return self.who.register(self.nonce, self.clock.now(), next(self.numbers))

    async def quiet(self, seconds: float = 0.2) -> bool:
        """Whether nothing is pushed for a while."""
        try:
            async with asyncio.timeout(seconds):
                kind, body = await self.channel.read_frame(MESSAGE_BYTES)
        except TimeoutError:
            return True
        raise AssertionError(f"heard {kind.name} {body!r}")


async def dial(join: JoinUrl, who: Registrant, clock: Clock = SYSTEM) -> Client:
    """Connected by pinned TLS, nothing said yet."""
    sock = await connect_tcp(join.host, join.port, PATIENCE)
    credentials = Credentials(who.identity, clock)
    return Client(await SecureChannel.connect(sock, credentials, join.fingerprint), who, clock)


@asynccontextmanager
async def registered(join: JoinUrl, who: Registrant) -> AsyncIterator[Client]:
    """A registered client, cut off without a word at the end."""
    client = await dial(join, who)
    try:
        await client.open()
        await client.register()
        yield client
    finally:
        client.channel.abort()


async def relay_side(join: JoinUrl, ticket: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One side of a lane, its preface said."""
    reader, writer = await asyncio.open_connection(join.host, join.port)
    writer.write(RELAY_PREFACE + ticket.encode() + b"\n")
    await writer.drain()
    return reader, writer


async def last_words(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, in order or by a reset."""
    said = b""
    async with asyncio.timeout(PATIENCE):
        try:
            while more := await reader.read(65536):
                said += more
        except ConnectionResetError:
            return said
    return said


async def relay_ready(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(PATIENCE):
        assert await reader.readexactly(len(RELAY_READY)) == RELAY_READY
