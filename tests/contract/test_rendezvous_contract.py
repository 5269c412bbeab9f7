"""What a node can rely on at its rendezvous: the real server over TLS, and the one of the in-memory world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from comity import limits
from comity.clock import SystemClock
from comity.errors import (
    InvalidInput,
    KeyRetired,
    MailboxFull,
    NameTaken,
    PeerUnreachable,
    RendezvousRefused,
    RendezvousUnreachable,
    UnknownPeer,
)
from comity.identity.keys import PublicKey
from comity.protocol.registry import Mail
from comity.transport.rendezvous_connection import SupersededHere
from tests.contract.rigs import STAGES, Claim, Rig, Site, Stage, site, unregistered
from tests.trust.keys import retirement
from tests.worlds import identity_of

MESSAGE = bytes(range(16))


@pytest.fixture(params=list(STAGES))
def stage(request: pytest.FixtureRequest) -> Stage:
    return STAGES[request.param]


def numbers(letters: list[Mail]) -> list[int]:
    return [int(mail.message_id, 16) for mail in letters]


async def settle() -> None:
    """Long enough for a push that must not come."""
    await asyncio.sleep(0.3)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so: the server does not push this."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.1)


async def is_away(asker: Site, key: PublicKey) -> bool:
    return not (await asker.client.resolve(key=key)).online


# ── registry ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_is_registered_and_shows_how(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            (answer,) = anna.diary.registrations
            assert (answer.hostname, answer.address) == ("anna", "1:0001.0000.0010")
            assert anna.client.address == answer.address
            assert anna.client.observed == answer.observed
            assert anna.client.online
            assert anna.client.link is not None
            assert (anna.client.link.path, anna.client.link.group) == ("direct", "X25519MLKEM768")
            assert anna.client.skew_seconds == pytest.approx(0, abs=20)
            assert anna.client.problem is None

    stage(scene)


def test_addresses_go_up_in_steps_and_stay(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna"), site(rig, "bert") as bert:
            assert bert.client.address == "1:0001.0000.0020"
        async with site(rig, "carl") as carl, site(rig, "bert") as bert:
            assert carl.client.address == "1:0001.0000.0030"
            assert bert.client.address == "1:0001.0000.0020"

    stage(scene)


def test_a_private_node_is_resolved_exactly_and_never_listed(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            by_name = await anna.client.resolve(hostname="bert")
            assert (by_name.key, by_name.address) == (bert.key.hex, bert.client.address)
            assert (by_name.public, by_name.tags, by_name.online) == (False, (), True)
            assert by_name.sealing_key == bert.signer.sealing_key().to_json().decode()
            by_key = await anna.client.resolve(key=bert.key)
            assert by_key.address == by_name.address
            assert (await anna.client.resolve(address=by_name.address)).key == bert.key.hex
            assert await anna.client.find() == ()
            for missing in ("ber", "bert2", "b"):
                with pytest.raises(UnknownPeer):
                    await anna.client.resolve(hostname=missing)

    stage(scene)


def test_what_nobody_has_is_unknown(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            with pytest.raises(UnknownPeer):
                await anna.client.resolve(key=identity_of("nobody").public)
            for address in ("1:0001.0000.0ff0", "2:0002.0000.0010"):
                with pytest.raises(UnknownPeer):
                    await anna.client.resolve(address=address)

    stage(scene)


def test_public_nodes_are_listed_by_tag_in_order(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with (
            site(rig, "carl", Claim("carl", public=True, tags=("mri",))) as carl,
            site(rig, "bert", Claim("bert", public=True, tags=("mri", "ct"))),
            site(rig, "anna", Claim("anna", tags=("mri",))),
        ):
            assert [record.hostname for record in await carl.client.find()] == ["bert", "carl"]
            assert [record.hostname for record in await carl.client.find("mri")] == ["bert", "carl"]
            assert [record.hostname for record in await carl.client.find("ct")] == ["bert"]
            assert await carl.client.find("mr") == ()

    stage(scene)


def test_an_update_is_seen_by_others(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            bert.client.update(public=True, tags=["mri"])

            async def listed() -> bool:
                return [record.key for record in await anna.client.find("mri")] == [bert.key.hex]

            await eventually(listed)
            assert len(bert.diary.registrations) == 1

    stage(scene)


def test_a_name_belongs_to_its_first_key(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna"):
            pass
        async with unregistered(rig, "bert", Claim("anna")) as thief:
            await thief.diary.until(lambda diary: bool(diary.losses))
            assert isinstance(thief.client.problem, NameTaken)
            with pytest.raises(NameTaken):
                await thief.client.find()

    stage(scene)


def test_a_new_name_frees_the_old_one(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna"):
            pass
        async with site(rig, "anna", Claim("anna2")) as renamed, site(rig, "bert", Claim("anna")) as heir:
            assert renamed.client.address == "1:0001.0000.0010"
            assert (await heir.client.resolve(hostname="anna2")).key == renamed.key.hex
            assert (await renamed.client.resolve(hostname="anna")).key == heir.key.hex

    stage(scene)


def test_an_older_sealing_key_is_refused(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna", Claim("anna", sequence=2)):
            pass
        async with unregistered(rig, "anna", Claim("anna", sequence=1)) as rolled_back:
            await rolled_back.diary.until(lambda diary: bool(diary.losses))
            assert isinstance(rolled_back.client.problem, RendezvousRefused)

    stage(scene)


def test_whoever_leaves_is_offline(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            async with site(rig, "bert") as bert:
                pass
            await eventually(lambda: is_away(anna, bert.key))
            record = await anna.client.resolve(key=bert.key)
            assert abs(record.last_seen - rig.clock.now()) < 10

    stage(scene)


def test_a_newer_daemon_supersedes(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with (
            site(rig, "anna") as old,
            site(rig, "anna", Claim("anna", daemon="second")) as new,
            site(rig, "bert") as bert,
        ):
            await old.diary.until(lambda diary: bool(diary.losses))
            assert isinstance(old.client.problem, SupersededHere)
            assert await bert.client.post(new.key, MESSAGE, b"sealed", keep=True)
            await new.diary.until(lambda diary: bool(diary.letters))
            await settle()
            assert (old.diary.letters, new.diary.losses) == ([], [])

    stage(scene)


# ── mailbox ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_letter_comes_at_once_to_who_is_there(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            blob = bytes(range(256)) * 256
            assert len(blob) == limits.MAIL_BYTES
            assert await anna.client.post(bert.key, MESSAGE, blob, keep=True)
            await bert.diary.until(lambda diary: bool(diary.letters))
            (mail,) = bert.diary.letters
            assert (mail.sender, mail.message_id, mail.blob) == (anna.key.hex, MESSAGE.hex(), blob)
            assert mail.keep
            assert abs(mail.posted - rig.clock.now()) < 10

    stage(scene)


def test_letters_wait_in_order_for_who_is_away(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "bert"):
            pass
        async with site(rig, "anna") as anna:
            bert = identity_of("bert").public
            await eventually(lambda: is_away(anna, bert))
            for number in range(1, 6):
                assert not await anna.client.post(bert, number.to_bytes(16), b"%d" % number, keep=True)
            assert not await anna.client.post(bert, bytes(16), b"signal", keep=False)
            async with site(rig, "bert") as back:
                await back.diary.until(lambda diary: len(diary.letters) == 5)
                await settle()
                assert numbers(back.diary.letters) == [1, 2, 3, 4, 5]

    stage(scene)


def test_a_letter_comes_again_until_it_is_acknowledged(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            async with site(rig, "bert") as bert:
                for number in (1, 2):
                    await anna.client.post(bert.key, number.to_bytes(16), b"sealed", keep=True)
                await bert.diary.until(lambda diary: len(diary.letters) == 2)
                await bert.client.acknowledge(anna.key, (1).to_bytes(16))
            async with site(rig, "bert") as bert:
                await bert.diary.until(lambda diary: len(diary.letters) == 1)
                assert numbers(bert.diary.letters) == [2]
                await bert.client.acknowledge(anna.key, (2).to_bytes(16))
                await bert.client.acknowledge(anna.key, (2).to_bytes(16))
            async with site(rig, "bert") as bert:
                await settle()
                assert bert.diary.letters == []

    stage(scene)


def test_only_the_recipient_acknowledges(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "bert"):
            pass
        bert = identity_of("bert").public
        async with site(rig, "anna") as anna, site(rig, "carl") as carl:
            await anna.client.post(bert, MESSAGE, b"sealed", keep=True)
            for meddler in (anna, carl):
                await meddler.client.acknowledge(anna.key, MESSAGE)
            async with site(rig, "bert") as back:
                await back.diary.until(lambda diary: len(diary.letters) == 1)

    stage(scene)


def test_the_same_letter_twice_is_kept_once(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "bert"):
            pass
        bert = identity_of("bert").public
        async with site(rig, "anna") as anna:
            await eventually(lambda: is_away(anna, bert))
            for _ in range(2):
                assert not await anna.client.post(bert, MESSAGE, b"sealed", keep=True)
            assert not await anna.client.post(bert, MESSAGE, b"sealed again", keep=True)
            async with site(rig, "bert") as back:
                await back.diary.until(lambda diary: bool(diary.letters))
                await settle()
                assert [mail.blob for mail in back.diary.letters] == [b"sealed"]

    stage(scene)


def test_a_signal_reaches_only_who_is_there(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            assert await anna.client.post(bert.key, MESSAGE, b"signal", keep=False)
            await bert.diary.until(lambda diary: bool(diary.letters))
            assert not bert.diary.letters[0].keep
            assert not await anna.client.post(identity_of("nobody").public, MESSAGE, b"signal", keep=False)

    stage(scene)


def test_there_is_no_mailbox_for_a_key_that_nobody_has(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            with pytest.raises(UnknownPeer):
                await anna.client.post(identity_of("nobody").public, MESSAGE, b"sealed", keep=True)
            with pytest.raises(RendezvousRefused):
                await anna.client.post(anna.key, MESSAGE, b"sealed", keep=True)

    stage(scene)


def test_strangers_fill_their_places_and_reserved_senders_have_more(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            for number in range(limits.MAIL_PER_STRANGER):
                await anna.client.post(bert.key, number.to_bytes(16), b"sealed", keep=True)
            with pytest.raises(MailboxFull):
                await anna.client.post(bert.key, MESSAGE, b"sealed", keep=True)
            await bert.client.reserve([anna.key])
            await anna.client.post(bert.key, MESSAGE, b"sealed", keep=True)
            await bert.diary.until(lambda diary: len(diary.letters) == limits.MAIL_PER_STRANGER + 1)

    stage(scene)


# ── ticket office ─────────────────────────────────────────────────────────────────────────────────────


def test_both_sides_of_a_lane_get_different_tickets(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            bert.diary.network = None  # it only writes the offers down
            tickets = [await anna.client.ask_relay(bert.key, MESSAGE) for _ in range(2)]
            await bert.diary.until(lambda diary: len(diary.offers) == 2)
            offers = bert.diary.offers
            assert {offer.peer for offer in offers} == {anna.key.hex}
            assert {offer.call for offer in offers} == {MESSAGE.hex()}
            assert len({*tickets, *(bytes.fromhex(offer.ticket) for offer in offers)}) == 4
            assert {len(ticket) for ticket in tickets} == {limits.TICKET_BYTES}

    stage(scene)


def test_there_is_no_lane_to_who_is_away(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "bert"):
            pass
        async with site(rig, "anna") as anna:
            await eventually(lambda: is_away(anna, identity_of("bert").public))
            for name in ("bert", "nobody", "anna"):
                with pytest.raises(PeerUnreachable):
                    await anna.client.ask_relay(identity_of(name).public, MESSAGE)

    stage(scene)


# ── restarts ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_restart_loses_nothing_and_nobody_registers_by_hand(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "carl"):
            pass
        carl = identity_of("carl").public
        async with site(rig, "anna") as anna, site(rig, "bert") as bert:
            await eventually(lambda: is_away(anna, carl))
            await anna.client.post(carl, MESSAGE, b"sealed", keep=True)
            await rig.stop()
            for each in (anna, bert):
                await each.diary.until(lambda diary: bool(diary.losses))
                assert isinstance(each.client.problem, RendezvousUnreachable)
                with pytest.raises(RendezvousUnreachable):
                    await each.client.find()
            await rig.start()
            for each in (anna, bert):
                await each.diary.until(lambda diary: len(diary.registrations) == 2)
                first, second = each.diary.registrations
                assert (first.address, first.hostname) == (second.address, second.hostname)
            assert (await anna.client.resolve(hostname="bert")).key == bert.key.hex
            async with site(rig, "carl") as back:
                assert back.client.address == "1:0001.0000.0010"
                await back.diary.until(lambda diary: [mail.blob for mail in diary.letters] == [b"sealed"])
            async with unregistered(rig, "dora", Claim("anna")) as thief:
                await thief.diary.until(lambda diary: bool(diary.losses))
                assert isinstance(thief.client.problem, NameTaken)

    stage(scene)


def test_questions_that_make_no_sense_are_not_asked(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            for hostname in ("", "a b", "x" * 64, "comity:x", "\u202ebert"):
                with pytest.raises(InvalidInput):
                    await anna.client.resolve(hostname=hostname)
            with pytest.raises(InvalidInput):
                await anna.client.resolve(address="1:0001.0000.001")
            with pytest.raises(InvalidInput):
                await anna.client.find("Not A Tag")
            assert anna.diary.losses == []

    stage(scene)


# ── keys that end ─────────────────────────────────────────────────────────────────────────────────────


def test_a_retired_key_is_turned_out_and_those_who_fear_it_are_told(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "bert") as bert, site(rig, "cleo") as cleo, site(rig, "dora") as dora:
            async with site(rig, "anna") as anna:
                await bert.client.reserve([anna.key])
                text = retirement(identity_of("anna"), anna.client.fingerprint, SystemClock(), "stolen")
                await cleo.client.retire(anna.key, text)
                await anna.diary.until(lambda diary: bool(diary.losses))
                assert isinstance(anna.client.problem, KeyRetired)
                await bert.diary.until(lambda diary: bool(diary.retirements))
                assert bert.diary.retirements == [(anna.key, text)]
            with pytest.raises(UnknownPeer):
                await bert.client.resolve(key=anna.key)
            await settle()
            assert (cleo.diary.retirements, dora.diary.retirements) == ([], [])
            await dora.client.reserve([anna.key])  # as one does that was away
            await dora.diary.until(lambda diary: bool(diary.retirements))
            with pytest.raises(RendezvousRefused):
                await cleo.client.retire(bert.key, text)
            assert (await cleo.client.resolve(key=bert.key)).online

    stage(scene)
