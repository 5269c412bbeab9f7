"""Registering at a real server: addresses, names, restarts, attacks."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from comity import limits
from comity.clock import SystemClock
from comity.errors import IdentityMismatch, LinkLost
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.protocol.registry import Done, Find, Found, Ping, Registered, Resolve, Resolved, Superseded
from comity.rendezvous.buckets import Rate
from comity.rendezvous.desk import RATES, Rates
from comity.transport.channel import SecureChannel
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials
from tests.rendezvous.client import Client, Refusal, dial, last_words, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import ShiftedClock, serving

#: The real bursts, which a slow machine does not refill while a test runs.
NO_REFILL = Rates(
    resolve=Rate(RATES.resolve.burst, 0.001),
    post=Rate(RATES.post.burst, 0.001),
    register=Rate(RATES.register.burst, 0.001),
)


def node(join: JoinUrl, hostname: str, *, public: bool = False, tags: tuple[str, ...] = ()) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname, public=public, tags=tags)


async def resolve(client: Client, **what: str) -> Resolved:
    return await client.ask(Resolve(id=next(client.numbers), **what), Resolved)


async def test_addresses_stay_across_restarts(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with serving(state) as join:
        first, second = node(join, "lab-a"), node(join, "lab-b")
        for who, address in ((first, "1:0001.0000.0010"), (second, "1:0001.0000.0020")):
            client = await dial(join, who)
            await client.open()
            answer = await client.register()
            assert (answer.address, answer.hostname) == (address, who.hostname)
            assert answer.observed.startswith("127.0.0.1:")
            client.channel.abort()
    async with serving(state) as again:
        assert again.fingerprint == join.fingerprint
        async with registered(again, node(again, "lab-c")) as third:
            found = await resolve(third, hostname="lab-b")
            assert (found.record.address, found.record.online) == ("1:0001.0000.0020", False)
            client = await dial(again, second)
            await client.open()
            assert (await client.register()).address == "1:0001.0000.0020"
            assert (await resolve(third, address="1:0001.0000.0020")).record.online
            assert (await resolve(third, hostname="lab-c")).record.address == "1:0001.0000.0030"
            client.channel.abort()


async def test_a_taken_name_is_refused_and_another_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join, registered(join, node(join, "lab-a")):
        client = await dial(join, node(join, "lab-a"))
        await client.open()
        with pytest.raises(Refusal) as caught:
            await client.register()
        assert caught.value.code == "name_taken"
        assert (await client.register(hostname="lab-b")).hostname == "lab-b"
        client.channel.abort()


async def test_renaming_frees_the_old_name(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join, registered(join, node(join, "lab-a")) as client:
        renamed = await client.register(hostname="lab-z")
        assert (renamed.hostname, renamed.address) == ("lab-z", "1:0001.0000.0010")
        async with registered(join, node(join, "lab-a")) as other:
            assert (await resolve(other, hostname="lab-z")).record.key == client.who.identity.public.hex


async def test_a_newer_connection_supersedes(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        who = node(join, "lab-a")
        async with registered(join, who) as older, registered(join, replace(who, instance="1" * 32)) as newer:
            assert (await older.push(Superseded)).instance == "1" * 32
            with pytest.raises(LinkLost):
                await older.hear()
            assert isinstance(await newer.ask(Ping(id=9), Done), Done)
            assert (await resolve(newer, hostname="lab-a")).record.online


async def test_private_nodes_resolve_by_exact_name_and_are_not_listed(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "lab-private", tags=("eu",))) as private,
        registered(join, node(join, "lab-public", public=True, tags=("eu", "x"))) as public,
    ):
        for tag in (None, "eu"):
            found = await public.ask(Find(id=1, tag=tag), Found)
            assert [record.hostname for record in found.records] == ["lab-public"]
        record = (await resolve(public, hostname="lab-private")).record
        assert (record.public, record.online, record.key) == (False, True, private.who.identity.public.hex)
        assert record.sealing_key == private.statement().sealing_key or record.sealing_key
        await private.register(public=True)
        found = await public.ask(Find(id=2, tag="eu"), Found)
        assert [record.hostname for record in found.records] == ["lab-private", "lab-public"]
        with pytest.raises(Refusal, match="unknown_peer"):
            await resolve(public, hostname="lab-nobody")


async def test_resolving_is_rate_limited(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state", rates=NO_REFILL) as join,
        registered(join, node(join, "lab-a")) as client,
    ):
        codes = []
        for number in range(limits.RESOLVE_BURST + 5):
            with pytest.raises(Refusal) as caught:
                await resolve(client, hostname=f"guess-{number}")
            codes.append(caught.value.code)
        assert codes[: limits.RESOLVE_BURST] == ["unknown_peer"] * limits.RESOLVE_BURST
        assert codes[-3:] == ["rate_limited"] * 3
        assert isinstance(await client.ask(Ping(id=1), Done), Done)


async def test_a_replayed_registration_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        who = node(join, "lab-a")
        async with registered(join, who) as first:
            recorded = first.statement()
        again = await dial(join, who)
        await again.open()
        with pytest.raises(Refusal, match="another challenge"):
            await again.ask(recorded, Registered)
        stranger = await dial(join, node(join, "lab-a"))
        await stranger.open()
        with pytest.raises(Refusal, match="signature"):
            await stranger.ask(recorded, Registered)
        again.channel.abort()
        stranger.channel.abort()


async def test_a_registration_for_another_rendezvous_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        who = replace(node(join, "lab-a"), rendezvous=Identity.generate().public.fingerprint)
        client = await dial(join, who)
        await client.open()
        with pytest.raises(Refusal, match="another rendezvous"):
            await client.register()
        client.channel.abort()


async def test_unknown_networks_all_get_one_answer(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        seen = set()
        for network in (2, 65535):
            client = await dial(join, replace(node(join, "lab-a"), network=network))
            await client.open()
            with pytest.raises(Refusal) as caught:
                await client.register()
            seen.add((caught.value.id, str(caught.value)))
            client.channel.abort()
        assert len(seen) == 1


async def test_the_sealing_key_never_goes_back(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        who = replace(node(join, "lab-a"), sealing_sequence=2)
        async with registered(join, who) as client:
            with pytest.raises(Refusal, match="goes back"):
                await client.register(sealing_sequence=1)
    async with serving(tmp_path / "state") as join:
        client = await dial(join, replace(who, sealing_sequence=1))
        await client.open()
        with pytest.raises(Refusal, match="goes back"):
            await client.register()
        client.channel.abort()


async def test_registering_too_often_is_refused(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state", rates=NO_REFILL) as join,
        registered(join, node(join, "lab-a")) as client,
    ):
        for _ in range(limits.REGISTER_BURST - 1):
            await client.register()
        with pytest.raises(Refusal, match="rate_limited"):
            await client.register()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'{"type":"open"}',
        b'{"type":"no"}',
        b"\xff" * 100,
        b"[" * 60_000,
        b'{"type":"ping","id":1}',
    ],
)
async def test_garbage_in_a_frame(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path / "state") as join:
        client = await dial(join, node(join, "lab-a"))
        await client.channel.write_frame(Kind.DATA, body)
        with pytest.raises(Refusal) as caught:
            await client.answer(Registered)
        assert (caught.value.code, caught.value.id) == ("remote_protocol_error", 0)
        with pytest.raises(LinkLost):
            await client.hear()
        client.channel.abort()


async def test_wrong_frames(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        for kind, size in ((Kind.HELLO, 2), (Kind.DATA, limits.RENDEZVOUS_REQUEST_BYTES + 1)):
            client = await dial(join, node(join, "lab-a"))
            await client.channel.write_frame(kind, bytes(size))
            with pytest.raises((Refusal, LinkLost)):
                await client.answer(Registered)
            client.channel.abort()


async def test_a_wrong_server_key_stops_the_node(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        who = node(join, "lab-a")
        sock = await connect_tcp(join.host, join.port, 5.0)
        with pytest.raises(IdentityMismatch):
            await SecureChannel.connect(
                sock, Credentials(who.identity, SystemClock()), Identity.generate().public.fingerprint
            )


async def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """The server's time does not go back below what it wrote down (SECURITY.md rule 2)."""
    tomorrow = ShiftedClock(24 * 3600.0)
    async with serving(tmp_path / "state", tomorrow) as join:
        ahead = node(join, "lab-a")
        client = await dial(join, ahead, tomorrow)
        await client.open()
        await client.register()
        client.channel.abort()
    async with serving(tmp_path / "state") as join:
        client = await dial(join, ahead)
        await client.open()
        with pytest.raises(Refusal, match="expired"):
            await client.register()
        client.channel.abort()


@pytest.mark.parametrize(
    "first", [b"POST / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\x16garbage that is no handshake", b"COMITY"]
)
async def test_garbage_first_bytes(tmp_path: Path, first: bytes) -> None:
    async with serving(tmp_path / "state") as join:
        reader, writer = await asyncio.open_connection(join.host, join.port)
        writer.write(first)
        writer.write_eof()
        said = await last_words(reader)
        assert len(said) <= 7  # nothing, or one TLS alert
        writer.close()
        async with registered(join, node(join, "lab-a")):
            pass


async def test_half_open_connections_do_not_keep_nodes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 4)
    async with serving(tmp_path / "state") as join:
        silent = [socket.create_connection((join.host, join.port)) for _ in range(10)]
        for sock in silent[:3]:
            sock.send(b"\x16\x03\x01")
        async with registered(join, node(join, "lab-a")) as client:
            assert isinstance(await client.ask(Ping(id=1), Done), Done)
        for sock in silent:
            sock.close()


async def test_a_flood_of_silent_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each displaces one before it, some of them unlooked at; an unclosed socket fails the test."""
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 2)
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_GRACE", 0.0)
    async with serving(tmp_path / "state") as join:
        silent = [socket.create_connection((join.host, join.port)) for _ in range(200)]
        async with registered(join, node(join, "lab-a")) as client:
            assert isinstance(await client.ask(Ping(id=1), Done), Done)
        for sock in silent:
            sock.close()


async def test_registered_nodes_do_not_count_as_half_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 2)
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_GRACE", 0.0)
    async with serving(tmp_path / "state") as join, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(registered(join, node(join, f"lab-{number}")))
            for number in range(8)
        ]
        for client in clients:
            assert isinstance(await client.ask(Ping(id=1), Done), Done)


async def test_many_requests_without_reading_the_answers(tmp_path: Path) -> None:
    """Requests wait in the socket: the server serves them in order and holds one at a time."""
    async with serving(tmp_path / "state") as join, registered(join, node(join, "lab-a")) as client:
        for number in range(1, 301):
            await client.send(Ping(id=number))
        answers = [(await client.answer(Done)).id for _ in range(300)]
        assert answers == list(range(1, 301))


async def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join, registered(join, node(join, "lab-a")) as client:
        body = msgspec.json.encode({"type": "ping", "id": 1, "extra": True})
        await client.channel.write_frame(Kind.DATA, body)
        with pytest.raises(Refusal, match="remote_protocol_error"):
            await client.answer(Done)
