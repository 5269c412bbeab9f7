"""The fixed keys, times and statements of which vectors are made."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.statements import Statement, payload, payload_type

NOW = 1_800_000_000
LATER = NOW + 86_400
NETWORK = 1

LAB_A, LAB_B, SERVER, NEXT_A, NEXT_SERVER = (
    Identity(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in range(1, 6)
)
BY_KEY = {one.public.hex: one for one in (LAB_A, LAB_B, SERVER, NEXT_A, NEXT_SERVER)}
RENDEZVOUS: Fingerprint = SERVER.public.fingerprint

INSTANCE = "0f" * 16
CALL = "c0" * 16
NONCE = "5a" * 32
TICKET = "7e" * 32
AGREEMENT, CHARTER, MANIFEST, CONTENT_DIGEST = (f"sha256:{digit * 64}" for digit in "acde")


def common(issuer: Identity = LAB_A) -> dict[str, Any]:
    """What every statement carries."""
    return {
        "rendezvous": str(RENDEZVOUS),
        "network": NETWORK,
        "issuer": issuer.public.hex,
        "nonce": NONCE,
        "issued": NOW,
        "expires": LATER,
    }


def pair(sequence: int = 1, issuer: Identity = LAB_A, subject: Identity = LAB_B) -> dict[str, Any]:
    """What every statement of one node to another carries."""
    return common(issuer) | {"subject": subject.public.hex, "sequence": sequence}


def sign(said: Statement) -> bytes:
    """The envelope's JSON, by whichever of the keys is the issuer's."""
    return BY_KEY[said.issuer].sign_statement(payload_type(type(said)), payload(said)).to_json()
