"""Charters between whole nodes in virtual time: proposed, signed, amended, lapsed, ended."""

from __future__ import annotations

import asyncio

import pytest

from comity import control
from comity.errors import InvalidCharter, InvalidInput, NothingPending, RequestChanged, UntrustedPeer
from comity.policy.charter.canonical import from_plain, to_canonical
from comity.protocol.charter.machine import CharterRefused
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import nodes
from tests.charter.nodes import DAY
from tests.simulated_nodes import SimulatedNode, running


def test_two_labs_sign_and_both_stand_under_it() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.propose(a, nodes.terms(a, b))
            assert (nodes.state(a, digest), nodes.state(b, digest)) == ("proposed", "proposed")
            first = await nodes.sign(b, digest)
            assert (first.in_force, first.missing) == (False, ("lab-a",))
            assert (nodes.state(a, digest), nodes.state(b, digest)) == ("proposed", "signed")
            second = await nodes.sign(a, digest)
            assert (second.in_force, second.missing) == (True, ())
            for node, other in ((a, b), (b, a)):
                view = nodes.status(node, digest)
                assert (view.state, view.version, view.proposed_by) == ("in_force", 1, "lab-a")
                assert [(one.name, one.signed, one.signed_by) for one in view.parties] == [
                    ("lab-a", True, "Dr. Osei, DPO"),
                    ("lab-b", True, "Dr. Osei, DPO"),
                ]
                kinds = [one.kind for one in nodes.entries(node, "charter.in_force")]
                assert kinds == ["charter.in_force"]
                [entry] = nodes.entries(node, "charter.in_force")
                assert (entry.digest, entry.peer) == (digest, str(other.key.fingerprint))
            with pytest.raises(InvalidInput, match="signed that charter already"):
                await nodes.sign(a, digest)

    run_simulation(scenario, 1)


def test_what_is_signed_is_what_was_shown() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.propose(a, nodes.terms(a, b))
            read = b.node.charters.read(control.CharterReadRequest(digest[:20]))
            assert read.payload == {
                "charter": digest,
                "schema": "comity.charter/1",
                "policy": read.policy,
                "lineage": digest,
                "predecessor": None,
                "version": 1,
            }
            assert "External validation of model X, version 1" in read.lines[0]
            for charter, policy in ((digest[:20], read.policy), (digest, "sha256:" + "0" * 64)):
                with pytest.raises(RequestChanged):
                    await b.node.charters.sign(control.CharterSignRequest(charter=charter, policy=policy))
            assert nodes.state(b, digest) == "proposed"

    run_simulation(scenario, 1)


def test_sites_that_do_not_know_each_other_sign_through_the_hub() -> None:
    async def scenario(simulation: Simulation) -> None:
        hub, one, two = nodes.trio(simulation)
        async with running(hub, one, two):
            await one.agree_with(hub)
            await two.agree_with(hub)
            plain = nodes.terms(hub, one, two)
            with pytest.raises(UntrustedPeer, match="there is no agreement with site-2"):
                await nodes.propose(one, plain)
            digest = await nodes.propose(hub, plain)
            await nodes.sign(one, digest)
            await nodes.sign(two, digest)
            assert [nodes.state(node, digest) for node in (hub, one, two)] == ["proposed", "signed", "signed"]
            await nodes.sign(hub, digest)
            assert [nodes.state(node, digest) for node in (hub, one, two)] == ["in_force"] * 3
            await nodes.end(one, digest)
            assert [nodes.state(node, digest) for node in (hub, one, two)] == ["ended"] * 3
            assert nodes.status(two, digest).ended_by == "site-1"

    run_simulation(scenario, 2)


def test_a_charter_as_long_as_it_may_be_travels() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            assets = [
                {
                    "id": f"model-{number}",
                    "class": "proprietary",
                    "owner": "lab-a",
                    "digests": [f"sha256:{number * 100 + at:064x}" for at in range(100)],
                    "signers": [],
                    "description": "",
                }
                for number in range(1, 34)
            ]
            plain = nodes.terms(a, b)
            plain["assets"] += assets
            assert 200_000 < len(to_canonical(from_plain(plain))) < 256 * 1024
            digest = await nodes.propose(a, plain)
            assert nodes.state(b, digest) == "proposed"

    run_simulation(scenario, 3)


def test_an_amendment_takes_over_on_both_sides() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            plain = nodes.terms(a, b)
            first = await nodes.agree(plain, a, b)
            second = await nodes.agree(nodes.successor(plain, first, first, title="Longer"), b, a)
            assert (nodes.state(a, first), nodes.state(b, first)) == ("superseded", "superseded")
            assert nodes.status(a, "Longer").digest == second
            with pytest.raises(CharterRefused, match="follows one that is not known"):
                await nodes.propose(a, nodes.successor(plain, first, "sha256:" + "9" * 64, version=3))

    run_simulation(scenario, 4)


def test_what_is_not_signed_in_time_is_void_and_what_nobody_signed_is_forgotten() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.propose(a, nodes.terms(a, b, accept_days=0.02))
            await nodes.sign(a, digest)
            await asyncio.sleep(0.05 * DAY)
            assert nodes.state(a, digest) == "void"
            with pytest.raises(NothingPending):
                nodes.state(b, digest)
            assert [entry.digest for entry in nodes.entries(a, "charter.void")] == [digest]
            with pytest.raises(CharterRefused, match="until a time that has passed"):
                await nodes.propose(b, nodes.terms(b, a, accept_days=-1))

    run_simulation(scenario, 5)


def test_a_peer_that_is_away_signs_later() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a):
            await b.start()
            await a.agree_with(b)
            await b.stop()
            digest = await nodes.propose(a, nodes.terms(a, b))
            await nodes.sign(a, digest)
            again = SimulatedNode(b.town, "lab-b", listen=True, life=1, db=b.db)
            async with running(again):
                await asyncio.sleep(60)
                await nodes.sign(again, digest)
                assert (nodes.state(a, digest), nodes.state(again, digest)) == ("in_force", "in_force")

    run_simulation(scenario, 6)


def test_an_end_is_for_good_and_a_new_charter_begins_anew() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            plain = nodes.terms(a, b)
            digest = await nodes.agree(plain, a, b)
            ended = await nodes.end(b, digest)
            assert (ended.told, ended.exchanged, ended.owed) == (("lab-a",), (), ())
            assert nodes.status(a, digest).ended_why == "the study is over"
            with pytest.raises(CharterRefused, match="has ended, for good"):
                await nodes.propose(a, nodes.successor(plain, digest, digest))
            with pytest.raises(InvalidInput, match="ended already"):
                await nodes.end(a, digest)
            await nodes.agree(plain | {"title": "another"}, a, b)

    run_simulation(scenario, 7)


def test_a_proposal_is_turned_down_by_its_end() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.propose(a, nodes.terms(a, b))
            await nodes.sign(a, digest)
            await nodes.end(b, digest, "too many transfers")
            assert nodes.status(a, digest).ended_why == "too many transfers"
            with pytest.raises(CharterRefused):
                await nodes.sign(b, digest)

    run_simulation(scenario, 8)


def test_names_in_the_charter_are_those_that_this_node_knows() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            plain = nodes.terms(a, b)
            plain["parties"][1]["name"] = "lab-z"
            plain["incidents"]["contacts"] = []
            with pytest.raises(InvalidInput, match="the key of lab-z in the charter is lab-b's"):
                await nodes.propose(a, plain)
            plain = nodes.terms(a, b)
            plain["parties"][0]["fingerprint"] = "1" * 64
            with pytest.raises(InvalidInput, match="no party"):
                await nodes.propose(a, plain)
            plain = nodes.terms(a, b)
            plain["permissions"][0]["assets"] = ["nothing"]
            with pytest.raises(InvalidCharter, match="there is no asset nothing"):
                await nodes.propose(a, plain)

    run_simulation(scenario, 9)
