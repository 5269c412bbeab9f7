"""What the rendezvous serves inside a WebSocket, and what it makes of requests that are none for one."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import Protocol, Side

from comity import limits
from comity.identity.card import JoinUrl
from comity.protocol.observing import OBSERVE_REQUEST
from comity.protocol.registry import RELAY_PREFACE, Registered
from comity.transport.bridge import Bridges
from comity.transport.channel import SecureChannel
from comity.transport.layers import Stack, WebSocketLayer
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials
from tests.rendezvous.client import PATIENCE, SYSTEM, Client, last_words
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import serving


def url(join: JoinUrl, path: str = "/comity") -> str:
    return f"ws://{join.host}:{join.port}{path}"


async def register_inside(join: JoinUrl, name: str, headers: str) -> Registered:
    """Be a node inside a WebSocket that was asked for with these header lines."""
    who, bridges = Registrant(join.fingerprint, name), Bridges()
    sock = await connect_tcp(join.host, join.port, PATIENCE)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request("/comity", headers))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await loop.sock_recv(sock, 1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    inside = bridges.join(sock, Stack([WebSocketLayer(Protocol(Side.CLIENT))]))
    try:
        channel = await SecureChannel.connect(inside, Credentials(who.identity, SYSTEM), join.fingerprint)
        client = Client(channel, who, SYSTEM)
        await client.open()
        registered = await client.register()
        channel.abort()
        return registered
    finally:
        bridges.close()


async def closed(websocket: ClientConnection) -> None:
    """It ends, and nothing is said before but that a half has ended."""
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                assert await websocket.recv() == b""
        except ConnectionClosed:
            return


def request(path: str, headers: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    ).encode()


async def test_a_node_inside_is_seen_without_a_port_and_where_a_local_proxy_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "comity.rendezvous")
    async with serving(tmp_path / "state") as join:
        first = await register_inside(join, "lab-a", "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n")
        assert first.observed == "198.51.100.7"  # of a list, the last one is the proxy's own word
        second = await register_inside(join, "lab-b", "X-Forwarded-For: nonsense\r\n")
        assert second.observed == "127.0.0.1"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /comity HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (request("/comity", "Sec-WebSocket-Key: twice\r\n"), b"400"),
        (b"GET /comity HTTP/1.0\r\n\r\n", b"HTTP/1.1"),
        (b"GET " + b"/" * 9000 + b" HTTP/1.1\r\n\r\n", b""),
        (b"GET /comity HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", b""),
        (b"G\x00\xff\r\n\r\n", b""),
        (b"GET /comity HT", b""),
    ],
)
async def test_requests_that_are_none(tmp_path: Path, said: bytes, status: bytes) -> None:
    async with serving(tmp_path / "state") as join:
        reader, writer = await asyncio.open_connection(join.host, join.port)
        writer.write(said)
        writer.write_eof()
        answer = await last_words(reader)
        assert status in answer.partition(b"\r\n")[0]
        assert len(answer) < 1024
        writer.close()
        assert (await register_inside(join, "lab-a", "")).hostname == "lab-a"  # it serves on


@pytest.mark.parametrize("inside", [OBSERVE_REQUEST, b"GET /comity HTTP/1.1\r\n\r\n", b"\x00", b""])
async def test_nothing_else_is_served_inside(tmp_path: Path, inside: bytes) -> None:
    async with serving(tmp_path / "state") as join, connect(url(join), compression=None) as websocket:
        await websocket.send(inside)
        await closed(websocket)


async def test_a_ticket_that_is_none_and_text_and_too_long_a_message(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        for message in (
            RELAY_PREFACE + b"0" * 64 + b"\n",
            "text",
            b"\x16" * (limits.WEBSOCKET_MESSAGE_BYTES + 1),
        ):
            async with connect(url(join), compression=None) as websocket:
                await websocket.send(message)
                await closed(websocket)
        with pytest.raises(InvalidStatus):
            await connect(url(join, "/else"))
