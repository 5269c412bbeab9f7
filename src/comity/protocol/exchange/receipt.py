"""The receipt: what the sender checks before it believes the receiver (SECURITY.md rule 12).

It covers the manifest's digest, the content's, the length, both keys, agreement and charter, and the sender's
nonce, so that it can be earned only by holding these bytes, once, from this sender. Signatures are the
business of ``protocol.statements``, making one that of ``services.notary`` (docs: protocol, "Exchange",
receipt).
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.errors import RemoteProtocolError, VerificationFailed
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.exchange.messages import Offer
from comity.protocol.statements import Receipt, open_statement


@dataclass(frozen=True)
class Parties:
    """Who sends to whom, and under which rendezvous and network both know each other."""

    sender: PublicKey
    receiver: PublicKey
    rendezvous: Fingerprint
    network: int


def check_receipt(
    data: bytes, offer: Offer, parties: Parties, manifest: str, digest: str, now: float
) -> tuple[Receipt, Envelope]:
    """The receipt in an envelope's JSON; VerificationFailed unless it is for exactly this transfer."""
    try:
        envelope = Envelope.from_json(data)
        receipt = open_statement(
            envelope,
            Receipt,
            issuer=parties.receiver,
            rendezvous=parties.rendezvous,
            network=parties.network,
            now=now,
        )
    except RemoteProtocolError as error:
        raise VerificationFailed(f"the peer's receipt is not valid: {error.message}") from error
    expected = {
        "subject": parties.sender.hex,
        "nonce": offer.nonce,
        "agreement": offer.agreement,
        "charter": offer.charter,
        "manifest": manifest,
        "digest": digest,
        "bytes": offer.bytes,
    }
    for field, value in expected.items():
        if getattr(receipt, field) != value:
            raise VerificationFailed(f"the peer's receipt names another {field}")
    return receipt, envelope
