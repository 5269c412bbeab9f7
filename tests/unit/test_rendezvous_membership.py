"""Who is admitted to a network, and what an administrator's orders do (SECURITY.md rule 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from comity import limits
from comity.clock import ManualClock
from comity.control.rendezvous import InviteCreateRequest, NetworkChangeRequest, NetworkCreateRequest
from comity.errors import (
    InvalidInput,
    KeyRetired,
    NameTaken,
    NotAdmitted,
    RemoteProtocolError,
    RendezvousRefused,
    UnknownPeer,
)
from comity.identity.keys import Identity
from comity.protocol.registry import Resolve
from comity.protocol.succession import open_retirement
from comity.rendezvous import acts, membership, registry, retiring
from comity.rendezvous.memory import MemoryBooks
from comity.rendezvous.stores import Node
from tests.rendezvous.nodes import Registrant
from tests.trust.keys import predecessor, retirement

NOW = 1_800_000_000.0
CLOCK = ManualClock(NOW)
SERVER = Identity.generate().public.fingerprint
TOKEN = "5a" * 32
WHO = "uid 0"


@pytest.fixture
def books() -> MemoryBooks:
    made = MemoryBooks()
    acts.create_network(made, NetworkCreateRequest("lung-study"), NOW, WHO)
    return made


def registrant(hostname: str = "lab-a", network: int = 2, invitation: str | None = TOKEN) -> Registrant:
    return Registrant(SERVER, hostname=hostname, network=network, invitation=invitation)


def invite(books: MemoryBooks, uses: int = 1, token: str = TOKEN, expires: int = 3600) -> int:
    return acts.invite(books, InviteCreateRequest("lung-study", uses, expires), token, NOW, WHO).id


def enter(books: MemoryBooks, who: Registrant, now: float = NOW) -> Node:
    with books.transaction():
        return membership.admit(books, who.claim(now), now)


def test_an_invitation_lets_in_as_many_keys_as_it_has_uses(books: MemoryBooks) -> None:
    invite(books, uses=2)
    first = registrant("lab-a")
    assert registry.address(enter(books, first)) == "2:0002.0000.0010"
    enter(books, first)
    enter(books, replace(first, hostname="lab-z", invitation=None))
    enter(books, registrant("lab-b"))
    with pytest.raises(NotAdmitted):
        enter(books, registrant("lab-c"))
    assert books.nodes.count(2) == 2


def spent(books: MemoryBooks) -> Registrant:
    invite(books)
    enter(books, registrant("other"))
    return registrant()


def expired(books: MemoryBooks) -> Registrant:
    invite(books, expires=1)
    return registrant()


def revoked(books: MemoryBooks) -> Registrant:
    acts.revoke_invitation(books, invite(books), NOW, WHO)
    return registrant()


def of_another_network(books: MemoryBooks) -> Registrant:
    acts.create_network(books, NetworkCreateRequest("heart-study"), NOW, WHO)
    invite(books)
    return registrant(network=3)


def guessed(books: MemoryBooks) -> Registrant:
    invite(books)
    return registrant(invitation="00" * 32)


def absent(books: MemoryBooks) -> Registrant:
    invite(books)
    return registrant(invitation=None)


def for_a_taken_name(books: MemoryBooks) -> Registrant:
    invite(books)
    enter(books, registrant("lab-a"))
    return registrant("lab-a", invitation=None)


def nowhere(books: MemoryBooks) -> Registrant:
    return registrant(network=999)


@pytest.mark.parametrize(
    "stranger",
    [spent, expired, revoked, of_another_network, guessed, absent, for_a_taken_name, nowhere],
)
def test_strangers_all_get_one_answer(
    books: MemoryBooks, stranger: Callable[[MemoryBooks], Registrant]
) -> None:
    who = stranger(books)
    with pytest.raises(NotAdmitted) as refused:
        enter(books, who, NOW + 2)
    assert (refused.value.message, refused.value.code) == ("not admitted to this network", "not_admitted")


def test_a_registration_that_fails_costs_no_use(books: MemoryBooks) -> None:
    invite(books, uses=2)
    enter(books, registrant("lab-a"))
    with pytest.raises(NameTaken):
        enter(books, registrant("lab-a"))
    assert [each.used for each in books.tenancy.invitations(2)] == [1]
    enter(books, registrant("lab-b"))


def test_the_token_is_not_kept(books: MemoryBooks) -> None:
    invite(books)
    (kept,) = books.tenancy.invitations(2)
    assert bytes.fromhex(TOKEN) not in kept.digest
    assert TOKEN not in repr(kept)
    assert TOKEN not in repr(books.tenancy.acts(10))


def test_a_removed_key_needs_a_new_invitation_and_has_its_address_again(books: MemoryBooks) -> None:
    invite(books, uses=5)
    owner = registrant("lab-a")
    enter(books, owner)
    enter(books, registrant("lab-b"))
    assert acts.remove(books, "lung-study", "lab-a", NOW, WHO).hostname == "lab-a"
    with pytest.raises(NotAdmitted):
        enter(books, owner)
    invite(books, token="6b" * 32)
    back = enter(books, replace(owner, invitation="6b" * 32))
    assert registry.address(back) == "2:0002.0000.0010"
    enter(books, replace(owner, invitation=None))


def test_a_removed_key_does_not_come_back_to_an_open_network(books: MemoryBooks) -> None:
    owner = registrant("lab-a", network=1, invitation=None)
    enter(books, owner)
    acts.remove(books, "1", "1:0001.0000.0010", NOW, WHO)
    with pytest.raises(NotAdmitted):
        enter(books, owner)


def test_a_retired_key_is_out_everywhere_and_its_name_is_free(books: MemoryBooks) -> None:
    invite(books, uses=2)
    thief = registrant("lab-a")
    enter(books, thief)
    enter(books, replace(thief, network=1))
    books.letters.reserve(2, b"b" * 32, [thief.key])
    text = retirement(thief.identity, SERVER, CLOCK)
    said = open_retirement(thief.identity.public, text)
    who = Identity.generate().public
    outcome = retiring.retire(books, thief.identity.public, said, text, NOW, who)
    assert outcome.ended == ((1, thief.key), (2, thief.key))
    assert outcome.told == ((2, b"b" * 32),)
    for network in (1, 2):
        with pytest.raises(KeyRetired, match="stolen"):
            enter(books, replace(thief, network=network, invitation=None))
    assert enter(books, registrant("lab-a")).hostname == "lab-a"
    again = retiring.retire(books, thief.identity.public, said, text, NOW, who)
    assert (again.ended, again.told) == ((), outcome.told)
    assert [act.act for act in books.tenancy.acts(9)].count("key retired") == 2


def test_a_rotated_key_passes_its_membership_and_its_name_on(books: MemoryBooks) -> None:
    invite(books)
    old = registrant("lab-a")
    enter(books, old)
    new = Registrant(SERVER, hostname="lab-a", network=2)
    word = predecessor(old.identity, new.identity, SERVER, CLOCK, network=2)
    with pytest.raises(NotAdmitted):
        enter(books, new)  # the name alone lets nobody in
    node = enter(books, replace(new, predecessor=word))
    assert registry.address(node) == "2:0002.0000.0020"
    enter(books, replace(new, predecessor=word))
    with pytest.raises(KeyRetired, match="rotated"):
        enter(books, old)
    third = Registrant(SERVER, hostname="lab-a", network=2)
    other = predecessor(old.identity, third.identity, SERVER, CLOCK, network=2)
    with pytest.raises(KeyRetired):
        enter(books, replace(third, predecessor=other))
    assert books.nodes.count(2) == 1


def test_a_thief_who_rotated_first_loses_what_that_brought(books: MemoryBooks) -> None:
    """And so does whom the thief's key was rotated to; a network by invitation is not entered that way."""
    invite(books, uses=2)
    owner = registrant("lab-a")
    enter(books, owner)
    thief, second = (Registrant(SERVER, hostname="lab-a", network=2) for _ in range(2))
    thief = replace(thief, predecessor=predecessor(owner.identity, thief.identity, SERVER, CLOCK, network=2))
    enter(books, thief)
    again = predecessor(thief.identity, second.identity, SERVER, CLOCK, network=2)
    enter(books, replace(second, predecessor=again))
    text = retirement(owner.identity, SERVER, CLOCK)
    said = open_retirement(owner.identity.public, text)
    outcome = retiring.retire(books, owner.identity.public, said, text, NOW, Identity.generate().public)
    assert outcome.ended == ((2, second.key),)
    assert books.nodes.count(2) == 0
    with pytest.raises(KeyRetired):
        enter(books, thief)
    for late in (second, replace(second, predecessor=None)):
        with pytest.raises(NotAdmitted):
            enter(books, late)
    assert enter(books, registrant("lab-a")).hostname == "lab-a", "the name is its owner's to take"


def test_a_rotation_brings_no_other_name(books: MemoryBooks) -> None:
    invite(books)
    old = registrant("lab-a")
    enter(books, old)
    new = Registrant(SERVER, hostname="lab-z", network=2)
    word = predecessor(old.identity, new.identity, SERVER, CLOCK, network=2)
    with pytest.raises(RemoteProtocolError):
        enter(books, replace(new, predecessor=word))
    enter(books, old)


def test_a_released_name_is_anybodys_but_its_old_keys(books: MemoryBooks) -> None:
    old, new = (registrant("lab-a", network=1, invitation=None) for _ in range(2))
    node = enter(books, old)
    acts.release(books, "default", "lab-a", NOW, WHO)
    for request in (
        Resolve(id=1, hostname="lab-a"),
        Resolve(id=1, key=old.key.hex()),
        Resolve(id=1, address=registry.address(node)),
    ):
        with pytest.raises(UnknownPeer):
            registry.resolve(books.nodes, 1, request)
    with pytest.raises(NameTaken, match="taken from this key"):
        enter(books, old)
    enter(books, new)
    renamed = enter(books, replace(old, hostname="lab-a-2"))
    assert registry.address(renamed) == registry.address(node)


def test_quotas_hold_for_newcomers_and_spare_members(books: MemoryBooks) -> None:
    acts.change_network(books, NetworkChangeRequest("default", max_nodes=1), NOW, WHO)
    owner = registrant("lab-a", network=1, invitation=None)
    enter(books, owner)
    enter(books, owner)
    with pytest.raises(RendezvousRefused, match="as many nodes"):
        enter(books, registrant("lab-b", network=1, invitation=None))


def test_a_network_that_was_closed_keeps_its_members(books: MemoryBooks) -> None:
    owner = registrant("lab-a", network=1, invitation=None)
    enter(books, owner)
    acts.change_network(books, NetworkChangeRequest("1", open=False), NOW, WHO)
    enter(books, owner)
    with pytest.raises(NotAdmitted):
        enter(books, registrant("lab-b", network=1, invitation=None))


@pytest.mark.parametrize(
    "order",
    [
        lambda books: acts.create_network(books, NetworkCreateRequest("lung-study"), NOW, WHO),
        lambda books: acts.create_network(books, NetworkCreateRequest("2"), NOW, WHO),
        lambda books: acts.create_network(books, NetworkCreateRequest("Lung"), NOW, WHO),
        lambda books: acts.create_network(books, NetworkCreateRequest("a", max_nodes=10**9), NOW, WHO),
        lambda books: acts.change_network(books, NetworkChangeRequest("9"), NOW, WHO),
        lambda books: acts.invite(books, InviteCreateRequest("2", 0, 60), TOKEN, NOW, WHO),
        lambda books: acts.invite(books, InviteCreateRequest("2", 1, 0), TOKEN, NOW, WHO),
        lambda books: acts.invite(books, InviteCreateRequest("2", 1, 10**9), TOKEN, NOW, WHO),
        lambda books: acts.invite(books, InviteCreateRequest("2", 1, 60, "x" * 513), TOKEN, NOW, WHO),
        lambda books: acts.revoke_invitation(books, 9, NOW, WHO),
        lambda books: acts.remove(books, "1", "lab a", NOW, WHO),
    ],
)
def test_orders_that_mean_nothing(books: MemoryBooks, order: Callable[[MemoryBooks], object]) -> None:
    before = books.tenancy.acts(100)
    with pytest.raises(InvalidInput):
        order(books)
    assert books.tenancy.acts(100) == before


def test_nodes_are_named_by_fingerprint_too_and_only_in_their_network(books: MemoryBooks) -> None:
    owner = registrant("lab-a", network=1, invitation=None)
    enter(books, owner)
    pin = str(owner.identity.public.fingerprint)
    assert acts.node_of(books, 1, pin).hostname == "lab-a"
    for text in (pin, "lab-a", "1:0001.0000.0010"):
        with pytest.raises(UnknownPeer):
            acts.node_of(books, 2, text)
    with pytest.raises(UnknownPeer):
        acts.release(books, "2", "lab-a", NOW, WHO)


def test_the_log_tells_who_did_what(books: MemoryBooks) -> None:
    invite(books)
    who = registrant("lab-a")
    enter(books, who)
    acts.remove(books, "2", "lab-a", NOW, WHO)
    told = [(act.who, act.act) for act in books.tenancy.acts(10)]
    pin = str(who.identity.public.fingerprint)
    assert told == [(WHO, "network created"), (WHO, "invited"), (pin, "node joined"), (WHO, "node removed")]
    assert len(told) <= limits.ADMIN_LOG_PAGE
