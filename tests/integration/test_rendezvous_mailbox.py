"""Sealed mail over a real server: stored and forwarded, acknowledged, bounded."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from comity import limits
from comity.identity.card import JoinUrl
from comity.protocol.registry import Acknowledge, Done, Mail, Ping, Post, Posted, Reserve
from comity.rendezvous.buckets import Rate
from comity.rendezvous.desk import RATES, Rates
from tests.rendezvous.client import Client, Refusal, dial, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import ShiftedClock, serving

UNHURRIED = Rates(resolve=RATES.resolve, post=Rate(10_000, 1000.0), register=RATES.register)


def node(join: JoinUrl, hostname: str) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname)


async def enrol(join: JoinUrl, who: Registrant) -> None:
    """Register once, then go away."""
    async with registered(join, who):
        pass


async def post(
    client: Client, to: Registrant, number: int, blob: bytes = b"sealed", *, keep: bool = True
) -> bool:
    request = Post(
        id=next(client.numbers),
        recipient=to.identity.public.hex,
        message_id=number.to_bytes(16).hex(),
        blob=blob,
        keep=keep,
    )
    return (await client.ask(request, Posted)).delivered


async def acknowledge(client: Client, mail: Mail) -> None:
    request = Acknowledge(id=next(client.numbers), sender=mail.sender, message_id=mail.message_id)
    assert isinstance(await client.ask(request, Done), Done)


async def reserve(client: Client, *senders: Registrant) -> None:
    keys = tuple(sender.identity.public.hex for sender in senders)
    assert isinstance(await client.ask(Reserve(id=next(client.numbers), senders=keys), Done), Done)


async def test_mail_waits_through_a_restart_until_it_is_acknowledged(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        alice, bob = node(join, "alice"), node(join, "bob")
        await enrol(join, bob)
        async with registered(join, alice) as sender:
            for number in range(3):
                assert not await post(sender, bob, number, bytes([number]) * 100)
    async with serving(tmp_path / "state") as join:
        async with registered(join, bob) as reader:
            letters = [await reader.mail() for _ in range(3)]
            assert [letter.blob for letter in letters] == [bytes([number]) * 100 for number in range(3)]
            assert {letter.sender for letter in letters} == {alice.identity.public.hex}
            assert all(letter.keep for letter in letters)
            await acknowledge(reader, letters[0])
        async with registered(join, bob) as reader:
            assert [(await reader.mail()).message_id for _ in range(2)] == [
                letter.message_id for letter in letters[1:]
            ]
            for letter in letters[1:]:
                await acknowledge(reader, letter)
        async with registered(join, bob) as reader:
            assert await reader.quiet()


async def test_mail_to_an_online_node_comes_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        bob = node(join, "bob")
        async with registered(join, bob) as reader, registered(join, node(join, "alice")) as sender:
            assert await post(sender, bob, 1)
            assert (await reader.mail()).message_id == (1).to_bytes(16).hex()
            assert await post(sender, bob, 2, keep=False)
            signal = await reader.mail()
            assert (signal.keep, signal.message_id) == (False, (2).to_bytes(16).hex())


async def test_a_signal_to_an_absent_node_is_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        bob, nobody = node(join, "bob"), node(join, "nobody")
        await enrol(join, bob)
        async with registered(join, node(join, "alice")) as sender:
            assert not await post(sender, bob, 1, keep=False)
            assert not await post(sender, nobody, 2, keep=False)
            with pytest.raises(Refusal, match="unknown_peer"):
                await post(sender, nobody, 3)
        async with registered(join, bob) as reader:
            assert await reader.quiet()


async def test_a_letter_that_was_sent_twice_comes_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        bob = node(join, "bob")
        await enrol(join, bob)
        async with registered(join, node(join, "alice")) as sender:
            await post(sender, bob, 1)
            await post(sender, bob, 1)
            await post(sender, bob, 1, b"sealed anew")
        async with registered(join, bob) as reader:
            assert (await reader.mail()).blob != b"sealed anew"
            assert await reader.quiet()


async def test_nobody_acknowledges_for_another(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        alice, bob = node(join, "alice"), node(join, "bob")
        await enrol(join, bob)
        async with registered(join, alice) as sender:
            await post(sender, bob, 1)
            theft = Acknowledge(id=7, sender=alice.identity.public.hex, message_id=(1).to_bytes(16).hex())
            await sender.ask(theft, Done)
        async with registered(join, bob) as reader:
            assert (await reader.mail()).message_id == (1).to_bytes(16).hex()


async def test_a_stranger_s_flood_neither_evicts_nor_blocks(tmp_path: Path) -> None:
    async with serving(tmp_path / "state", rates=UNHURRIED) as join:
        friend, bob = node(join, "friend"), node(join, "bob")
        async with registered(join, bob) as reader:
            await reserve(reader, friend)
        async with registered(join, friend) as sender:
            await post(sender, bob, 1)
            for number in range(limits.MAIL_STRANGERS // limits.MAIL_PER_STRANGER):
                async with registered(join, node(join, f"stranger-{number}")) as stranger:
                    for letter in range(limits.MAIL_PER_STRANGER):
                        await post(stranger, bob, letter)
                    with pytest.raises(Refusal, match="mailbox_full"):
                        await post(stranger, bob, 999)
            async with registered(join, node(join, "one-more")) as stranger:
                with pytest.raises(Refusal, match="mailbox_full"):
                    await post(stranger, bob, 1)
            assert not await post(sender, bob, 2)
        async with registered(join, bob) as reader:
            letters = [await reader.mail() for _ in range(limits.MAIL_STRANGERS + 2)]
            assert [letters[0].sender, letters[-1].sender] == [friend.identity.public.hex] * 2


async def test_posting_is_rate_limited(tmp_path: Path) -> None:
    rates = Rates(resolve=RATES.resolve, post=Rate(3, 0.01), register=RATES.register)
    async with serving(tmp_path / "state", rates=rates) as join:
        bob = node(join, "bob")
        await enrol(join, bob)
        async with registered(join, node(join, "alice")) as sender:
            for number in range(3):
                await post(sender, bob, number)
            with pytest.raises(Refusal, match="rate_limited"):
                await post(sender, bob, 3)
        async with registered(join, node(join, "carol")) as other:
            await post(other, bob, 1)


async def test_expired_mail_is_gone(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with serving(tmp_path / "state", clock) as join:
        alice, bob = node(join, "alice"), node(join, "bob")
        await enrol(join, bob)
        async with registered(join, alice) as sender:
            await post(sender, bob, 1)
    clock.shift = limits.MAIL_LIFETIME + 60.0
    async with serving(tmp_path / "state", clock) as join:
        reader = await dial(join, bob, clock)
        await reader.open()
        await reader.register()
        assert await reader.quiet()
        reader.channel.abort()


async def test_a_full_mailbox_is_delivered_whole_to_a_slow_reader(tmp_path: Path) -> None:
    """16 MB of mail is more than the server queues for one node, whose requests are answered meanwhile."""
    count = 250
    async with serving(tmp_path / "state", rates=UNHURRIED) as join:
        senders = [node(join, f"sender-{number}") for number in range(3)]
        bob = node(join, "bob")
        async with registered(join, bob) as reader:
            await reserve(reader, *senders)
        for who in senders:
            async with registered(join, who) as sender:
                for number in range(count // len(senders) + 1):
                    await post(sender, bob, number, secrets.token_bytes(limits.MAIL_BYTES))
        async with registered(join, bob) as reader:
            assert isinstance(await reader.ask(Ping(id=99), Done), Done)
            letters = [await reader.mail() for _ in range(3 * (count // 3 + 1))]
            assert len({(letter.sender, letter.message_id) for letter in letters}) == len(letters)


async def test_mail_that_comes_during_delivery_comes_once_and_last(tmp_path: Path) -> None:
    async with serving(tmp_path / "state", rates=UNHURRIED) as join:
        bob = node(join, "bob")
        await enrol(join, bob)
        async with registered(join, node(join, "alice")) as sender:
            for number in range(20):
                await post(sender, bob, number)
            async with registered(join, bob) as reader:
                first = await reader.mail()
                async with registered(join, node(join, "carol")) as other:
                    await post(other, bob, 777)
                rest = [await reader.mail() for _ in range(20)]
                ids = [int(letter.message_id, 16) for letter in (first, *rest)]
                assert ids == [*range(20), 777]
                assert await reader.quiet()
