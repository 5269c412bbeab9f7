"""Who gets which address and name, and who is told about whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comity import limits
from comity.errors import InvalidInput, NameTaken, RemoteProtocolError, RendezvousRefused, UnknownPeer
from comity.identity.keys import Identity
from comity.protocol.registry import MESSAGE_BYTES, Find, Found, Resolve, encode_message
from comity.rendezvous import registry
from comity.rendezvous.memory import MemoryNodes
from comity.rendezvous.stores import Node
from tests.rendezvous.nodes import Registrant

NOW = 1_800_000_000.0
SERVER = Identity.generate().public.fingerprint


@pytest.fixture
def nodes() -> MemoryNodes:
    return MemoryNodes()


def registrant(hostname: str, *, public: bool = False, tags: tuple[str, ...] = ()) -> Registrant:
    return Registrant(SERVER, hostname=hostname, public=public, tags=tags)


def enter(nodes: MemoryNodes, node: Registrant, now: float = NOW) -> Node:
    return registry.register(nodes, node.claim(now), now)


def test_addresses_are_given_out_in_steps_and_stay(nodes: MemoryNodes) -> None:
    first, second = registrant("lab-a"), registrant("lab-b")
    assert registry.address(enter(nodes, first)) == "1:0001.0000.0010"
    assert registry.address(enter(nodes, second)) == "1:0001.0000.0020"
    assert registry.address(enter(nodes, first, NOW + 5)) == "1:0001.0000.0010"
    assert registry.address(enter(nodes, registrant("lab-c"))) == "1:0001.0000.0030"


def test_a_name_belongs_to_the_first_key(nodes: MemoryNodes) -> None:
    owner = registrant("lab-a")
    enter(nodes, owner)
    with pytest.raises(NameTaken):
        enter(nodes, registrant("lab-a"))
    enter(nodes, owner)
    assert nodes.count(1) == 1


def test_another_name_frees_the_old_one(nodes: MemoryNodes) -> None:
    owner = registrant("lab-a")
    enter(nodes, owner)
    enter(nodes, replace(owner, hostname="lab-z"))
    assert registry.address(enter(nodes, registrant("lab-a"))) == "1:0001.0000.0020"


def test_a_taken_name_frees_nothing(nodes: MemoryNodes) -> None:
    owner, other = registrant("lab-a"), registrant("lab-b")
    enter(nodes, owner)
    enter(nodes, other)
    with pytest.raises(NameTaken):
        enter(nodes, replace(owner, hostname="lab-b"))
    with pytest.raises(NameTaken):
        enter(nodes, registrant("lab-a"))


def test_a_sealing_key_goes_forward(nodes: MemoryNodes) -> None:
    owner = registrant("lab-a")
    enter(nodes, owner)
    assert enter(nodes, replace(owner, sealing_sequence=3, sealing_public="cd" * 1216)).sealing_sequence == 3


@pytest.mark.parametrize(
    ("sequence", "public"),
    [(2, "ab" * 1216), (2, "cd" * 1216), (3, "cd" * 1216)],
    ids=["old", "older", "swapped"],
)
def test_a_sealing_key_never_goes_back(nodes: MemoryNodes, sequence: int, public: str) -> None:
    owner = replace(registrant("lab-a"), sealing_sequence=3)
    before = enter(nodes, owner)
    with pytest.raises(RemoteProtocolError, match="goes back"):
        enter(nodes, replace(owner, sealing_sequence=sequence, sealing_public=public))
    assert nodes.get(1, owner.key) == before


def test_the_same_sealing_key_may_be_signed_anew(nodes: MemoryNodes) -> None:
    owner = registrant("lab-a")
    enter(nodes, owner)
    assert enter(nodes, owner, NOW + 1000).sealing_key != owner.claim(NOW).sealing_key


def test_an_unknown_network_and_a_full_one(nodes: MemoryNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RendezvousRefused):
        enter(nodes, replace(registrant("lab-a"), network=2))
    monkeypatch.setattr(limits, "NODES_PER_NETWORK", 1)
    owner = registrant("lab-a")
    enter(nodes, owner)
    enter(nodes, owner)
    with pytest.raises(RendezvousRefused, match="as many nodes"):
        enter(nodes, registrant("lab-b"))


@pytest.mark.parametrize("public", [True, False])
def test_a_node_resolves_by_exactly_what_it_is_called(nodes: MemoryNodes, *, public: bool) -> None:
    owner = registrant("lab-a", public=public)
    node = enter(nodes, owner)
    for request in (
        Resolve(id=1, hostname="lab-a"),
        Resolve(id=1, address="1:0001.0000.0010"),
        Resolve(id=1, key=owner.identity.public.hex),
    ):
        assert registry.resolve(nodes, 1, request) == node


@pytest.mark.parametrize(
    "request_",
    [
        Resolve(id=1, hostname="lab"),
        Resolve(id=1, hostname="LAB-A"),
        Resolve(id=1, address="1:0001.0000.0011"),
        Resolve(id=1, address="2:0002.0000.0010"),
        Resolve(id=1, key="0" * 64),
    ],
)
def test_everything_else_is_the_same_unknown(nodes: MemoryNodes, request_: Resolve) -> None:
    enter(nodes, registrant("lab-a"))
    with pytest.raises(UnknownPeer) as caught:
        registry.resolve(nodes, 1, request_)
    with pytest.raises(UnknownPeer) as absent:
        registry.resolve(MemoryNodes(), 1, Resolve(id=1, hostname="x"))
    assert caught.value.message == absent.value.message


@pytest.mark.parametrize(
    "request_", [Resolve(id=1), Resolve(id=1, hostname="a", key="0" * 64), Resolve(id=1, address="lab-a")]
)
def test_a_question_that_makes_no_sense(nodes: MemoryNodes, request_: Resolve) -> None:
    with pytest.raises(InvalidInput):
        registry.resolve(nodes, 1, request_)


def test_nothing_resolves_across_networks(nodes: MemoryNodes) -> None:
    nodes.next[2] = limits.NODE_FIRST
    owner = registrant("lab-a", public=True)
    enter(nodes, owner)
    for request in (Resolve(id=1, hostname="lab-a"), Resolve(id=1, key=owner.identity.public.hex)):
        with pytest.raises(UnknownPeer):
            registry.resolve(nodes, 2, request)
    assert registry.find(nodes, 2, Find(id=1)) == []


def test_private_nodes_are_never_listed(nodes: MemoryNodes) -> None:
    enter(nodes, registrant("lab-a", public=True, tags=("eu",)))
    enter(nodes, registrant("lab-b", tags=("eu",)))
    for request in (Find(id=1), Find(id=1, tag="eu")):
        assert [node.hostname for node in registry.find(nodes, 1, request)] == ["lab-a"]


def test_a_record_tells_when_a_node_was_here(nodes: MemoryNodes) -> None:
    node = enter(nodes, registrant("lab-a"))
    assert registry.record(node, online=False, now=NOW + 60).last_seen == int(NOW)
    assert registry.record(node, online=True, now=NOW + 60).last_seen == int(NOW) + 60


def test_the_longest_answer_fits_a_message(nodes: MemoryNodes) -> None:
    for number in range(limits.FIND_RESULTS + 1):
        name = f"{number:03}" + "\N{CJK UNIFIED IDEOGRAPH-4E00}" * (limits.HOSTNAME_CHARS - 3)
        tags = tuple(f"{tag:02}" + "x" * (limits.TAG_CHARS - 2) for tag in range(limits.TAGS))
        enter(nodes, registrant(name, public=True, tags=tags))
    found = registry.find(nodes, 1, Find(id=1))
    records = tuple(registry.record(node, online=True, now=NOW) for node in found)
    assert len(records) == limits.FIND_RESULTS
    assert len(encode_message(Found(id=2**53 - 1, records=records))) <= MESSAGE_BYTES
