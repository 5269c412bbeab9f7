"""What a node asks its rendezvous, and what it believes of the answers. The server is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    ComityError,
    InvalidInput,
    LocalProtocolError,
    MailboxFull,
    PeerUnreachable,
    RateLimited,
    RemoteProtocolError,
    RendezvousRefused,
    RendezvousUnreachable,
    TimedOut,
    TooLarge,
    UnknownPeer,
)
from comity.protocol.registration import Request
from comity.protocol.registry import Done, Failure, Find, Posted, Record, Resolve, ServerMessage
from comity.transport.memory_registry import Member, MemoryRegistry, Seat
from comity.transport.memory_rendezvous import MemoryRendezvous
from comity.transport.simulation import Simulation, run_simulation
from tests.worlds import Diary, Town, identity_of

A, B = identity_of("anna").public, identity_of("bert").public
MESSAGE = bytes(range(16))


class Couple:
    """Two registered nodes."""

    def __init__(self, town: Town, tasks: asyncio.TaskGroup) -> None:
        self.town = town
        self.anna_hears, self.bert_hears = Diary(), Diary()
        self.anna = town.client("anna", self.anna_hears)
        self.bert = town.client("bert", self.bert_hears, public=True, tags=("model",))
        self._running = [tasks.create_task(node.run()) for node in (self.anna, self.bert)]

    async def ready(self) -> None:
        for diary in (self.anna_hears, self.bert_hears):
            await diary.until(lambda diary: bool(diary.registrations))

    def stop(self) -> None:
        for task in self._running:
            task.cancel()


Registry = Callable[[int, Clock, Entropy], MemoryRegistry]


def play(scene: Callable[[Couple], Awaitable[None]], registry: Registry = MemoryRegistry) -> None:
    async def scenario(simulation: Simulation) -> None:
        async with asyncio.TaskGroup() as tasks:
            couple = Couple(Town(simulation, registry=registry), tasks)
            await couple.ready()
            await scene(couple)
            couple.stop()

    run_simulation(scenario, 1)


def test_a_node_is_found_by_hostname_address_and_key() -> None:
    async def scene(couple: Couple) -> None:
        by_name = await couple.anna.resolve(hostname="bert")
        assert (by_name.hostname, by_name.key, by_name.online) == ("bert", B.hex, True)
        assert await couple.anna.resolve(address=by_name.address) == by_name
        assert await couple.anna.resolve(key=B) == by_name

    play(scene)


def test_addresses_begin_at_0x10_in_steps_of_0x10() -> None:
    async def scene(couple: Couple) -> None:
        addresses = {couple.anna.address, couple.bert.address}
        assert addresses == {"1:0001.0000.0010", "1:0001.0000.0020"}

    play(scene)


def test_a_hostname_is_asked_for_in_its_normal_form() -> None:
    async def scene(couple: Couple) -> None:
        assert (await couple.anna.resolve(hostname="BERT")).hostname == "bert"
        with pytest.raises(InvalidInput):
            await couple.anna.resolve(hostname="be rt")
        assert couple.anna.online

    play(scene)


def test_what_nobody_has_is_unknown() -> None:
    async def scene(couple: Couple) -> None:
        with pytest.raises(UnknownPeer):
            await couple.anna.resolve(hostname="nobody")

    play(scene)


def test_resolve_takes_one_question() -> None:
    async def scene(couple: Couple) -> None:
        with pytest.raises(LocalProtocolError):
            await couple.anna.resolve()
        with pytest.raises(LocalProtocolError):
            await couple.anna.resolve(hostname="bert", key=B)

    play(scene)


def test_only_public_nodes_are_listed() -> None:
    async def scene(couple: Couple) -> None:
        assert [record.hostname for record in await couple.anna.find()] == ["bert"]
        assert [record.hostname for record in await couple.anna.find("model")] == ["bert"]
        assert await couple.anna.find("other") == ()

    play(scene)


def test_a_tag_that_no_node_can_have_is_not_asked_for() -> None:
    async def scene(couple: Couple) -> None:
        with pytest.raises(InvalidInput):
            await couple.anna.find("no tag")
        await couple.anna.find()

    play(scene)


def test_a_letter_is_delivered_and_kept_until_acknowledged() -> None:
    async def scene(couple: Couple) -> None:
        assert await couple.anna.post(B, MESSAGE, b"sealed", keep=True)
        await couple.bert_hears.until(lambda diary: len(diary.letters) == 1)
        await couple.town.server.stop()
        couple.town.server.start()
        await couple.bert_hears.until(lambda diary: len(diary.letters) == 2)
        first, again = couple.bert_hears.letters
        assert (first.sender, first.message_id, first.blob) == (A.hex, MESSAGE.hex(), b"sealed")
        assert again == first
        await couple.bert.acknowledge(A, MESSAGE)
        await couple.town.server.stop()
        couple.town.server.start()
        await couple.bert_hears.until(lambda diary: len(diary.registrations) == 3)
        await asyncio.sleep(10)
        assert len(couple.bert_hears.letters) == 2

    play(scene)


def test_a_signal_is_not_kept() -> None:
    async def scene(couple: Couple) -> None:
        assert await couple.anna.post(B, MESSAGE, b"signal", keep=False)
        await couple.bert_hears.until(lambda diary: [mail.keep for mail in diary.letters] == [False])
        await couple.town.server.stop()
        couple.town.server.start()
        await couple.bert_hears.until(lambda diary: len(diary.registrations) == 2)
        await asyncio.sleep(10)
        assert len(couple.bert_hears.letters) == 1

    play(scene)


def test_a_letter_that_is_too_large_is_not_sent() -> None:
    async def scene(couple: Couple) -> None:
        with pytest.raises(TooLarge):
            await couple.anna.post(B, MESSAGE, bytes(limits.MAIL_BYTES + 1), keep=True)
        assert await couple.anna.post(B, MESSAGE, bytes(limits.MAIL_BYTES), keep=True)

    play(scene)


def test_a_full_mailbox_says_so() -> None:
    async def scene(couple: Couple) -> None:
        for number in range(limits.MAIL_PER_STRANGER):
            await couple.anna.post(B, number.to_bytes(16), b"sealed", keep=True)
        with pytest.raises(MailboxFull):
            await couple.anna.post(B, MESSAGE, b"sealed", keep=True)
        await couple.bert.reserve([A])
        await couple.anna.post(B, MESSAGE, b"sealed", keep=True)

    play(scene)


def test_both_sides_get_their_ticket() -> None:
    async def scene(couple: Couple) -> None:
        ticket = await couple.anna.ask_relay(B, MESSAGE)
        await couple.bert_hears.until(lambda diary: bool(diary.offers))
        (offer,) = couple.bert_hears.offers
        assert (offer.peer, offer.call, len(ticket)) == (A.hex, MESSAGE.hex(), limits.TICKET_BYTES)
        assert bytes.fromhex(offer.ticket) != ticket

    play(scene)


def test_there_is_no_lane_to_a_node_that_is_away() -> None:
    async def scene(couple: Couple) -> None:
        with pytest.raises(PeerUnreachable):
            await couple.anna.ask_relay(identity_of("nobody").public, MESSAGE)

    play(scene)


# ── a rendezvous that lies ────────────────────────────────────────────────────────────────────────────


class Substituting(MemoryRegistry):
    """Answers with another node than the one that was asked for."""

    def find_member(self, request: Resolve) -> Member:
        return self.members[A.hex]


class Misdescribing(MemoryRegistry):
    """Changes one field of every record."""

    change: dict[str, object] = {}  # noqa: RUF012  set by each test on a subclass of its own

    def record_of(self, member: Member) -> Record:
        return msgspec.structs.replace(super().record_of(member), **self.change)


def test_another_node_than_the_one_asked_for_is_refused() -> None:
    async def scene(couple: Couple) -> None:
        with pytest.raises(RemoteProtocolError, match="another node"):
            await couple.anna.resolve(hostname="bert")
        with pytest.raises(RemoteProtocolError, match="another node"):
            await couple.anna.resolve(address="1:0001.0000.0990")
        with pytest.raises(RemoteProtocolError, match="another node"):
            await couple.anna.resolve(key=B)
        assert couple.anna.online

    play(scene, Substituting)


@pytest.mark.parametrize(
    "lie",
    [
        {"key": "00" * 32},
        {"key": "01" + "00" * 31},
        {"address": "2:0002.0000.0010"},
        {"address": "1:0001.0000.001g"},
        {"hostname": "BERT"},
        {"hostname": "be\u202ert"},
        {"hostname": "comity:bert"},
    ],
    ids=str,
)
def test_an_impossible_record_is_refused(lie: dict[str, object]) -> None:
    class Lying(Misdescribing):
        change = lie

    async def scene(couple: Couple) -> None:
        with pytest.raises(RemoteProtocolError):
            await couple.anna.resolve(key=B)
        with pytest.raises(RemoteProtocolError):
            await couple.anna.find()
        assert couple.anna.online

    play(scene, Lying)


def test_private_nodes_in_a_list_are_refused() -> None:
    class Telling(Misdescribing):
        change = {"public": False}  # noqa: RUF012  see the base

    async def scene(couple: Couple) -> None:
        with pytest.raises(RemoteProtocolError, match="does not belong"):
            await couple.anna.find()

    play(scene, Telling)


class Refusing(MemoryRegistry):
    """Says no to whoever lists, with a code of the test's choosing."""

    failure = ("rendezvous_refused", "")

    def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
        if isinstance(request, Find):
            code, message = self.failure
            return Failure(id=request.id, code=code, message=message)
        return super().answer(seat, request)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("rate_limited", RateLimited),
        ("mailbox_full", MailboxFull),
        ("unknown_peer", UnknownPeer),
        ("rendezvous_refused", RendezvousRefused),
        ("identity_mismatch", RendezvousRefused),
        ("denied", RendezvousRefused),
        ("error", RendezvousRefused),
        ("no_such_code", RendezvousRefused),
    ],
)
def test_a_refusal_becomes_an_error_that_a_rendezvous_may_cause(
    code: str, expected: type[ComityError]
) -> None:
    class Saying(Refusing):
        failure = (code, "no\x1b[2J \u202eway")

    async def scene(couple: Couple) -> None:
        with pytest.raises(expected) as caught:
            await couple.anna.find()
        assert type(caught.value) is expected
        assert caught.value.message == "no\\u{1b}[2J \\u{202e}way"
        assert caught.value.hint == expected.default_hint

    play(scene, Saying)


def test_an_answer_to_another_question_ends_the_connection() -> None:
    class Confusing(MemoryRegistry):
        def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
            if isinstance(request, Find):
                return Posted(id=request.id, delivered=True)
            return super().answer(seat, request)

    async def scene(couple: Couple) -> None:
        with pytest.raises(RemoteProtocolError, match="another question"):
            await couple.anna.find()
        await couple.anna_hears.until(lambda diary: len(diary.registrations) == 2)
        assert isinstance(couple.anna_hears.losses[0], RemoteProtocolError)

    play(scene, Confusing)


def test_an_answer_to_no_question_ends_the_connection() -> None:
    class Babbling(MemoryRegistry):
        def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
            if isinstance(request, Find):
                seat.push(Done(id=request.id + 1))
            return super().answer(seat, request)

    async def scene(couple: Couple) -> None:
        with pytest.raises(RendezvousUnreachable):
            await couple.anna.find()
        await couple.anna_hears.until(lambda diary: bool(diary.losses))
        assert isinstance(couple.anna_hears.losses[0], RemoteProtocolError)

    play(scene, Babbling)


# ── deadlines and bounds ──────────────────────────────────────────────────────────────────────────────


class Brooding(MemoryRegistry):
    """Never answers Find."""

    def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
        return None if isinstance(request, Find) else super().answer(seat, request)


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async def scene(couple: Couple) -> None:
        before = couple.town.clock.monotonic()
        with pytest.raises(TimedOut):
            await couple.anna.find()
        assert couple.town.clock.monotonic() - before == pytest.approx(limits.RENDEZVOUS_ANSWER_TIMEOUT)
        assert (await couple.anna.resolve(key=B)).hostname == "bert"
        assert couple.anna_hears.losses == []

    play(scene, Brooding)


def test_a_late_answer_is_taken_for_what_it_is() -> None:
    class Late(MemoryRegistry):
        def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
            answer = super().answer(seat, request)
            if answer is None or not isinstance(request, Find):
                return answer
            asyncio.get_running_loop().call_later(2 * limits.RENDEZVOUS_ANSWER_TIMEOUT, seat.push, answer)
            return None

    async def scene(couple: Couple) -> None:
        with pytest.raises(TimedOut):
            await couple.anna.find()
        await asyncio.sleep(2 * limits.RENDEZVOUS_ANSWER_TIMEOUT)
        assert couple.anna.online
        assert couple.anna_hears.losses == []

    play(scene, Late)


def test_requests_without_an_answer_are_bounded() -> None:
    async def scene(couple: Couple) -> None:
        asked = [asyncio.create_task(couple.anna.find()) for _ in range(limits.RENDEZVOUS_REQUESTS + 10)]
        await asyncio.sleep(1)
        before = len(couple.town.world.trace)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {TimedOut, RendezvousUnreachable}
        sent = [line for line in couple.town.world.trace[:before] if "anna>rendezvous#1 there" in line]
        assert len(sent) <= limits.RENDEZVOUS_REQUESTS + 2  # with Open and Register
        # No place was left for a heartbeat: the connection is given up, and the next one works.
        await couple.anna_hears.until(lambda diary: len(diary.registrations) == 2)
        assert (await couple.anna.resolve(key=B)).hostname == "bert"

    play(scene, Brooding)


def test_a_caller_that_gives_up_disturbs_nobody() -> None:
    async def scene(couple: Couple) -> None:
        asked = asyncio.create_task(couple.anna.resolve(key=B))
        await asyncio.sleep(0)
        asked.cancel()
        assert (await couple.anna.resolve(hostname="bert")).key == B.hex
        assert couple.anna_hears.losses == []

    play(scene)


def test_without_a_connection_every_request_says_so_at_once() -> None:
    async def scene(couple: Couple) -> None:
        await couple.town.server.stop()
        await couple.anna_hears.until(lambda diary: bool(diary.losses))
        requests: list[Callable[[MemoryRendezvous], Awaitable[object]]] = [
            lambda node: node.resolve(key=B),
            lambda node: node.find(),
            lambda node: node.post(B, MESSAGE, b"sealed", keep=True),
            lambda node: node.acknowledge(B, MESSAGE),
            lambda node: node.reserve([B]),
            lambda node: node.ask_relay(B, MESSAGE),
        ]
        for request in requests:
            with pytest.raises(RendezvousUnreachable):
                await request(couple.anna)
        assert not couple.anna.online
        assert couple.anna.link is None

    play(scene)


def test_whoever_waits_for_an_answer_learns_that_the_connection_ended() -> None:
    async def scene(couple: Couple) -> None:
        asked = asyncio.create_task(couple.anna.find())
        await asyncio.sleep(1)
        couple.town.world.cut("anna")
        with pytest.raises(RendezvousUnreachable):
            await asked

    play(scene, Brooding)
