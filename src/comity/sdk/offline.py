"""Evidence without a node: whoever holds the file can check it, on any machine (SECURITY.md rule 19)."""

from __future__ import annotations

from collections.abc import Mapping

from comity.clock import rfc3339
from comity.control import AgreementVerification, Party
from comity.identity.fingerprint import Fingerprint
from comity.protocol.statements import Revocation
from comity.protocol.trust import evidence

#: No agreement file is larger.
FILE_BYTES = evidence.FILE_BYTES


def verify_agreement(data: bytes, anchors: Mapping[str, Fingerprint]) -> AgreementVerification:
    """What an agreement file proves; AgreementInvalid names the first check that failed.

    ``anchors``: hostname and fingerprint of parties, from anywhere but the file. ``identities`` is
    ``verified`` only when every party is among them; otherwise the file proves what two keys signed, and not
    whose keys they are.
    """
    found = evidence.verify_agreement(data, anchors)
    request, approval, revocation = found.request, found.approval, found.revocation
    return AgreementVerification(
        valid=True,
        identities=found.identities,
        agreement=found.digest,
        parties=(
            Party(
                role="requester",
                hostname=request.hostname,
                organization=request.organization,
                contact=request.contact,
                fingerprint=str(found.requester.fingerprint),
                verified=_verified(request.hostname, found),
                reason=request.justification,
                signed_at=rfc3339(request.issued),
                requested_by=request.requested_by,
            ),
            Party(
                role="approver",
                hostname=approval.hostname,
                organization=approval.organization,
                contact=approval.contact,
                fingerprint=str(found.approver.fingerprint),
                verified=_verified(approval.hostname, found),
                reason=approval.reason,
                signed_at=rfc3339(approval.issued),
            ),
        ),
        justification=request.justification,
        signed_at=rfc3339(approval.issued),
        until=rfc3339(approval.until),
        allow=approval.allow,
        rendezvous=request.rendezvous,
        network=request.network,
        revoked=revocation is not None,
        revoked_at=rfc3339(revocation.issued) if isinstance(revocation, Revocation) else None,
        revoked_by=_name_of(revocation.issuer, found) if revocation else "",
    )


def _verified(hostname: str, found: evidence.Evidence) -> str:
    return "anchor" if hostname in found.anchored else "none"


def _name_of(key: str, found: evidence.Evidence) -> str:
    return found.request.hostname if key == found.request.issuer else found.approval.hostname
