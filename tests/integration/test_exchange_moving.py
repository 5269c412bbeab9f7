"""A transfer that began by the relay goes on, whole, on the better path that comes up."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from comity import limits
from comity.errors import LinkLost, RemoteProtocolError
from comity.protocol.exchange.messages import Join, Type, encode_message, parse_message
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange.moving import MovingLane
from tests.exchange_nodes import Node, acquaint
from tests.exchange_pair import ExchangePair
from tests.exchanges import SENDER
from tests.integration.transport_rig import until
from tests.lanes import End, MemoryLane, Wire, World

CHUNK = limits.SMALL_CHUNK_BYTES
CHUNKS = 12


class Pair(ExchangePair):
    """Two nodes, a relay, and a punch that succeeds once so many chunks have travelled by it."""

    def __init__(self, folder: Path) -> None:
        world = World()
        world.path = "relay"
        world.setup = self._link
        super().__init__(folder, world, os.urandom(CHUNKS * CHUNK + 7))
        self.better_after = 2
        #: What the second link does to its frames, given the link and how many there were.
        self.second: Callable[[Wire, int, bytes], bytes] = lambda _wire, _count, frame: frame

    def _link(self, wire: Wire) -> None:
        number, seen = len(self.world.wires), [0, 0]

        def first(frame: bytes) -> bytes:
            if frame[0] == Type.CHUNK:
                seen[0] += 1
                if seen[0] == self.better_after:
                    self.world.path = "punched"
                if seen[0] > self.better_after:
                    self._sought()
                time.sleep(0.15)  # so slow that there is time to look for another path
            return frame

        def second(frame: bytes) -> bytes:
            seen[1] += 1
            return self.second(wire, seen[1], frame)

        wire.tamper = first if number == 0 else second if number == 1 else None

    def _sought(self) -> None:
        """Hold the relay up until the better path was asked for, however busy the machine is."""
        deadline = time.monotonic() + 60
        while len(self.world.wires) < 2 or not self.world.wires[1].carried:
            assert time.monotonic() < deadline, "no better path was looked for"
            time.sleep(0.01)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = Pair(tmp_path)
    yield made
    await made.close()


def kinds(wire: Wire) -> set[int]:
    return {frame[0] for frame in wire.carried}


async def test_new_chunks_take_the_better_path_and_the_old_lane_drains(pair: Pair) -> None:
    result = await pair.send()
    assert (result.first_path, set(result.paths)) == ("relay", {"relay", "punched"})
    assert result.path == max(result.paths, key=result.paths.__getitem__)
    assert sum(result.paths.values()) == result.bytes_sent == len(pair.content)
    relayed, better = pair.world.wires
    for wire, path in ((relayed, "relay"), (better, "punched")):
        chunks = sum(frame[0] == Type.CHUNK for frame in wire.carried)
        assert result.paths[path] <= chunks * CHUNK < result.paths[path] + CHUNK
    assert Type.CLOSE in kinds(better) - kinds(relayed)
    await pair.arrived()
    assert pair.world.nodes[pair.bob.key].handled == [None, None]


async def test_a_path_that_is_as_good_is_not_moved_to(pair: Pair) -> None:
    pair.better_after = CHUNKS + 2
    result = await pair.send()
    assert result.paths == {"relay": len(pair.content)}
    await pair.arrived()


async def test_a_peer_that_cannot_move_keeps_the_transfer_where_it_is(pair: Pair) -> None:
    pair.second = lambda _wire, _count, _frame: bytes([99])  # a type of message that it doesn't know
    result = await pair.send()
    assert result.paths == {"relay": len(pair.content)}
    await pair.arrived()
    assert len(pair.world.wires) == 2  # it was asked once


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_new_lane_that_is_lost_costs_nothing_but_another_attempt(pair: Pair, count: int) -> None:
    def lose(wire: Wire, number: int, frame: bytes) -> bytes:
        if number == count:
            wire.lose("the cable was pulled")
        return frame

    pair.second = lose
    result = await pair.send()
    assert result.first_path == "relay"
    await pair.arrived()


async def test_an_old_lane_that_is_lost_while_it_drains_costs_nothing_but_another_attempt(pair: Pair) -> None:
    def lose(_wire: Wire, number: int, frame: bytes) -> bytes:
        if number == 2:  # what followed the JOIN
            pair.world.wires[0].lose("the relay restarts")
        return frame

    pair.second = lose
    await pair.send()
    await pair.arrived()


async def test_a_join_of_anothers_transfer_or_of_none_is_refused(pair: Pair, tmp_path: Path) -> None:
    mallory = Node(tmp_path / "mallory", "mallory", pair._net)
    acquaint(mallory, pair.bob)
    sending = asyncio.create_task(pair.send())
    await until(lambda: any(row.state == "running" for row in pair.bob.rows()))
    running = pair.bob.rows()[0].transfer
    for transfer in (running, "00" * 16):
        stream = await mallory.network.dial(pair.bob.key, EXCHANGE_PORT)
        await stream.send(encode_message(Join(transfer=transfer)))
        answer = await stream.receive()
        assert answer is not None
        assert answer[0] == Type.REFUSE
        await stream.finish()
    stream = await mallory.network.dial(pair.bob.key, EXCHANGE_PORT)
    await stream.send(bytes([Type.JOIN]) + b'{"transfer": 7}')
    with pytest.raises(LinkLost):
        await stream.receive()
    ended = pair.world.nodes[pair.bob.key].handled  # in any order: what was refused may end later
    await until(lambda: any(ended))
    assert [type(error) for error in ended if error is not None] == [RemoteProtocolError]
    pair.better_after = 0
    await sending
    await pair.arrived()
    mallory.close()


# ── the lane itself ───────────────────────────────────────────────────────────────────────────────────


def ends(wire: Wire) -> tuple[MemoryLane, MemoryLane]:
    return MemoryLane(End(wire, 0), SENDER.public), MemoryLane(End(wire, 1), SENDER.public)


def test_frames_keep_their_order_across_a_move_and_both_ways() -> None:
    (old_here, old_there), (new_here, new_there) = ends(Wire()), ends(Wire())
    here, there = MovingLane(old_here, leads=True), MovingLane(old_there, leads=False)
    here.send(b"1")
    there.send(b"a")
    assert there.move(new_there, b"welcome")
    assert bytes(there.receive() or b"") == b"1"
    assert bytes(new_here.receive() or b"") == b"welcome"
    assert here.move(new_here)
    there.send(b"b")  # the receiver doesn't lead: this takes the old lane
    here.send(b"2")
    here.send(b"3")
    assert not here.move(old_here)  # one at a time
    assert there.ready()
    assert [bytes(there.receive() or b""), bytes(there.receive() or b"")] == [b"2", b"3"]
    there.send(b"c")
    assert here.ready()
    assert [bytes(here.receive() or b"") for _ in "abc"] == [b"a", b"b", b"c"]
    assert not here.ready()


def test_a_lane_that_did_not_come_into_use_ends_with_the_transfer() -> None:
    wire = Wire()
    (here_lane, there_lane), (unused, _) = ends(Wire()), ends(wire)
    here = MovingLane(here_lane, leads=True)
    assert here.move(unused)
    there_lane.end()
    here.finish()
    here.close()
    assert wire.lost
    assert not here.move(unused)


def test_an_end_that_leads_nowhere_is_the_peers_end() -> None:
    here_lane, there_lane = ends(Wire())
    there = MovingLane(there_lane, leads=False)
    here_lane.end()
    assert there.receive() is None


def test_abort_reaches_every_lane() -> None:
    wires = Wire(), Wire()
    here = MovingLane(ends(wires[0])[0], leads=True)
    assert here.move(ends(wires[1])[0])
    here.abort()
    assert all(wire.lost for wire in wires)


def test_a_join_is_one_message_and_nothing_else() -> None:
    join = Join(transfer="ab" * 16)
    assert parse_message(encode_message(join)) == join
