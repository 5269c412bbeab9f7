"""Strangers in crowds, and members who misuse what they may: they are bounded, and honest nodes are served.

COMITY_STRANGERS says how many strangers there are at once (``make strangers`` takes 10,000, against a server
in a process of its own, with the limits as shipped; a small crowd meets limits that are as small).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from comity import limits
from comity.errors import LinkLost, PeerUnreachable, TimedOut
from comity.identity.card import JoinUrl
from comity.protocol.framing import Kind, header
from comity.protocol.registry import Acknowledge, Done, Ping, Post, Posted, Resolve, Resolved
from tests.rendezvous.client import Client, Refusal, dial, last_words, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.nursery import nursery
from tests.rendezvous.server import serving
from tests.rendezvous.strangers import UPGRADE, WAYS, crowd

STRANGERS = int(os.environ.get("COMITY_STRANGERS", "200"))
SMALL = STRANGERS <= 1000
HONEST, ROUNDS = 8, 4
FILES, WEBSOCKETS = 150, 40
MEMORY_MOST = 400  # MB, with strangers all over the lobby, each as expensive as it can be
PATIENCE = 60.0


def node(join: JoinUrl, hostname: str) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname)


def codes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.fields["code"] for record in caplog.records if record.getMessage() == "refused"]  # type: ignore[attr-defined]  # the journal's


@asynccontextmanager
async def besieged(state: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[JoinUrl, int]]:
    """A server, and its process."""
    if SMALL:
        monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 40)
        monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_PER_ADDRESS", 2)  # of 16 addresses
        monkeypatch.setattr(limits, "RENDEZVOUS_DEAD_AFTER", 5 * PATIENCE)  # nobody here has a heartbeat
        async with serving(state) as join:
            yield join, os.getpid()
        return
    async with nursery(state.with_name("log")) as server:
        await server.start("--state", str(state), "--listen", "127.0.0.1:0")
        await server.ready()
        yield JoinUrl.parse((state / "join.url").read_text()), server.pid


async def work(clients: list[Client]) -> None:
    """Each looks the next one up and leaves it a letter, which it acknowledges."""
    for client, other in zip(clients, [*clients[1:], clients[0]], strict=True):
        found = await client.ask(Resolve(id=next(client.numbers), hostname=other.who.hostname), Resolved)
        assert found.record.online
        message = secrets.token_hex(16)
        key = other.who.identity.public.hex
        letter = Post(id=next(client.numbers), recipient=key, message_id=message, blob=bytes(5000), keep=True)
        assert (await client.ask(letter, Posted)).delivered
        mail = await other.mail()
        assert mail.message_id == message
        done = Acknowledge(id=next(other.numbers), sender=mail.sender, message_id=message)
        await other.ask(done, Done)


async def come_in(stack: AsyncExitStack, join: JoinUrl, hostname: str) -> Client:
    """As a node does it: it tries again."""
    who = node(join, hostname)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await stack.enter_async_context(registered(join, who))
            except (LinkLost, TimedOut, PeerUnreachable):
                await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_a_crowd_of_strangers_ends_nobodys_connection_and_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        join, pid = await stack.enter_async_context(besieged(tmp_path / "state", monkeypatch))
        inside = [await come_in(stack, join, f"inside-{number}") for number in range(HONEST)]
        strangers = await stack.enter_async_context(crowd(join, STRANGERS))
        async with asyncio.timeout(PATIENCE):
            while strangers.came < STRANGERS or strangers.ways < WAYS:
                await work(inside)
                await asyncio.sleep(0.2)
        for number in range(ROUNDS):
            await work(inside)
            inside.append(await come_in(stack, join, f"newcomer-{number}"))
        if not SMALL:
            status = Path(f"/proc/{pid}/status").read_text()
            peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
            files = len(os.listdir(f"/proc/{pid}/fd"))
            assert files < limits.RENDEZVOUS_UNREGISTERED * 3 + 200
            assert peak < MEMORY_MOST
            with capsys.disabled():
                sys.stderr.write(
                    f"\n{STRANGERS} strangers at once, who came {strangers.came} times: the server "
                    f"needed {peak} MB at most and had {files} files open\n"
                )


async def test_one_address_does_not_fill_the_lobby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connections beyond its share are turned away, and nobody else waits for its oldest."""
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_PER_ADDRESS", 3)
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_GRACE", 600.0)
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 4)
    caplog.set_level(logging.INFO, "comity.rendezvous")
    async with serving(tmp_path / "state") as join, AsyncExitStack() as stack:
        for _ in range(3):
            stack.callback((await came_from("127.0.0.2", join))[1].close)
        for _ in range(5):
            reader, writer = await came_from("127.0.0.2", join)
            assert await last_words(reader) == b""
            writer.close()
        async with registered(join, node(join, "lab-a")) as client:
            await client.ask(Ping(id=9), Done)
    assert codes(caplog) == ["too_many_of_an_address"] * 5


async def came_from(address: str, join: JoinUrl) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(join.host, join.port, local_addr=(address, 0))


@pytest.mark.parametrize("inside", [True, False], ids=["registered", "not registered"])
async def test_a_byte_at_a_time_keeps_a_connection_for_no_longer_than_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, inside: bool
) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_DEAD_AFTER" if inside else "HELLO_TIMEOUT", 2.0)
    caplog.set_level(logging.INFO, "comity.rendezvous")
    async with serving(tmp_path / "state") as join:
        client = await dial(join, node(join, "drip"))
        await client.open()
        if inside:
            await client.register()
        dripping = asyncio.create_task(drip(client, header(Kind.DATA, 60_000) + bytes(60_000)))
        async with asyncio.timeout(PATIENCE):
            with pytest.raises((LinkLost, Refusal), match="closed the link" if inside else "timed_out"):
                await client.answer(Done)
            dripping.cancel()
            await asyncio.wait((dripping,))
        client.channel.abort()
    if inside:
        assert [one.fields["reason"] for one in caplog.records if one.getMessage() == "left"] == [  # type: ignore[attr-defined]  # the journal's
            "the node fell silent"
        ]


async def drip(client: Client, data: bytes) -> None:
    for byte in data:
        await client.channel._socket.write(bytes([byte]), None)  # no frame is written in parts otherwise
        await asyncio.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit(2)")
async def test_every_file_of_a_websocket_is_counted(tmp_path: Path) -> None:
    """More WebSockets than there are files for: some are turned away, no accept fails, members are served."""
    async with nursery(tmp_path / "log") as server, AsyncExitStack() as stack:
        server.allow_files(FILES)
        await server.start("--state", str(tmp_path / "state"), "--listen", "127.0.0.1:0")
        await server.ready()
        join = JoinUrl.parse((tmp_path / "state/join.url").read_text())
        client = await stack.enter_async_context(registered(join, node(join, "lab-a")))
        opened = [await upgraded(stack, join) for _ in range(WEBSOCKETS)]
        assert 10 < sum(opened) < FILES // 3
        assert not any(opened[-5:])
        await client.ask(Ping(id=9), Done)
        assert len(os.listdir(f"/proc/{server.pid}/fd")) <= FILES
        said = (tmp_path / "log").read_text()
    assert "code=rate_limited" in said or "code=too_many_connections" in said
    assert "out_of_descriptors" not in said
    assert "Traceback" not in said


async def upgraded(stack: AsyncExitStack, join: JoinUrl) -> bool:
    """Whether the server took one WebSocket more and keeps it; if so, it stays open."""
    reader, writer = await asyncio.open_connection(join.host, join.port)
    stack.callback(writer.close)
    writer.write(UPGRADE)
    async with asyncio.timeout(PATIENCE):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\x89\x80\0\0\0\0")  # RFC 6455 section 5.5.2: a ping, answered by what unwraps it
            return await reader.read(2) == b"\x8a\0"
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
