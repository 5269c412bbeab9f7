"""Simultaneous open between two real networks on loopback: nobody listens, and each finds the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from comity import limits
from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.errors import PeerUnreachable
from comity.identity.keys import Identity, PublicKey
from comity.protocol.observing import OBSERVE_REQUEST, answer
from comity.protocol.punching import PunchedPath
from comity.transport.foothold import bound, foothold
from comity.transport.interface import PunchEar, PunchPost, PunchWord
from comity.transport.peers import PeerNetwork
from comity.transport.simultaneous import volley
from comity.transport.tls import Credentials
from tests.integration.transport_nodes import ListGate, Node, introduce, ping
from tests.integration.transport_rig import QUICK, until


class Wire:
    """A post between nodes of one test: words arrive as they are, with every place that they tell."""

    def __init__(self, key: PublicKey, others: dict[PublicKey, Wire]) -> None:
        self.key = key
        self.others = others
        self.ear: PunchEar | None = None
        self.words: list[PunchWord] = []
        self.deaf = False
        self.watchers: tuple[str, ...] = ()
        others[key] = self

    def ready(self, peer: PublicKey) -> bool:
        return peer in self.others

    async def send(self, peer: PublicKey, word: PunchWord) -> None:
        await asyncio.sleep(0)
        other = self.others[peer]
        other.words.append(word)
        where: Mapping[str, PunchedPath] = {place: "direct" for place in word.local if "127.0.0.1" in place}
        where = {**where, **dict.fromkeys(word.observed, "direct")}
        if other.ear is not None and not other.deaf:
            other.ear(self.key, word, where)

    def listen(self, ear: PunchEar) -> None:
        self.ear = ear

    def observers(self) -> tuple[str, ...]:
        return self.watchers


@asynccontextmanager
async def observer(nonsense: bytes = b"") -> AsyncIterator[str]:
    tasks: set[asyncio.Task[object]] = set()

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await reader.readexactly(len(OBSERVE_REQUEST))
        host, port = writer.get_extra_info("peername")
        writer.write(nonsense or answer(f"{host}:{port}"))
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(tell, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def punching(punch: float = 5.0) -> AsyncIterator[tuple[tuple[Node, Wire], tuple[Node, Wire]]]:
    """Two nodes that approve each other; neither listens and there is no relay."""
    bounds = replace(QUICK, punch=punch)
    wires: dict[PublicKey, Wire] = {}
    made: list[tuple[Node, Wire]] = []
    async with observer() as place:
        for _ in range(2):
            identity, gate, entropy, clock = Identity.generate(), ListGate(), SystemEntropy(), SystemClock()
            wire = Wire(identity.public, wires)
            wire.watchers = (place,)
            post: PunchPost = wire
            network = PeerNetwork(
                Credentials(identity, clock),
                None,
                gate,
                clock,
                entropy,
                entropy.token(16).hex(),
                None,
                bounds,
                post,
            )
            node = Node(identity, gate, network)
            network.serve(7, node.echo)
            await network.start()
            made.append((node, wire))
        introduce(made[0][0], made[1][0])
        try:
            yield made[0], made[1]
        finally:
            for node, _ in made:
                await node.network.close()


async def test_nobody_listens_and_they_meet() -> None:
    async with punching() as ((a, _), (b, _)):
        async with await a.network.dial(b.key, 7) as stream:
            await ping(stream)
            assert stream.info.path == "direct"
            assert b.streams[0].peer == a.key  # who asked is the TLS client
        async with await b.network.dial(a.key, 7) as stream:
            await ping(stream)


async def test_many_at_once_all_meet() -> None:
    async with punching() as ((a, _), (b, _)):
        streams = await asyncio.gather(*(a.network.dial(b.key, 7) for _ in range(6)))
        for stream in streams:
            await ping(stream)
        for stream in streams:
            await stream.finish()


async def test_a_peer_that_does_not_answer_is_not_called_again_for_a_while() -> None:
    async with punching() as ((a, _), (b, other)):
        other.deaf = True
        with pytest.raises(PeerUnreachable, match="did not answer the call"):
            await a.network.dial(b.key, 7)
        calls = len(other.words)
        with pytest.raises(PeerUnreachable, match="told no address"):
            await a.network.dial(b.key, 7)
        assert len(other.words) == calls


async def test_nothing_better_than_a_direct_path_is_tried() -> None:
    async with punching() as ((a, _), (b, other)):
        with pytest.raises(PeerUnreachable):
            await a.network.dial(b.key, 7, better_than="direct")
        assert not other.words


async def test_a_peer_that_calls_without_end_is_answered_only_so_often() -> None:
    async with punching(0.1) as ((_, _), (_b, other)):
        caller = Identity.generate().public
        mute = Wire(caller, other.others)
        assert other.ear is not None
        for number in range(3 * limits.PUNCHES_BURST):
            other.ear(caller, PunchWord(f"{number:032x}", "call"), {})
        await until(lambda: len(mute.words) >= limits.PUNCHES_BURST)
        await asyncio.sleep(0.1)
        assert len(mute.words) == limits.PUNCHES_BURST


async def test_a_call_of_a_key_that_lost_its_approval_meets_a_closed_connection() -> None:
    async with punching() as ((a, _), (b, _)):
        b.gate.keys.discard(a.key)
        with pytest.raises(PeerUnreachable):
            await a.network.dial(b.key, 7)
        assert not b.streams


async def test_a_dropped_peer_is_not_met() -> None:
    async with punching() as ((a, _), (b, other)):
        other.deaf = True
        dialling = asyncio.create_task(a.network.dial(b.key, 7))
        await until(lambda: other.words)
        a.network.drop(b.key)
        with pytest.raises(PeerUnreachable, match="were ended"):
            await dialling


async def test_a_place_where_nobody_is_gets_a_bounded_number_of_syns() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        nowhere = f"127.0.0.1:{held.getsockname()[1]}"
    with bound(socket.AF_INET, 0) as holder:
        async with volley(holder.getsockname()[1], [nowhere], 0.3, SystemEntropy()) as sockets:
            assert await sockets.next() is None


async def test_an_observer_that_answers_nonsense_is_as_none() -> None:
    async with observer(b"203.0.113.9:99999\n") as place, foothold([place]) as ours:
        assert ours.observed == ()
        assert f"127.0.0.1:{ours.port}" in ours.local
