"""Nodes in the in-memory world: dialling while it falls apart, from a seed, and over a relay that lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import ComityError, IdentityMismatch, LinkLost, PeerUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.registry import AskRelay, RelayOffer
from comity.transport.interface import Lane, Stream
from comity.transport.memory_links import Weather
from comity.transport.memory_registry import Member, MemoryRegistry, Seat
from comity.transport.memory_rendezvous import MemoryServer, Met
from comity.transport.simulation import Simulation, run_simulation
from tests.contract.rigs import Claim, MemoryRig, Site, site
from tests.integration.transport_rig import until
from tests.worlds import identity_of

ECHO, BULK = 7, 8
FAR = 4e9


@asynccontextmanager
async def town(rig: MemoryRig, *names: str) -> AsyncIterator[list[Site]]:
    """Nodes that approve each other, all listening and all known to each other."""
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(site(rig, name, Claim(name, listen=True))) for name in names]
        for one in sites:
            one.approve(*sites)
            one.network.serve(ECHO, one.echo)
            for other in sites:
                one.network.learn(other.key, other.network.candidates(), FAR)
        yield sites


async def ping(stream: Stream, body: bytes = b"ping") -> None:
    await stream.send(body)
    assert await stream.receive() == body


def play(scene: Callable[[MemoryRig], Awaitable[None]], seed: int = 1) -> list[str]:
    async def scenario(simulation: Simulation) -> list[str]:
        rig = MemoryRig(simulation)
        await scene(rig)
        return rig.town.world.trace

    return run_simulation(scenario, seed)


def now() -> float:
    return asyncio.get_running_loop().time()


# ── partitions ────────────────────────────────────────────────────────────────────────────────────────


def test_around_a_partition_there_is_the_relay() -> None:
    async def scene(rig: MemoryRig) -> None:
        async with town(rig, "anna", "bert") as (anna, bert):
            rig.town.world.partition("anna", "bert")
            began = now()
            async with await anna.network.dial(bert.key, ECHO) as stream:
                assert stream.info.path == "relay"
                assert now() - began < limits.RELAY_HEAD_START + 1
                await ping(stream)

    play(scene)


def test_without_any_way_a_dial_ends_in_time_and_says_how_each_failed() -> None:
    async def scene(rig: MemoryRig) -> None:
        async with town(rig, "anna", "bert") as (anna, bert):
            rig.town.world.unplug("bert")
            began = now()
            with pytest.raises(PeerUnreachable) as caught:
                await anna.network.dial(bert.key, ECHO)
            assert now() - began <= limits.RELAY_READY_TIMEOUT + limits.CONNECT_TIMEOUT
            assert "direct" in caught.value.message
            assert "relay" in caught.value.message
            rig.town.world.plug("bert")

    play(scene)


def test_a_stream_outlives_a_short_partition() -> None:
    async def scene(rig: MemoryRig) -> None:
        async with (
            town(rig, "anna", "bert") as (anna, bert),
            await anna.network.dial(bert.key, ECHO) as stream,
        ):
            rig.town.world.partition("anna", "bert")
            pinging = asyncio.create_task(ping(stream))
            await asyncio.sleep(20)
            assert not pinging.done()
            rig.town.world.heal("anna", "bert")
            await pinging

    play(scene)


def test_the_rendezvous_restarts_and_direct_streams_do_not_notice() -> None:
    async def scene(rig: MemoryRig) -> None:
        async with town(rig, "anna", "bert") as (anna, bert):
            rig.town.world.partition("anna", "bert")
            relayed = await anna.network.dial(bert.key, ECHO)
            rig.town.world.heal("anna", "bert")
            direct = await anna.network.dial(bert.key, ECHO)
            await rig.stop()
            await ping(direct)
            with pytest.raises(LinkLost):
                await relayed.receive()
            await rig.start()
            for node in (anna, bert):
                await node.diary.until(lambda diary: len(diary.registrations) == 2)
            await direct.finish()

    play(scene)


def test_a_lane_that_stands_still_is_given_up_in_virtual_time() -> None:
    async def scene(rig: MemoryRig) -> None:
        async with town(rig, "anna", "bert") as (anna, bert):
            lane = (await anna.network.dial(bert.key, ECHO)).lane()
            rig.town.world.partition("anna", "bert")
            began = now()
            with pytest.raises(LinkLost, match="nothing moved"):
                await asyncio.to_thread(lane.receive)
            assert now() - began == pytest.approx(limits.LANE_TIMEOUT)

    play(scene)


# ── from a seed ───────────────────────────────────────────────────────────────────────────────────────


def _send_all(lane: Lane) -> None:
    for number in range(10):
        lane.send(bytes([number]) * 10_000)
    lane.finish()


def _receive_all(lane: Lane) -> int:
    total = 0
    while (body := lane.receive()) is not None:
        total += len(body)
    lane.finish()
    return total


async def _turmoil(rig: MemoryRig) -> None:
    world = rig.town.world
    received: list[int] = []

    async def take(stream: Stream) -> None:
        received.append(await asyncio.to_thread(_receive_all, stream.lane()))

    async def chatter(one: Site, other: Site) -> None:
        for _ in range(5):
            try:
                async with await one.network.dial(other.key, ECHO) as stream:
                    for _ in range(5):
                        await ping(stream)
                        await asyncio.sleep(1)
            except ComityError:
                await asyncio.sleep(2)

    async with town(rig, "anna", "bert", "carl") as (anna, bert, carl):
        bert.network.serve(BULK, take)
        for leg in (("anna", "bert"), ("bert", "carl"), ("rendezvous", "anna")):
            world.set_weather(*leg, Weather(least=0.01, most=0.2, loss=0.2, cuts=0.01))
        async with asyncio.TaskGroup() as tasks:
            for pair in ((anna, bert), (bert, carl), (carl, anna)):
                tasks.create_task(chatter(*pair))
            await asyncio.sleep(3)
            world.partition("anna", "carl")
            await rig.stop()
            await asyncio.sleep(20)
            await rig.start()
            world.unplug("bert")
            await asyncio.sleep(20)
            world.plug("bert")
            world.heal("anna", "carl")
        for leg in (("anna", "bert"), ("rendezvous", "anna")):
            world.set_weather(*leg, Weather())
        async with await anna.network.dial(bert.key, BULK) as stream:
            await asyncio.to_thread(_send_all, stream.lane())
        await until(lambda: received == [100_000])


def test_the_same_seed_takes_the_same_course() -> None:
    traces = [play(_turmoil, seed) for seed in (3, 3, 4)]
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]
    assert len(traces[0]) > 200


# ── a relay that lies ─────────────────────────────────────────────────────────────────────────────────


class Remapping(MemoryRegistry):
    """Whoever asks for a lane to bert gets one to carl, who is told that it is from the asker."""

    def relay(self, seat: Seat, request: AskRelay) -> bytes:
        carl = AskRelay(id=request.id, peer=identity_of("carl").public.hex, call=request.call)
        return super().relay(seat, carl)


class Misannouncing(MemoryRegistry):
    """Tells the peer that someone else waits at the relay than who does."""

    def offer(self, peer: Member, offer: RelayOffer) -> list[RelayOffer]:
        return [RelayOffer(peer=identity_of("carl").public.hex, call=offer.call, ticket=offer.ticket)]


@pytest.mark.parametrize("registry", [Remapping, Misannouncing])
def test_a_lane_to_another_node_carries_nothing(
    registry: Callable[[int, Clock, Entropy], MemoryRegistry],
) -> None:
    async def scenario(simulation: Simulation) -> None:
        rig = MemoryRig(simulation, registry)
        async with town(rig, "anna", "bert", "carl") as (anna, bert, carl):
            rig.town.world.partition("anna", "bert")
            with pytest.raises((IdentityMismatch, PeerUnreachable)):
                await anna.network.dial(bert.key, ECHO)
            assert (bert.diary.answered, carl.diary.answered) == ([], [])

    run_simulation(scenario, 1)


class Swapping(MemoryServer):
    """A relay that joins the dialler with a third node, whatever the tickets say."""

    third: PublicKey | None = None

    async def meet(self, place: str, key: PublicKey, ticket: bytes) -> Met:
        met = await super().meet(place, key, ticket)
        return Met(met.end, self.third or met.other)


def test_both_sides_notice_who_is_at_the_other_end() -> None:
    async def scenario(simulation: Simulation) -> None:
        rig = MemoryRig(simulation, server=Swapping)
        async with town(rig, "anna", "bert", "carl") as (anna, bert, carl):
            rig.town.world.partition("anna", "bert")
            assert isinstance(rig.town.server, Swapping)
            rig.town.server.third = carl.key
            with pytest.raises(IdentityMismatch):
                await anna.network.dial(bert.key, ECHO)
            assert await bert.gate.wait_for(1) == ["identity_mismatch"]
            assert bert.diary.answered == []

    run_simulation(scenario, 1)
