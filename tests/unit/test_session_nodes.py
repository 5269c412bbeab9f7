"""Sessions between whole nodes in virtual time: rendezvous, mail, relay, restarts, revocation."""

from __future__ import annotations

import asyncio

import pytest

from comity import control, limits
from comity.errors import PeerUnreachable, RemoteProtocolError, UntrustedPeer
from comity.identity.envelope import Envelope
from comity.identity.sealing import SealingPrivateKey
from comity.protocol.statements import Reachability
from comity.storage.database import MEMORY
from comity.storage.schema import open_node_database
from comity.transport.simulation import Simulation, run_simulation
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town


async def until_up(one: SimulatedNode, other: SimulatedNode, path: str, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while True:
            views = one.session(other), other.session(one)
            if all(view is not None and view.path == path for view in views):
                return
            await asyncio.sleep(0.05)


def test_a_handshake_brings_the_tunnel_up_and_a_better_path_takes_over() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            await until_up(a, b, "direct", 5)  # the relay came first, then b told where it is
            assert a.node.network.candidates() == ()
            status = await a.node.about.status()
            assert (status.running, status.rendezvous_state, status.sessions) == (True, "registered", 1)
            assert (await b.node.about.info()).sessions[0].hostname == "lab-a"

    for seed in range(10):
        run_simulation(scenario, seed)


def test_two_that_only_dial_meet_at_the_relay_and_stay_there() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b")
        async with running(a, b):
            await a.agree_with(b)
            await until_up(a, b, "relay", 5)
            await asyncio.sleep(limits.REACHABILITY_LIFETIME)
            await until_up(a, b, "relay", 5)

    run_simulation(scenario, 1)


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_a_restarted_node_has_its_sessions_back_in_seconds(kill: bool) -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a):
            await b.start()
            await a.agree_with(b)
            await b.stop(kill=kill)
            await asyncio.sleep(300)  # long enough for the longest pause between dials
            assert a.session(b) is None
            again = SimulatedNode(town, "lab-b", listen=True, life=1, db=b.db)
            async with running(again):
                await until_up(a, again, "direct", 3)

    for seed in range(5):
        run_simulation(scenario, seed)


def test_revocation_ends_both_sides_and_tells_why() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b")
        async with running(a, b):
            await a.agree_with(b)
            result = await a.node.trust.ending.revoke(control.RevokeRequest("lab-b", "study closed"))
            assert (result.status, result.notified) == ("revoked", True)
            assert result.links_closed >= 1
            await asyncio.sleep(2)
            assert (a.session(b), b.session(a)) == (None, None)
            ended = (await b.node.trust.ending.trust()).ended
            assert [(end.hostname, end.status, end.revoked_by) for end in ended] == [
                ("lab-a", "revoked", "them")
            ]
            with pytest.raises(UntrustedPeer):
                await b.node.directory.ping(control.PingRequest("lab-a"))
            await asyncio.sleep(120)
            assert (a.session(b), b.session(a)) == (None, None)

    for seed in range(10):
        run_simulation(scenario, seed)


def test_a_silent_peer_cannot_delay_its_revocation() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            town.world.unplug("lab-b")
            began = asyncio.get_running_loop().time()
            result = await a.node.trust.ending.revoke(control.RevokeRequest("lab-b", wait_seconds=2))
            assert asyncio.get_running_loop().time() - began <= 2.1
            assert a.session(b) is None
            assert not result.notified
            town.world.plug("lab-b")
            await asyncio.sleep(60)
            assert [end.revoked_by for end in (await b.node.trust.ending.trust()).ended] == ["them"]

    run_simulation(scenario, 1)


def test_candidates_that_rule_nine_refuses_are_never_dialled() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b")
        async with running(a, b):
            await a.agree_with(b)
            await asyncio.sleep(5)  # until it is settled whose dial stays
            evil = (
                "169.254.169.254:80",
                "127.0.0.1:22",
                "10.0.0.5:445",
                "[2001:db8::77]:7443",
                "b.example:443",
            )

            def claim() -> Envelope:
                return b.node.notary.pair(
                    Reachability, a.key, limits.REACHABILITY_LIFETIME, candidates=evil, answer=False
                )

            envelope = claim()
            assert await b.node.sessions.tell(a.key, envelope)
            assert await b.node.sessions.tell(
                a.key, envelope
            )  # a replay is taken, recorded, and changes nothing
            town.world.cut("lab-b")
            await asyncio.sleep(5)
            result = await a.node.directory.ping(control.PingRequest("lab-b"))
            assert result.path == "relay"
            refused = a.node.audit.log(control.AuditLogRequest(kind="statement.refused")).entries
            assert len(refused) == 1
            # The one that is public is tried, and nobody lives there. (Back at the rendezvous, b has
            # told that it is nowhere.)
            assert await b.node.sessions.tell(a.key, claim())
            town.world.partition("lab-a", "rendezvous")
            await asyncio.sleep(20)
            with pytest.raises(PeerUnreachable, match=r"\[2001:db8::77\]:7443: connection refused") as caught:
                await a.node.network.dial(b.key, 7)
            assert "169.254" not in str(caught.value)
            assert "10.0.0.5" not in str(caught.value)

    run_simulation(scenario, 1)


def test_a_peer_that_floods_its_reachability_is_not_followed() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b")
        async with running(a, b):
            await a.agree_with(b)
            await asyncio.sleep(5)
            for number in range(60):
                envelope = b.node.notary.pair(
                    Reachability,
                    a.key,
                    limits.REACHABILITY_LIFETIME,
                    candidates=(f"[2001:db8::{number + 100:x}]:7443",),
                    answer=False,
                )
                await b.node.sessions.tell(a.key, envelope)
                await asyncio.sleep(0.2)
            refused = a.node.audit.log(control.AuditLogRequest(kind="statement.refused")).entries
            assert 45 <= len(refused) <= 50
            assert a.session(b) is not None

    run_simulation(scenario, 1)


def test_reachability_from_a_key_without_an_agreement_is_refused() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            envelope = b.node.notary.pair(
                Reachability,
                a.key,
                limits.REACHABILITY_LIFETIME,
                candidates=b.node.network.candidates(),
                answer=True,
            )
            await a.agree_with(b)
            await a.node.trust.ending.revoke(control.RevokeRequest("lab-b"))
            with pytest.raises(RemoteProtocolError, match="without an agreement"):
                await a.node.sessions.reachable(b.key, envelope)

    run_simulation(scenario, 1)


def test_another_daemon_with_the_same_key_takes_over_and_the_first_gives_up() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b")
        async with running(a, b):
            copy = SimulatedNode(town, "lab-b", life=7)
            async with running(copy):
                await asyncio.sleep(60)
                first, second = await b.node.about.status(), await copy.node.about.status()
                assert first.rendezvous_state == "refused"
                assert first.problem
                assert second.rendezvous_state == "registered"

    run_simulation(scenario, 1)


def test_a_taken_name_is_final_and_status_says_so() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "imitator", hostname="lab-a")
        async with running(a), running(b):
            status = await b.node.about.status()
            assert (status.rendezvous_state, status.address) == ("refused", None)
            assert "lab-a" in status.problem

    run_simulation(scenario, 1)


def test_a_sealing_key_is_renewed_while_the_daemon_runs() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        db = open_node_database(MEMORY)
        expires = int(town.clock.now()) + limits.SEALING_KEY_RENEWAL + 100  # it has a hundred seconds left
        private = SealingPrivateKey.generate().to_bytes()
        db.execute("INSERT INTO own_sealing_key (private, expires) VALUES (?, ?)", (private, expires))
        a, b = SimulatedNode(town, "lab-a", db=db), SimulatedNode(town, "lab-b")
        async with running(a, b):
            assert town.registry.members[a.key.hex].claim.sealing.sequence == 1
            await asyncio.sleep(100 + 2 * limits.MAINTENANCE_EVERY)
            assert town.registry.members[a.key.hex].claim.sealing.sequence == 2
            await b.agree_with(a)

    run_simulation(scenario, 1)
