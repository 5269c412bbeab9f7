"""A node's acceptor on real loopback sockets: what an approved peer is told, bounds, contained failures."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from dataclasses import replace

import pytest

from comity import limits
from comity.clock import SystemClock
from comity.errors import LinkLost, PeerRefused, TransferFailed
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.protocol.hello import Hello, Refused, encode_message, parse_refused
from comity.transport.channel import SecureChannel
from comity.transport.interface import Stream
from comity.transport.tls import Credentials
from tests.integration.transport_nodes import Node, hello, node, pair, ping, raw
from tests.integration.transport_rig import QUICK, credentials, until


async def approved(acceptor: Node) -> SecureChannel:
    """A channel of a key that the acceptor approves."""
    ours = credentials()
    acceptor.gate.keys.add(ours.identity.public)
    return await raw(ours, acceptor)


async def refusal(channel: SecureChannel) -> Refused:
    """What the acceptor says before it closes."""
    kind, body = await channel.read_frame(limits.HELLO_BYTES)
    assert kind is Kind.REFUSED
    with pytest.raises(LinkLost, match="closed"):
        await channel.read_frame(1)
    channel.abort()
    return parse_refused(body)


# ── what an approved peer is told ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "body", "code", "reason"),
    [
        (Kind.HELLO, hello(9999), "unknown_port", "nothing is served on port 9999"),
        (Kind.HELLO, b"{}", "malformed_hello", "malformed message: Object missing required field `oldest`"),
        (Kind.DATA, hello(), "malformed_hello", "a data frame instead of a hello"),
        (Kind.HELLO, bytes(limits.HELLO_BYTES + 1), "malformed_hello", "exceeds the limit"),
        (
            Kind.HELLO,
            encode_message(Hello(oldest=7, newest=9, port=7, instance="0" * 32)),
            "version",
            "speaks protocol 7 to 9, the called node speaks protocol 1: the called node has to be upgraded",
        ),
    ],
)
async def test_approved_peer_is_told_why(kind: Kind, body: bytes, code: str, reason: str) -> None:
    async with node() as acceptor:
        channel = await approved(acceptor)
        await channel.write_frame(kind, body)
        refused = await refusal(channel)
        assert refused.code == code
        assert reason in refused.reason
        assert [turned[1:] for turned in acceptor.gate.turned_away] == [(code, refused.reason)]


async def test_gates_reason_reaches_the_dialler() -> None:
    async with pair() as (dialler, acceptor):
        acceptor.gate.reasons[dialler.key] = Refused(code="expired", reason="the agreement ended yesterday")
        with pytest.raises(PeerRefused, match=r"the agreement ended yesterday \(expired\)"):
            await dialler.network.dial(acceptor.key, 7)
        assert acceptor.gate.turned_away == [(dialler.key, "expired", "the agreement ended yesterday")]


async def test_dialler_without_approval_is_told_no_more_than_that() -> None:
    async with pair() as (dialler, acceptor):
        acceptor.gate.keys.clear()
        with pytest.raises(PeerRefused, match=r"this key is not approved here \(not_approved\)"):
            await dialler.network.dial(acceptor.key, 7)


async def test_approval_is_asked_again_for_each_stream() -> None:
    async with pair() as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        acceptor.gate.keys.clear()
        with pytest.raises(PeerRefused, match="not_approved"):
            await dialler.network.dial(acceptor.key, 7)
        assert stream._link.channel.ended  # the pooled link was used, and refused


async def test_silent_peer_is_told_and_recorded() -> None:
    async with node(bounds=replace(QUICK, hello=0.2)) as acceptor:
        channel = await approved(acceptor)
        assert (await refusal(channel)).code == "no_hello"
        assert acceptor.gate.codes == ["no_hello"]


async def test_refused_caller_that_does_not_leave_is_left() -> None:
    async with node(bounds=replace(QUICK, close=0.2)) as acceptor:
        channel = await raw(credentials(), acceptor)
        await channel.write_frame(Kind.HELLO, hello())
        await until(lambda: len(acceptor.network._links) == 0)
        channel.abort()


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────


async def test_callers_of_whom_nothing_is_known_are_few() -> None:
    async with node(bounds=replace(QUICK, inbound_unapproved=3, inbound_grace=60)) as acceptor:
        waiting = [socket.create_connection(("127.0.0.1", acceptor.port)) for _ in range(5)]
        try:
            assert await acceptor.gate.wait_for(2) == ["too_many_links"] * 2
            for sock in waiting[3:]:
                sock.settimeout(30)
                assert await asyncio.to_thread(sock.recv, 1) == b""
        finally:
            for sock in waiting:
                sock.close()
        await until(lambda: not acceptor.network._acceptor.full)
        channel = await approved(acceptor)
        await channel.write_frame(Kind.HELLO, hello())
        assert (await channel.read_frame(1000))[0] is Kind.WELCOME
        channel.abort()


async def test_admitted_links_do_not_count_as_unknown_but_have_a_bound_too() -> None:
    bounds = replace(QUICK, inbound_unapproved=1, inbound_links=3)
    async with pair(bounds=bounds) as (dialler, acceptor):
        streams = [await dialler.network.dial(acceptor.key, 7) for _ in range(3)]
        with pytest.raises(LinkLost):
            await raw(credentials(), acceptor)
        assert acceptor.gate.codes == ["too_many_links"]
        for stream in streams:
            await ping(stream)
            stream.abort()
        await until(lambda: len(acceptor.network._links) == 0)


async def test_idle_callers_give_way_to_the_next_one() -> None:
    """Anybody can open connections and say nothing: for twenty seconds they shut everybody else out."""
    bounds = replace(QUICK, inbound_unapproved=3, inbound_grace=0.2)
    async with node(bounds=bounds) as acceptor:
        waiting = [socket.create_connection(("127.0.0.1", acceptor.port)) for _ in range(3)]
        try:
            await until(lambda: len(acceptor.network._acceptor) == 3)
            await asyncio.sleep(0.4)
            channel = await approved(acceptor)
            await channel.write_frame(Kind.HELLO, hello())
            assert (await channel.read_frame(1000))[0] is Kind.WELCOME
            assert acceptor.gate.codes == ["displaced"]
            waiting[0].settimeout(30)
            assert await asyncio.to_thread(waiting[0].recv, 1) == b""
            channel.abort()
        finally:
            for sock in waiting:
                sock.close()


async def test_no_peer_takes_all_places() -> None:
    async with pair(bounds=replace(QUICK, inbound_per_peer=2)) as (dialler, acceptor):
        streams = [await dialler.network.dial(acceptor.key, 7) for _ in range(2)]
        with pytest.raises(PeerRefused, match="as many links as one peer may have"):
            await dialler.network.dial(acceptor.key, 7)
        channel = await approved(acceptor)
        await channel.write_frame(Kind.HELLO, hello())
        assert (await channel.read_frame(1000))[0] is Kind.WELCOME
        channel.abort()
        for stream in streams:
            stream.abort()
        await until(lambda: len(acceptor.network._links) == 0)
        await ping(stream := await dialler.network.dial(acceptor.key, 7))
        stream.abort()


async def test_stop_closes_callers_that_were_only_just_accepted() -> None:
    async with node() as acceptor:
        with socket.create_connection(("127.0.0.1", acceptor.port)) as sock:
            await asyncio.sleep(0)
            await acceptor.network.close()
            sock.settimeout(30)
            with suppress(ConnectionResetError):
                assert await asyncio.to_thread(sock.recv, 1) == b""


# ── contained failures ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [RuntimeError("a bug"), TransferFailed("as expected")])
async def test_handlers_failure_ends_its_stream_and_nothing_else(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with pair() as (dialler, acceptor):

        async def fail(stream: Stream) -> None:
            raise error

        acceptor.network.serve(8, fail)
        other = await dialler.network.dial(acceptor.key, 7)
        stream = await dialler.network.dial(acceptor.key, 8)
        with pytest.raises(LinkLost, match="without the other side's close"):
            await stream.receive()
        await ping(other)
        await other.finish()
        record = next(each for each in caplog.records if "to port 8" in each.message)
        assert record.levelno == (logging.ERROR if isinstance(error, RuntimeError) else logging.INFO)
        assert dialler.key.fingerprint.short in record.message


async def test_handler_that_returns_without_an_end_cuts_its_stream() -> None:
    async with pair() as (dialler, acceptor):

        async def forget(stream: Stream) -> None:
            await stream.receive()

        acceptor.network.serve(8, forget)
        stream = await dialler.network.dial(acceptor.key, 8)
        await stream.send(b"x")
        with pytest.raises(LinkLost):
            await stream.receive()


async def test_bug_in_the_gate_does_not_end_the_other_links(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as other:
            acceptor.gate.fault = OSError("disk full")
            stranger = await raw(Credentials(Identity.generate(), SystemClock()), acceptor)
            await stranger.write_frame(Kind.HELLO, hello())
            with pytest.raises(LinkLost):
                await stranger.read_frame(1)
            stranger.abort()
            await ping(other)
        assert "serving a link failed by a bug" in caplog.text
