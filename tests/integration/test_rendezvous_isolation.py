"""Two networks of one server, and a member of one who asks about the other by every message that there is.

Every kind of request has a probe here: one that is added to the protocol fails this test until it has. A
probe is two requests, about what is in the other network and about what is nowhere; their answers have to
be the same bytes, whether who asks is a stranger to the other network or a member of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pytest

from comity.control.rendezvous import NetworkCreateRequest
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.protocol.registry import (
    MESSAGE_BYTES,
    Acknowledge,
    AskRelay,
    Challenge,
    Done,
    Find,
    NodeMessage,
    Open,
    Ping,
    Post,
    Posted,
    Register,
    RelayOffer,
    Reserve,
    Resolve,
    Retire,
    Ticket,
    encode_message,
    parse_server_message,
)
from comity.protocol.statements import Predecessor
from comity.sdk import rendezvous as admin
from tests.rendezvous.client import PATIENCE, Client, dial, last_words, registered, relay_side
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import serving
from tests.trust.keys import predecessor, retirement

NOWHERE = 999


@dataclass(frozen=True)
class Somebody:
    """A node to ask about: in the other network, or in none."""

    identity: Identity
    hostname: str
    address: str
    network: int
    rendezvous: Fingerprint

    @property
    def key(self) -> str:
        return self.identity.public.hex


@dataclass
class Town:
    """``spy`` asks, from the first network."""

    spy: Client

    def register(self, **changes: object) -> Register:
        """A registration of the spy's own key over its connection, with what ``changes`` about it."""
        who = replace(self.spy.who, **changes)  # type: ignore[arg-type]  # by name
        return who.register(self.spy.nonce, self.spy.clock.now(), 9)


Probe = Callable[[Town, Somebody], Iterator[NodeMessage]]


def _open(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield Open(
        oldest=1, newest=1, network=whom.network, instance="0" * 32
    )  # out of place: one answer, and the end


def _register(town: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield town.register(network=whom.network)  # a statement for another network over this one's connection
    yield town.register(claimed=whom.identity.public)  # in another's name
    word = predecessor(Identity.generate(), town.spy.who.identity, whom.rendezvous, town.spy.clock)
    yield town.register(predecessor=replace_key(word, whom))


def _resolve(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield Resolve(id=1, hostname=whom.hostname)
    yield Resolve(id=2, key=whom.key)
    yield Resolve(id=3, address=whom.address)
    yield Resolve(id=4, hostname=whom.hostname, key=whom.key)


def _find(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield Find(id=1)
    yield Find(id=2, tag="secret" if whom.network != NOWHERE else "nothing")


def _post(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    for number, keep in enumerate((True, False, True), start=1):
        yield Post(id=number, recipient=whom.key, message_id="22" * 16, blob=b"x", keep=keep)


def _acknowledge(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield Acknowledge(id=1, sender=whom.key, message_id="22" * 16)


def _reserve(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield Reserve(id=1, senders=(whom.key,))


def _ask_relay(_: Town, whom: Somebody) -> Iterator[NodeMessage]:
    yield AskRelay(id=1, peer=whom.key, call="33" * 16)


def _retire(town: Town, whom: Somebody) -> Iterator[NodeMessage]:
    forged = retirement(town.spy.who.identity, whom.rendezvous, town.spy.clock)
    yield Retire(id=1, key=whom.key, retirement=forged)


def _ping(_: Town, __: Somebody) -> Iterator[NodeMessage]:
    yield Ping(id=1)


PROBES: dict[type, Probe] = {
    Resolve: _resolve,
    Find: _find,
    Post: _post,
    Acknowledge: _acknowledge,
    Reserve: _reserve,
    AskRelay: _ask_relay,
    Retire: _retire,
    Ping: _ping,
    Register: _register,
    Open: _open,  # last: it ends the connection
}


def replace_key(word: Predecessor, whom: Somebody) -> Predecessor:
    """The word of a key that has not said it."""
    return Predecessor(key=whom.key, rotation=word.rotation)


async def raw(client: Client, message: NodeMessage) -> bytes:
    """The very bytes that are answered."""
    await client.channel.write_frame(Kind.DATA, encode_message(message))
    async with asyncio.timeout(PATIENCE):
        _, body = await client.channel.read_frame(MESSAGE_BYTES)
    return bytes(body)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[JoinUrl, JoinUrl]]:
    """The join URLs of two open networks of one server."""
    async with serving(tmp_path / "state") as url:
        request = NetworkCreateRequest("secret", open=True)
        made = await asyncio.to_thread(admin.create_network, request, tmp_path / "state")
        yield url, JoinUrl.parse(made.url)


def somebody(url: JoinUrl, hostname: str, network: int, address: str) -> Somebody:
    return Somebody(Identity.generate(), hostname, address, network, url.fingerprint)


def registrant(url: JoinUrl, one: Somebody) -> Registrant:
    return Registrant(
        url.fingerprint,
        one.hostname,
        identity=one.identity,
        network=one.network,
        public=True,
        tags=("secret",),
    )


def test_every_request_of_the_protocol_has_a_probe() -> None:
    assert set(PROBES) == set(get_args(NodeMessage))


@pytest.mark.parametrize("online", [True, False], ids=["online", "away"])
@pytest.mark.parametrize("both", [False, True], ids=["stranger there", "member of both"])
async def test_no_answer_tells_what_is_in_another_network(
    servers: tuple[JoinUrl, JoinUrl], online: bool, both: bool
) -> None:
    here, other = servers
    there = somebody(here, "hidden", other.network, f"{other.network}:0002.0000.0010")
    nowhere = somebody(here, "nobody", NOWHERE, "999:03e7.0000.0010")
    async with AsyncExitStack() as kept:
        hidden = await kept.enter_async_context(registered(other, registrant(here, there)))
        if not online:
            hidden.channel.abort()
        heard: list[dict[str, list[bytes]]] = []
        for whom in (there, nowhere):  # each asked about by a key of its own, as requests are limited
            mole = Registrant(here.fingerprint, f"spy-{whom.hostname}")
            if both:
                same = replace(mole, network=other.network)
                second = await kept.enter_async_context(registered(other, same))
            async with registered(here, mole) as spy:
                heard.append({})
                for kind, probe in PROBES.items():
                    heard[-1][kind.__name__] = [await raw(spy, one) for one in probe(Town(spy), whom)]
                    if kind is not Open:
                        assert await spy.quiet(0.05), "nothing is pushed either"
            if both:
                assert await second.quiet(0.05)
        assert heard[0] == heard[1]
        if online:
            assert await hidden.quiet(), "and nobody there notices"


async def test_no_challenge_and_no_refusal_tells_which_networks_there_are(
    servers: tuple[JoinUrl, JoinUrl], tmp_path: Path
) -> None:
    here, _ = servers
    closed = await asyncio.to_thread(admin.create_network, NetworkCreateRequest("closed"), tmp_path / "state")
    said = []
    for network in (closed.network, NOWHERE):
        for invitation in (None, "ab" * 32):
            who = Registrant(here.fingerprint, "spy", network=network, invitation=invitation)
            client = await dial(here, who)
            opened = await raw(client, who.open())
            challenge = parse_server_message(opened)
            assert isinstance(challenge, Challenge)
            client.nonce = bytes.fromhex(challenge.nonce)
            refused = await raw(client, client.statement())
            fixed = encode_message(Challenge(version=challenge.version, nonce="00" * 32, time=0))
            same = opened.replace(challenge.nonce.encode(), b"00" * 32).replace(
                str(challenge.time).encode(), b"0"
            )
            assert same == fixed
            said.append(refused)
            client.channel.abort()
    assert len(set(said)) == 1


async def test_a_name_of_another_network_is_free_here(servers: tuple[JoinUrl, JoinUrl]) -> None:
    here, other = servers
    there = somebody(here, "hidden", other.network, "")
    async with (
        registered(other, registrant(here, there)),
        registered(here, Registrant(here.fingerprint, "spy")) as spy,
    ):
        answers = []
        for name in ("hidden", "nobody"):
            statement = replace(spy.who, hostname=name).register(spy.nonce, spy.clock.now(), 5)
            answers.append((await raw(spy, statement)).replace(name.encode(), b"NAME"))
        assert answers[0] == answers[1]


async def test_a_key_that_is_retired_in_one_network_is_no_news_in_another(
    servers: tuple[JoinUrl, JoinUrl],
) -> None:
    here, other = servers
    there = somebody(here, "hidden", other.network, "")
    unknown = Identity.generate()
    async with (
        registered(other, registrant(here, there)) as hidden,
        registered(other, Registrant(here.fingerprint, "partner", network=other.network)) as partner,
        registered(here, Registrant(here.fingerprint, "spy")) as spy,
    ):
        for client in (partner, spy):
            await client.ask(Reserve(id=1, senders=(there.key, unknown.public.hex)), Done)
        word = retirement(there.identity, here.fingerprint, hidden.clock)
        await hidden.send(Retire(id=2, key=there.key, retirement=word))
        async with asyncio.timeout(PATIENCE):
            _, told = await partner.channel.read_frame(MESSAGE_BYTES)
        assert there.key.encode() in bytes(told)  # who works with it is told
        again = [await raw(spy, Reserve(id=3, senders=(key,))) for key in (there.key, unknown.public.hex)]
        assert again[0] == again[1]
        # Whoever holds a certificate may publish it anywhere: the answer is the same for a key that is
        # nowhere.
        words = ((there.key, word), (unknown.public.hex, retirement(unknown, here.fingerprint, spy.clock)))
        published = [await raw(spy, Retire(id=4, key=key, retirement=text)) for key, text in words]
        assert published[0] == published[1]
        assert await spy.quiet()


async def test_a_ticket_of_another_network_opens_nothing(servers: tuple[JoinUrl, JoinUrl]) -> None:
    """Tickets are 256 random bits; one that is spent, and one that never was, end in the same silence."""
    here, other = servers
    nodes = [Registrant(here.fingerprint, name, network=other.network) for name in ("caller", "called")]
    async with registered(other, nodes[0]) as caller, registered(other, nodes[1]) as called:
        ticket = await caller.ask(AskRelay(id=1, peer=nodes[1].key.hex(), call="33" * 16), Ticket)
        await called.push(RelayOffer)
        _, first = await relay_side(here, ticket.ticket)
        said = []
        for text in (ticket.ticket, "ab" * 32):
            reader, writer = await relay_side(here, text)
            said.append(await last_words(reader))
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        assert said == [b"", b""]
        first.close()
        await first.wait_closed()


async def test_posting_there_is_as_posting_nowhere_also_for_who_was_answered_before(
    servers: tuple[JoinUrl, JoinUrl],
) -> None:
    """A member of both has a mailbox place for each network: what it posts in one counts in that one."""
    here, other = servers
    there = somebody(here, "hidden", other.network, "")
    both = Registrant(here.fingerprint, "spy")
    async with (
        registered(other, registrant(here, there)) as hidden,
        registered(other, replace(both, network=other.network)) as inside,
        registered(here, both) as outside,
    ):
        letter = Post(id=1, recipient=there.key, message_id="22" * 16, blob=b"x", keep=True)
        assert (await inside.ask(letter, Posted)).delivered
        assert (await hidden.mail()).sender == both.key.hex()
        unknown = Post(id=1, recipient="11" * 32, message_id="22" * 16, blob=b"x", keep=True)
        assert await raw(outside, letter) == await raw(outside, unknown)
