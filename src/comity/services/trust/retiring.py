"""The end of a key: a partner's, told by its certificate, and this node's own (SECURITY.md rule 4).

A certificate verifies by itself, so it counts whoever brought it: the peer by sealed mail, the rendezvous, or
a person here with a file. What it ends is on disk before anybody is told; what is not published yet is
published whenever the rendezvous can be reached. ``protocol.trust.keys`` says what it does to an agreement.
"""

from __future__ import annotations

import asyncio

from comity import control, limits
from comity.errors import ComityError, InvalidInput, KeyRetired, RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.realm import Realm
from comity.protocol.statements import Revocation
from comity.protocol.succession import Certificate, Retirement, open_retirement
from comity.protocol.trust import events
from comity.protocol.trust.relationship import Relationship
from comity.services.membership import Membership, Memberships
from comity.services.trust.delivery import Delivery, Sessions
from comity.services.trust.ledger import Ledger
from comity.storage.trust import RetiredKey


class Retiring:
    """``retire``, and what arrives from others."""

    def __init__(
        self, ledger: Ledger, delivery: Delivery, sessions: Sessions, memberships: Memberships
    ) -> None:
        self._ledger = ledger
        self._delivery = delivery
        self._sessions = sessions
        self._memberships = memberships
        self._told: set[tuple[PublicKey, Realm]] = set()

    async def retire(self, request: control.RetireRequest) -> control.RetireResult:
        """End a key for good: the one in ``request.certificate``, or this node's own.

        It ends here at once, and at the rendezvous of every network that it concerns and every partner's as
        soon as they can be told, which is tried for ``wait_seconds``. InvalidInput, FileUnusable.
        """
        if len(request.reason.encode()) > limits.CLAIM_BYTES:
            raise InvalidInput(f"the reason is longer than {limits.CLAIM_BYTES} bytes")
        if request.certificate is None:
            notary = self._ledger.notary
            key, text = notary.public, notary.retirement(request.reason).to_json().decode()
        else:
            certificate = Certificate.parse(request.certificate.encode())
            key, text = PublicKey.from_hex(certificate.key), certificate.retirement
        said = open_retirement(key, text)
        ended = self.take(key, said, text)
        try:
            async with asyncio.timeout(request.wait_seconds):
                told = await self.publish() is None
        except TimeoutError:
            told = False
        for rel in ended:
            self._sessions.peer_ended(PublicKey.from_hex(rel.peer))
        known = self._ledger.store.get(key)
        own = key == self._ledger.notary.public
        return control.RetireResult(
            status="retired",
            hostname=self._ledger.claims.hostname if own else known.hostname if known else "",
            fingerprint=str(key.fingerprint),
            own=own,
            reason=said.reason,
            agreements_ended=len(ended),
            published=told,
        )

    async def told(self, key: PublicKey, text: str, realm: Realm) -> None:
        """A rendezvous says that a key was retired. RemoteProtocolError unless the key itself says so."""
        said = open_retirement(key, text)
        if self._ledger.store.get(key) is None and key != self._ledger.notary.public:
            return  # nobody here has dealt with it
        self._told.add((key, realm))
        for rel in self.take(key, said, text):
            self._sessions.peer_ended(PublicKey.from_hex(rel.peer))

    async def read_mail(self, sender: PublicKey, envelope: Envelope, realm: Realm) -> None:
        """A peer retires its own key."""
        await self.told(sender, envelope.to_json().decode(), realm)

    def take(self, key: PublicKey, said: Retirement, text: str) -> list[Relationship]:
        """Put a verified retirement on record with all that it ends; the relationships that stood."""
        ledger, now = self._ledger, self._ledger.clock.now()
        before = ledger.store.retired(key)
        if before is not None:
            self._settle(before)
            return []
        published = self._due(key) == []
        with ledger.db.transaction():
            ledger.store.retire(RetiredKey(key, int(now), said.reason, text, published))
            ledger.audit.append(
                "key.retired",
                peer=key,
                digest=Envelope.from_json(text.encode()).digest,
                reason=said.reason,
            )
            if key == ledger.notary.public:
                return self._end_own(said.reason, text)
            return self._end_peer(key, said.reason, text)

    def _end_own(self, reason: str, text: str) -> list[Relationship]:
        ledger = self._ledger
        stood = []
        for rel in ledger.store.all():
            if rel.dealt_with:
                ledger.store.owe(PublicKey.from_hex(rel.peer), ledger.message_id(), text.encode())
            if rel.standing == "active":
                stood.append(rel)
            ledger.advance(rel, events.OwnKeyEnded(f"our own key was retired: {reason}", text))
        return stood

    def _end_peer(self, key: PublicKey, reason: str, text: str) -> list[Relationship]:
        ledger = self._ledger
        stood = []
        rel = ledger.store.get(key)
        if rel is not None:
            stood += [rel] if rel.standing == "active" else []
            ledger.advance(rel, events.PeerKeyEnded(f"it was retired: {reason}", text))
        for follower in ledger.store.all():
            stood += self._end_follower(follower, key)
        return stood

    def _end_follower(self, rel: Relationship, key: PublicKey) -> list[Relationship]:
        """Who came on the word of a key that is retired now may have been its thief."""
        ledger, peer = self._ledger, PublicKey.from_hex(rel.peer)
        if rel.incoming is not None and rel.incoming.predecessor == key.hex:
            rel = ledger.withdraw(rel)
        if rel.predecessor != key.hex or rel.agreement is None or rel.standing != "active":
            return []
        statement = ledger.notary.make(
            Revocation,
            peer,
            limits.REVOCATION_LIFETIME,
            agreement=rel.agreement.digest,
            reason="the key follows one that was retired",
        )
        envelope = ledger.owe(peer, statement)
        ledger.advance(rel, events.RevocationIssued(statement, envelope.to_json().decode()))
        return [rel]

    async def publish(self, only: Membership | None = None) -> ComityError | None:
        """Tell partners and rendezvous what they have yet to hear, or those of one network; the first problem
        met.
        """
        realm = None if only is None else str(only.realm)
        problem = (await self._delivery.flush(realm=realm)).problem
        for retired in self._ledger.store.retired_keys():
            if retired.published:
                continue
            for member in self._due(retired.key):
                if only in (None, member):
                    problem = await self._publish(retired, member) or problem
            self._settle(retired)
        return problem

    async def _publish(self, retired: RetiredKey, member: Membership) -> ComityError | None:
        try:
            await member.rendezvous.retire(retired.key, retired.envelope)
        except KeyRetired:
            pass  # that is what it has heard
        except ComityError as error:
            if not isinstance(member.presence.problem, KeyRetired):
                return error
        self._told.add((retired.key, member.realm))
        return None

    def _due(self, key: PublicKey) -> list[Membership]:
        """Where a key's end has yet to be told: our own one's everywhere, a peer's where we met it. A key
        that we know nothing of was brought by a person, who does not say where it was in use: everywhere.
        """
        met = self._ledger.store.realm_of(key)
        return [
            each
            for each in self._memberships
            if met in (None, str(each.realm)) and (key, each.realm) not in self._told
        ]

    def _settle(self, retired: RetiredKey) -> None:
        """Nothing more to be told, if so."""
        if not retired.published and not self._due(retired.key):
            self._ledger.store.retire(
                RetiredKey(retired.key, retired.at, retired.reason, retired.envelope, True)
            )

    def refuse_retired(self, key: PublicKey) -> None:
        """RemoteProtocolError where this key is retired: nothing that it signs counts any more."""
        retired = self._ledger.store.retired(key)
        if retired is not None:
            raise RemoteProtocolError(f"that key was retired: {printable(retired.reason)}")
