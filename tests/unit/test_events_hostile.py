"""A partner who cheats on port 1002: raw frames against whole nodes in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from comity import control, limits
from comity.errors import ComityError, LinkLost
from comity.protocol.events.messages import (
    Acknowledge,
    Beat,
    Deliver,
    Fail,
    Message,
    NewEvent,
    Publish,
    Published,
    StoredEvent,
    Subscribe,
    Subscribed,
    encode_message,
    parse_message,
)
from comity.protocol.hello import EVENTS_PORT
from comity.storage.events import Consumer, EventStore
from comity.transport.interface import Stream
from comity.transport.simulation import Simulation, run_simulation
from tests.simulated_nodes import SimulatedNode, running
from tests.unit.test_events_nodes import publish, read, take, wanted
from tests.worlds import Town

BATCH = "ab" * 16
EVERYTHING = Subscribe(pattern="**", consumer="c", after=0)
ONE = Publish(batch=BATCH, events=(NewEvent("a", "1"),))


class Scene:
    """Bob is honest, and so is carol; mallory is trusted by bob, and writes her frames herself."""

    def __init__(self, simulation: Simulation) -> None:
        town = Town(simulation)
        self.bob = SimulatedNode(town, "bob", listen=True)
        self.carol = SimulatedNode(town, "carol", listen=True)
        self.mallory = SimulatedNode(town, "mallory", listen=True)

    async def dial(self) -> Stream:
        agreement = next(iter(self.mallory.node.trust.lineage(self.bob.key)))
        return await self.mallory.node.network.dial(self.bob.key, EVENTS_PORT, agreement=agreement)

    async def all_is_well(self) -> None:
        """Bob still serves others."""
        await publish(self.bob, "still here", topic="alive")
        assert (await read(self.carol, 1, wanted("alive")))[-1] == "still here"

    def stored(self) -> int:
        """How many events bob's broker keeps."""
        return int(self.bob.db.execute("SELECT COUNT(*) FROM event").fetchone()[0])

    def consumers(self) -> int:
        return int(self.bob.db.execute("SELECT COUNT(*) FROM event_consumer").fetchone()[0])


def play(scenario: Callable[[Scene], Awaitable[None]]) -> None:
    async def run(simulation: Simulation) -> None:
        scene = Scene(simulation)
        async with running(scene.bob, scene.carol, scene.mallory):
            await scene.carol.agree_with(scene.bob)
            await scene.mallory.agree_with(scene.bob)
            await scenario(scene)
            await scene.all_is_well()

    run_simulation(run, 1)


async def say(stream: Stream, *messages: Message) -> None:
    for message in messages:
        await stream.send(encode_message(message))


async def hear(stream: Stream) -> Message:
    async with asyncio.timeout(60):
        body = await stream.receive()
    assert body is not None
    return parse_message(body)


async def refused(stream: Stream) -> str:
    """The code of the FAIL that ends the stream in order."""
    answer = await hear(stream)
    assert isinstance(answer, Fail)
    assert await stream.receive() is None
    await stream.finish()
    return answer.code


async def drain(stream: Stream, seconds: float = 120.0) -> tuple[int, bool]:
    """How many events come in that time, and whether the stream was cut."""
    received = 0
    try:
        async with asyncio.timeout(seconds):
            while (body := await stream.receive()) is not None:
                message = parse_message(body)
                received += len(message.events) if isinstance(message, Deliver) else 0
    except TimeoutError:
        return received, False
    except LinkLost:
        return received, True
    return received, False


async def cut(stream: Stream) -> None:
    """The stream ends without a farewell."""
    assert (await drain(stream))[1]


def plain(**members: object) -> bytes:
    return msgspec.json.encode(members)


DEEP = b'{"type":"subscribe","pattern":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
SUBSCRIBE: dict[str, Any] = {"type": "subscribe", "pattern": "a", "consumer": "c"}
PUBLISH: dict[str, Any] = {"type": "publish", "batch": BATCH, "events": [{"topic": "a", "data": "1"}]}
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"subscribe",
    "half": b'{"type":"subscribe"',
    "not text": b'{"type":"subscribe","pattern":"\xff","consumer":"c"}',
    "a list": b"[]",
    "a number": b"1",
    "deep": DEEP,
    "unknown": plain(type="nonsense"),
    "untyped": plain(pattern="a", consumer="c"),
    "trailing": msgspec.json.encode(SUBSCRIBE) + b"{}",
    "no consumer": plain(type="subscribe", pattern="a"),
    "a bad pattern": plain(**SUBSCRIBE | {"pattern": "a**"}),
    "a long pattern": plain(**SUBSCRIBE | {"pattern": "a" * 1000}),
    "sql": plain(**SUBSCRIBE | {"pattern": "a' OR 1=1 --"}),
    "a long consumer": plain(**SUBSCRIBE | {"consumer": "c" * 1000}),
    "control characters": plain(**SUBSCRIBE | {"consumer": "\x1b[2J"}),
    "a negative place": plain(**SUBSCRIBE | {"after": -1}),
    "a place that is no number": plain(**SUBSCRIBE | {"after": "0"}),
    "a huge place": b'{"type":"subscribe","pattern":"a","consumer":"c","after":' + b"9" * 400 + b"}",
    "a short sender": plain(**SUBSCRIBE | {"sender": "ab"}),
    "no events": plain(**PUBLISH | {"events": []}),
    "too many events": plain(**PUBLISH | {"events": PUBLISH["events"] * 257}),
    "a wildcard topic": plain(**PUBLISH | {"events": [{"topic": "a/*", "data": "1"}]}),
    "data that is no text": plain(**PUBLISH | {"events": [{"topic": "a", "data": 1}]}),
    "much data": plain(**PUBLISH | {"events": [{"topic": "a", "data": "x" * (limits.EVENT_BYTES + 1)}]}),
    "much once escaped": plain(**PUBLISH | {"events": [{"topic": "a", "data": "\n" * 20_000}]}),
    "a bad batch": plain(**PUBLISH | {"batch": "zz"}),
    "acknowledgement first": plain(type="acknowledge", position=1),
    "beat first": plain(type="beat"),
    "delivery first": plain(type="deliver", events=[{"position": 1, "topic": "a", "data": "", "at": 0}]),
    "published first": plain(type="published", batch=BATCH, position=1, at=0),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_first_frame_that_makes_no_sense_ends_the_stream_and_leaves_nothing(body: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        stream = await scene.dial()
        await stream.send(body)
        await cut(stream)
        assert (scene.stored(), scene.consumers()) == (0, 0)

    play(scenario)


@pytest.mark.parametrize(
    "message",
    [
        EVERYTHING,
        ONE,
        Acknowledge(position=99),
        Subscribed(position=0),
        Deliver(events=(StoredEvent(position=1, topic="a", data="", at=0),)),
        Fail(code="denied", message="no"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_has_no_place_in_a_subscription_ends_it(message: Message) -> None:
    async def scenario(scene: Scene) -> None:
        stream = await scene.dial()
        await say(stream, EVERYTHING)
        assert await hear(stream) == Subscribed(position=0)
        await say(stream, message)
        await cut(stream)

    play(scenario)


@pytest.mark.parametrize("message", [EVERYTHING, Beat()], ids=["subscribe", "beat"])
def test_what_has_no_place_after_a_publication_ends_the_stream(message: Message) -> None:
    async def scenario(scene: Scene) -> None:
        stream = await scene.dial()
        await say(stream, ONE)
        assert isinstance(await hear(stream), Published)
        await say(stream, message)
        await cut(stream)

    play(scenario)


def test_a_repeated_batch_is_stored_once_whatever_it_holds_the_second_time() -> None:
    async def scenario(scene: Scene) -> None:
        stream = await scene.dial()
        await say(stream, ONE)
        first = await hear(stream)
        await say(stream, Publish(batch=BATCH, events=(NewEvent("a", "2"), NewEvent("a", "3"))))
        assert await hear(stream) == first
        await stream.finish()
        assert scene.stored() == 1
        assert await read(scene.bob, 1, wanted("a", from_="mallory")) == ["1"]

    play(scenario)


def test_nobody_reads_what_is_not_for_them() -> None:
    """Neither what another left for the owner, nor what is for another alone, nor what came before."""

    async def scenario(scene: Scene) -> None:
        await publish(scene.carol, "for bob alone", to="bob")
        await publish(scene.bob, "for all")
        stream = await scene.dial()
        await say(stream, EVERYTHING)
        assert await hear(stream) == Subscribed(position=0)
        delivered = await hear(stream)
        assert isinstance(delivered, Deliver)
        assert [event.data for event in delivered.events] == ["for all"]
        stream.abort()

    play(scenario)


def test_a_cursor_does_not_reach_back_before_the_approval() -> None:
    async def run(simulation: Simulation) -> None:
        scene = Scene(simulation)
        async with running(scene.bob, scene.carol, scene.mallory):
            await scene.carol.agree_with(scene.bob)
            for number in range(5):
                await publish(scene.bob, f"secret {number}")
            await scene.mallory.agree_with(scene.bob)
            await publish(scene.bob, "open")
            for after in (0, 1, 4, 5):
                stream = await scene.dial()
                await say(stream, Subscribe(pattern="**", consumer=f"from-{after}", after=after))
                assert await hear(stream) == Subscribed(position=after)
                delivered = await hear(stream)
                assert isinstance(delivered, Deliver)
                assert [event.data for event in delivered.events] == ["open"]
                stream.abort()

    run_simulation(run, 1)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Subscribe(pattern="**", consumer="c", after=1000), "invalid_input"),
        (Subscribe(pattern="**", consumer="c", after=2**53 - 1), "invalid_input"),
        (Subscribe(pattern="**", consumer="c", sender="cd" * 32), "denied"),
    ],
    ids=["beyond", "far beyond", "sender"],
)
def test_questions_that_are_answered_with_no(asked: Subscribe, code: str) -> None:
    async def scenario(scene: Scene) -> None:
        await publish(scene.carol, "for bob alone", to="bob")
        stream = await scene.dial()
        await say(stream, asked)
        assert await refused(stream) == code
        assert scene.consumers() == 0

    play(scenario)


def test_a_consumer_of_anothers_name_is_ones_own() -> None:
    """An unknown consumer starts at the beginning; carol's place is not moved by mallory's."""

    async def scenario(scene: Scene) -> None:
        await publish(scene.bob, "0", "1")
        assert await read(scene.carol, 2, wanted("**")) == ["0", "1"]
        await publish(scene.bob, "2")
        stream = await scene.dial()
        await say(stream, Subscribe(pattern="**", consumer="test"))
        assert await hear(stream) == Subscribed(position=0)
        delivered = await hear(stream)
        assert isinstance(delivered, Deliver)
        await say(stream, Acknowledge(position=delivered.events[-1].position))
        await asyncio.sleep(5)
        stream.abort()
        assert await read(scene.carol, 1, wanted("**")) == ["2"]

    play(scenario)


def test_consumers_are_bounded() -> None:
    async def scenario(scene: Scene) -> None:
        names = [f"c{number}" for number in range(limits.EVENT_CONSUMERS)]
        places = [(Consumer(scene.mallory.key.hex, name, "**", ""), 0) for name in names]
        EventStore(scene.bob.db).put_places(places, seen=2**33)
        stream = await scene.dial()
        await say(stream, Subscribe(pattern="**", consumer="one-more"))
        assert await refused(stream) == "broker_full"
        again = await scene.dial()
        await say(again, Subscribe(pattern="**", consumer="c7"))
        assert await hear(again) == Subscribed(position=0)
        await again.finish()

    play(scenario)


def test_subscriptions_at_once_are_bounded() -> None:
    async def scenario(scene: Scene) -> None:
        streams = []
        for number in range(limits.EVENT_READERS):
            streams.append(await scene.dial())
            await say(streams[-1], Subscribe(pattern="**", consumer=f"c{number}"))
            assert await hear(streams[-1]) == Subscribed(position=0)
        one_more = await scene.dial()
        await say(one_more, Subscribe(pattern="**", consumer="one-more"))
        assert await refused(one_more) == "broker_full"
        for stream in streams:
            stream.abort()

    play(scenario)


def test_a_flood_of_publications_ends_at_its_quota_and_pushes_nothing_else_out() -> None:
    async def scenario(scene: Scene) -> None:
        await publish(scene.bob, "mine")
        stream = await scene.dial()
        big = NewEvent("a", "x" * 30_000)
        kept = 0
        while True:
            await say(stream, Publish(batch=f"{kept:032x}", events=(big,)))
            answer = await hear(stream)
            if isinstance(answer, Fail):
                break
            kept += 1
        assert answer.code == "broker_full"
        assert kept * 30_000 <= limits.EVENTS_FROM_PEER_BYTES < (kept + 2) * 30_500
        assert await read(scene.carol, 1, wanted("**")) == ["mine"]
        assert (await publish(scene.carol, "still room", to="bob")).stored == "peer"

    play(scenario)


def test_a_reader_that_reads_nothing_harms_nobody() -> None:
    async def scenario(scene: Scene) -> None:
        stream = await scene.dial()
        await say(stream, EVERYTHING)
        count = 3 * limits.EVENTS_UNACKNOWLEDGED
        for start in range(0, count, 256):
            await publish(scene.bob, *map(str, range(start, start + 256)))
        async with scene.carol.node.events.subscribe(wanted("**")) as subscription:
            found = await take(subscription, count, one_by_one=True)
        assert [event.data for event in found] == [str(number) for number in range(count)]
        await asyncio.sleep(2 * limits.EVENTS_DEAD_AFTER)
        received, was_cut = await drain(stream)  # it never said a word
        assert was_cut
        assert received <= limits.EVENTS_UNACKNOWLEDGED

    play(scenario)


def test_a_reader_that_only_beats_gets_a_window_and_no_more() -> None:
    async def scenario(scene: Scene) -> None:
        stream = await scene.dial()
        await say(stream, EVERYTHING)
        for start in range(0, 3 * limits.EVENTS_UNACKNOWLEDGED, 256):
            await publish(scene.bob, *map(str, range(start, start + 256)))
        received = 0
        for _ in range(20):
            await say(stream, Beat())
            more, was_cut = await drain(stream, 4)
            assert not was_cut
            received += more
        assert received == limits.EVENTS_UNACKNOWLEDGED
        stream.abort()

    play(scenario)


def test_a_flood_of_acknowledgements_whose_answers_nobody_reads() -> None:
    async def scenario(scene: Scene) -> None:
        await publish(scene.bob, "0")
        stream = await scene.dial()
        await say(stream, EVERYTHING)
        assert await hear(stream) == Subscribed(position=0)
        assert isinstance(await hear(stream), Deliver)
        with suppress(LinkLost):
            for _ in range(50 * limits.EVENTS_UNACKNOWLEDGED):
                await say(stream, Acknowledge(position=0))
        with pytest.raises(LinkLost):
            await stream.send(b"")

    play(scenario)


def test_revocation_ends_raw_streams_at_once() -> None:
    async def run(simulation: Simulation) -> None:
        scene = Scene(simulation)
        async with running(scene.bob, scene.carol, scene.mallory):
            await scene.carol.agree_with(scene.bob)
            await scene.mallory.agree_with(scene.bob)
            reading, publishing = await scene.dial(), await scene.dial()
            await say(reading, EVERYTHING)
            assert await hear(reading) == Subscribed(position=0)
            await say(publishing, ONE)
            assert isinstance(await hear(publishing), Published)
            agreement = next(iter(scene.mallory.node.trust.lineage(scene.bob.key)))
            await scene.bob.node.trust.ending.revoke(control.RevokeRequest(peer="mallory", wait_seconds=0.0))
            await publish(scene.bob, "after")
            for stream in (reading, publishing):
                await cut(stream)
            with pytest.raises(ComityError) as caught:
                await scene.mallory.node.network.dial(scene.bob.key, EVENTS_PORT, agreement=agreement)
            assert caught.value.code in ("peer_refused", "peer_unreachable")
            assert scene.stored() == 2
            await scene.all_is_well()

    run_simulation(run, 1)


def test_who_is_not_approved_reaches_no_broker() -> None:
    async def run(simulation: Simulation) -> None:
        scene = Scene(simulation)
        async with running(scene.bob, scene.carol, scene.mallory):
            await scene.carol.agree_with(scene.bob)
            scene.mallory.node.network.learn(scene.bob.key, scene.bob.node.network.candidates(), 2**40)
            for port in (7, 444, 1001, EVENTS_PORT, 1003):
                with pytest.raises(ComityError) as caught:
                    await scene.mallory.node.network.dial(scene.bob.key, port)
                assert caught.value.code in ("peer_refused", "peer_unreachable")
            assert scene.stored() == 0
            await scene.all_is_well()

    run_simulation(run, 1)
