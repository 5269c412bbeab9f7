"""A large transfer over a long line takes several lanes, and is what it would have been on one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from comity import limits
from comity.errors import LinkLost, RemoteProtocolError, VerificationFailed
from comity.protocol.exchange.lanes import lanes_frame, lanes_wanted, parse_lanes
from comity.protocol.exchange.messages import Type
from comity.services.exchange.moving import MovingLane
from comity.services.exchange.spreading import SpreadLane
from tests.exchange_pair import ExchangePair
from tests.exchanges import SENDER
from tests.lanes import End, MemoryLane, Wire, World

LONG = 0.1  # seconds there and back


class Far(ExchangePair):
    """Two nodes with a long line between them, on which the first lane is slow until it is joined."""

    def __init__(self, folder: Path) -> None:
        world = World()
        world.round_trip = LONG
        world.setup = self._link
        super().__init__(folder, world, os.urandom(limits.LANES_BYTES + 7))
        #: What the further links do to their chunks, given the link and which of its chunks it is.
        self.chunk: Callable[[Wire, int, bytes], bytes] = lambda _wire, _count, frame: frame

    def _link(self, wire: Wire) -> None:
        number, seen = len(self.world.wires), 0

        def first(frame: bytes) -> bytes:
            deadline = time.monotonic() + 60
            while frame[0] == Type.CHUNK and not all(self._joined()) and time.monotonic() < deadline:
                time.sleep(0.01)
            if frame[0] == Type.CHUNK and not self.spread():
                time.sleep(0.05)  # the answers are on their way
            return frame

        def further(frame: bytes) -> bytes:
            nonlocal seen
            if frame[0] != Type.CHUNK:
                return frame
            seen += 1
            return self.chunk(wire, seen, frame)

        wire.tamper = first if number == 0 else further

    def _joined(self) -> list[bool]:
        wires = self.world.wires
        return [len(wires) > number and bool(wires[number].carried) for number in range(limits.LANES_MOST)]

    def spread(self) -> bool:
        return any(frame[0] == Type.LANES for frame in self.world.wires[0].carried)


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    made = Far(tmp_path)
    yield made
    await made.close()


def chunks(wire: Wire) -> int:
    return sum(frame[0] == Type.CHUNK for frame in wire.carried)


async def test_chunks_travel_on_all_lanes(far: Far) -> None:
    result = await far.send()
    assert far.spread()
    assert len(far.world.wires) == limits.LANES_MOST
    assert all(chunks(wire) for wire in far.world.wires)
    assert result.bytes_sent == len(far.content)
    await far.arrived()
    assert far.world.nodes[far.bob.key].handled == [None] * limits.LANES_MOST


async def test_a_lane_that_is_lost_costs_another_attempt(far: Far) -> None:
    def lose(wire: Wire, count: int, frame: bytes) -> bytes:
        if count == 3 and wire is far.world.wires[2]:
            wire.lose("the cable was pulled")
        return frame

    far.chunk = lose
    await far.send()
    await far.arrived()


async def test_a_wrong_chunk_ends_it_on_both_sides(far: Far) -> None:
    far.chunk = lambda _wire, count, frame: frame[:-1] + bytes([frame[-1] ^ 1]) if count == 2 else frame
    with pytest.raises(VerificationFailed):
        await far.send()
    await far.world.nodes[far.bob.key].idle()
    assert await far.bob.files() == ()
    assert [row.state for row in (*far.alice.rows(), *far.bob.rows())] == ["failed", "failed"]


async def test_a_short_line_has_one_lane(far: Far) -> None:
    far.world.round_trip = 0.001
    far.world.setup = lambda _: None
    await far.send()
    await far.arrived()
    assert len(far.world.wires) == 1


def test_when_more_lanes_are_wanted() -> None:
    large = limits.LANES_BYTES
    assert lanes_wanted(large, LONG, "direct", 99) == limits.LANES_MOST
    assert lanes_wanted(large, LONG, "punched", 2) == 2
    assert lanes_wanted(large, LONG, "relay", 4) == 1  # it may still move
    assert lanes_wanted(large - 1, LONG, "direct", 4) == 1
    assert lanes_wanted(large, 0.0, "direct", 4) == 1
    assert lanes_wanted(large, LONG, "direct", 0) == 1


@pytest.mark.parametrize("body", [b"", *map(lanes_frame, ([], [0, 1], [2, 1], [1, 1]))])
def test_a_malformed_lanes_message(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_lanes(body)


# ── the lane itself ───────────────────────────────────────────────────────────────────────────────────


def sides(count: int) -> tuple[list[MemoryLane], list[MemoryLane]]:
    wires = [Wire() for _ in range(count)]
    return (
        [MemoryLane(End(wire, 0), SENDER.public) for wire in wires],
        [MemoryLane(End(wire, 1), SENDER.public) for wire in wires],
    )


def spread(lanes: list[MemoryLane], *, leads: bool) -> SpreadLane:
    made = SpreadLane(MovingLane(lanes[0], leads=leads), leads=leads)
    numbered = list(enumerate(lanes))[1:]
    for number, lane in numbered if leads else numbered[::-1]:  # in whatever order they came
        assert made.add(lane, number)
    return made


def test_frames_keep_their_order() -> None:
    ours, theirs = sides(3)
    here, there = spread(ours, leads=True), spread(theirs, leads=False)
    # Short and long ones, and two of each after one another.
    sent = [bytes([50 + number]) * (1 + number // 2 % 2 * limits.FRAME_BYTES) for number in range(20)]
    read: list[bytes] = []

    def receive() -> None:
        while (body := there.receive()) is not None:
            read.append(bytes(body))
        there.finish()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(receive)
        for number, body in enumerate(sent):
            if number == 7:
                here.spread()
            here.send(body)
        here.finish()
        reading.result(60)
    assert read == sent
    assert (here.lanes, there.lanes) == (3, 3)


def test_lanes_that_nobody_knows_are_an_error() -> None:
    ours, theirs = sides(2)
    here = spread(ours, leads=True)
    there = SpreadLane(MovingLane(theirs[0], leads=False), leads=False)
    here.spread()
    here.send(b"x")
    with pytest.raises(RemoteProtocolError, match="not known"):
        there.receive()


def test_it_takes_no_more_than_it_may_and_none_once_it_is_over() -> None:
    ours, _ = sides(limits.LANES_MOST + 1)
    here = spread(ours[:-1], leads=True)
    for number in range(limits.LANES_MOST + 1):
        assert not here.add(ours[-1], number)
    assert not here.move(ours[-1])
    here.abort()
    for lane in ours[:-1]:
        with pytest.raises(LinkLost):
            lane.send(b"x")


def test_an_abort_frees_a_thread_on_any_lane() -> None:
    ours, theirs = sides(2)
    here, there = spread(ours, leads=True), spread(theirs, leads=False)
    here.spread()
    here.send(b"x")
    assert bytes(there.receive() or b"") == b"x"
    waiting = threading.Event()

    def receive() -> None:
        waiting.set()
        with pytest.raises(LinkLost):
            there.receive()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(receive)
        assert waiting.wait(60)
        there.abort()
        reading.result(60)
