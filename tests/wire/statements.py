"""One of each signed statement, and more where a field may be left out."""

from __future__ import annotations

from comity.identity.keys import Identity
from comity.protocol.charter.statements import (
    CharterAttestation,
    CharterEnd,
    CharterNote,
    CharterPart,
    CharterSignature,
    CharterSuspension,
    Disposed,
)
from comity.protocol.logkeys import log_origin
from comity.protocol.statements import (
    Approval,
    ArtifactSignature,
    HandshakeRequest,
    LogKey,
    Predecessor,
    Punch,
    Reachability,
    Receipt,
    Registration,
    Rejection,
    Revocation,
    SealingKey,
    Statement,
    digest,
)
from comity.protocol.succession import Handover, Retirement, Rotation
from tests.wire.keys import (
    AGREEMENT,
    CALL,
    CHARTER,
    CONTENT_DIGEST,
    LAB_A,
    LAB_B,
    LATER,
    MANIFEST,
    NEXT_A,
    NEXT_SERVER,
    NONCE,
    SERVER,
    common,
    pair,
    sign,
)


def rotation() -> Predecessor:
    """The word of lab A's key that its next one follows it."""
    said = Rotation(**common(), successor=NEXT_A.public.hex)
    return Predecessor(key=LAB_A.public.hex, rotation=sign(said).decode())


def handover() -> Predecessor:
    """The word of the rendezvous's key that its next one follows it."""
    said = Handover(**common(SERVER), successor=NEXT_SERVER.public.hex)
    return Predecessor(key=SERVER.public.hex, rotation=sign(said).decode())


def retirement() -> Retirement:
    return Retirement(**common(), reason="lost or stolen")


def sealing_key(issuer: Identity = LAB_A) -> SealingKey:
    return SealingKey(**common(issuer), public="ab" * 1216, sequence=3)


def request() -> HandshakeRequest:
    return HandshakeRequest(
        **pair(),
        hostname="lab-a-trainer",
        address="1:0001.0000.0010",
        subject_hostname="charité-trainer",
        organization="Hospital A",
        contact="pi@lab-a.example",
        requested_by="Dr. Osei, Radiology",
        justification="External validation, IRB #2026-0142",
        charter=None,
        until=LATER,
    )


def approval(asked: HandshakeRequest) -> Approval:
    return Approval(
        **pair(1, LAB_B, LAB_A),
        request=digest(asked),
        request_nonce=asked.nonce,
        hostname="charité-trainer",
        address="1:0001.0000.0020",
        organization="Charité",
        contact="",
        reason="",
        allow=("events", "exchange"),
        charter=asked.charter,
        until=asked.until,
    )


def revocation() -> Revocation:
    return Revocation(**pair(2), agreement=AGREEMENT, reason="the study is over")


def statements() -> dict[str, Statement]:
    """By the name of the vector."""
    asked = request()
    return {
        "registration": Registration(
            **common(), hostname="lab-a-trainer", public=True, tags=("lung-cancer", "mri")
        ),
        "sealing key": sealing_key(),
        "handshake request": asked,
        "handshake request under a charter by a key that follows another": HandshakeRequest(
            **pair(1, NEXT_A),
            hostname="lab-a-trainer",
            address="1:0001.0000.0030",
            subject_hostname="charité-trainer",
            organization="",
            contact="",
            requested_by="",
            justification="key rotation",
            charter=CHARTER,
            until=LATER,
            predecessor=rotation(),
        ),
        "approval": approval(asked),
        "approval of a mutual handshake under a charter": Approval(
            **pair(2, LAB_B, NEXT_A),
            request=digest(asked),
            request_nonce=NONCE,
            hostname="charité-trainer",
            address="1:0001.0000.0020",
            organization="Charité",
            contact="dpo@charite.example",
            reason="we asked as well",
            allow=(),
            charter=CHARTER,
            until=LATER,
        ),
        "rejection": Rejection(
            **pair(1, LAB_B, LAB_A), request=digest(asked), request_nonce=NONCE, reason="not without an IRB"
        ),
        "revocation": revocation(),
        "reachability": Reachability(
            **pair(3), candidates=("192.0.2.7:4444", "[2001:db8::7]:4444"), answer=True
        ),
        "punch": Punch(
            **pair(4), call=CALL, step="call", local=("192.168.1.7:5001",), observed=("203.0.113.9:5001",)
        ),
        "receipt": Receipt(
            **common(LAB_B),
            subject=LAB_A.public.hex,
            agreement=AGREEMENT,
            charter=CHARTER,
            manifest=MANIFEST,
            digest=CONTENT_DIGEST,
            bytes=142_000_000,
        ),
        "artifact signature": ArtifactSignature(**common(), digest=CONTENT_DIGEST, bytes=142_000_000),
        "log key": LogKey(**common(), origin=log_origin(LAB_A.public), key=LAB_B.public.hex),
        "retirement": retirement(),
        "rotation": Rotation(**common(), successor=NEXT_A.public.hex),
        "rendezvous rotation": Handover(**common(SERVER), successor=NEXT_SERVER.public.hex),
        "charter signature": CharterSignature(
            **common(),
            charter=CHARTER,
            schema="comity.charter/1",
            policy=MANIFEST,
            lineage=CHARTER,
            predecessor=None,
            version=1,
            signed_by="Dr. Osei, data protection officer",
        ),
        "charter signature of a later version": CharterSignature(
            **common(LAB_B),
            charter=MANIFEST,
            schema="comity.charter/1",
            policy=CONTENT_DIGEST,
            lineage=CHARTER,
            predecessor=CHARTER,
            version=2,
            signed_by="",
        ),
        "charter end": CharterEnd(**common(), lineage=CHARTER, charter=CHARTER, reason="the study is over"),
        "charter part": CharterPart(**pair(5), charter=CHARTER, part=1, parts=2, data="eyJhIjoxfQ=="),
        "charter note": CharterNote(
            **pair(6),
            statement=sign(
                CharterEnd(**common(), lineage=CHARTER, charter=CHARTER, reason="the study is over")
            ).decode(),
        ),
        "charter suspension": CharterSuspension(
            **pair(7),
            lineage=CHARTER,
            charter=CHARTER,
            clause="anomalies.denials",
            reason="50 denials",
            state="suspended",
        ),
        "charter attestation": CharterAttestation(
            **pair(8),
            lineage=CHARTER,
            items=(Disposed(digest=CONTENT_DIGEST, disposition="deleted"),),
            method="purge",
            backups="overwritten within 30 days",
            derivatives="none",
            exceptions="",
            attested_by="Dr. Weiß",
        ),
    }
