"""What suspends a partner, and that only a person on the side that began it lifts it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from comity import control
from comity.clock import from_rfc3339
from comity.errors import ComityError, Denied, NothingPending, PeerRefused
from comity.policy.charter.model import OutsideHours
from comity.services.charter.anomalies import outside
from comity.transport.memory_registry import Member, MemoryRegistry
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import files, nodes
from tests.charter.nodes import DAY
from tests.simulated_nodes import SimulatedNode, running
from tests.unit.test_charter_enforced import Disabled
from tests.unit.test_charter_streams import signed_models
from tests.worlds import Town

MIB = 1024 * 1024


def watching(a: SimulatedNode, b: SimulatedNode, *rules: dict[str, Any]) -> dict[str, Any]:
    return signed_models(a, b) | {
        "anomalies": [{"id": f"rule-{at}", **rule} for at, rule in enumerate(rules)]
    }


async def lift(node: SimulatedNode, peer: str, why: str = "it was our own test") -> None:
    await node.node.charters.lift(control.CharterLiftRequest(peer, why))
    await nodes.settled()


def test_denied_attempts_in_a_row_suspend_and_a_person_lifts() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation, guard_a=Disabled)  # lab A tries what it may not
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(watching(a, b, {"watches": "denials", "in_a_row": 3}), a, b)
            small = files.safetensors(1)
            for _ in range(2):
                with pytest.raises(PeerRefused):
                    await files.send(a, b, files.pickled())
            await files.send(a, b, small)  # what is allowed begins the row anew
            for _ in range(3):
                assert nodes.suspended(b) == []
                with pytest.raises(ComityError):  # the last one's answer may be cut off with its link
                    await files.send(a, b, files.pickled())
            await nodes.settled()
            assert nodes.suspended(b) == [("us", "anomalies.rule-0")]
            assert nodes.suspended(a) == [("them", "anomalies.rule-0")]
            with pytest.raises(PeerRefused, match=r"anomalies\.rule-0: this node has suspended"):
                await files.send(a, b, small)
            with pytest.raises(Denied, match=r"anomalies\.rule-0: this node has suspended"):
                await files.send(b, a, small)
            with pytest.raises(NothingPending, match="this node has not suspended"):
                await lift(a, "lab-b")
            await lift(b, "lab-a")
            assert nodes.suspended(a) == nodes.suspended(b) == []
            assert (await files.send(a, b, small)).receipt
            for node, by in ((a, "them"), (b, "us")):
                [begun] = nodes.entries(node, "charter.suspended")
                [lifted] = nodes.entries(node, "charter.resumed")
                assert (begun.detail["by"], lifted.detail["by"], begun.digest) == (by, by, digest)
                assert lifted.reasons == ("it was our own test",)

    run_simulation(scenario, 1)


def test_a_row_of_denials_outlives_a_restart_and_what_this_side_sends() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation, guard_a=Disabled)

        async def tries() -> None:
            with pytest.raises(ComityError):
                await files.send(a, b, files.pickled())
            await nodes.settled()

        async with running(a):
            await b.start()
            await a.agree_with(b)
            plain = watching(a, b, {"watches": "denials", "in_a_row": 3})
            for party in plain["parties"]:
                party["roles"] = ["developer", "evaluator"]
            plain["assets"][0]["signers"].append(str(b.key.fingerprint))
            await nodes.agree(plain, a, b)
            await tries()
            await files.send(b, a, files.safetensors(1))  # lab B's own: it says nothing about lab A
            await tries()
            assert nodes.suspended(b) == []
            await b.stop(kill=True)
            b = SimulatedNode(a.town, "lab-b", listen=True, life=1, db=b.db)
            async with running(b):
                await nodes.settled()
                await tries()
                assert nodes.suspended(b) == [("us", "anomalies.rule-0")]

    run_simulation(scenario, 6)


def test_volume_far_above_the_usual_suspends() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            rule = {"watches": "volume", "times": 5, "at_least": 3 * MIB}
            await nodes.agree(watching(a, b, rule), a, b)
            for number in range(3):
                await files.send(a, b, files.safetensors(number, MIB - 200))
            with pytest.raises(Denied, match=r"anomalies\.rule-0: 5 times the usual of a day passes"):
                await files.send(a, b, files.safetensors(9, MIB))
            await nodes.settled()
            assert nodes.suspended(a) == [("us", "anomalies.rule-0")]
            assert nodes.suspended(b) == [("them", "anomalies.rule-0")]

    run_simulation(scenario, 2)


def test_what_is_tried_outside_hours_suspends() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            now = simulation.clock.now()
            hour = int(now % DAY // 3600)
            hours = {"from": f"{hour:02d}:00", "until": f"{(hour + 1) % 24:02d}:00"}
            days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
            await nodes.agree(watching(a, b, {"watches": "hours", "days": days, **hours}), a, b)
            await files.send(a, b, files.safetensors(1))
            await asyncio.sleep(3700)
            with pytest.raises(ComityError):
                await files.send(a, b, files.safetensors(1))
            await nodes.settled()
            assert nodes.suspended(b) == [("us", "anomalies.rule-0")]

    run_simulation(scenario, 3)


class Careless(MemoryRegistry):
    """A registry that lets many keys bear one name: the last to come is found by it."""

    def _named(self, hostname: str) -> Member | None:
        return None


async def claims_its_name(thief: SimulatedNode, peer: SimulatedNode) -> None:
    """A node with a key of its own asks ``peer`` for an agreement, under the hostname of a partner."""
    await thief.node.trust.asking.handshake(
        control.HandshakeRequest(peer=str(peer.card), justification="our new server")
    )
    await nodes.settled()


def test_another_key_with_a_partners_name_suspends_where_the_charter_says_so() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation, registry=Careless)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            await nodes.agree(watching(a, b, {"watches": "fingerprint"}), a, b)
            thief = SimulatedNode(town, "thief", hostname="lab-b")
            async with running(thief):
                await claims_its_name(thief, a)
                assert nodes.suspended(a) == [("us", "anomalies.rule-0")]
                assert nodes.suspended(b) == [("them", "anomalies.rule-0")]
                assert not a.node.trust.approved(thief.key)
            with pytest.raises(Denied, match=r"anomalies\.rule-0: this node has suspended"):
                await files.send(a, b, files.safetensors(1))
            with pytest.raises((Denied, PeerRefused), match=r"anomalies\.rule-0"):
                await files.send(b, a, files.safetensors(1))
            [begun] = nodes.entries(a, "charter.suspended")
            assert begun.peer == str(b.key.fingerprint)
            await lift(a, "lab-b")
            assert (await files.send(a, b, files.safetensors(1))).receipt

    run_simulation(scenario, 4)


@pytest.mark.parametrize(
    ("hostname", "rules"),
    [("lab-b", ()), ("lab-c", ({"watches": "fingerprint"},))],
    ids=["no rule", "a name of its own"],
)
def test_another_key_suspends_nobody_else(hostname: str, rules: tuple[dict[str, Any], ...]) -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation, registry=Careless)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            await nodes.agree(watching(a, b, *rules), a, b)
            thief = SimulatedNode(town, "thief", hostname=hostname)
            async with running(thief):
                await claims_its_name(thief, a)
            assert nodes.suspended(a) == nodes.suspended(b) == []

    run_simulation(scenario, 4)


def test_a_person_suspends_too() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            with pytest.raises(NothingPending, match="no charter is in force"):
                await a.node.charters.suspend(control.CharterSuspendRequest("lab-b", "a look first"))
            await nodes.agree(watching(a, b), a, b)
            view = await a.node.charters.suspend(control.CharterSuspendRequest("lab-b", "a look first"))
            assert (view.peer, view.by, view.clause, view.reason) == (
                "lab-b",
                "us",
                "suspension",
                "a look first",
            )
            await nodes.settled()
            with pytest.raises((Denied, PeerRefused), match="the peer has suspended the collaboration"):
                await files.send(b, a, files.safetensors(1))
            await lift(a, "lab-b")

    run_simulation(scenario, 5)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-20T08:00:00Z", True),  # a Friday
        ("2026-11-20T07:59:59Z", False),
        ("2026-11-20T17:59:59Z", True),
        ("2026-11-20T18:00:00Z", False),
        ("2026-11-21T12:00:00Z", False),
    ],
)
def test_hours_of_a_day(moment: str, inside: bool) -> None:
    rule = OutsideHours(id="office", from_="08:00", until="18:00", days=("thursday", "friday"))
    assert outside(rule, from_rfc3339(moment)) is not inside


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-20T22:00:00Z", True),  # Friday night begins
        ("2026-11-21T05:59:59Z", True),  # and goes on
        ("2026-11-21T06:00:00Z", False),
        ("2026-11-21T22:00:00Z", False),
        ("2026-11-20T03:00:00Z", False),  # the night of Thursday
    ],
)
def test_hours_over_midnight(moment: str, inside: bool) -> None:
    rule = OutsideHours(id="night", from_="22:00", until="06:00", days=("friday",))
    assert outside(rule, from_rfc3339(moment)) is not inside
