"""find, peers, ping, tags and visibility between whole nodes in virtual time, and a rendezvous that lies."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from comity import control
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    IdentityMismatch,
    InvalidInput,
    TimedOut,
    UnknownPeer,
    UntrustedPeer,
)
from comity.protocol.registry import Record, Resolve
from comity.transport.memory_registry import Member, MemoryRegistry
from comity.transport.simulation import Simulation, run_simulation
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town


def find(node: SimulatedNode, name: str) -> asyncio.Task[control.FindResult]:
    return asyncio.ensure_future(node.node.directory.find(control.FindRequest(name)))


async def peers(node: SimulatedNode, tag: str | None = None) -> dict[str, control.PeerView]:
    found = await node.node.directory.peers(control.PeersRequest(tag))
    return {view.hostname: view for view in found.peers}


def test_find_tells_what_is_known_and_what_is_only_said() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", tags=("trainer",))
        async with running(a, b):
            stranger = await find(a, "lab-b")
            assert (stranger.identity, stranger.trusted, stranger.online) == ("unknown", False, True)
            assert stranger.fingerprint == str(b.key.fingerprint)
            await a.agree_with(b)
            known = await find(a, "lab-b")
            assert (known.identity, known.trusted, known.tags) == ("confirmed", True, ("trainer",))
            assert (await find(b, "lab-a")).identity == "unconfirmed"  # only the request's signature vouches
            for form in (known.address, str(b.card), known.fingerprint):
                assert (await find(a, form)).hostname == "lab-b"
            with pytest.raises(UnknownPeer):
                await find(a, "nobody")
            with pytest.raises(InvalidInput):
                await find(a, "not a name!")

    run_simulation(scenario, 1)


def test_find_of_an_approved_peer_needs_no_rendezvous() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            town.world.partition("lab-a", "rendezvous")
            await asyncio.sleep(30)
            known = await find(a, "lab-b")
            assert (known.trusted, known.last_seen) == (True, "")
            assert [view.hostname for view in (await peers(a)).values()] == ["lab-b"]

    run_simulation(scenario, 1)


class LyingRegistry(MemoryRegistry):
    """Gives nodes other names than theirs: ``names`` by key, in hexadecimal."""

    def __init__(self, network: int, clock: Clock, entropy: Entropy) -> None:
        super().__init__(network, clock, entropy)
        self.names: dict[str, str] = {}

    def find_member(self, request: Resolve) -> Member:
        for member in self.members.values():
            if request.hostname is not None and self.record_of(member).hostname == request.hostname:
                return member
        return super().find_member(request)

    def record_of(self, member: Member) -> Record:
        record = super().record_of(member)
        name = self.names.get(member.key.hex, record.hostname)
        return msgspec.structs.replace(record, hostname=name)


def test_a_rendezvous_that_gives_an_approved_name_to_another_key_is_an_error() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation, registry=LyingRegistry)
        assert isinstance(town.registry, LyingRegistry)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        evil = SimulatedNode(town, "evil", hostname="lab-c", public=True)
        async with running(a, b, evil):
            await a.agree_with(b)
            town.registry.names = {evil.key.hex: "lab-b", b.key.hex: "lab-z"}
            with pytest.raises(IdentityMismatch):
                await find(a, "lab-b")
            listed = (await a.node.directory.peers(control.PeersRequest())).peers
            assert [(view.hostname, view.trusted, view.identity) for view in listed] == [
                ("lab-b", True, "confirmed"),
                ("lab-b", False, "mismatch"),
            ]
            # Nothing but the name was taken in: a ping goes to the key of the agreement.
            result = await a.node.directory.ping(control.PingRequest("lab-b"))
            assert result.hostname == "lab-b"
            kinds = {entry.kind for entry in evil.node.audit.log(control.AuditLogRequest()).entries}
            assert kinds == {"key.changed"}, "of others it has heard nothing"

    run_simulation(scenario, 1)


def test_peers_and_tags() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b")
        c = SimulatedNode(town, "hub", public=True, tags=("aggregator", "lung"))
        async with running(a, b, c):
            await a.agree_with(b)
            seen = await peers(a)
            assert seen["lab-b"].state == "tunnel active"
            assert seen["lab-b"].path == "relay"
            assert (seen["hub"].state, seen["hub"].identity) == ("listed", "unknown")
            assert set(await peers(a, "lung")) == {"hub"}
            assert await peers(a, "absent") == {}
            assert set(await peers(c)) == set()  # not itself, and nobody private
            shown = await b.node.directory.set_visibility(control.SetVisibilityRequest(public=True))
            assert shown.public
            shown = await b.node.directory.set_tags(control.SetTagsRequest(("trainer", "trainer", "lung")))
            assert shown.tags == ("trainer", "lung")
            assert (b.config.config.public, b.config.config.tags) == (True, ("trainer", "lung"))
            await asyncio.sleep(1)
            assert set(await peers(a, "lung")) == {"hub", "lab-b"}
            with pytest.raises(InvalidInput):
                await b.node.directory.set_tags(control.SetTagsRequest(("UPPER",)))
            town.world.unplug("lab-b")
            await asyncio.sleep(10)
            assert (await peers(a))["lab-b"].state == "offline"
            town.world.plug("lab-b")

    run_simulation(scenario, 1)


def test_ping() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            with pytest.raises(UntrustedPeer):
                await a.node.directory.ping(control.PingRequest("lab-b"))
            with pytest.raises(UnknownPeer):
                await a.node.directory.ping(control.PingRequest("nobody"))
            await a.agree_with(b)
            await asyncio.sleep(5)
            result = await a.node.directory.ping(control.PingRequest("lab-b", count=5))
            assert (result.sent, result.received, len(result.rtts_ms)) == (5, 5, 5)
            assert result.path == "direct"
            assert 10 <= min(result.rtts_ms) <= result.rtt_ms <= max(result.rtts_ms) <= 60
            assert result.setup_ms > 0
            assert (result.cipher, result.group) == ("TLS_AES_256_GCM_SHA384", "X25519MLKEM768")
            for wrong in (control.PingRequest("lab-b", count=0), control.PingRequest("lab-b", timeout=0)):
                with pytest.raises(InvalidInput):
                    await a.node.directory.ping(wrong)
            town.world.partition("lab-a", "lab-b")
            relayed = await a.node.directory.ping(control.PingRequest("lab-b"))
            assert relayed.path == "relay"
            town.world.unplug("lab-b")
            with pytest.raises(TimedOut):
                await a.node.directory.ping(control.PingRequest("lab-b", timeout=3))
            town.world.plug("lab-b")

    run_simulation(scenario, 1)
