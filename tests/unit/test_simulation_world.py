"""The in-memory world: delay, loss, partition and cuts, and the same course from the same seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import LinkLost, PeerUnreachable
from comity.transport.memory_links import End, Message, Weather
from comity.transport.memory_world import World
from comity.transport.simulation import Simulation, run_simulation

STEADY = Weather(least=0.01, most=0.01)


def play(scene: Callable[[World], Awaitable[None]], seed: int = 1, weather: Weather = STEADY) -> World:
    async def scenario(simulation: Simulation) -> World:
        world = World(simulation.seed, weather)
        await scene(world)
        return world

    return run_simulation(scenario, seed)


def now() -> float:
    return asyncio.get_running_loop().time()


async def send(end: End, *contents: object) -> None:
    for content in contents:
        await end.send(Message(content, 1))


async def receive(end: End, count: int = 1) -> list[object]:
    return [(await end.receive()).content for _ in range(count)]


def test_messages_arrive_in_order_after_the_delay() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        began = now()
        await send(near, 1, 2, 3)
        assert await receive(far, 3) == [1, 2, 3]
        assert now() - began == pytest.approx(0.01)
        await send(far, "back")
        assert await receive(near) == ["back"]
        assert now() - began == pytest.approx(0.02)

    play(scene)


@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.9), contents=st.lists(st.integers(), max_size=40))
def test_whatever_the_weather_nothing_is_lost_or_disordered(
    seed: int, loss: float, contents: list[int]
) -> None:
    async def scene(world: World) -> None:
        near, far = world.link(("a", "b")).ends
        await send(near, *contents)
        assert await receive(far, len(contents)) == contents

    play(scene, seed, Weather(least=0, most=0.001, loss=loss))


def test_a_relayed_link_takes_the_time_of_both_legs() -> None:
    async def scene(world: World) -> None:
        near, far = world.link(("a", "relay", "b")).ends
        world.set_weather("relay", "b", Weather(least=0.5, most=0.5))
        await send(near, 1)
        await receive(far)
        assert now() == pytest.approx(0.51)

    play(scene)


def test_a_partition_holds_everything_back_and_loses_nothing() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        await send(near, 1)
        world.partition("b", "a")
        await send(near, 2)
        waiting = asyncio.create_task(receive(far, 2))
        await asyncio.sleep(3600)
        assert not waiting.done()
        world.heal("a", "b")
        assert await waiting == [1, 2]

    play(scene)


def test_nobody_gets_through_a_partition() -> None:
    async def scene(world: World) -> None:
        world.partition("a", "b")
        began = now()
        with pytest.raises(PeerUnreachable):
            await world.open(("a", "b"))
        assert now() - began == pytest.approx(limits.CONNECT_TIMEOUT)
        await world.open(("a", "c"))
        asyncio.get_running_loop().call_later(3, world.heal, "a", "b")
        await world.open(("a", "b"))

    play(scene)


def test_a_partition_of_one_leg_blocks_the_relay() -> None:
    async def scene(world: World) -> None:
        world.partition("relay", "b")
        assert world.blocked(("a", "relay", "b"))
        assert not world.blocked(("a", "relay"))
        assert not world.blocked(("a", "b"))

    play(scene)


def test_an_unplugged_place_reaches_nobody() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        world.unplug("b")
        await send(near, 1)
        with pytest.raises(PeerUnreachable):
            await world.open(("c", "b"))
        world.plug("b")
        assert await receive(far) == [1]

    play(scene)


def test_the_other_side_reads_what_was_sent_before_the_end() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        await send(near, 1, 2)
        near.close("done")
        assert await receive(far, 2) == [1, 2]
        with pytest.raises(LinkLost, match="done"):
            await far.receive()
        with pytest.raises(LinkLost, match="done"):
            await send(far, 3)
        for action in (near.receive(), send(near, 3)):
            with pytest.raises(LinkLost, match="on this side"):
                await action

    play(scene)


def test_the_news_of_an_end_takes_its_time() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        near.close("done")
        await send(far, 1)
        await asyncio.sleep(0.02)
        with pytest.raises(LinkLost):
            await send(far, 2)

    play(scene)


def test_a_cut_ends_both_sides_at_once() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        other, _ = await world.open(("a", "c"))
        await send(near, 1)
        waiting = asyncio.create_task(far.receive())
        await asyncio.sleep(0)
        assert world.cut("a", "b") == 1
        with pytest.raises(LinkLost):
            await waiting
        with pytest.raises(LinkLost):
            await send(near, 2)
        await send(other, 1)
        assert world.cut("a") == 1

    play(scene)


def test_weather_that_cuts_ends_links_sooner_or_later() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        with pytest.raises(LinkLost, match="reset"):
            await asyncio.gather(send(near, *range(1000)), receive(far, 1000))

    play(scene, weather=Weather(least=0, most=0, cuts=0.05))


def test_a_reader_that_stops_stops_the_sender() -> None:
    async def scene(world: World) -> None:
        near, far = await world.open(("a", "b"))
        sending = asyncio.create_task(send(near, *range(limits.STREAM_QUEUE_FRAMES + 1)))
        await asyncio.sleep(1)
        assert not sending.done()
        await far.receive()
        await asyncio.sleep(1)
        assert sending.done()
        with pytest.raises(LinkLost, match="nothing moved"):
            await send(near, "one too many")

    play(scene)


def test_ending_a_link_frees_its_own_sender() -> None:
    async def scene(world: World) -> None:
        near, _ = await world.open(("a", "b"))
        sending = asyncio.create_task(send(near, *range(limits.STREAM_QUEUE_FRAMES + 1)))
        await asyncio.sleep(1)
        near.close("done")
        with pytest.raises(LinkLost, match="on this side"):
            await sending

    play(scene)


def test_places_have_addresses_of_their_own() -> None:
    async def scene(world: World) -> None:
        assert world.address("a") == "[2001:db8::1]:50000"
        assert world.address("b", 4000) == "[2001:db8::2]:4000"
        assert world.address("a") == "[2001:db8::1]:50000"

    play(scene)


async def _chatter(world: World) -> None:
    async def talk(one: str, other: str) -> None:
        near, far = await world.open((one, other))
        for number in range(20):
            await send(near, number)
            await send(far, *await receive(far))
            await receive(near)

    async with asyncio.TaskGroup() as tasks:
        for pair in (("a", "b"), ("b", "c"), ("c", "a")):
            tasks.create_task(talk(*pair))
        await asyncio.sleep(0.1)
        world.partition("a", "b")
        await asyncio.sleep(1)
        world.heal("a", "b")


def test_the_same_seed_gives_the_same_trace() -> None:
    stormy = Weather(least=0.01, most=0.2, loss=0.3)
    assert play(_chatter, 5, stormy).trace == play(_chatter, 5, stormy).trace
    assert play(_chatter, 5, stormy).trace != play(_chatter, 6, stormy).trace
