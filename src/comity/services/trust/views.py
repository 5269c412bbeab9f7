"""Relationships as the control types that people and scripts see. Times become RFC 3339 text here."""

from __future__ import annotations

from comity import control
from comity.clock import rfc3339
from comity.identity.keys import PublicKey
from comity.protocol.trust.relationship import Agreement, Incoming, Outgoing, Relationship


def fingerprint(rel: Relationship) -> str:
    """The fingerprint of the peer's key, 64 hexadecimal digits."""
    return str(PublicKey.from_hex(rel.peer).fingerprint)


def identity(rel: Relationship) -> str:
    """``unconfirmed`` until a card or a fingerprint named the key (SECURITY.md rule 5)."""
    return "confirmed" if rel.pinned else "unconfirmed"


def pending(rel: Relationship, incoming: Incoming, network: str) -> control.PendingRequest:
    """A request that waits here."""
    return control.PendingRequest(
        address=rel.address,
        hostname=rel.hostname,
        justification=incoming.justification,
        fingerprint=fingerprint(rel),
        verified="fingerprint" if rel.pinned else "signature",
        received_at=rfc3339(incoming.received_at),
        organization=incoming.organization,
        contact=incoming.contact,
        requested_by=incoming.requested_by,
        until=rfc3339(incoming.until),
        digest=incoming.digest,
        predecessor=(
            str(PublicKey.from_hex(incoming.predecessor).fingerprint) if incoming.predecessor else None
        ),
        network=network,
    )


def handshake(
    rel: Relationship, outgoing: Outgoing, status: str, *, delivered: bool
) -> control.HandshakeResult:
    """A request of ours; ``status`` is ``sent``, ``queued``, ``approved`` or ``rejected``."""
    agreed = rel.agreement if status == "approved" else None
    return control.HandshakeResult(
        status=status,
        hostname=rel.hostname,
        address=rel.address,
        fingerprint=fingerprint(rel),
        identity=identity(rel),
        digest=outgoing.digest,
        delivered=delivered,
        agreement=agreed.digest if agreed else None,
        reason=rel.rejection or "" if status == "rejected" else "",
    )


def trusted(rel: Relationship, agreement: Agreement, now: float, network: str) -> control.TrustedPeer:
    """An agreement, as it stands at ``now`` (seconds UTC); ``network`` is empty where this node has left
    it.
    """
    status = "active" if agreement.until > now else "expired"
    if agreement.ending is not None:
        status = "revoked" if agreement.ending.envelope else "replaced"
    elif status == "active" and (
        not network or rel.agreement is None or rel.agreement.digest != agreement.digest
    ):
        status = "resting"
    return control.TrustedPeer(
        address=rel.address,
        hostname=rel.hostname,
        fingerprint=fingerprint(rel),
        identity=identity(rel),
        justification=agreement.justification,
        approved_at=rfc3339(agreement.approved_at),
        agreement=agreement.digest,
        until=rfc3339(agreement.until),
        allow=agreement.allow,
        organization=agreement.organization,
        contact=agreement.contact,
        status=status,
        requested_by=agreement.requested_by,
        revoked_by=agreement.ending.by if agreement.ending and status == "revoked" else "",
        revoked_at=rfc3339(agreement.ending.at) if agreement.ending else None,
        network=network,
    )
