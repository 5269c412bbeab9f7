"""The trust service: what arrives from peers, what other services ask, and the operations of its three
desks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from comity import limits
from comity.errors import ComityError, IdentityMismatch, RateLimited, UntrustedPeer
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation, Standing
from comity.protocol.realm import Realm
from comity.protocol.statements import (
    HandshakeRequest,
    PairStatement,
    Revocation,
    payload_type,
)
from comity.protocol.succession import Retirement
from comity.protocol.trust import events, machine
from comity.protocol.trust.machine import replacement
from comity.protocol.trust.relationship import Relationship
from comity.services.allowances import Allowances
from comity.services.membership import Membership, Memberships
from comity.services.trust.answering import Answering
from comity.services.trust.arrivals import KINDS, arrived, kind_of
from comity.services.trust.asking import Asking
from comity.services.trust.carriage import Carriage, Handler
from comity.services.trust.delivery import Delivery, Sessions
from comity.services.trust.ending import Ending, agreement_file
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import Found, KnownPeer, PeerBook
from comity.services.trust.retiring import Retiring
from comity.services.trust.succeeding import Succeeding


class TooManyPending(ComityError):
    """No room for another request: its mail stays in the mailbox until some are answered."""

    code = "too_many_pending"
    exit_status = 65


class OutOfOrder(ComityError):
    """A statement that came before an earlier one of the same peer: it is not taken yet."""

    code = "out_of_order"
    exit_status = 66


class TrustService:
    """See the module. Operations take and return control types; each desk's docstrings list their errors."""

    def __init__(
        self,
        ledger: Ledger,
        peers: PeerBook,
        delivery: Delivery,
        memberships: Memberships,
        sessions: Sessions,
    ) -> None:
        self._ledger = ledger
        self._peers = peers
        self._delivery = delivery
        self._memberships = memberships
        self.asking = Asking(ledger, peers, delivery, memberships)
        self.answering = Answering(ledger, peers, delivery, sessions, memberships)
        self.ending = Ending(ledger, peers, delivery, sessions, memberships)
        self.retiring = Retiring(ledger, delivery, sessions, memberships)
        self._succeeding = Succeeding(ledger, self.asking, memberships)
        self._requests = Allowances(
            self._dealt_with, limits.REQUESTS_BURST, limits.REQUESTS_PER_SECOND, ledger.clock
        )
        self._carriage = Carriage(ledger, self._dealt_with)
        #: Told of a partner whose name another key claims, without the partner's word for it.
        self.impersonated: Callable[[PublicKey], None] = lambda _: None
        for kind in KINDS:
            memberships.on(kind, self.read_mail)
        memberships.on(Retirement, self.retiring.read_mail)

    def start(self) -> None:
        """Before anything runs: a new key of our own takes over what the old one has left."""
        self._succeeding.take_over()

    def carry(self, kinds: Iterable[type[PairStatement]], handler: Handler) -> None:
        """Give statements of these types to ``handler``: from keys that we have dealt with, in order."""
        self._carriage.add(kinds, handler)
        for kind in kinds:
            self._memberships.on(kind, self.read_mail)

    # ── what other services ask ───────────────────────────────────────────────────────────────────────

    def approved(self, peer: PublicKey) -> bool:
        """Whether an agreement with this key is in force."""
        return self._peers.known(peer) is not None

    def known(self, peer: PublicKey) -> KnownPeer | None:
        """The peer with this key, if an agreement with it is in force."""
        return self._peers.known(peer)

    async def resolve(self, text: str) -> KnownPeer:
        """The approved peer that a PEER argument names. UnknownPeer, UntrustedPeer, AmbiguousPeer.

        That something was wanted of a peer without an agreement in force is put on record.
        """
        try:
            return await self._peers.trusted(text)
        except UntrustedPeer as error:
            meant = {PublicKey.from_hex(rel.peer) for rel in self._peers.local(text)}
            peer = meant.pop() if len(meant) == 1 else None
            self._ledger.audit.append("peer.untrusted", peer=peer, reasons=(error.message,))
            raise

    def relationships(self) -> list[Relationship]:
        """Every key that this node has dealt with."""
        return self._ledger.store.all()

    def trusted_peers(self) -> list[KnownPeer]:
        """Every peer with an agreement in force."""
        keys = [PublicKey.from_hex(rel.peer) for rel in self._ledger.store.all()]
        return [known for key in keys if (known := self._peers.known(key))]

    def standing(self, peer: PublicKey) -> Standing | None:
        """What the guard judges by: the current or last agreement."""
        rel = self._ledger.store.get(peer)
        if rel is None or rel.agreement is None or self._memberships.at(rel.realm) is None:
            return None
        agreement = rel.agreement
        now = self._ledger.clock.now()
        return Standing(
            agreement=agreement.digest,
            status="revoked" if agreement.ending else "active" if agreement.until > now else "expired",
            until=agreement.until,
            allow=agreement.allow,
        )

    @property
    def version(self) -> int:
        """Changes whenever an agreement does; an expiry leaves it."""
        return self._ledger.store.version

    def lineage(self, peer: PublicKey) -> frozenset[str]:
        """The agreement in force with this peer, and those that it replaced without a gap; their digests."""
        known = self._peers.known(peer)
        if known is None:
            return frozenset()
        found = {known.agreement.digest}
        for agreement in reversed(self._ledger.store.agreements(peer)):
            ending = agreement.ending
            if ending is None or ending.envelope or agreement.until <= ending.at:
                continue
            if any(ending.reason == replacement(digest) for digest in found):
                found.add(agreement.digest)
        return frozenset(found)

    def agreement_files(self, peer: Fingerprint | None) -> list[str]:
        """Every agreement with a peer, or with anybody, past and present, each as the file that proves it."""
        files = []
        for rel in self._ledger.store.all():
            key = PublicKey.from_hex(rel.peer)
            if peer is None or key.fingerprint == peer:
                files += [agreement_file(one) for one in self._ledger.store.agreements(key)]
        return files

    def hostname(self, peer: PublicKey) -> str:
        """What a peer is or was called here; its fingerprint where it never was."""
        rel = self._ledger.store.get(peer)
        return rel.hostname if rel else str(peer.fingerprint)

    @property
    def owed(self) -> int:
        """How many statements have yet to reach a peer or its mailbox, in the networks of this node."""
        here = self._memberships
        return sum(here.at(item.realm) is not None for item in self._ledger.store.outbox())

    def predecessor(self, peer: PublicKey) -> PublicKey | None:
        """The earlier key of this peer's node, on whose word its key was approved; else None."""
        rel = self._ledger.store.get(peer)
        return PublicKey.from_hex(rel.predecessor) if rel is not None and rel.predecessor else None

    async def registered(self, member: Membership) -> None:
        """A rendezvous is there: deliver what is owed, read what could not be read when it came, and
        reserve mailbox slots for our partners there. Raises the first problem, once all of it was tried.
        """
        problem = await self.retiring.publish(member)
        await member.courier.read_again()
        await member.reserving.renew()
        await self._succeeding.renew(member)
        if problem is not None:
            raise problem

    def _dealt_with(self, peer: PublicKey) -> bool:
        rel = self._ledger.store.get(peer)
        return rel is not None and rel.dealt_with

    # ── what peers say ────────────────────────────────────────────────────────────────────────────────

    async def receive(self, sender: PublicKey, envelope: Envelope) -> None:
        """A statement that came over a session; RemoteProtocolError where it is refused.

        OutOfOrder where an earlier one is still in the mailbox: not taken, this one will come there after it.
        A revocation does not wait, as it voids whatever its signer said before.
        """
        if envelope.payload_type == payload_type(Retirement):
            await self.retiring.read_mail(sender, envelope, self._ledger.notary.realm_of(sender))
            return
        kind = self._kind_of(envelope)
        statement = self._ledger.notary.check(envelope, kind, sender)
        next_one = self._ledger.store.seen(sender)[0] + 1
        if kind is not Revocation and statement.sequence > next_one:
            raise OutOfOrder(f"{kind.TYPE} number {statement.sequence} came before number {next_one}")
        await self.read_mail(sender, envelope, self._ledger.notary.realm_of(sender))

    async def read_mail(self, sender: PublicKey, envelope: Envelope, realm: Realm) -> None:
        """A statement that came by mail in a realm, which comes in order; RemoteProtocolError where it is
        refused.
        """
        kind = self._kind_of(envelope)
        checked = self._ledger.notary.check(envelope, kind, sender, realm)
        self.retiring.refuse_retired(sender)
        if self._carriage.read(sender, envelope):
            return
        predecessor: str | None = None
        if isinstance(checked, HandshakeRequest):
            predecessor = self._succeeding.check(checked, sender, realm)
            rel = await self._asker(sender, realm)
            for partner in self._peers.named_alike(rel, besides=predecessor):
                self.impersonated(partner)
            self._ledger.guard.require(Operation(kind="handshake", peer=sender, service="handshake"))
        else:
            found = self._ledger.store.get(sender)
            if found is None:
                raise machine.TrustRefused(
                    f"a {kind.TYPE} came from a key that this node has never dealt with"
                )
            rel = found
        try:
            with self._ledger.db.transaction():
                if self._ledger.store.realm_of(sender) != rel.realm:
                    self._ledger.store.put(
                        rel
                    )  # where it is met from now on, so that its numbers count there
                statement = self._ledger.notary.read(envelope, kind, sender)
                self._ledger.audit.append(
                    f"{kind.TYPE}.received", peer=sender, digest=envelope.digest, hostname=rel.hostname
                )
                event = arrived(statement, envelope, rel, self._ledger.hostname(rel.realm), predecessor)
                if isinstance(event, events.ApprovalArrived):
                    self._peers.check_name_free(rel)
                agreement = self._ledger.advance(rel, event).agreement
        except (machine.TrustRefused, IdentityMismatch):
            if rel.dealt_with:
                # It is of no effect for good, and so is what was signed before it and comes later.
                self._ledger.notary.read(envelope, kind, sender)
            raise
        if agreement is not None and agreement.requester == "them" and agreement != rel.agreement:
            await self._delivery.flush(sender)  # both had asked: the approval is owed

    def _kind_of(self, envelope: Envelope) -> type[PairStatement]:
        return self._carriage.kind(envelope) or kind_of(envelope)

    async def _asker(self, sender: PublicKey, realm: Realm) -> Relationship:
        """The relationship with a key that asks for an agreement, named as the registry names it there.

        A partner is named by the agreement in force. Of those that nobody here has dealt with only so many
        wait. Nothing may be awaited between this and its use.
        """
        if not self._dealt_with(sender):
            self._check_room(sender)
        if not self._requests.take(sender):
            raise RateLimited("more handshakes came at once than are taken; they are read by and by")
        known = self._peers.known(sender)
        if known is not None:
            found = Found(sender, known.hostname, known.address, pinned=False, realm=str(realm))
            return self._ledger.relationship(found)
        return self._ledger.relationship(await self._peers.claimed(sender, realm))

    def _check_room(self, sender: PublicKey) -> None:
        now = self._ledger.clock.now()
        waiting = 0
        for other in self._ledger.store.all():
            if other.incoming is None or other.dealt_with or other.peer == sender.hex:
                continue
            if other.incoming.expires <= now:
                self._ledger.forget_lapsed(other)
            else:
                waiting += 1
        if waiting >= limits.PENDING_REQUESTS:
            raise TooManyPending(
                f"{waiting} handshakes wait here already", hint="run comity pending and answer some"
            )
