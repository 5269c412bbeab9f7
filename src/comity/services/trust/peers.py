"""Whom a PEER argument names: approved peers from the local store alone, others through the rendezvous.

A name or an address that belongs to an approved peer never asks a rendezvous (SECURITY.md rule 6), and a
record that claims one for another key of the same network is an error, not a choice. In several networks a
name or an address may mean several nodes: ``NAME@NETWORK`` says which (docs: decision 17). ``seeking``
asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comity.clock import Clock, rfc3339
from comity.errors import (
    AmbiguousPeer,
    IdentityMismatch,
    InvalidInput,
    UnknownPeer,
    UntrustedPeer,
)
from comity.identity.address import Address
from comity.identity.card import Card, PeerName, parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.realm import Realm
from comity.protocol.trust.relationship import Agreement, Relationship
from comity.services.membership import Memberships, left_network
from comity.services.trust.seeking import Seeking
from comity.storage.trust import TrustStore


@dataclass(frozen=True)
class KnownPeer:
    """A peer with an agreement in force. ``local_id`` names its folder of received files."""

    key: PublicKey
    hostname: str
    address: str
    local_id: str
    agreement: Agreement
    realm: str = ""


@dataclass(frozen=True)
class Found:
    """A node to shake hands with, in ``realm``. ``pinned``: a card or fingerprint named its key."""

    key: PublicKey
    hostname: str
    address: str
    pinned: bool
    realm: str


class PeerBook:
    """Resolves PEER arguments; see the module."""

    def __init__(self, store: TrustStore, memberships: Memberships, own: PublicKey, clock: Clock):
        self._store = store
        self._memberships = memberships
        self._seeking = Seeking(memberships)
        self._own = own
        self._clock = clock

    # ── those we know ─────────────────────────────────────────────────────────────────────────────────

    def known(self, key: PublicKey) -> KnownPeer | None:
        """The peer with this key, if an agreement with it is in force."""
        rel = self._store.get(key)
        return self._as_known(rel) if rel else None

    async def trusted(self, text: str) -> KnownPeer:
        """The approved peer that ``text`` names; UntrustedPeer says what is missing, UnknownPeer that nobody
        is.
        """
        matches = self.local(text)
        found = [known for rel in matches if (known := self._as_known(rel))]
        if len(found) == 1:
            return found[0]
        if found:
            raise self._ambiguous(text, matches)
        if matches:
            raise self._untrusted(matches[-1])
        record, _ = await self._seeking.ask(text)
        raise UntrustedPeer(
            f"there is no agreement with {record.hostname}", hint=_handshake_hint(record.hostname)
        )

    def one(self, text: str, which: Callable[[Relationship], bool], missing: Exception) -> Relationship:
        """The one relationship that ``text`` names and ``which`` accepts; else ``missing``, UnknownPeer or
        AmbiguousPeer.
        """
        matches = self.local(text)
        found = [rel for rel in matches if which(rel)]
        if len(found) > 1:
            raise self._ambiguous(text, found)
        if not found:
            raise missing if matches else UnknownPeer(f"no peer is known as {printable(text)}")
        return found[0]

    def local(self, text: str) -> list[Relationship]:
        """Every relationship that ``text`` could mean. IdentityMismatch where a card's name is another
        key's.
        """
        plain, network = self._seeking.split(text)
        named = parse_peer(plain)
        if isinstance(named, Address | PeerName):
            look = self._store.addressed if isinstance(named, Address) else self._store.named
            return [rel for rel in look(str(named)) if network is None or rel.realm == str(network.realm)]
        fingerprint = named.fingerprint if isinstance(named, Card) else named
        found = [rel for rel in self._store.all() if PublicKey.from_hex(rel.peer).fingerprint == fingerprint]
        if not found and isinstance(named, Card):
            where = self._seeking.candidates(named, network)
            if len(where) == 1:  # of several, only the rendezvous can say which the card is for
                self._check_name(named.hostname, None, str(where[0].realm))
        return found

    # ── those we don't ────────────────────────────────────────────────────────────────────────────────

    async def look_up(self, text: str, fingerprint: str | None) -> Found:
        """Whom to ask for an agreement. Raises UnknownPeer, IdentityMismatch, and what ``resolve`` raises."""
        pin = Fingerprint.parse(fingerprint) if fingerprint else None
        named = parse_peer(self._seeking.split(text)[0])
        if isinstance(named, Card):
            if pin is not None and pin != named.fingerprint:
                raise InvalidInput("the card and --fingerprint name different keys")
            pin = named.fingerprint
        approved = [rel for rel in self.local(text) if self._as_known(rel)]
        if len(approved) > 1:
            raise self._ambiguous(text, approved)
        if approved:
            rel = approved[0]
            pinned = rel.pinned or pin is not None
            found = Found(PublicKey.from_hex(rel.peer), rel.hostname, rel.address, pinned, rel.realm)
        else:
            record, member = await self._seeking.ask(text, pin)
            key = member.courier.accept_record(record)
            self._check_name(record.hostname, key, str(member.realm))
            found = Found(key, record.hostname, record.address, pin is not None, str(member.realm))
        if pin is not None and found.key.fingerprint != pin:
            raise IdentityMismatch(
                f"{found.hostname} has the key {found.key.fingerprint}, not the {pin} that you named"
            )
        if found.key == self._own:
            raise InvalidInput("that is this node itself", hint="name your partner's node")
        return found

    async def claimed(self, key: PublicKey, realm: Realm) -> Found:
        """Under which name and address a registry knows a key that has written to us; IdentityMismatch.

        The record's sealing key need not hold: the peer may have been away since it wrote, until that
        expired.
        """
        member = self._memberships.at(realm)
        if member is None:
            raise left_network("the network that this came through")
        record = await member.rendezvous.resolve(key=key)
        if member.courier.name_record(record) != key:
            raise IdentityMismatch("the rendezvous answered with another node's record")
        return Found(key, record.hostname, record.address, False, str(realm))

    def moved(self, rel: Relationship, found: Found) -> Relationship:
        """A key that is met in another network from now on; InvalidInput where it is a partner in that one.

        It begins anew there: agreements are of one network. Those of before stay on record.
        """
        if self.known(found.key) is not None:
            there = self.spelled(found.key)
            raise InvalidInput(
                f"{found.hostname} is your partner {there} already, and one partner is met in one network",
                hint=f"run comity peers, or comity revoke {there} first",
            )
        return Relationship(
            peer=rel.peer,
            hostname=found.hostname,
            address=found.address,
            local_id=rel.local_id,
            pinned=found.pinned,
            retired=rel.retired,
            realm=found.realm,
        )

    def spelled(self, key: PublicKey) -> str:
        """How a person here can name this peer and nobody else; its fingerprint where nothing else does."""
        rel = self._store.get(key)
        if rel is None:
            return str(key.fingerprint)
        return _spelled(rel, self._memberships)

    def check_name_free(self, rel: Relationship, besides: str | None = None) -> None:
        """IdentityMismatch where another approved peer already bears this one's name or address.

        ``besides`` is a key that gives its name up to this one.
        """
        self._check_name(rel.hostname, PublicKey.from_hex(rel.peer), rel.realm, besides)
        for other in self._store.addressed(rel.address):
            same = other.peer in (rel.peer, besides) or other.realm != rel.realm
            if not same and self._as_known(other):
                raise _taken(rel.address, other)

    def former(self, peer: PublicKey) -> tuple[str, ...]:
        """What else a peer is or was known as: its hostname, fingerprints of the keys that it followed."""
        found, key = [], peer
        while (rel := self._store.get(key)) is not None:
            found.append(rel.hostname)
            if rel.predecessor is None:
                break
            key = PublicKey.from_hex(rel.predecessor)
            if str(key.fingerprint) in found:
                break
            found.append(str(key.fingerprint))
        return tuple(found)

    def named_alike(self, rel: Relationship, *, besides: str | None = None) -> list[PublicKey]:
        """Approved peers that already bear this one's name, but for ``besides`` (a key in hexadecimal)."""
        others = [
            other
            for other in self._store.named(rel.hostname)
            if other.peer not in (rel.peer, besides) and other.realm == rel.realm
        ]
        return [PublicKey.from_hex(other.peer) for other in others if self._as_known(other)]

    def _check_name(
        self, hostname: str, key: PublicKey | None, realm: str, besides: str | None = None
    ) -> None:
        for other in self._store.named(hostname):
            if other.peer == besides or other.realm != realm:
                continue
            if (key is None or other.peer != key.hex) and self._as_known(other):
                raise _taken(hostname, other)

    def _as_known(self, rel: Relationship) -> KnownPeer | None:
        agreement = rel.agreement
        if agreement is None or agreement.ending is not None or agreement.until <= self._clock.now():
            return None
        if self._memberships.at(rel.realm) is None:
            return None  # it rests until this node is in that network again
        peer = PublicKey.from_hex(rel.peer)
        return KnownPeer(peer, rel.hostname, rel.address, rel.local_id, agreement, rel.realm)

    def _untrusted(self, rel: Relationship) -> UntrustedPeer:
        name = rel.hostname
        agreement = rel.agreement
        if self._memberships.at(rel.realm) is None:
            return UntrustedPeer(
                f"this node has left the network of {name}", hint="run comity network join with its URL"
            )
        if rel.retired is not None:
            when = rfc3339(rel.retired.at)
            return UntrustedPeer(
                f"the key of {name} ended on {when}: {printable(rel.retired.reason)}",
                hint="ask your partner for the card of their new key, then run comity handshake",
            )
        if rel.incoming is not None:
            return UntrustedPeer(
                f"{name} asks for an agreement that you have not approved", hint="run comity pending"
            )
        if rel.open_outgoing is not None:
            return UntrustedPeer(
                f"{name} has not answered your handshake yet", hint="ask your partner to approve it"
            )
        if agreement is not None and agreement.ending is not None:
            how = agreement.ending.told
            return UntrustedPeer(f"the agreement with {name} is over: {how}", hint=_handshake_hint(name))
        if agreement is not None:
            return UntrustedPeer(f"the agreement with {name} has expired", hint=_handshake_hint(name))
        return UntrustedPeer(f"there is no agreement with {name}", hint=_handshake_hint(name))

    def _ambiguous(self, text: str, matches: list[Relationship]) -> AmbiguousPeer:
        if len({rel.realm for rel in matches}) == len(matches):
            ways = ", ".join(_spelled(rel, self._memberships) for rel in matches)
            return AmbiguousPeer(
                f"{printable(text)} may mean {len(matches)} peers: {ways}",
                hint="name the one that you mean as it stands there",
            )
        keys = ", ".join(PublicKey.from_hex(rel.peer).fingerprint.short for rel in matches)
        return AmbiguousPeer(f"{printable(text)} may mean {len(matches)} keys: {keys}")


def _spelled(rel: Relationship, memberships: Memberships) -> str:
    network = memberships.name_of(rel.realm)
    if not network:
        return str(PublicKey.from_hex(rel.peer).fingerprint)
    return f"{rel.hostname}@{network}" if len(memberships) > 1 else rel.hostname


def _handshake_hint(hostname: str) -> str:
    return f'run comity handshake {hostname} "WHY"'


def _taken(name: str, other: Relationship) -> IdentityMismatch:
    key = PublicKey.from_hex(other.peer)
    return IdentityMismatch(
        f"{name} is an approved peer with the key {key.fingerprint}, and another key claims that name",
        hint=f"compare fingerprints by phone; where the key has changed, run comity revoke {other.hostname}",
    )
