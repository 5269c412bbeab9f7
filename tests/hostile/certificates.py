"""Certificates that a hostile client presents: well-formed ones at will, and one whose key signs nothing.

TEST CODE ONLY. It makes no judgement about what it builds. X.509 as in RFC 5280, Ed25519 in it as in
RFC 8410, small-order points as in RFC 8032 section 5.1.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

ALWAYS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)
SUBJECT = "comity"

IDENTITY_POINT = bytes([1]) + bytes(31)  # x = 0, y = 1
# The same point written as RFC 8032 section 5.1.3 forbids: the sign of x = 0 set, y = p + 1, or both.
NON_CANONICAL_IDENTITY_POINTS = (
    bytes([1]) + bytes(30) + b"\x80",
    b"\xee" + b"\xff" * 30 + b"\x7f",
    b"\xee" + b"\xff" * 31,
)
# [S]B = R + [k]A holds for every message when A and R are the identity and S is 0 (RFC 8032 section 5.1.7).
CONSTANT_SIGNATURE = IDENTITY_POINT + bytes(32)


def self_signed(
    private_key: Ed25519PrivateKey,
    *,
    not_before: datetime = ALWAYS[0],
    not_after: datetime = ALWAYS[1],
    subject: str = SUBJECT,
) -> bytes:
    """A DER certificate of `private_key` by itself; `subject` is the common name, times are aware."""
    validity = not_before, not_after
    return _certificate(private_key, subject, signer=private_key, issuer=subject, validity=validity)


def issued_chain(private_key: Ed25519PrivateKey, *, subject: str = SUBJECT) -> list[bytes]:
    """A certificate of `private_key` by another key, and that other key's own: DER, leaf first."""
    authority = Ed25519PrivateKey.generate()
    leaf = _certificate(private_key, subject, signer=authority, issuer="authority")
    return [leaf, self_signed(authority, subject="authority")]


def small_order_certificate(
    *,
    point: bytes = IDENTITY_POINT,
    not_before: datetime = ALWAYS[0],
    not_after: datetime = ALWAYS[1],
    subject: str = SUBJECT,
) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A DER certificate whose public key is `point`, 32 bytes, and the signer that goes with it.

    The certificate's own signature is the constant one, so it verifies wherever the signer's do.
    """
    owner = Ed25519PrivateKey.generate()
    honest = self_signed(owner, not_before=not_before, not_after=not_after, subject=subject)
    # The signature is the last field of a Certificate, RFC 5280 section 4.1.
    body = honest[: -len(CONSTANT_SIGNATURE)].replace(owner.public_key().public_bytes_raw(), point)
    return body + CONSTANT_SIGNATURE, lambda _: CONSTANT_SIGNATURE


def _certificate(
    owner: Ed25519PrivateKey,
    subject: str,
    *,
    signer: Ed25519PrivateKey,
    issuer: str,
    validity: tuple[datetime, datetime] = ALWAYS,
) -> bytes:
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
        public_key=owner.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=validity[0],
        not_valid_after=validity[1],
    )
    return builder.sign(signer, None).public_bytes(Encoding.DER)
