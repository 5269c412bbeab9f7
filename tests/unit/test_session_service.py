"""The session service on the in-memory network, in virtual time and from seeds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from comity import limits
from comity.control import AuditLogRequest
from comity.identity.envelope import Envelope
from comity.transport.memory_links import Weather
from comity.transport.simulation import Simulation, run_simulation
from tests.session_sides import Side, down, up
from tests.worlds import Town

BLOCKS = 8
SEEDS_A_BLOCK = 40


def seeds(block: int) -> range:
    return range(block * SEEDS_A_BLOCK, (block + 1) * SEEDS_A_BLOCK)


def weather_of(seed: int, loss: float) -> Weather:
    chance = random.Random(seed)
    most = chance.choice((0.005, 0.05, 0.5))
    return Weather(least=most / 10, most=most, loss=chance.choice((0.0, loss)))


def pair(town: Town, *names: str) -> tuple[Side, Side]:
    one, other = (Side(town, name) for name in names or ("lab-a", "lab-b"))
    one.knows(other)
    other.knows(one)
    return one, other


def agreed(one: Side, other: Side) -> bool:
    """Whether both sides have the same one session."""
    return one.session(other) is not None and one.session(other) == other.session(one)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait until ``condition`` holds; how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        await asyncio.sleep(0.05)
        assert loop.time() - began < seconds, "it never came about"
    return loop.time() - began


def envelope(side: Side, kind: str = "note") -> Envelope:
    return side.identity.sign_statement(f"application/vnd.comity.{kind}.v1+json", b"{}")


@pytest.mark.parametrize("block", range(BLOCKS))
def test_when_both_dial_at_once_exactly_one_session_stays(block: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation, weather_of(simulation.seed, loss=0.02))
        one, other = sides = pair(town)
        chance = random.Random(simulation.seed)
        await one.start()
        await asyncio.sleep(chance.random() * chance.choice((0.0, 0.1, 1.0)))
        await other.start()
        await asyncio.sleep(20)
        assert agreed(one, other)
        standing = one.sessions.tunnel(other.key), other.sessions.tunnel(one.key)
        await asyncio.sleep(60)  # and it stays the same one
        assert standing == (one.sessions.tunnel(other.key), other.sessions.tunnel(one.key))
        assert await one.sessions.tell(other.key, envelope(one))
        assert await other.sessions.tell(one.key, envelope(other))
        await down(sides)
        crossed.append(sum(line.endswith(" open") for line in town.world.trace))

    crossed: list[int] = []
    for seed in seeds(block):
        run_simulation(scenario, seed)
    assert set(crossed) == {1, 2}  # never did the loser's end make anybody dial again
    assert crossed.count(2) > SEEDS_A_BLOCK / 4  # and they did cross


@pytest.mark.parametrize("block", range(3))
def test_after_cuts_partitions_and_restarts_there_is_one_session_again(block: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation, weather_of(simulation.seed, loss=0.2))
        one, other = pair(town)
        chance = random.Random(simulation.seed)
        await up((one, other))
        life = 0
        for _ in range(5):
            await asyncio.sleep(chance.random() * 20)
            match chance.choice(("cut", "part", "kill", "stop")):
                case "cut":
                    town.world.cut("lab-a", "lab-b")
                case "part":
                    town.world.partition("lab-a", "lab-b")
                    await asyncio.sleep(chance.random() * 30)
                    town.world.heal("lab-a", "lab-b")
                case ending:
                    await (other.kill() if ending == "kill" else other.stop())
                    await asyncio.sleep(chance.random() * 20)
                    life += 1
                    other = Side(town, "lab-b", life)
                    other.knows(one)
                    await other.start()
        await until(lambda: agreed(one, other), 2 * limits.RECONNECT_MOST)
        await asyncio.sleep(limits.PEER_DEAD_AFTER + 2)
        assert agreed(one, other)
        await down((one, other))

    for seed in range(block * 20, block * 20 + 20):
        run_simulation(scenario, seed)


def test_a_silent_peer_is_found_within_ten_seconds_and_dialled_again() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await up(sides)
        await until(lambda: agreed(one, other))
        town.world.partition("lab-a", "lab-b")
        took = await until(lambda: one.session(other) is None and other.session(one) is None)
        assert took < 10
        await asyncio.sleep(30)
        town.world.heal("lab-a", "lab-b")
        await until(lambda: agreed(one, other), limits.RECONNECT_MOST + limits.CONNECT_TIMEOUT)
        await down(sides)

    for seed in range(20):
        run_simulation(scenario, seed)


def test_a_killed_peer_is_missed_at_once_and_its_next_life_replaces_it() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = pair(town)
        await up((one, other))
        await until(lambda: agreed(one, other))
        await other.kill()
        assert await until(lambda: one.session(other) is None) < 1
        reborn = Side(town, "lab-b", 1)
        reborn.knows(one)
        await reborn.start()
        assert await until(lambda: agreed(one, reborn)) < 5
        await down((one, reborn))

    run_simulation(scenario, 1)


def test_an_orderly_stop_says_goodbye() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = pair(town)
        await up((one, other))
        await until(lambda: agreed(one, other))
        tunnel = one.sessions.tunnel(other.key)
        assert tunnel is not None
        await other.stop()
        await until(lambda: one.session(other) is None, 0.1)
        assert tunnel.ending == "the peer said goodbye: shutdown"
        await one.stop()

    run_simulation(scenario, 1)


def test_an_ended_agreement_drops_everything_at_once_and_the_peer_is_refused() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await up(sides)
        await until(lambda: agreed(one, other))
        ping = await one.network.dial(other.key, 444, purpose="another link")
        assert one.sessions.peer_ended(other.key) >= 1
        del one.decree.until[other.key]
        assert one.session(other) is None
        await asyncio.sleep(60)
        assert other.session(one) is None
        assert one.session(other) is None
        ping.abort()
        await down(sides)

    run_simulation(scenario, 1)


def test_the_session_that_brings_the_end_acknowledges_it_first() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        other.decree.on_receipt.append(one.key)
        await up(sides)
        await until(lambda: agreed(one, other))
        assert await one.sessions.tell(other.key, envelope(one, "revocation"))
        await until(lambda: one.session(other) is None, 3)
        assert other.session(one) is None
        await down(sides)

    for seed in range(20):
        run_simulation(scenario, seed)


def test_statements_arrive_in_order_and_refused_ones_are_recorded_and_not_repeated() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await up(sides)
        await until(lambda: agreed(one, other))
        for kind in ("first", "forged", "second"):
            assert await one.sessions.tell(other.key, envelope(one, kind))
        assert [found.payload_type.split(".")[2] for _, found in other.decree.received] == [
            "first",
            "forged",
            "second",
        ]
        tunnel = one.sessions.tunnel(other.key)
        assert tunnel is not None
        assert await tunnel.tell("not an envelope", 2.0)
        assert one.session(other) is not None
        await down(sides)

    run_simulation(scenario, 1)


def test_tell_without_a_session_says_no() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await one.start()
        assert not await one.sessions.tell(other.key, envelope(one))
        await other.start()
        await until(lambda: agreed(one, other))
        town.world.partition("lab-a", "lab-b")
        assert not await one.sessions.tell(other.key, envelope(one))
        await down(sides)

    run_simulation(scenario, 1)


def test_an_agreement_that_expires_takes_its_session_with_it() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        one.decree.trust(other.key, seconds=30)
        await up(sides)
        await until(lambda: agreed(one, other))
        await asyncio.sleep(26)
        assert one.session(other) is not None
        await asyncio.sleep(5)
        assert one.session(other) is None
        await down(sides)

    run_simulation(scenario, 1)


def test_a_peer_that_breaks_the_protocol_loses_its_session_and_nothing_else() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        other.decree.until.clear()  # it only answers what the test dials
        await one.start()
        await other.network.start()
        stream = await other.network.dial(one.key, 444, purpose="nonsense")
        await until(lambda: one.session(other) is not None)
        await stream.send(b'{"type":"surprise"}')
        await until(lambda: one.session(other) is None, 1)
        other.decree.trust(one.key)
        await other.keep()
        await until(lambda: agreed(one, other))
        await down(sides)

    run_simulation(scenario, 1)


def test_wait_up() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await one.start()
        assert not await one.sessions.wait_up(other.key, 0.5)
        waiting = asyncio.create_task(one.sessions.wait_up(other.key, 30))
        await other.start()
        assert await waiting
        view = one.sessions.view(other.key)
        assert view is not None
        assert (view.path, view.cipher, view.group) == ("direct", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768")
        assert one.sessions.views() == (view,)
        await asyncio.sleep(5)
        later = one.sessions.view(other.key)
        assert later is not None
        assert later.rtt_ms is not None
        assert 9 < later.rtt_ms < 200
        await down(sides)

    run_simulation(scenario, 1)


def test_a_partner_cannot_fill_the_log_with_statements_that_are_refused() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await up(sides)
        await until(lambda: agreed(one, other))
        for _ in range(limits.DENIALS_BURST + 50):
            assert await one.sessions.tell(other.key, envelope(one, "forged"))
        refused = other.audit.log(AuditLogRequest(kind="statement.refused")).entries
        assert limits.DENIALS_BURST <= len(refused) < limits.DENIALS_BURST + 50
        assert one.session(other) is not None
        await down(sides)

    run_simulation(scenario, 1)


def test_a_revoked_peer_cannot_keep_its_session_by_a_statement_that_takes_long() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = pair(town)
        await up(sides)
        await until(lambda: agreed(one, other))
        one.decree.hold = asyncio.Event()
        telling = asyncio.create_task(other.sessions.tell(one.key, envelope(other)))
        await asyncio.sleep(0.5)
        tunnel = one.sessions.tunnel(other.key)
        assert tunnel is not None
        del one.decree.until[other.key]
        assert one.sessions.peer_ended(other.key) >= 1
        async with asyncio.timeout(0.1):
            await tunnel.gone.wait()
        assert not await telling
        await down(sides)

    run_simulation(scenario, 1)


def test_a_peer_that_is_trusted_again_while_its_end_is_told_is_kept_again() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        one, other = sides = Side(town, "lab-a", listen=False), Side(town, "lab-b")
        one.knows(other)
        other.knows(one)  # and cannot dial it
        await up(sides)
        await until(lambda: agreed(one, other))
        del one.decree.until[other.key]
        one.sessions.peer_trusted(other.key)  # its keeper looks, and leaves the end to whoever decided it
        await asyncio.sleep(1)
        one.decree.trust(other.key)
        one.sessions.peer_trusted(other.key)
        town.world.cut("lab-a", "lab-b")
        await until(lambda: one.session(other) is None)
        await until(lambda: agreed(one, other))
        await down(sides)

    run_simulation(scenario, 1)
