"""The write side of trust: statement, relationship, outbox entry and audit entry, together in one
transaction.

Operations decide what to say; the ledger signs it, lets ``protocol.trust.machine`` take the step, stores the
outcome and what follows from it, and tells the sessions once all of that is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import IdentityMismatch
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.statements import Approval, PairStatement
from comity.protocol.trust import events, machine
from comity.protocol.trust.relationship import Agreement, Ending, Incoming, Relationship
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.services.notary import Notary
from comity.services.trust import views
from comity.services.trust.bounds import check_owed, check_partners
from comity.services.trust.delivery import Sessions
from comity.services.trust.peers import Found, PeerBook
from comity.storage.database import Database
from comity.storage.trust import RetiredKey, TrustStore

DEFAULT_SERVICES = ("exchange", "events")


class Claims(msgspec.Struct, frozen=True):
    """What this node says of itself in its statements: labelled as claimed wherever it is shown."""

    hostname: str
    organization: str
    contact: str


class Ledger:
    """See the module. Methods marked so run inside the caller's transaction."""

    def __init__(
        self,
        *,
        db: Database,
        store: TrustStore,
        notary: Notary,
        peers: PeerBook,
        sessions: Sessions,
        guard: Guard,
        audit: AuditService,
        clock: Clock,
        entropy: Entropy,
        claims: Claims,
        own_address: Callable[[str], str],
        hostname: Callable[[str], str] | None = None,
    ) -> None:
        self.db = db
        self.store = store
        self.notary = notary
        self.guard = guard
        self.audit = audit
        self.clock = clock
        self.claims = claims
        self.own_address = own_address
        self._hostname = hostname
        self.most_partners = limits.TRUSTED_PEERS
        self._peers = peers
        self._sessions = sessions
        self._entropy = entropy
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change of any relationship; ask for a new one after each wait."""
        return self._changed

    def hostname(self, realm: str) -> str:
        """This node's own one in a realm."""
        return self.claims.hostname if self._hostname is None else self._hostname(realm)

    def relationship(self, found: Found) -> Relationship:
        """What is remembered of a key, or a new page. An agreement in force keeps its name and address (rule
        6).

        A key that comes under another name begins anew: who compared its fingerprint or asked it did so for
        the old one, and what waits from it was asked under that (rule 5). So does one that is met in another
        network, which InvalidInput says where it is a partner in that one.
        """
        rel = self.store.get(found.key)
        if rel is not None and rel.realm != found.realm:
            rel = self._peers.moved(rel, found)
        if rel is None:
            ended = self.store.retired(found.key)
            return Relationship(
                peer=found.key.hex,
                hostname=found.hostname,
                address=found.address,
                local_id=self._local_id(found),
                pinned=found.pinned,
                realm=found.realm,
                retired=None if ended is None else _ending(ended),
            )
        same = (rel.hostname, rel.address) == (found.hostname, found.address)
        if same or self._peers.known(found.key) is not None:
            return msgspec.structs.replace(rel, pinned=rel.pinned or found.pinned)
        return msgspec.structs.replace(
            rel,
            hostname=found.hostname,
            address=found.address,
            pinned=found.pinned,
            outgoing=(),
            incoming=None,
        )

    def _local_id(self, found: Found) -> str:
        """The name of the peer's folder of received files, no other peer's.

        Keys whose fingerprints begin alike can be made: then it is told by more digits.
        """
        fingerprint = str(found.key.fingerprint)
        taken = {rel.local_id for rel in self.store.all()}
        names = (f"{found.hostname}-{fingerprint[:digits]}" for digits in (8, 16, 32))
        return next((name for name in names if name not in taken), f"{found.hostname}-{fingerprint}")

    def message_id(self) -> bytes:
        """A new one, for the mailbox."""
        return self._entropy.token(16)

    def owe(self, peer: PublicKey, statement: PairStatement) -> Envelope:
        """Sign a statement and owe it to ``peer``. In a transaction. MailboxFull where too much waits."""
        check_owed(self.store, peer, statement)
        envelope = self.notary.sign(statement)
        self.store.owe(peer, self.message_id(), envelope.to_json())
        return envelope

    def advance(self, rel: Relationship, event: events.Event) -> Relationship:
        """Take a step, store it, and do what follows. In a transaction. Raises TrustRefused, and then nothing
        changed.
        """
        peer = PublicKey.from_hex(rel.peer)
        rel, effects = machine.handle(rel, self.notary.public.hex, event, self.clock.now())
        self.store.put(rel)
        self.db.after_commit(self._wake)
        for effect in effects:
            match effect:
                case events.ApproveMutual(request, reason, until):
                    rel = self.approve(rel, request, allow=DEFAULT_SERVICES, reason=reason, until=until)
                case events.Agreed(agreement, replaced):
                    self._agreed(peer, rel, agreement, replaced)
                case events.Ended(agreement):
                    by = agreement.ending.by if agreement.ending else "us"
                    self.audit.append("agreement.revoked", peer=peer, digest=agreement.digest, by=by)
                    if by == "them":
                        self.db.after_commit(lambda: self._forget(peer))
                case events.TurnedDown(reason):
                    self.audit.append("handshake.rejected", peer=peer, by="them", reason=reason)
        return rel

    def approve(
        self, rel: Relationship, incoming: Incoming, *, allow: tuple[str, ...], reason: str, until: int
    ) -> Relationship:
        """Sign the approval of a request. In a transaction. ``reason`` is ours where both had asked."""
        self._peers.check_name_free(rel, besides=incoming.predecessor)
        peer = PublicKey.from_hex(rel.peer)
        check_partners(self.store, self._peers, peer, self.most_partners)
        statement = self.notary.make(
            Approval,
            peer,
            limits.REQUEST_LIFETIME,
            request=incoming.digest,
            request_nonce=incoming.nonce,
            hostname=self.hostname(rel.realm),
            address=self.own_address(rel.realm),
            organization=self.claims.organization,
            contact=self.claims.contact,
            reason=reason,
            allow=allow,
            charter=incoming.charter,
            until=until,
        )
        envelope = self.owe(peer, statement)
        identity, mutual = views.identity(rel), bool(reason)
        self.audit.append(
            "handshake.approved", peer=peer, digest=incoming.digest, mutual=mutual, identity=identity
        )
        agreed = self.advance(
            rel, events.ApprovalIssued(statement, envelope.digest, envelope.to_json().decode())
        )
        if incoming.predecessor is not None:
            self._succeeded(PublicKey.from_hex(incoming.predecessor), peer)
        return agreed

    def _succeeded(self, old: PublicKey, new: PublicKey) -> None:
        rel = self.store.get(old)
        if rel is not None:
            self.advance(rel, events.PeerKeyEnded(f"it was rotated to {new.fingerprint}", ""))
            self.audit.append("key.rotated", peer=old, successor=str(new.fingerprint))

    def forget_lapsed(self, rel: Relationship) -> None:
        """Drop a request that can't be answered any more, and with it a stranger that did nothing else."""
        with self.db.transaction():
            if rel.pinned or rel.rejection is not None:
                self.store.put(msgspec.structs.replace(rel, incoming=None))
            else:
                self.store.forget(PublicKey.from_hex(rel.peer))

    def withdraw(self, rel: Relationship) -> Relationship:
        """Drop the request that waits from a key. In a transaction."""
        rel = msgspec.structs.replace(rel, incoming=None)
        self.store.put(rel)
        return rel

    def pin(self, rel: Relationship, fingerprint: str) -> Relationship:
        """Record that a person compared the fingerprint; IdentityMismatch where the key has another."""
        peer = PublicKey.from_hex(rel.peer)
        if Fingerprint.parse(fingerprint) != peer.fingerprint:
            self.audit.append("identity.mismatch", peer=peer, hostname=rel.hostname)
            raise IdentityMismatch(
                f"{rel.hostname} has the key {peer.fingerprint}, not the one that you named"
            )
        rel = msgspec.structs.replace(rel, pinned=True)
        with self.db.transaction():
            self.store.put(rel)
            self.audit.append("identity.confirmed", peer=peer, hostname=rel.hostname)
        return rel

    def _agreed(
        self, peer: PublicKey, rel: Relationship, agreement: Agreement, replaced: Agreement | None
    ) -> None:
        if replaced is not None:
            self.store.put_agreement(rel.peer, machine.replaced_by(replaced, agreement))
        self.audit.append("agreement.made", peer=peer, digest=agreement.digest, hostname=rel.hostname)
        self.db.after_commit(lambda: self._sessions.peer_trusted(peer))

    def _forget(self, peer: PublicKey) -> None:
        self._sessions.peer_ended(peer)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _ending(retired: RetiredKey) -> Ending:
    return Ending(by="them", at=retired.at, reason=retired.reason, envelope=retired.envelope)
