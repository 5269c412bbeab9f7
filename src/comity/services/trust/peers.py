"""Whom a PEER argument names: approved peers from the local store alone, others through the rendezvous.

A name or an address that belongs to an approved peer never asks the rendezvous (SECURITY.md rule 6), and a
record that claims one for another key is an error, not a choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comity.clock import Clock, rfc3339
from comity.errors import (
    AmbiguousPeer,
    IdentityMismatch,
    InvalidInput,
    RendezvousUnreachable,
    UnknownPeer,
    UntrustedPeer,
)
from comity.identity.address import Address
from comity.identity.card import Card, PeerName, parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.registry import Record
from comity.protocol.trust.relationship import Agreement, Relationship
from comity.services.courier import Courier
from comity.storage.trust import TrustStore
from comity.transport.interface import Rendezvous


@dataclass(frozen=True)
class KnownPeer:
    """A peer with an agreement in force. ``local_id`` names its folder of received files."""

    key: PublicKey
    hostname: str
    address: str
    local_id: str
    agreement: Agreement


@dataclass(frozen=True)
class Found:
    """A node to shake hands with. ``pinned``: a card or fingerprint named its key."""

    key: PublicKey
    hostname: str
    address: str
    pinned: bool


class PeerBook:
    """Resolves PEER arguments; see the module."""

    def __init__(
        self, store: TrustStore, rendezvous: Rendezvous, courier: Courier, own: PublicKey, clock: Clock
    ):
        self._store = store
        self._rendezvous = rendezvous
        self._courier = courier
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
        record = await self._ask(text)
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
        named = parse_peer(text)
        if isinstance(named, Address):
            return self._store.addressed(str(named))
        if isinstance(named, PeerName):
            return self._store.named(str(named))
        fingerprint = named.fingerprint if isinstance(named, Card) else named
        found = [rel for rel in self._store.all() if PublicKey.from_hex(rel.peer).fingerprint == fingerprint]
        if not found and isinstance(named, Card):
            self._check_name(named.hostname, None)
        return found

    # ── those we don't ────────────────────────────────────────────────────────────────────────────────

    async def look_up(self, text: str, fingerprint: str | None) -> Found:
        """Whom to ask for an agreement. Raises UnknownPeer, IdentityMismatch, and what ``resolve`` raises."""
        pin = Fingerprint.parse(fingerprint) if fingerprint else None
        named = parse_peer(text)
        if isinstance(named, Card):
            if pin is not None and pin != named.fingerprint:
                raise InvalidInput("the card and --fingerprint name different keys")
            pin = named.fingerprint
        approved = [rel for rel in self.local(text) if self._as_known(rel)]
        if len(approved) > 1:
            raise self._ambiguous(text, approved)
        if approved:
            rel = approved[0]
            found = Found(
                PublicKey.from_hex(rel.peer), rel.hostname, rel.address, rel.pinned or pin is not None
            )
        else:
            record = await self._ask(text)
            key = self._courier.accept_record(record)
            self._check_name(record.hostname, key)
            found = Found(key, record.hostname, record.address, pin is not None)
        if pin is not None and found.key.fingerprint != pin:
            raise IdentityMismatch(
                f"{found.hostname} has the key {found.key.fingerprint}, not the {pin} that you named"
            )
        if found.key == self._own:
            raise InvalidInput("that is this node itself", hint="name your partner's node")
        return found

    async def claimed(self, key: PublicKey) -> Found:
        """Under which name and address the registry knows a key that has written to us; IdentityMismatch.

        The record's sealing key need not hold: the peer may have been away since it wrote, until that
        expired.
        """
        record = await self._rendezvous.resolve(key=key)
        if self._courier.name_record(record) != key:
            raise IdentityMismatch("the rendezvous answered with another node's record")
        return Found(key, record.hostname, record.address, False)

    def check_name_free(self, rel: Relationship, besides: str | None = None) -> None:
        """IdentityMismatch where another approved peer already bears this one's name or address.

        ``besides`` is a key that gives its name up to this one.
        """
        self._check_name(rel.hostname, PublicKey.from_hex(rel.peer), besides)
        for other in self._store.addressed(rel.address):
            if other.peer not in (rel.peer, besides) and self._as_known(other):
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
        others = [other for other in self._store.named(rel.hostname) if other.peer not in (rel.peer, besides)]
        return [PublicKey.from_hex(other.peer) for other in others if self._as_known(other)]

    async def _ask(self, text: str) -> Record:
        named = parse_peer(text)
        if isinstance(named, Fingerprint):
            raise UnknownPeer("no peer is known by that fingerprint", hint="name it by its card, or its name")
        try:
            if isinstance(named, Address):
                return await self._rendezvous.resolve(address=str(named))
            if isinstance(named, Fingerprint):
                raise UnknownPeer(
                    "no peer is known by that fingerprint", hint="name it by its card, or its name"
                )
            hostname = named.hostname if isinstance(named, Card) else str(named)
            return await self._rendezvous.resolve(hostname=hostname)
        except UnknownPeer as error:
            raise UnknownPeer(f"there is no {printable(text)} in this network", hint=error.hint) from error
        except RendezvousUnreachable as error:
            raise type(error)(
                f"{printable(text)} is not among your agreements, and the rendezvous can't be asked:"
                f" {error.message}",
                hint=error.hint,
            ) from error

    def _check_name(self, hostname: str, key: PublicKey | None, besides: str | None = None) -> None:
        for other in self._store.named(hostname):
            if other.peer == besides:
                continue
            if (key is None or other.peer != key.hex) and self._as_known(other):
                raise _taken(hostname, other)

    def _as_known(self, rel: Relationship) -> KnownPeer | None:
        agreement = rel.agreement
        if agreement is None or agreement.ending is not None or agreement.until <= self._clock.now():
            return None
        return KnownPeer(PublicKey.from_hex(rel.peer), rel.hostname, rel.address, rel.local_id, agreement)

    def _untrusted(self, rel: Relationship) -> UntrustedPeer:
        name = rel.hostname
        agreement = rel.agreement
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
            who = "you" if agreement.ending.by == "us" else "they"
            return UntrustedPeer(
                f"the agreement with {name} is over: {who} revoked it", hint=_handshake_hint(name)
            )
        if agreement is not None:
            return UntrustedPeer(f"the agreement with {name} has expired", hint=_handshake_hint(name))
        return UntrustedPeer(f"there is no agreement with {name}", hint=_handshake_hint(name))

    def _ambiguous(self, text: str, matches: list[Relationship]) -> AmbiguousPeer:
        keys = ", ".join(PublicKey.from_hex(rel.peer).fingerprint.short for rel in matches)
        return AmbiguousPeer(f"{printable(text)} may mean {len(matches)} keys: {keys}")


def _handshake_hint(hostname: str) -> str:
    return f'run comity handshake {hostname} "WHY"'


def _taken(name: str, other: Relationship) -> IdentityMismatch:
    key = PublicKey.from_hex(other.peer)
    return IdentityMismatch(
        f"{name} is an approved peer with the key {key.fingerprint}, and another key claims that name",
        hint=f"compare fingerprints by phone; where the key has changed, run comity revoke {other.hostname}",
    )
