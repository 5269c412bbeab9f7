"""A peer's certificate: one kind is accepted, and every other one is refused by a class of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.certificate import (
    SUBJECT,
    ExpiredCertificate,
    ExtraCertificate,
    MalformedCertificate,
    MissingCertificate,
    NotYetValidCertificate,
    PeerCertificateError,
    UnexpectedSubject,
    WrongKeyType,
    inspect_chain,
    issue_certificate,
)
from comity.identity.keys import Identity, InvalidKey, SmallOrderKey
from tests.hostile.certificates import (
    IDENTITY_POINT,
    NON_CANONICAL_IDENTITY_POINTS,
    issued_chain,
    self_signed,
    small_order_certificate,
)

NOW = 1_800_000_000.0
IDENTITY = Identity(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
DER = issue_certificate(IDENTITY, NOW).public_bytes(Encoding.DER)
END = NOW + limits.CERTIFICATE_LIFETIME
SKEW = limits.CLOCK_SKEW


def test_our_own_is_accepted() -> None:
    assert inspect_chain([DER], NOW) == IDENTITY.public
    assert len(DER) < limits.CERTIFICATE_BYTES / 4


def test_it_names_nobody_and_is_a_function_of_key_and_time() -> None:
    certificate = issue_certificate(IDENTITY, NOW)
    assert certificate.subject == certificate.issuer == SUBJECT
    assert len(certificate.extensions) == 0
    assert certificate.public_bytes(Encoding.DER) == DER
    assert issue_certificate(IDENTITY, NOW + 1).public_bytes(Encoding.DER) != DER
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("now", [NOW - 2 * SKEW, NOW, END, END + SKEW])
def test_within_its_time(now: float) -> None:
    assert inspect_chain([DER], now) == IDENTITY.public


def test_outside_its_time() -> None:
    with pytest.raises(NotYetValidCertificate):
        inspect_chain([DER], NOW - 2 * SKEW - 1)
    with pytest.raises(ExpiredCertificate):
        inspect_chain([DER], END + SKEW + 1)


def test_none_and_more_than_one() -> None:
    with pytest.raises(MissingCertificate):
        inspect_chain([], NOW)
    with pytest.raises(ExtraCertificate):
        inspect_chain([DER, DER], NOW)
    with pytest.raises(ExtraCertificate):
        inspect_chain(issued_chain(IDENTITY.private_key), NOW)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"0",
        b"not a certificate",
        DER[:-1],
        DER + b"\0",
        bytes(limits.CERTIFICATE_BYTES + 1),
        b"\x30\x84\xff\xff\xff\xff",
    ],
)
def test_malformed(der: bytes) -> None:
    with pytest.raises(MalformedCertificate):
        inspect_chain([der], NOW)


def test_size_is_checked_before_parsing() -> None:
    with pytest.raises(MalformedCertificate, match="bytes"):
        inspect_chain([DER + bytes(limits.CERTIFICATE_BYTES)], NOW)


def test_serial_number_below_one_is_refused_and_not_warned_of() -> None:
    serial = int(NOW).to_bytes(4, "big")
    with pytest.raises(MalformedCertificate):
        inspect_chain([DER.replace(b"\x02\x04" + serial, b"\x02\x04\xff" + serial[1:])], NOW)


def test_other_kinds_of_key() -> None:
    for key in (generate_private_key(SECP256R1()), Ed448PrivateKey.generate()):
        builder = x509.CertificateBuilder(
            issuer_name=SUBJECT,
            subject_name=SUBJECT,
            public_key=key.public_key(),
            serial_number=1,
            not_valid_before=datetime.fromtimestamp(NOW, UTC),
            not_valid_after=datetime.fromtimestamp(NOW, UTC) + timedelta(days=1),
        )
        der = builder.sign(key, None if isinstance(key, Ed448PrivateKey) else SHA256()).public_bytes(
            Encoding.DER
        )
        with pytest.raises(WrongKeyType):
            inspect_chain([der], NOW)


@pytest.mark.parametrize("point", [IDENTITY_POINT, *NON_CANONICAL_IDENTITY_POINTS])
def test_small_order_key(point: bytes) -> None:
    der, _ = small_order_certificate(point=point)
    with pytest.raises(SmallOrderKey):
        inspect_chain([der], NOW)


def test_key_off_the_curve() -> None:
    der, _ = small_order_certificate(point=(2).to_bytes(32, "little"))
    with pytest.raises(InvalidKey, match="not a point"):
        inspect_chain([der], NOW)


@pytest.mark.parametrize("subject", ["Comity", "comity ", "hospital-a", "comity\0"])
def test_other_subject(subject: str) -> None:
    with pytest.raises(UnexpectedSubject):
        inspect_chain([self_signed(IDENTITY.private_key, subject=subject)], NOW)


def test_subject_with_more_in_it() -> None:
    names = [
        x509.NameAttribute(NameOID.COMMON_NAME, "comity"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x"),
    ]
    builder = x509.CertificateBuilder(
        issuer_name=SUBJECT,
        subject_name=x509.Name(names),
        public_key=IDENTITY.private_key.public_key(),
        serial_number=1,
        not_valid_before=datetime.fromtimestamp(NOW, UTC),
        not_valid_after=datetime.fromtimestamp(NOW, UTC) + timedelta(days=1),
    )
    with pytest.raises(UnexpectedSubject):
        inspect_chain([builder.sign(IDENTITY.private_key, None).public_bytes(Encoding.DER)], NOW)


def test_every_failure_has_a_code_of_its_own() -> None:
    kinds = [
        ExpiredCertificate,
        ExtraCertificate,
        MalformedCertificate,
        MissingCertificate,
        NotYetValidCertificate,
        UnexpectedSubject,
        WrongKeyType,
    ]
    assert all(issubclass(kind, PeerCertificateError) for kind in kinds)
    assert issubclass(PeerCertificateError, RemoteProtocolError)
    assert len({kind.code for kind in [*kinds, PeerCertificateError, RemoteProtocolError]}) == len(kinds) + 2
