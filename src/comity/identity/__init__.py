"""Who a node is, and how that is written down: keys, fingerprints, addresses, names, cards, certificates,
sealed messages and signed envelopes.

Pure: it reads no file, clock or socket. The one randomness is what the cryptographic library draws for new
keys and for sealing. It decides nothing about trust: ``protocol.trust`` does.
"""

from comity.identity.address import Address
from comity.identity.card import Card, JoinUrl, PeerName, parse_peer
from comity.identity.certificate import PeerCertificateError, inspect_chain, issue_certificate
from comity.identity.envelope import Envelope, pae, statement_digest, verify
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import (
    BadSignature,
    Identity,
    InvalidKey,
    NonCanonicalKey,
    PublicKey,
    SmallOrderKey,
)
from comity.identity.sealing import SealContext, SealingPrivateKey, UnsealError, open_sealed, seal
from comity.identity.text import printable

__all__ = [
    "Address",
    "BadSignature",
    "Card",
    "Envelope",
    "Fingerprint",
    "Identity",
    "InvalidKey",
    "JoinUrl",
    "NonCanonicalKey",
    "PeerCertificateError",
    "PeerName",
    "PublicKey",
    "SealContext",
    "SealingPrivateKey",
    "SmallOrderKey",
    "UnsealError",
    "inspect_chain",
    "issue_certificate",
    "normalise_hostname",
    "open_sealed",
    "pae",
    "parse_peer",
    "printable",
    "seal",
    "statement_digest",
    "verify",
]
