"""Dialling on real loopback sockets: which path wins, what is told when none does, and the relay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from comity import limits
from comity.clock import ManualClock, SystemClock
from comity.errors import (
    IdentityMismatch,
    InvalidInput,
    LinkLost,
    LocalProtocolError,
    PeerRefused,
    PeerUnreachable,
    RemoteProtocolError,
    VersionMismatch,
)
from comity.identity.authority import parse_listen
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.protocol.hello import Refused, Welcome, encode_message
from comity.protocol.registry import RELAY_PREFACE, RelayOffer
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.interface import Stream
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials
from tests.integration.transport_nodes import (
    FAR,
    FakeRendezvous,
    Node,
    closed_port,
    introduce,
    node,
    pair,
    ping,
    relay,
)
from tests.integration.transport_rig import QUICK, listening, until


@asynccontextmanager
async def related(bounds: Bounds = QUICK) -> AsyncIterator[tuple[Node, Node, FakeRendezvous]]:
    """A dialler and an acceptor with a rendezvous between them; no address of anybody's is known."""
    identity = Identity.generate()
    async with (
        relay(identity.public) as rendezvous,
        node(listen=None, rendezvous=rendezvous, identity=identity, bounds=bounds) as dialler,
        node(rendezvous=rendezvous, bounds=bounds) as acceptor,
    ):
        introduce(dialler, acceptor)
        rendezvous.offer_to(acceptor.network.relay_offered)
        yield dialler, acceptor, rendezvous


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """An address that takes connections and says nothing, like a dead middlebox."""
    with listening() as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


# ── which path ────────────────────────────────────────────────────────────────────────────────────────


async def test_relay_carries_a_stream_where_no_address_is_known() -> None:
    async with related() as (dialler, acceptor, rendezvous):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            assert stream.info.path == "relay"
            assert stream.info.remote == rendezvous.authority
            assert stream.info.group == "X25519MLKEM768"
            await ping(stream, b"x" * limits.FRAME_BYTES)
        assert acceptor.streams[0].info.path == "relay"
        async with await dialler.network.dial(acceptor.key, 7) as again:
            await ping(again)
        assert rendezvous.asked == 1  # the link was pooled


async def test_direct_wins_within_its_head_start() -> None:
    async with related(replace(QUICK, relay_head_start=30)) as (dialler, acceptor, rendezvous):
        dialler.network.learn(acceptor.key, acceptor.network.candidates(), FAR)
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            assert stream.info.path == "direct"
        assert rendezvous.asked == 0


async def test_idle_callers_at_the_front_door_keep_nobody_from_the_relay() -> None:
    async with related(replace(QUICK, inbound_unapproved=2)) as (dialler, acceptor, _):
        waiting = [socket.create_connection(("127.0.0.1", acceptor.port)) for _ in range(2)]
        try:
            await until(lambda: len(acceptor.network._acceptor) == 2)
            async with await dialler.network.dial(acceptor.key, 7) as stream:
                await ping(stream)
        finally:
            for sock in waiting:
                sock.close()


async def test_a_peer_that_offers_and_does_not_come_keeps_no_other_from_the_relay() -> None:
    async with related(replace(QUICK, inbound_unapproved=8)) as (dialler, acceptor, _):
        absent = Identity.generate().public
        acceptor.gate.keys.add(absent)
        for number in range(8):
            offer = RelayOffer(peer=absent.hex, call="00" * 16, ticket=f"{number:064x}")
            await acceptor.network.relay_offered(offer)
        assert acceptor.gate.codes == ["too_many_links"] * 6
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)


async def test_relay_joins_at_once_when_every_address_has_failed() -> None:
    async with related(replace(QUICK, relay_head_start=30)) as (dialler, acceptor, _):
        dialler.network.learn(acceptor.key, [f"127.0.0.1:{closed_port()}"], FAR)
        async with asyncio.timeout(15):
            async with await dialler.network.dial(acceptor.key, 7) as stream:
                assert stream.info.path == "relay"


async def test_relay_overtakes_an_address_that_says_nothing() -> None:
    bounds = replace(QUICK, relay_head_start=0.1, handshake=30)
    async with related(bounds) as (dialler, acceptor, _), black_hole() as address:
        dialler.network.learn(acceptor.key, [address], FAR)
        async with asyncio.timeout(15):
            async with await dialler.network.dial(acceptor.key, 7) as stream:
                assert stream.info.path == "relay"


async def test_the_address_that_works_is_found_among_those_that_do_not() -> None:
    async with pair() as (dialler, acceptor), black_hole() as silent:
        addresses = [f"127.0.0.1:{closed_port()}", silent, *acceptor.network.candidates()]
        dialler.network.learn(acceptor.key, addresses, FAR)
        async with asyncio.timeout(15):
            async with await dialler.network.dial(acceptor.key, 7) as stream:
                await ping(stream)


async def test_one_dial_is_one_stream_even_when_two_paths_work() -> None:
    async with related(replace(QUICK, relay_head_start=0)) as (dialler, acceptor, _):
        dialler.network.learn(acceptor.key, [*acceptor.network.candidates() * 3], FAR)
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        await asyncio.sleep(0.2)
        assert len(acceptor.streams) == 1
        await until(lambda: len(acceptor.network._links) == 1)
        assert acceptor.gate.turned_away == []


async def test_direct_link_is_preferred_in_the_pool() -> None:
    async with related(replace(QUICK, relay_head_start=30)) as (dialler, acceptor, _):
        relayed = await dialler.network.dial(acceptor.key, 7)
        dialler.network.learn(acceptor.key, acceptor.network.candidates(), FAR)
        direct = await dialler.network.dial(acceptor.key, 7)
        assert (relayed.info.path, direct.info.path) == ("relay", "direct")
        await direct.finish()
        await relayed.finish()
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            assert stream.info.path == "direct"


async def test_a_pooled_link_by_the_relay_does_not_forestall_an_address_that_was_told_since() -> None:
    async with related(replace(QUICK, relay_head_start=30)) as (dialler, acceptor, rendezvous):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            assert stream.info.path == "relay"
        dialler.network.learn(acceptor.key, acceptor.network.candidates(), FAR)
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            assert stream.info.path == "direct"
        assert rendezvous.asked == 1


async def test_an_address_that_the_relay_outran_is_not_waited_for_again_at_once() -> None:
    async with related(replace(QUICK, relay_head_start=0.1)) as (dialler, acceptor, rendezvous):
        silent = [f"127.0.0.1:{closed_port()}"]
        for asked in (1, 1, 2):
            if asked == 2:  # other addresses are worth a try
                silent = [f"127.0.0.1:{closed_port()}"]
            dialler.network.learn(acceptor.key, silent, FAR)
            async with await dialler.network.dial(acceptor.key, 7) as stream:
                assert stream.info.path == "relay"
            assert rendezvous.asked == asked


async def test_expired_and_forgotten_addresses_are_not_dialled() -> None:
    clock = ManualClock(SystemClock().now())
    async with node(listen=None, clock=clock) as dialler, node() as acceptor:
        introduce(dialler, acceptor)
        dialler.network.learn(acceptor.key, acceptor.network.candidates(), clock.now() + 10)
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        dialler.network.drop(acceptor.key)
        clock.advance(11)
        with pytest.raises(PeerUnreachable, match="it has told no address, and there is no relay"):
            await dialler.network.dial(acceptor.key, 7)
        dialler.network.learn(acceptor.key, acceptor.network.candidates(), FAR)
        dialler.network.learn(acceptor.key, (), FAR)
        with pytest.raises(PeerUnreachable, match="it has told no address"):
            await dialler.network.dial(acceptor.key, 7)
        with pytest.raises(InvalidInput):
            dialler.network.learn(acceptor.key, ["nowhere"], FAR)


# ── why not ───────────────────────────────────────────────────────────────────────────────────────────


async def test_message_tells_how_each_path_failed() -> None:
    async with (
        related(replace(QUICK, handshake=0.3)) as (dialler, acceptor, rendezvous),
        black_hole() as silent,
    ):
        rendezvous.offer_to(None)
        port = closed_port()
        dialler.network.learn(acceptor.key, [f"127.0.0.1:{port}", silent], FAR)
        with pytest.raises(PeerUnreachable) as caught:
            await dialler.network.dial(acceptor.key, 7)
        assert type(caught.value) is PeerUnreachable
        message = str(caught.value)
        assert message.startswith(f"no way to {acceptor.key.fingerprint.short}: ")
        assert f"direct: 127.0.0.1:{port}: connection refused" in message
        assert f"direct: {silent}: no TLS handshake within 0.3 seconds" in message
        assert "relay: the peer is not online" in message
        assert caught.value.hint


async def test_another_key_at_the_address_is_an_identity_mismatch() -> None:
    async with pair() as (dialler, _), node() as stranger:
        wanted = Identity.generate().public
        dialler.network.learn(wanted, stranger.network.candidates(), FAR)
        with pytest.raises(IdentityMismatch, match=stranger.key.fingerprint.short):
            await dialler.network.dial(wanted, 7)
        assert stranger.streams == []


async def test_another_key_at_an_old_address_does_not_stop_the_relay() -> None:
    async with related() as (dialler, acceptor, _), node() as stranger:
        dialler.network.learn(acceptor.key, stranger.network.candidates(), FAR)
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            assert stream.info.path == "relay"


async def test_name_that_does_not_resolve_is_named() -> None:
    with pytest.raises(PeerUnreachable, match=r"nowhere\.invalid:1"):
        await connect_tcp("nowhere.invalid", 1, 5)


@pytest.mark.parametrize("text", ["7000", "host", "host:", "host:70000", "ho st:1", "::1:70", "host:x"])
def test_listen_address_is_understood_or_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_listen(text)
    assert parse_listen("[::1]:0") == ("::1", 0)
    assert parse_listen("LocalHost:7000") == ("localhost", 7000)


@asynccontextmanager
async def answering(frames: list[tuple[Kind, bytes]]) -> AsyncIterator[tuple[Identity, str]]:
    """A peer that answers every hello with these frames."""
    identity, loop = Identity.generate(), asyncio.get_running_loop()

    async def serve(listener: socket.socket) -> None:
        while True:
            sock, _ = await loop.sock_accept(listener)
            channel = await SecureChannel.accept(sock, Credentials(identity, SystemClock()), None, QUICK)
            try:
                await channel.read_frame(limits.HELLO_BYTES)
                for kind, body in frames:
                    await channel.write_frame(kind, body)
                await channel.read_frame(1)
            except LinkLost:
                pass
            finally:
                channel.abort()

    with listening() as listener:
        serving = asyncio.create_task(serve(listener))
        try:
            yield identity, f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            serving.cancel()
            await asyncio.wait([serving])


WELCOME = encode_message(Welcome(version=1, instance="0" * 32))


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        (
            [(Kind.REFUSED, encode_message(Refused(code="busy", reason="later\x1b[2J")))],
            PeerRefused,
            r"later\\u{1b}",
        ),
        (
            [(Kind.REFUSED, encode_message(Refused(code="version", reason="2 to 3")))],
            VersionMismatch,
            "2 to 3",
        ),
        ([(Kind.REFUSED, b"{}")], RemoteProtocolError, "malformed"),
        ([(Kind.WELCOME, WELCOME.replace(b'"version":1', b'"version":2'))], VersionMismatch, "version 2"),
        ([(Kind.WELCOME, b"{")], RemoteProtocolError, "malformed"),
        ([(Kind.DATA, WELCOME)], RemoteProtocolError, "data frame"),
        ([(Kind.WELCOME, b"x" * (limits.HELLO_BYTES + 1))], RemoteProtocolError, "exceeds"),
        ([], PeerUnreachable, "no answer to the hello"),
    ],
)
async def test_answers_to_a_hello(
    frames: list[tuple[Kind, bytes]], error: type[Exception], message: str
) -> None:
    bounds = QUICK if frames else replace(QUICK, hello=0.5)
    async with answering(frames) as (peer, address), node(bounds=bounds) as dialler:
        dialler.network.learn(peer.public, [address], FAR)
        with pytest.raises(error, match=message):
            await dialler.network.dial(peer.public, 7)
        await until(lambda: len(dialler.network._links) == 0)


# ── the relay's two sides ─────────────────────────────────────────────────────────────────────────────


async def test_relay_offer_of_a_key_that_is_not_approved_is_not_followed() -> None:
    async with related(replace(QUICK, relay_ready=0.3)) as (dialler, acceptor, rendezvous):
        acceptor.gate.keys.clear()
        with pytest.raises(PeerUnreachable, match="did not come to the relay"):
            await dialler.network.dial(acceptor.key, 7)
        assert acceptor.gate.turned_away[0][:2] == (dialler.key, "relay_not_approved")
        assert rendezvous.redeemed == 1


async def test_relay_offer_with_a_key_that_is_none_is_recorded() -> None:
    async with related() as (_, acceptor, _):
        offer = RelayOffer(peer="01" + "00" * 31, call="0" * 32, ticket="0" * 64)
        await acceptor.network.relay_offered(offer)
        assert acceptor.gate.codes == ["small_order_key"]


async def test_another_key_than_was_offered_gets_the_uniform_refusal() -> None:
    """A rendezvous that names an approved peer and lets somebody else come (even another approved one)."""
    async with related() as (dialler, acceptor, rendezvous):
        friend = Identity.generate().public
        acceptor.gate.keys.add(friend)
        rendezvous.asker = friend
        with pytest.raises(PeerRefused, match="this key is not approved here"):
            await dialler.network.dial(acceptor.key, 7)
        await acceptor.gate.wait_for(1)
        assert acceptor.gate.turned_away[0][:2] == (friend, "identity_mismatch")
        assert acceptor.streams == []


async def test_relay_that_does_not_take_the_ticket_is_told() -> None:
    async with related() as (dialler, acceptor, rendezvous):
        rendezvous.forgetful = True
        with pytest.raises(PeerUnreachable, match=r"relay: 127.*it does not take the ticket"):
            await dialler.network.dial(acceptor.key, 7)


async def test_relay_that_answers_something_else_is_told() -> None:
    async with related() as (dialler, acceptor, rendezvous):
        rendezvous.ready = b"NO\n"
        with pytest.raises(PeerUnreachable, match="it answers something else"):
            await dialler.network.dial(acceptor.key, 7)


async def test_preface_is_the_protocols() -> None:
    async with related(replace(QUICK, relay_ready=0.2)) as (dialler, acceptor, rendezvous):
        acceptor.gate.keys.clear()
        with pytest.raises(PeerUnreachable):
            await dialler.network.dial(acceptor.key, 7)
        assert rendezvous.prefaces[0].startswith(RELAY_PREFACE)
        assert rendezvous.prefaces[0].endswith(b"\n")


# ── dropping and stopping ─────────────────────────────────────────────────────────────────────────────


async def hang(stream: Stream) -> None:
    """A handler with a thread in a lane."""
    await asyncio.to_thread(stream.lane().receive)


@pytest.mark.parametrize("dropping", ["dialler", "acceptor"])
async def test_drop_ends_every_link_with_a_peer_and_no_other(dropping: str) -> None:
    async with pair() as (dialler, acceptor), node() as bystander:
        introduce(dialler, bystander)
        dialler.network.learn(bystander.key, bystander.network.candidates(), FAR)
        other = await dialler.network.dial(bystander.key, 7)
        for each in (dialler, acceptor):
            each.network.serve(8, hang)
        introduce(acceptor, dialler)
        blocked = (await dialler.network.dial(acceptor.key, 8)).lane()
        in_use = await dialler.network.dial(acceptor.key, 7)
        async with await dialler.network.dial(acceptor.key, 7) as pooled:
            await ping(pooled)
        receiving = asyncio.create_task(asyncio.to_thread(blocked.receive))
        await until(lambda: len(acceptor.network._links) == 3)
        await asyncio.sleep(0.1)

        one, two = (dialler, acceptor) if dropping == "dialler" else (acceptor, dialler)
        assert one.network.drop(two.key) == 3
        assert one.network.drop(two.key) == 0
        async with asyncio.timeout(20):
            with pytest.raises(LinkLost):
                await receiving
            with pytest.raises(LinkLost):
                await in_use.receive()
            in_use.abort()
            await until(lambda: len(acceptor.network._links) == 0)
        await ping(other)
        await other.finish()
        async with await dialler.network.dial(acceptor.key, 7) as again:
            await ping(again)


async def test_drop_spares_a_ports_streams() -> None:
    async with pair() as (dialler, acceptor):
        acceptor.network.serve(8, acceptor.echo)
        spared = await dialler.network.dial(acceptor.key, 8)
        ended = await dialler.network.dial(acceptor.key, 7)
        await until(lambda: len(acceptor.streams) == 2)
        assert acceptor.network.drop(dialler.key, spare=8) == 1
        with pytest.raises(LinkLost):
            await ended.receive()
        await ping(spared)
        assert dialler.network.drop(acceptor.key, spare=8) == 0
        await spared.finish()
        assert dialler.network.drop(acceptor.key, spare=8) == 1  # it lies in the pool now


async def test_drop_reaches_a_dial_under_way() -> None:
    async with pair() as (dialler, acceptor), black_hole() as silent:
        dialler.network.learn(acceptor.key, [silent], FAR)
        spared = asyncio.create_task(dialler.network.dial(acceptor.key, 444))
        dialling = asyncio.create_task(dialler.network.dial(acceptor.key, 7))
        await asyncio.sleep(0.1)
        assert dialler.network.drop(acceptor.key, spare=444) == 0
        with pytest.raises(PeerUnreachable, match="ended while it was being dialled"):
            await dialling
        assert not spared.done()
        dialler.network.drop(acceptor.key)
        with pytest.raises(PeerUnreachable, match="ended while it was being dialled"):
            await spared


async def test_cancelled_dial_leaves_nothing_behind() -> None:
    async with answering([]) as (peer, address), node() as dialler:
        dialler.network.learn(peer.public, [address], FAR)
        dialling = asyncio.create_task(dialler.network.dial(peer.public, 7))
        await until(lambda: len(dialler.network._links) == 1)
        dialling.cancel()
        await asyncio.wait([dialling])
        assert len(dialler.network._links) == 0


async def test_close_unblocks_threads_and_ends_dials() -> None:
    async with pair() as (dialler, acceptor):
        acceptor.network.serve(8, hang)
        lane = (await dialler.network.dial(acceptor.key, 8)).lane()
        receiving = asyncio.create_task(asyncio.to_thread(lane.receive))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            await acceptor.network.close()
            with pytest.raises(LinkLost):
                await receiving
            with pytest.raises(PeerUnreachable, match="connection refused"):
                await dialler.network.dial(acceptor.key, 7)
            await dialler.network.close()
            with pytest.raises(PeerUnreachable, match="this node is stopping"):
                await dialler.network.dial(acceptor.key, 7)


async def test_network_is_started_once() -> None:
    async with node() as one:
        with pytest.raises(LocalProtocolError):
            await one.network.start()
        with pytest.raises(LocalProtocolError):
            one.network.serve(7, one.echo)
