"""Events under a charter: topics that it lists pass, others don't, and limits count each event once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from comity import control
from comity.errors import Denied, PeerRefused
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import nodes
from tests.simulated_nodes import SimulatedNode, running
from tests.unit.test_events_nodes import publish, read, wanted


def topics(a: SimulatedNode, b: SimulatedNode, **limit: Any) -> dict[str, Any]:
    """Both publish below ``validation``; nothing else."""
    plain = nodes.terms(a, b)
    if limit:
        plain["permissions"][1]["limits"] = [{"id": "rate", "counts": "events", **limit}]
    return plain


async def nothing(node: SimulatedNode, request: control.SubscribeRequest) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await read(node, 1, request)


def test_topics_that_the_charter_lists_pass() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await nodes.agree(topics(a, b), a, b)
            assert (await publish(b, "1", topic="validation/round-1")).audience == 1
            assert (await publish(b, "2", topic="private/notes")).audience == 0
            assert await read(a, 1, wanted("validation/**")) == ["1"]
            with pytest.raises(Denied, match="no permission describes this"):
                await read(a, 1, wanted("private/notes", from_="lab-b"))
            await nothing(a, wanted("private/notes"))
            with pytest.raises(Denied, match="no permission describes this"):
                await publish(a, "3", topic="private/notes", to="lab-b")
            assert (await publish(a, "4", topic="validation/done", to="lab-b")).stored == "peer"

    run_simulation(scenario, 1)


def test_events_are_counted_at_both_ends() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(topics(a, b, most=5, per="charter"), a, b)
            for number in range(3):
                assert (await publish(b, str(number), topic="validation/x")).audience == 1
            assert (await publish(b, "3", "4", "5", topic="validation/x")).audience == 0  # three more
            assert (await publish(b, "6", "7", topic="validation/y")).audience == 1
            assert await read(a, 5, wanted("validation/**")) == ["0", "1", "2", "6", "7"]
            again = wanted("validation/**", consumer="another", since="beginning")
            assert await read(a, 5, again) == ["0", "1", "2", "6", "7"]
            for node in (a, b):
                [use] = [one for one in nodes.status(node, digest).uses if one.clause.endswith(".rate")]
                assert (use.used, use.giver, use.taker) == (5, "lab-b", "lab-a")

    run_simulation(scenario, 2)


def test_an_end_ends_subscriptions() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(topics(a, b), a, b)
            await publish(b, "1", topic="validation/x")
            assert await read(a, 1, wanted("validation/**")) == ["1"]
            await nodes.end(b, digest)
            assert (await publish(b, "2", topic="validation/x")).audience == 0
            await nothing(a, wanted("validation/**"))
            with pytest.raises((Denied, PeerRefused), match="the charter has ended"):
                await publish(a, "3", topic="validation/x", to="lab-b")

    run_simulation(scenario, 3)
