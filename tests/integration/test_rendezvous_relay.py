"""The relay over real sockets: lanes, tickets, half-close, back-pressure, and who gets cut off."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest

from comity import limits
from comity.identity.card import JoinUrl
from comity.protocol.registry import RELAY_PREFACE, AskRelay, RelayOffer, Ticket
from tests.rendezvous.client import Client, Refusal, last_words, registered, relay_ready, relay_side
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import ShiftedClock, serving

MIB = limits.MIB


def node(join: JoinUrl, hostname: str) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname)


async def tickets(dialler: Client, acceptor: Client) -> tuple[str, str]:
    call = os.urandom(16).hex()
    request = AskRelay(id=next(dialler.numbers), peer=acceptor.who.identity.public.hex, call=call)
    ours = (await dialler.ask(request, Ticket)).ticket
    offer = await acceptor.push(RelayOffer)
    assert (offer.peer, offer.call) == (dialler.who.identity.public.hex, call)
    assert offer.ticket != ours
    return ours, offer.ticket


async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await last_words(reader) == b""
    writer.close()


async def test_a_lane_carries_both_ways_and_half_closes(tmp_path: Path) -> None:
    payload = os.urandom(MIB) * 32
    digest = hashlib.sha256(payload).digest()

    async def send(writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(payload), MIB):
            writer.write(payload[start : start + MIB])
            await writer.drain()
        writer.write_eof()

    async def receive(reader: asyncio.StreamReader) -> bytes:
        found = hashlib.sha256()
        while more := await reader.read(MIB):
            found.update(more)
        return found.digest()

    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        near, far = await relay_side(join, ours), await relay_side(join, theirs)
        await relay_ready(near[0])
        await relay_ready(far[0])
        _, _, there, back = await asyncio.gather(
            send(near[1]), send(far[1]), receive(far[0]), receive(near[0])
        )
        assert there == back == digest
        near[1].close()
        far[1].close()


async def test_one_half_can_end_long_before_the_other(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        far, near = (
            await relay_side(join, theirs),
            await relay_side(join, ours),
        )  # the acceptor may come first
        await relay_ready(near[0])
        await relay_ready(far[0])
        near[1].write(b"question")
        near[1].write_eof()
        assert await last_words(far[0]) == b"question"
        far[1].write(b"answer")
        far[1].write_eof()
        assert await last_words(near[0]) == b"answer"
        near[1].close()
        far[1].close()


async def test_a_cut_side_cuts_the_other(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        near, far = await relay_side(join, ours), await relay_side(join, theirs)
        await relay_ready(near[0])
        await relay_ready(far[0])
        near[1].transport.abort()
        assert await last_words(far[0]) == b""
        far[1].close()


async def test_a_side_that_does_not_read_stops_the_other(tmp_path: Path) -> None:
    """What is on its way is bounded by kernel buffers and one pipe, whatever the sender wants to send."""
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        near, far = await relay_side(join, ours), await relay_side(join, theirs)
        await relay_ready(near[0])
        await relay_ready(far[0])
        far[1].transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's socket transports have it
        sent = 0
        with suppress(TimeoutError):
            while sent < 256 * MIB:
                near[1].write(bytes(MIB))
                async with asyncio.timeout(0.5):
                    await near[1].drain()
                sent += MIB
        assert sent < 64 * MIB
        near[1].transport.abort()
        far[1].transport.abort()


async def test_a_ticket_opens_once(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        near = await relay_side(join, ours)
        await asyncio.sleep(0.05)
        await cut_off(*await relay_side(join, ours))
        far = await relay_side(join, theirs)
        await relay_ready(near[0])
        await cut_off(*await relay_side(join, ours))
        await cut_off(*await relay_side(join, theirs))
        near[1].close()
        far[1].close()


async def test_two_lanes_never_mix(tmp_path: Path) -> None:
    """Two diallers, or tickets of two lanes: nobody is joined to the wrong side or the wrong node."""
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
        registered(join, node(join, "c")) as carol,
    ):
        alices, bobs = await tickets(alice, bob)
        carols, bobs_other = await tickets(carol, bob)
        first, second = await relay_side(join, alices), await relay_side(join, carols)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await first[0].read(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await second[0].read(1)
        third = await relay_side(join, bobs)
        await relay_ready(first[0])
        await relay_ready(third[0])
        fourth = await relay_side(join, bobs_other)
        await relay_ready(second[0])
        await relay_ready(fourth[0])
        first[1].write(b"for bob from alice")
        second[1].write(b"for bob from carol")
        assert await third[0].read(100) == b"for bob from alice"
        assert await fourth[0].read(100) == b"for bob from carol"
        for _, writer in (first, second, third, fourth):
            writer.close()


@pytest.mark.parametrize(
    "ticket", ["0" * 64, "f" * 64, "F" * 64, "x" * 64, "0" * 63 + "\n", "é" * 32], ids=range(6)
)
async def test_a_guessed_or_malformed_ticket(tmp_path: Path, ticket: str) -> None:
    async with serving(tmp_path / "state") as join:
        await cut_off(*await relay_side(join, ticket))


async def test_an_upper_case_ticket_is_another_ticket(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, _ = await tickets(alice, bob)
        await cut_off(*await relay_side(join, ours.upper()))


async def test_an_expired_ticket(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with (
        serving(tmp_path / "state", clock) as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        clock.shift += limits.TICKET_LIFETIME
        await cut_off(*await relay_side(join, ours))
        await cut_off(*await relay_side(join, theirs))


async def test_nobody_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TICKET_LIFETIME", 0.3)
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, _ = await tickets(alice, bob)
        await cut_off(*await relay_side(join, ours))


async def test_talking_before_the_other_side_is_there(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        reader, writer = await relay_side(join, ours)
        writer.write(b"too soon")
        await cut_off(reader, writer)
        late = await relay_side(join, theirs)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await late[0].read(1)
        late[1].close()


async def test_half_a_preface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PREFACE_TIMEOUT", 0.3)
    async with serving(tmp_path / "state") as join:
        reader, writer = await asyncio.open_connection(join.host, join.port)
        writer.write(RELAY_PREFACE)
        await cut_off(reader, writer)


async def test_a_lane_to_an_absent_or_unknown_node(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join, registered(join, node(join, "a")) as alice:
        for key in ("0" * 64, alice.who.identity.public.hex):
            with pytest.raises(Refusal, match="peer_unreachable"):
                await alice.ask(AskRelay(id=1, peer=key, call="0" * 32), Ticket)


async def test_tickets_are_bounded(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        for _ in range(limits.TICKETS_PER_NODE):
            await tickets(alice, bob)
        with pytest.raises(Refusal, match="rate_limited"):
            await tickets(alice, bob)


async def test_lanes_end_with_the_server(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "state") as join,
        registered(join, node(join, "a")) as alice,
        registered(join, node(join, "b")) as bob,
    ):
        ours, theirs = await tickets(alice, bob)
        near, far = await relay_side(join, ours), await relay_side(join, theirs)
        await relay_ready(near[0])
        await relay_ready(far[0])
        waiting, _ = await tickets(alice, bob)
        lonely = await relay_side(join, waiting)
        await asyncio.sleep(0.05)
    for reader, writer in (near, far, lonely):
        await cut_off(reader, writer)
