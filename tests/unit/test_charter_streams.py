"""What a charter does to what runs, and to what pretends: ends in the middle, other content or formats."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from comity import control
from comity.clock import from_rfc3339
from comity.control.exchange import Progress
from comity.errors import ComityError, Denied, PeerRefused, TransferFailed, UntrustedPeer
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.services.charter.ground import charter_ground
from comity.transport.memory_links import Weather
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import files, nodes
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town, identity_of

MIB = 1024 * 1024
LARGE = files.safetensors(1, 96 * MIB)
SMALL = files.safetensors(2)


def signed_models(a: SimulatedNode, b: SimulatedNode, **changes: Any) -> dict[str, Any]:
    """Whatever lab A signs, as safetensors or text."""
    plain = nodes.terms(a, b, **changes)
    plain["assets"] = [plain["assets"][0] | {"digests": [], "signers": [str(a.key.fingerprint)]}]
    plain["artifacts"] |= {"formats": ["safetensors", "text", "csv"], "max_bytes": 100 * MIB}
    return plain


async def interrupted(
    a: SimulatedNode, b: SimulatedNode, act: Callable[[], Awaitable[object]]
) -> ComityError:
    """Send a large file, and ``act`` once bytes have moved; why it failed."""
    tasks: list[asyncio.Task[object]] = []

    async def do() -> object:
        return await act()

    def watch(progress: Progress) -> None:
        if progress.bytes_sent and not tasks:
            tasks.append(asyncio.create_task(do()))

    with pytest.raises(ComityError) as caught:
        await files.send(a, b, LARGE, watch=watch)
    await asyncio.gather(*tasks)
    await nodes.settled()
    return caught.value


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_an_end_in_the_middle_of_a_transfer_stops_it(who: str) -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(signed_models(a, b), a, b)
            ender = a if who == "sender" else b
            error = await interrupted(a, b, lambda: nodes.end(ender, digest))
            assert isinstance(error, TransferFailed | PeerRefused | Denied)
            assert await files.received(b) == []
            with pytest.raises((Denied, PeerRefused), match="charter: the charter has ended"):
                await files.send(a, b, SMALL)

    run_simulation(scenario, 1)


def test_the_window_that_closes_in_the_middle_of_a_transfer_stops_it() -> None:
    """On a slow line, where three round trips take longer than what is left of the window."""

    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation, Weather(1.0, 1.2))
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            plain = signed_models(a, b, days=0.01, accept_days=0.005)
            await nodes.agree(plain, a, b)
            until = from_rfc3339(plain["window"]["until"])
            await files.send(a, b, SMALL)
            await asyncio.sleep(until - town.clock.now() - 10)
            with pytest.raises(ComityError) as caught:
                await files.send(a, b, LARGE)
            assert until <= town.clock.now() < until + 30
            assert "window: only from" in caught.value.message
            assert await files.received(b) == [files.digest(SMALL)]
            await nodes.settled()
            [stopped] = [one for one in b.node.exchange.transfers().transfers if one.state != "done"]
            assert 0 < stopped.bytes_done < len(LARGE)

    run_simulation(scenario, 2)


def test_an_amendment_stops_what_runs_under_the_version_before() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            plain = signed_models(a, b)
            first = await nodes.agree(plain, a, b)
            second = await nodes.propose(a, nodes.successor(plain, first, first, title="next"))
            await nodes.sign(a, second)
            error = await interrupted(a, b, lambda: nodes.sign(b, second))
            assert isinstance(error, TransferFailed | PeerRefused)
            assert await files.received(b) == []
            sent = await files.send(a, b, SMALL)
            [shown] = [one for one in nodes.status(b, second).exchanged if one.state == "consumed"]
            assert (shown.charter, shown.digest) == (second, sent.digest)

    run_simulation(scenario, 3)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (files.pickled(), "model.safetensors"),
        (files.pickled(), "model.pt"),
        (files.pickled(0), "notes.txt"),
        (files.torch_archive(), "model.safetensors"),
        (files.hidden_archive(), "model.safetensors"),
        (b"GGUF\x03\0\0\0" + bytes(32), "model.safetensors"),
    ],
    ids=["pickle", "pt", "ascii pickle", "torch archive", "archive in a tensor", "gguf"],
)
def test_a_pickle_passes_under_no_name(content: bytes, name: str) -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await nodes.agree(signed_models(a, b), a, b)
            with pytest.raises(Denied, match=r"artifacts\.formats: only these formats pass"):
                await files.send(a, b, content, name)
            assert (await files.send(a, b, b"plain words\n", "notes.txt")).bytes == 12

    run_simulation(scenario, 4)


def test_governed_is_sticky() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            assert (await files.send(a, b, files.pickled(), "model.pt")).receipt  # before any charter
            digest = await nodes.agree(signed_models(a, b), a, b)
            await nodes.end(a, digest)
            for node, other in ((a, b), (b, a)):
                with pytest.raises((Denied, PeerRefused), match="the charter has ended"):
                    await files.send(node, other, SMALL)
                with pytest.raises((Denied, PeerRefused), match="the charter has ended"):
                    await node.node.directory.ping(control.PingRequest(peer=other.card.hostname))
            await nodes.agree(signed_models(a, b) | {"title": "again"}, a, b)
            assert (await files.send(a, b, SMALL)).receipt

    run_simulation(scenario, 5)


def test_another_key_of_a_partner_or_with_its_name_is_governed_too() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await nodes.agree(signed_models(a, b), a, b)
            key = identity_of("a new key of lab B").public
            for known, governed in (
                (("lab-b",), True),
                (("lab-z", str(b.key.fingerprint)), True),
                (("lab-a",), False),
                ((), False),
            ):
                former = partial(_known_as, known)
                under = charter_ground(a.db, a.key, simulation.clock, _never, former).governance
                assert under.governs(key) is governed
                verdict = under.judge(Operation(kind="send", peer=key, service="exchange"))
                assert (verdict is not None and not verdict.allowed) is governed

    run_simulation(scenario, 6)


def _known_as(names: tuple[str, ...], _: PublicKey) -> tuple[str, ...]:
    return names


def _never(*_: object) -> None:
    raise AssertionError("nobody is suspended")


def test_a_stranger_to_charters_is_as_free_as_before() -> None:
    async def scenario(simulation: Simulation) -> None:
        hub, one, two = nodes.trio(simulation)
        async with running(hub, one, two):
            await one.agree_with(hub)
            await two.agree_with(hub)
            plain = nodes.terms(hub, one)
            await nodes.agree(plain, hub, one)
            assert (await files.send(hub, two, files.pickled(), "model.pt")).receipt
            with pytest.raises(UntrustedPeer):
                await files.send(one, two, SMALL)

    run_simulation(scenario, 7)


def test_explain_says_what_would_happen_and_counts_nothing() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(signed_models(a, b), a, b)
            explain = a.node.charters.explainer.explain
            request = control.CharterAskRequest(
                peer="lab-b",
                operation="send",
                signer=str(a.key.fingerprint),
                format="safetensors",
                bytes=10,
            )
            for _ in range(10):
                answer = await explain(request)
                assert (answer.allowed, answer.charter) == (True, digest)
            assert "permissions.external-validation" in [reason.clause for reason in answer.reasons]
            refusal = await explain(control.CharterAskRequest(peer="lab-b", operation="forward", port=22))
            assert not refusal.allowed
            assert [reason.clause for reason in refusal.reasons][-1] == "permissions"
            assert nodes.status(a, digest).uses == ()

    run_simulation(scenario, 8)


def test_decisions_name_charter_and_clause_in_the_log() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(signed_models(a, b), a, b)
            await files.send(a, b, SMALL)
            a.node.guard.check(Operation(kind="forward", peer=b.key, service="forward", port=22))
            for node, kind in ((a, "send"), (b, "receive")):
                [entry] = [one for one in nodes.entries(node, "decision") if one.operation == kind]
                assert (entry.decision, entry.detail["charter"]) == ("allow", digest)
                assert any(reason.startswith("permissions.external-validation: ") for reason in entry.reasons)
                assert entry.detail["format"] == "safetensors"
                assert entry.detail["signer"] == str(a.key.fingerprint)

    run_simulation(scenario, 9)
