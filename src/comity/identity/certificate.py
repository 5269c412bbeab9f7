"""The X.509 certificate that carries an identity into TLS, and the check of a peer's (SECURITY.md rule 10).

It is a container for the key and a validity window: exactly one self-signed Ed25519 certificate (RFC 8410)
whose subject is the same for every node, so nothing in it names anybody. Every other field is ignored, its
own signature included: TLS's CertificateVerify proves possession of the key, and the caller compares the
PublicKey returned here with the pin, which alone says whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, PublicKeyAlgorithmOID

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.keys import Identity, PublicKey

SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "comity")])

#: What the parser raises for hostile bytes. For a serial number below 1 it warns, which ``-W error`` raises.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    CryptographyDeprecationWarning,
)


class PeerCertificateError(RemoteProtocolError):
    """A peer's certificate that is not the one kind that is accepted; each kind of failure has its class."""

    code = "peer_certificate"
    default_hint = "check that the other side runs a supported version (comity status)"


class MissingCertificate(PeerCertificateError):
    """The peer sent none."""

    code = "missing_certificate"


class ExtraCertificate(PeerCertificateError):
    """More than one: there is no authority that a chain could lead to."""

    code = "extra_certificate"


class MalformedCertificate(PeerCertificateError):
    """Not DER X.509, or larger than ``limits.CERTIFICATE_BYTES``."""

    code = "malformed_certificate"


class WrongKeyType(PeerCertificateError):
    """Its key is not Ed25519."""

    code = "wrong_key_type"


class UnexpectedSubject(PeerCertificateError):
    """Its subject is not the constant one."""

    code = "unexpected_subject"


class ExpiredCertificate(PeerCertificateError):
    """Its time is over, with the allowed skew."""

    code = "expired_certificate"
    default_hint = "compare the clocks of both machines, or restart the node that is named"


class NotYetValidCertificate(PeerCertificateError):
    """Its time has not begun, with the allowed skew."""

    code = "certificate_not_yet_valid"
    default_hint = "compare the clocks of both machines; five minutes apart is the most"


def issue_certificate(identity: Identity, now: float) -> x509.Certificate:
    """The node's certificate, valid from CLOCK_SKEW before ``now`` (seconds UTC) for CERTIFICATE_LIFETIME.

    The same identity and time give the same bytes; for DER, ``.public_bytes(Encoding.DER)``.
    """
    key = identity.private_key
    builder = x509.CertificateBuilder(
        issuer_name=SUBJECT,
        subject_name=SUBJECT,
        public_key=key.public_key(),
        serial_number=int(now),  # RFC 5280 section 4.1.2.2 wants a positive number; nobody reads it
        not_valid_before=datetime.fromtimestamp(int(now) - limits.CLOCK_SKEW, UTC),
        not_valid_after=datetime.fromtimestamp(int(now) + limits.CERTIFICATE_LIFETIME, UTC),
    )
    return builder.sign(key, None)


def inspect_chain(chain: Sequence[bytes], now: float) -> PublicKey:
    """The key in a peer's DER certificates, which must be one, and good at ``now`` (seconds UTC).

    A PeerCertificateError by its kind, or InvalidKey, NonCanonicalKey or SmallOrderKey for the key itself;
    all are RemoteProtocolError. It does not say whose key it is: compare it with the pin.
    """
    if not chain:
        raise MissingCertificate("the peer sent no certificate")
    if len(chain) > 1:
        raise ExtraCertificate(f"the peer sent {len(chain)} certificates instead of one")
    if len(chain[0]) > limits.CERTIFICATE_BYTES:
        raise MalformedCertificate(f"the peer's certificate has {len(chain[0])} bytes")
    try:
        certificate = x509.load_der_x509_certificate(chain[0])
        return _inspect(certificate, now)
    except _UNREADABLE as error:
        raise MalformedCertificate("the peer's certificate cannot be read") from error


def _inspect(certificate: x509.Certificate, now: float) -> PublicKey:
    if certificate.public_key_algorithm_oid != PublicKeyAlgorithmOID.ED25519:
        raise WrongKeyType("the peer's certificate holds a key that is not Ed25519")
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise WrongKeyType("the peer's certificate holds a key that is not Ed25519")
    public = PublicKey(key.public_bytes_raw())
    if certificate.subject != SUBJECT:
        raise UnexpectedSubject("the peer's certificate names another subject than every node's")
    if now > certificate.not_valid_after_utc.timestamp() + limits.CLOCK_SKEW:
        raise ExpiredCertificate("the peer's certificate has expired")
    if now < certificate.not_valid_before_utc.timestamp() - limits.CLOCK_SKEW:
        raise NotYetValidCertificate("the peer's certificate is not valid yet")
    return public
