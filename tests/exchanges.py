"""Artifacts, offers and parties for the exchange's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from comity import limits
from comity.identity.keys import Identity
from comity.protocol.exchange.manifest import Entry, Manifest
from comity.protocol.exchange.messages import FILE, Offer
from comity.protocol.exchange.receipt import Parties
from comity.protocol.statements import Receipt, payload, payload_type

NOW = 1_800_000_000.0
AGREEMENT = "sha256:" + "a9" * 32
OTHER_AGREEMENT = "sha256:" + "b8" * 32
TRANSFER = "5e" * 16

SENDER = Identity.generate()
RECEIVER = Identity.generate()
RENDEZVOUS = Identity.generate()
PARTIES = Parties(SENDER.public, RECEIVER.public, RENDEZVOUS.public.fingerprint, 1)


def entry_for(data: bytes) -> Entry:
    return Entry(len(data), hashlib.sha256(data).digest())


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def offer_for(pieces: Sequence[bytes], name: str = "weights.safetensors") -> Offer:
    return Offer(
        transfer=TRANSFER,
        nonce="c0" * 32,
        kind=FILE,
        name=name,
        bytes=sum(map(len, pieces)),
        chunks=len(pieces),
        agreement=AGREEMENT,
        charter=None,
    )


def manifest_for(offer: Offer, pieces: Sequence[bytes]) -> Manifest:
    manifest = Manifest(kind=offer.kind, name=offer.name, size=offer.bytes, chunks=offer.chunks)
    for piece in pieces:
        manifest.add(entry_for(piece))
    return manifest


def signed_receipt(
    offer: Offer, manifest: str, digest: str, *, by: Identity = RECEIVER, parties: Parties = PARTIES
) -> bytes:
    """A receipt's envelope, as the receiver would return it."""
    statement = Receipt(
        rendezvous=str(parties.rendezvous),
        network=parties.network,
        issuer=parties.receiver.hex,
        nonce=offer.nonce,
        issued=int(NOW),
        expires=int(NOW) + limits.RECEIPT_LIFETIME,
        subject=parties.sender.hex,
        agreement=offer.agreement,
        charter=offer.charter,
        manifest=manifest,
        digest=digest,
        bytes=offer.bytes,
    )
    return by.sign_statement(payload_type(Receipt), payload(statement)).to_json()
