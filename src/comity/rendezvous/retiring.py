"""Keys that have ended: by their own certificate, or by a rotation to another key (SECURITY.md rule 4).

The certificate verifies by itself, so whoever brings it may: a key's owner who has lost it has only a copy.
From then on no network takes the key, its name is free, and those who reserve mailbox slots for it are
told: in the networks of which it was a member, so that nobody learns from it that there are others.

Functions over the stores, inside the caller's transaction: no IO, no clock, and nobody is disconnected here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comity.errors import KeyRetired, RemoteProtocolError
from comity.identity.keys import PublicKey
from comity.protocol.registration import Claim
from comity.protocol.registry import Retired
from comity.protocol.succession import Retirement, named_successor
from comity.rendezvous import registry
from comity.rendezvous.presence import NodeKey
from comity.rendezvous.stores import Books, Node
from comity.rendezvous.tenancy import Act, EndedKey


@dataclass(frozen=True)
class Outcome:
    """``ended`` are the nodes that were the key's, ``told`` those that have something to fear from it."""

    ended: tuple[NodeKey, ...]
    told: tuple[NodeKey, ...]
    push: Retired


def retire(
    books: Books, key: PublicKey, said: Retirement, envelope: str, now: float, who: PublicKey
) -> Outcome:
    """Retire a key in every network, on its own verified word, brought by ``who``.

    Whom it had named its successor loses what it took over: a thief may have rotated it first.
    """
    before = books.tenancy.ended_key(key.raw)
    for network in books.nodes.networks():
        if books.nodes.get(network, key.raw) or books.tenancy.removal(network, key.raw):
            books.tenancy.end_member(key.raw, network)
    theirs = books.tenancy.ended_in(key.raw)
    told = tuple(one for one in books.letters.reserving(key.raw) if one[0] in theirs)
    ended: list[NodeKey] = []
    if before is None or before.how != "retired":
        books.tenancy.end_key(EndedKey(key.raw, int(now), "retired", said.reason, envelope))
        for gone in (key, *_heirs(books, before)):
            for network in books.nodes.networks():
                node = books.nodes.get(network, gone.raw)
                if node is not None:
                    ended.append((network, gone.raw))
                    _forget(books, node)
                    why = said.reason or "no reason given"
                    detail = f"{_named(node)}, {why if gone == key else f'it follows {key.fingerprint}'}"
                    books.tenancy.note(Act(int(now), str(who.fingerprint), "key retired", network, detail))
    return Outcome(tuple(ended), told, Retired(key=key.hex, retirement=envelope))


def _heirs(books: Books, ended: EndedKey | None) -> Iterator[PublicKey]:
    """The keys that came one after the other on the word of this one."""
    seen: set[bytes] = set()
    while ended is not None and ended.how == "rotated" and ended.key not in seen:
        seen.add(ended.key)
        heir = named_successor(ended.proof)
        yield heir
        ended = books.tenancy.ended_key(heir.raw)


def check(books: Books, key: bytes) -> None:
    """KeyRetired where this key has ended."""
    ended = books.tenancy.ended_key(key)
    if ended is not None:
        raise KeyRetired(f"this key was {ended.how}" + (f": {ended.reason}" if ended.reason else ""))


def succeed(books: Books, claim: Claim, now: float) -> bool:
    """Let a new key take over its predecessor's membership; whether there was one.

    KeyRetired where the predecessor has ended already; the new key then has nothing to go by.
    """
    old = claim.predecessor
    if old is None:
        return False
    reason = f"to {claim.key.fingerprint}"
    ended = books.tenancy.ended_key(old.raw)
    if ended is not None and (ended.how, ended.reason) != ("rotated", reason):
        raise KeyRetired(f"the key that names this one its successor was {ended.how} before: {ended.reason}")
    node = books.nodes.get(claim.network, old.raw)
    if node is None:
        return False
    if claim.hostname != node.hostname and not registry.is_nameless(node):
        raise RemoteProtocolError("a rotation keeps the hostname; change it afterwards")
    _forget(books, node)
    books.tenancy.end_key(EndedKey(old.raw, int(now), "rotated", reason, claim.rotation))
    books.tenancy.end_member(old.raw, claim.network)
    act = Act(int(now), str(old.fingerprint), "key rotated", claim.network, f"{_named(node)}, {reason}")
    books.tenancy.note(act)
    return True


def reminders(books: Books, network: int, senders: list[bytes]) -> list[Retired]:
    """What a node of a network that reserves slots for these senders is told of them."""
    found = [
        ended
        for sender in senders
        if (ended := books.tenancy.ended_key(sender)) and network in books.tenancy.ended_in(sender)
    ]
    return [Retired(key=one.key.hex(), retirement=one.proof) for one in found if one.how == "retired"]


def _forget(books: Books, node: Node) -> None:
    books.letters.drop(node.network, node.key)
    books.nodes.remove(node.network, node.key)


def _named(node: Node) -> str:
    name = "(released)" if registry.is_nameless(node) else node.hostname
    return f"{name}, {registry.address(node)}"
