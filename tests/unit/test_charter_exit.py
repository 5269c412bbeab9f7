"""The end of a collaboration: what was exchanged, what is owed about it, and signed statements."""

from __future__ import annotations

from typing import Any

import pytest

from comity import control
from comity.errors import InvalidInput, NothingPending, PeerRefused
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import files, nodes
from tests.simulated_nodes import SimulatedNode, running
from tests.unit.test_charter_enforced import Disabled
from tests.unit.test_charter_streams import signed_models

ONE, TWO = files.safetensors(1), files.safetensors(2)


async def attest(node: SimulatedNode, charter: str, **said: Any) -> control.CharterAttestResult:
    fields = {"disposition": "deleted", "method": "purge", "attested_by": "Dr. Osei"} | said
    result = await node.node.charters.attest(control.CharterAttestRequest(charter=charter, **fields))
    await nodes.settled()
    return result


def owed(node: SimulatedNode, charter: str) -> list[tuple[str, str, str, str]]:
    return [(one.party, one.by, one.digest, one.disposition) for one in nodes.status(node, charter).owed]


def test_what_was_exchanged_is_owed_stated_and_recorded_on_both_sides() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(signed_models(a, b), a, b)
            for content in (ONE, ONE, TWO):
                await files.send(a, b, content)
            assert nodes.status(b, digest).owed == ()  # nothing before the end
            ended = await nodes.end(a, digest)
            assert [(one.giver, one.taker, one.state) for one in ended.exchanged] == [
                ("lab-a", "lab-b", "consumed")
            ] * 3
            both = [files.digest(ONE), files.digest(TWO)]
            assert [(one.party, one.by, one.digest) for one in ended.owed] == [
                ("lab-b", "them", each) for each in both
            ]
            assert owed(b, digest) == [("lab-b", "us", each, "") for each in both]
            said = await attest(b, digest, digests=(both[0],), backups="none kept")
            assert (said.attested, [one.digest for one in said.owed]) == ((both[0],), [both[1]])
            expected = [("lab-b", "them", both[0], "deleted"), ("lab-b", "them", both[1], "")]
            assert owed(a, digest) == expected
            await attest(b, digest, disposition="retained", method="none", exceptions="required by law")
            assert owed(a, digest)[1] == ("lab-b", "them", both[1], "retained")
            assert [one.settled for one in nodes.status(b, digest).owed] == [True, True]
            for node, by in ((a, "them"), (b, "us")):
                assert [one.detail["by"] for one in nodes.entries(node, "charter.attested")] == [by, by]
            with pytest.raises(NothingPending, match="nothing to state"):
                await attest(b, digest)
            with pytest.raises(NothingPending, match="nothing to state"):
                await attest(a, digest)

    run_simulation(scenario, 1)


def test_statements_name_what_was_received_and_how_it_was_deleted() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(signed_models(a, b), a, b)
            await files.send(a, b, ONE)
            await nodes.end(b, digest)
            for wrong, said in (
                ({"digests": (files.digest(TWO),)}, "was not received"),
                ({"method": "none"}, "names its method"),
                ({"disposition": "retained"}, "names its method"),
                ({"disposition": "forgotten"}, "none of deleted, returned, retained"),
                ({"method": "shred"}, "none of clear, purge, destroy, none"),
                ({"backups": "x" * 3000}, "longer than 2000"),
            ):
                with pytest.raises(InvalidInput, match=said):
                    await attest(b, digest, **wrong)
            assert owed(a, digest) == [("lab-b", "them", files.digest(ONE), "")]

    run_simulation(scenario, 2)


def test_what_was_refused_is_neither_counted_nor_owed() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation, guard_a=Disabled)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(signed_models(a, b), a, b)
            with pytest.raises(PeerRefused):
                await files.send(a, b, files.pickled())
            assert [nodes.status(node, digest).exchanged for node in (a, b)] == [(), ()]
            ended = await nodes.end(a, digest)
            assert (ended.exchanged, ended.owed) == ((), ())

    run_simulation(scenario, 3)
