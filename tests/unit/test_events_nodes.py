"""Events between whole nodes in virtual time: order, absence, audience, approval, slow readers."""

from __future__ import annotations

import asyncio

import pytest

from comity import control, limits
from comity.errors import ConsumerReplaced, InvalidInput, TooLarge, UnknownPeer, UntrustedPeer
from comity.services.events.subscription import Subscription
from comity.transport.simulation import Simulation, run_simulation
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town

TOPIC = "training/weights-ready"


def pair(simulation: Simulation) -> tuple[SimulatedNode, SimulatedNode]:
    town = Town(simulation)
    return SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)


def wanted(topic: str = TOPIC, **fields: str | None) -> control.SubscribeRequest:
    return control.SubscribeRequest(**{"topic": topic, "consumer": "test", **fields})  # type: ignore[arg-type]  # keywords of this test's own


async def publish(
    node: SimulatedNode, *data: str, topic: str = TOPIC, to: str | None = None
) -> control.PublishResult:
    events = tuple(control.EventData(topic, each) for each in data)
    return await node.node.events.publish(control.PublishRequest(events=events, to=to))


async def take(
    subscription: Subscription, count: int, *, acknowledge: bool = True, one_by_one: bool = False
) -> list[control.Event]:
    """Exactly ``count`` events; acknowledged at the end, or batch by batch."""
    found: list[control.Event] = []
    async with asyncio.timeout(120):
        async for batch in subscription.batches():
            if isinstance(batch, control.Notice):
                continue
            found.extend(batch)
            if one_by_one:
                assert await subscription.acknowledge((batch[-1].cursor,), 5)
            if len(found) >= count:
                break
    assert len(found) == count
    if acknowledge:
        newest = {event.cursor.partition("@")[2]: event.cursor for event in found}
        assert await subscription.acknowledge(tuple(newest.values()), 5)
    return found


async def read(
    node: SimulatedNode,
    count: int,
    request: control.SubscribeRequest | None = None,
    *,
    acknowledge: bool = True,
) -> list[str]:
    async with node.node.events.subscribe(request or wanted()) as subscription:
        return [event.data for event in await take(subscription, count, acknowledge=acknowledge)]


async def nothing(node: SimulatedNode, request: control.SubscribeRequest | None = None) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await read(node, 1, request)


def test_what_was_published_before_the_other_side_subscribed_arrives_in_order() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            for number in range(5):
                result = await publish(b, str(number))
                assert (result.stored, result.audience, result.published) == ("here", 1, 1)
            async with a.node.events.subscribe(wanted()) as subscription:
                events = await take(subscription, 5)
                assert [event.data for event in events] == list("01234")
                assert {(event.from_, event.topic) for event in events} == {("lab-b", TOPIC)}
                assert {event.fingerprint for event in events} == {str(b.key.fingerprint)}
                await publish(b, "5", "6")
                assert [event.data for event in await take(subscription, 2)] == ["5", "6"]

    for seed in range(3):
        run_simulation(scenario, seed)


def test_a_consumer_goes_on_after_what_it_acknowledged() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await publish(b, "0", "1", "2")
            async with a.node.events.subscribe(wanted()) as subscription:
                first = await take(subscription, 3, acknowledge=False)
                assert await subscription.acknowledge((first[0].cursor,), 5)
            assert await read(a, 2) == ["1", "2"]
            await nothing(a)
            assert await read(a, 3, wanted(consumer="another")) == ["0", "1", "2"]
            assert await read(a, 3, wanted(since="beginning"), acknowledge=False) == ["0", "1", "2"]
            assert await read(a, 3) == ["0", "1", "2"]  # going back counts
            assert await read(a, 1, wanted(since=first[1].cursor)) == ["2"]

    run_simulation(scenario, 1)


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_a_subscription_outlives_its_peers_restart(kill: bool) -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a):
            await b.start()
            await a.agree_with(b)
            async with a.node.events.subscribe(wanted()) as subscription:
                await publish(b, "0")
                await take(subscription, 1, acknowledge=False)
                await b.stop(kill=kill)
                await asyncio.sleep(300)
                again = SimulatedNode(b.town, "lab-b", listen=True, life=1, db=b.db)
                async with running(again):
                    await publish(again, "1")
                    events = await take(subscription, 1)
                    assert [event.data for event in events] == ["1"]

    for seed in range(3):
        run_simulation(scenario, seed)


def test_what_was_published_while_the_reader_was_down_arrives() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(b):
            await a.start()
            await a.agree_with(b)
            await publish(b, "0")
            assert await read(a, 1) == ["0"]
            await a.stop(kill=True)
            await publish(b, "1", "2")
            again = SimulatedNode(a.town, "lab-a", life=1, db=a.db)
            async with running(again):
                assert await read(again, 2) == ["1", "2"]

    run_simulation(scenario, 1)


def test_patterns_and_senders() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b, c = (SimulatedNode(town, name, listen=True) for name in ("lab-a", "lab-b", "lab-c"))
        async with running(a, b, c):
            await a.agree_with(b)
            await a.agree_with(c)
            for lab in (b, c):
                await publish(lab, f"{lab.name} deep", topic="training/round/3")
                await publish(lab, f"{lab.name} ready")
                await publish(lab, f"{lab.name} else", topic="evaluation")
            assert sorted(await read(a, 2, wanted("training/*"))) == ["lab-b ready", "lab-c ready"]
            found = await read(a, 4, wanted("training/**"))
            assert [data for data in found if "lab-b" in data] == ["lab-b deep", "lab-b ready"]
            assert await read(a, 3, wanted("**", from_="lab-c")) == [
                "lab-c deep",
                "lab-c ready",
                "lab-c else",
            ]
            await nothing(b, wanted("**"))  # neither a's partners nor its own events

    run_simulation(scenario, 1)


def test_what_is_published_to_a_peer_is_its_owners_alone() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b, c = (SimulatedNode(town, name, listen=True) for name in ("lab-a", "lab-b", "lab-c"))
        async with running(a, b, c):
            await a.agree_with(b)
            await c.agree_with(b)
            result = await publish(a, "for b", to="lab-b")
            assert (result.stored, result.to, result.audience) == ("peer", "lab-b", 1)
            await nothing(c, wanted("**"))
            await nothing(a, wanted("**"))
            async with b.node.events.subscribe(wanted(from_="lab-a")) as subscription:
                (event,) = await take(subscription, 1)
                assert (event.data, event.from_, event.fingerprint) == (
                    "for b",
                    "lab-a",
                    str(a.key.fingerprint),
                )
            await nothing(b, wanted(from_="lab-c"))
            kinds = [entry.kind for entry in b.node.audit.log(control.AuditLogRequest()).entries]
            assert "events.stored" in kinds

    run_simulation(scenario, 1)


def test_a_peer_that_is_down_reads_what_was_for_it_alone_later() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b, c = (SimulatedNode(town, name, listen=True) for name in ("lab-a", "lab-b", "lab-c"))
        async with running(a, c):
            await b.start()
            await a.agree_with(b)
            await a.agree_with(c)
            await b.stop()
            await asyncio.sleep(30)
            result = await publish(a, "for b", to="lab-b")
            assert (result.stored, result.audience) == ("here", 1)
            await nothing(c, wanted("**"))
            again = SimulatedNode(town, "lab-b", listen=True, life=1, db=b.db)
            async with running(again):
                assert await read(again, 1) == ["for b"]

    run_simulation(scenario, 1)


def test_nothing_from_before_the_approval_or_from_under_a_revoked_one_is_read() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            assert (await publish(b, "before")).audience == 0
            await a.agree_with(b)
            await publish(b, "first agreement")
            assert await read(a, 1, wanted(since="beginning"), acknowledge=False) == ["first agreement"]
            await b.node.trust.ending.revoke(control.RevokeRequest(peer="lab-a"))
            await asyncio.sleep(10)
            await publish(b, "between")
            with pytest.raises(UntrustedPeer):
                await read(a, 1, wanted(from_="lab-b"))
            await a.agree_with(b)
            await publish(b, "second agreement")
            assert await read(a, 1, wanted(since="beginning")) == ["second agreement"]

    run_simulation(scenario, 1)


def test_a_renewed_agreement_keeps_what_was_not_read_yet() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await publish(b, "old terms")
            await asyncio.sleep(10)
            await a.agree_with(b)
            await publish(b, "new terms")
            assert await read(a, 2) == ["old terms", "new terms"]

    run_simulation(scenario, 1)


def test_revocation_ends_a_running_subscription() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            async with a.node.events.subscribe(wanted(from_="lab-b")) as subscription:
                await publish(b, "0")
                await take(subscription, 1)
                await b.node.trust.ending.revoke(control.RevokeRequest(peer="lab-a"))
                await publish(b, "1")
                with pytest.raises(UntrustedPeer):
                    await take(subscription, 1)

    run_simulation(scenario, 1)


def test_an_agreement_without_events_opens_none() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b, allow=("exchange",))
            assert (await publish(b, "0")).audience == 0
            await nothing(a)

    run_simulation(scenario, 1)


def test_a_new_peer_joins_a_running_subscription() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b), a.node.events.subscribe(wanted()) as subscription:
            await a.agree_with(b)
            await publish(b, "0")
            assert [event.data for event in await take(subscription, 1)] == ["0"]

    run_simulation(scenario, 1)


def test_a_slow_reader_harms_nobody() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        count = limits.EVENTS_UNACKNOWLEDGED + 500
        async with running(a, b):
            await a.agree_with(b)
            async with (
                a.node.events.subscribe(wanted(consumer="slow")) as slow,
                a.node.events.subscribe(wanted(consumer="fast")) as fast,
            ):
                for start in range(0, count, 100):
                    await publish(b, *map(str, range(start, min(start + 100, count))))
                    events = await take(fast, min(100, count - start))
                assert events[-1].data == str(count - 1)
                await asyncio.sleep(60)
                waiting = slow.waiting
                assert waiting > limits.EVENTS_UNACKNOWLEDGED - limits.EVENTS_PER_MESSAGE
                assert waiting <= limits.EVENTS_UNACKNOWLEDGED
                assert [event.data for event in await take(slow, count, one_by_one=True)] == [
                    str(number) for number in range(count)
                ]

    run_simulation(scenario, 1)


def test_a_second_subscription_of_a_consumer_takes_over() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            async with a.node.events.subscribe(wanted()) as old:
                await publish(b, "0")
                await take(old, 1)
                async with a.node.events.subscribe(wanted()) as new:
                    with pytest.raises(ConsumerReplaced):
                        await take(old, 1)
                    await publish(b, "1")
                    assert [event.data for event in await take(new, 1)] == ["1"]

    run_simulation(scenario, 1)


def test_what_cannot_be_published_or_asked_for() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            for topic in ("", "/", "a//b", "a/*", "é", "a b", "/".join("abcdefghi"), "a" * 200):
                with pytest.raises(InvalidInput):
                    await publish(a, "x", topic=topic)
            with pytest.raises(TooLarge):
                await publish(a, "x" * (limits.EVENT_BYTES + 1))
            with pytest.raises(TooLarge):
                await publish(a, *["x" * 1000] * 100)
            with pytest.raises(InvalidInput):
                await publish(a)
            with pytest.raises(InvalidInput):
                await publish(a, "\udc80")
            with pytest.raises(UnknownPeer):
                await publish(a, "x", to="nobody")
            for request in (wanted("a**"), wanted("**/a"), wanted(since="12"), wanted(consumer=" ")):
                with pytest.raises(InvalidInput):
                    await read(a, 1, request)

    run_simulation(scenario, 1)
