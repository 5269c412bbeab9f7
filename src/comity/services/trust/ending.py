"""``revoke``, ``trust``, ``agreement export``: the end of an agreement, and what is on record of all of
them.
"""

from __future__ import annotations

import asyncio

from comity import control, limits
from comity.errors import AgreementInvalid, InvalidInput, UntrustedPeer
from comity.identity.keys import PublicKey
from comity.protocol.statements import Revocation
from comity.protocol.trust import events
from comity.protocol.trust.evidence import write_agreement
from comity.protocol.trust.relationship import Agreement
from comity.services.membership import Memberships
from comity.services.trust import views
from comity.services.trust.delivery import Delivery, Sessions
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import PeerBook


class Ending:
    """Revocation and the record."""

    def __init__(
        self,
        ledger: Ledger,
        peers: PeerBook,
        delivery: Delivery,
        sessions: Sessions,
        memberships: Memberships,
    ) -> None:
        self._memberships = memberships
        self._ledger = ledger
        self._peers = peers
        self._delivery = delivery
        self._sessions = sessions

    async def revoke(self, request: control.RevokeRequest) -> control.RevokeResult:
        """End the agreement: refused here from the commit on; the peer is told now, or when it next appears.

        Transfers stop at once; only the session lives on for at most ``wait_seconds``, to carry the news.
        """
        if len(request.reason.encode()) > limits.CLAIM_BYTES:
            raise InvalidInput(f"the reason is longer than {limits.CLAIM_BYTES} bytes")
        missing = UntrustedPeer("there is no agreement to revoke", hint="run comity trust")
        rel = self._peers.one(request.peer, lambda rel: rel.standing == "active", missing)
        if rel.agreement is None:
            raise missing
        peer, agreement = PublicKey.from_hex(rel.peer), rel.agreement.digest
        with self._ledger.db.transaction():
            statement = self._ledger.notary.make(
                Revocation, peer, limits.REVOCATION_LIFETIME, agreement=agreement, reason=request.reason
            )
            envelope = self._ledger.owe(peer, statement)
            self._ledger.advance(rel, events.RevocationIssued(statement, envelope.to_json().decode()))
        closed, notified = self._sessions.cut(peer), False
        try:
            async with asyncio.timeout(request.wait_seconds):
                notified = (await self._delivery.flush(peer)).reached
        except TimeoutError:
            pass
        finally:
            if self._peers.known(peer) is None:  # nobody has approved a new agreement meanwhile
                closed += self._sessions.peer_ended(peer)
        fingerprint = views.fingerprint(rel)
        return control.RevokeResult(
            "revoked", rel.hostname, rel.address, fingerprint, agreement, closed, notified
        )

    async def trust(self) -> control.TrustResult:
        """Every agreement, past and present, and our open requests."""
        now = self._ledger.clock.now()
        trusted: list[control.TrustedPeer] = []
        ended: list[control.TrustedPeer] = []
        outgoing: list[control.HandshakeResult] = []
        for rel in self._ledger.store.all():
            network = self._memberships.name_of(rel.realm)
            for agreement in self._ledger.store.agreements(PublicKey.from_hex(rel.peer)):
                view = views.trusted(rel, agreement, now, network)
                (trusted if view.status == "active" else ended).append(view)
            asked = rel.open_outgoing
            if asked is not None and asked.expires > now:
                outgoing.append(views.handshake(rel, asked, "sent", delivered=True))
        return control.TrustResult(tuple(trusted), tuple(ended), tuple(outgoing))

    async def export(self, request: control.ExportRequest) -> control.AgreementFile:
        """The signed statements of the current or last agreement with a peer."""
        missing = AgreementInvalid("there is no agreement to export", hint="run comity trust")
        rel = self._peers.one(request.peer, lambda rel: rel.agreement is not None, missing)
        if rel.agreement is None:
            raise missing
        content = agreement_file(rel.agreement)
        digest = rel.agreement.digest
        self._ledger.audit.append("agreement.exported", peer=PublicKey.from_hex(rel.peer), digest=digest)
        return control.AgreementFile(content, digest, rel.hostname)


def agreement_file(agreement: Agreement) -> str:
    """The file that proves an agreement: both signed statements, and the revocation where there is one."""
    revocation = agreement.ending.envelope if agreement.ending else None
    return write_agreement(agreement.request, agreement.approval, revocation)
