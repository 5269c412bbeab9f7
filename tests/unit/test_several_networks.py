"""A node in networks of two rendezvous, simulated: what goes where, and what neither may learn."""

from __future__ import annotations

import asyncio

import pytest

from comity import control
from comity.errors import (
    AmbiguousPeer,
    InvalidInput,
    NameTaken,
    RendezvousUnreachable,
    UnknownPeer,
    UntrustedPeer,
)
from comity.identity.place import Place
from comity.protocol.registry import Mail, RelayOffer
from comity.protocol.statements import Rejection
from comity.storage.places import places_of
from comity.transport.simulation import Simulation, run_simulation
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town


class Scene:
    """``centre`` is in both; ``onco`` in the first network, ``heart`` in the other one, which is called x."""

    def __init__(self, simulation: Simulation, *, heart: str = "heart", onco: str = "onco") -> None:
        self.town = Town(simulation)
        self.other = self.town.beside("rendezvous-2")
        self.centre = SimulatedNode(self.town, "centre", also={"x": self.other.server})
        self.onco = SimulatedNode(self.town, "onco", hostname=onco)
        self.heart = SimulatedNode(self.other, "heart", hostname=heart)
        self.nodes = (self.centre, self.onco, self.heart)


def refusals(node: SimulatedNode, kind: str = "mail.refused") -> list[str]:
    entries = node.node.audit.log(control.AuditLogRequest(kind=kind)).entries
    return [reason for entry in entries for reason in entry.reasons]


def test_each_partner_is_met_where_it_is_and_one_rendezvous_that_is_down_disturbs_no_other() -> None:
    async def scenario(simulation: Simulation) -> None:
        scene = Scene(simulation)
        centre, onco, heart = scene.nodes
        async with running(*scene.nodes):
            await centre.agree_with(onco)
            await heart.agree_with(centre)
            found = (await centre.node.directory.peers(control.PeersRequest())).peers
            assert [(one.hostname, one.network) for one in found] == [("heart", "x"), ("onco", "main")]
            for node, reserved in ((scene.town, onco), (scene.other, heart)):
                assert node.registry.members[centre.key.hex].reserved == {reserved.key.hex}
            await scene.other.server.stop()
            await asyncio.sleep(60)
            states = [each.state for each in centre.node.networks.list().networks]
            assert states == ["registered", "connecting"]
            assert (await centre.node.directory.ping(control.PingRequest("onco"))).received == 3
            scene.other.server.start()
            await asyncio.sleep(120)
            assert (await centre.node.directory.ping(control.PingRequest("heart@x"))).received == 3

    run_simulation(scenario, 1)


def test_a_name_in_two_networks_has_to_say_which() -> None:
    async def scenario(simulation: Simulation) -> None:
        scene = Scene(simulation, heart="lab", onco="lab")
        centre, onco, heart = scene.nodes
        asking = centre.node.trust.asking
        async with running(*scene.nodes):
            with pytest.raises(AmbiguousPeer, match="lab@main, lab@x"):
                await asking.handshake(control.HandshakeRequest("lab", "IRB"))
            with pytest.raises(AmbiguousPeer, match="lab@main, lab@x"):
                await centre.node.directory.find(control.FindRequest("lab"))
            with pytest.raises(InvalidInput, match="no network called y"):
                await asking.handshake(control.HandshakeRequest("lab@y", "IRB"))
            for node, name in ((onco, "lab@main"), (heart, "lab@x")):
                await asking.handshake(control.HandshakeRequest(name, "IRB"))
                await asyncio.sleep(1)
                await node.node.trust.answering.pending()
                await node.node.trust.answering.approve(control.ApproveRequest("centre"))
                known = await centre.node.trust.resolve(name)
                assert known.key == node.key
                assert (await centre.node.trust.resolve(str(node.card))).key == node.key
            with pytest.raises(AmbiguousPeer, match="lab@main, lab@x"):
                await centre.node.trust.resolve("lab")
            address = (await centre.node.trust.resolve("lab@x")).address  # both networks are number 1
            assert (await centre.node.trust.resolve(f"{address}@x")).key == heart.key

    run_simulation(scenario, 2)


def test_a_bare_name_is_not_taken_from_one_network_while_another_cannot_be_asked() -> None:
    async def scenario(simulation: Simulation) -> None:
        scene = Scene(simulation)
        centre, _, heart = scene.nodes
        asking = centre.node.trust.asking
        async with running(*scene.nodes):
            await scene.town.server.stop()
            await asyncio.sleep(60)
            with pytest.raises(RendezvousUnreachable) as caught:
                await asking.handshake(control.HandshakeRequest("heart", "IRB"))
            assert "heart@x" in caught.value.hint
            with pytest.raises(RendezvousUnreachable):
                await asking.handshake(control.HandshakeRequest("nobody", "IRB"))
            said = await asking.handshake(control.HandshakeRequest("heart@x", "IRB"))
            assert said.fingerprint == str(heart.key.fingerprint)
            with pytest.raises(UnknownPeer, match="in this network"):
                await asking.handshake(control.HandshakeRequest("nobody@x", "IRB"))

    run_simulation(scenario, 3)


def test_a_rendezvous_cannot_find_out_whom_we_meet_at_another() -> None:
    """It has a partner's key from somewhere, and offers relays and letters in its name."""

    async def scenario(simulation: Simulation) -> None:
        scene = Scene(simulation)
        centre, onco, _ = scene.nodes
        async with running(*scene.nodes):
            await centre.agree_with(onco)
            seat = scene.other.registry.members[centre.key.hex].seat
            assert seat is not None
            before = dict(scene.other.registry.members)
            seat.push(RelayOffer(peer=onco.key.hex, call="11" * 16, ticket="22" * 32))
            for keep in (True, False):
                seat.push(
                    Mail(sender=onco.key.hex, message_id="33" * 16, blob=b"x" * 5000, posted=1, keep=keep)
                )
            await asyncio.sleep(5)
            assert scene.other.registry.members == before
            assert refusals(centre)[::2] == ["unseal_failed"]  # and its reason
            assert centre.session(onco) is not None
            trace = "\n".join(map(str, scene.town.world.trace))
            assert "22" * 32 not in trace

    run_simulation(scenario, 4)


def test_a_partner_is_met_in_one_network_although_it_is_in_both() -> None:
    async def scenario(simulation: Simulation) -> None:
        scene = Scene(simulation)
        centre = scene.centre
        both = SimulatedNode(scene.town, "both", also={"x": scene.other.server})
        async with running(centre, both):
            await asking(both, "centre@main")
            await asyncio.sleep(1)
            await centre.node.trust.answering.pending()
            await centre.node.trust.answering.approve(control.ApproveRequest("both"))
            await asyncio.sleep(5)
            for node, name in ((centre, "both@x"), (both, "centre@x")):
                with pytest.raises(InvalidInput, match="@main already"):
                    await asking(node, name)
            # What its program would not send: a request through the other network.
            await deliver_elsewhere(both, centre)
            assert any("another network than the one where" in one for one in refusals(centre))
            await centre.node.trust.ending.revoke(control.RevokeRequest("both@main"))
            await asyncio.sleep(5)
            await asking(both, "centre@x")  # and now it begins anew there
            await asyncio.sleep(1)
            (waiting,) = (await centre.node.trust.answering.pending()).pending
            assert waiting.network == "x"
            await centre.node.trust.answering.approve(control.ApproveRequest("both@x"))
            known = await centre.node.trust.resolve("both")
            assert centre.node.memberships.name_of(known.realm) == "x"
            assert len(centre.node.trust.agreement_files(both.key.fingerprint)) == 2

    async def asking(node: SimulatedNode, name: str) -> None:
        await node.node.trust.asking.handshake(control.HandshakeRequest(name, "IRB"))

    async def deliver_elsewhere(sender: SimulatedNode, to: SimulatedNode) -> None:
        there = sender.node.memberships.named("x")
        statement = sender.node.notary.make(
            Rejection, to.key, 3600, request="sha256:" + "0" * 64, request_nonce="0" * 64, reason="none"
        )
        await there.courier.send(to.key, sender.node.notary.sign(statement), keep=True)
        await asyncio.sleep(2)

    run_simulation(scenario, 5)


def test_a_key_is_retired_where_it_is_in_use() -> None:
    async def scenario(simulation: Simulation) -> None:
        scene = Scene(simulation)
        centre, onco, heart = scene.nodes
        async with running(*scene.nodes):
            await centre.agree_with(onco)
            await centre.agree_with(heart)
            await onco.node.trust.retiring.retire(control.RetireRequest(reason="stolen"))
            await asyncio.sleep(5)
            assert centre.node.trust.known(onco.key) is None
            assert onco.key.hex in scene.town.registry.retired
            assert onco.key.hex not in scene.other.registry.retired
            await centre.node.trust.retiring.retire(control.RetireRequest(reason="laptop lost"))
            assert centre.key.hex in scene.town.registry.retired
            assert centre.key.hex in scene.other.registry.retired
            await asyncio.sleep(5)
            assert heart.node.trust.known(centre.key) is None

    run_simulation(scenario, 6)


def test_joining_and_leaving_while_the_node_runs() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        other = town.beside("rendezvous-2")
        centre, onco = SimulatedNode(town, "centre"), SimulatedNode(town, "onco")
        heart, rival = SimulatedNode(other, "heart"), SimulatedNode(other, "rival", hostname="centre")
        centre.servers["x"] = other.server
        networks = centre.node.networks
        async with running(centre, onco, heart, rival):
            await centre.agree_with(onco)
            join = control.NetworkJoinRequest(str(other.server.join), "x")
            with pytest.raises(NameTaken):
                await networks.join(join)
            assert centre.config.read_config().networks == ()
            assert len(centre.node.memberships) == 1
            with pytest.raises(InvalidInput, match="only network"):
                await networks.leave(control.NetworkLeaveRequest("main"))
            named = control.NetworkJoinRequest(str(other.server.join), "x", "centre-x")
            for _ in range(2):  # and once more after it left
                view = await networks.join(named)
                assert (view.state, view.hostname) == ("registered", "centre-x")
                with pytest.raises(InvalidInput):
                    await networks.join(named)
                if centre.node.trust.known(heart.key) is None:
                    await centre.node.trust.asking.handshake(control.HandshakeRequest(str(heart.card), "IRB"))
                    await asyncio.sleep(1)
                    await heart.node.trust.answering.pending()
                    await heart.node.trust.answering.approve(control.ApproveRequest("centre-x"))
                assert await centre.node.sessions.wait_up(heart.key, 60)
                left = await networks.leave(control.NetworkLeaveRequest("x"))
                assert left.resting == 1
                await asyncio.sleep(30)
                assert heart.session(centre) is None
                with pytest.raises(UntrustedPeer, match="left the network"):
                    await centre.node.trust.resolve("heart")
                assert centre.node.trust.standing(heart.key) is None  # nor may it come in
                assert centre.session(onco) is not None
            (resting,) = (await centre.node.trust.ending.trust()).ended
            assert resting.status == "resting"
            await networks.join(named)
            await networks.leave(control.NetworkLeaveRequest("main"))
            config = centre.config.read_config()
            assert (config.network, config.hostname, config.networks) == ("x", "centre-x", ())
            assert [place.name for place in places_of(config)] == ["x"]
            assert await centre.node.sessions.wait_up(heart.key, 60)
            assert centre.node.presence.state == "registered"

    run_simulation(scenario, 7)


def test_a_network_that_cannot_be_reached_is_joined_all_the_same() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        other = town.beside("rendezvous-2")
        centre = SimulatedNode(town, "centre")
        centre.servers["network-1"] = other.server
        async with running(centre):
            await other.server.stop()
            request = control.NetworkJoinRequest(str(other.server.join), wait_seconds=2)
            view = await centre.node.networks.join(request)
            assert (view.name, view.state) == ("network-1", "connecting")
            assert Place.parse(centre.config.read_config().networks[0]).name == "network-1"
            other.server.start()
            await asyncio.sleep(120)
            assert [one.state for one in centre.node.networks.list().networks] == ["registered"] * 2

    run_simulation(scenario, 8)
