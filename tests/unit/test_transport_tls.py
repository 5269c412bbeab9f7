"""Credentials and the dialler's pin, without a connection."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL, crypto

from comity.clock import ManualClock, SystemClock
from comity.errors import ComityError, IdentityMismatch
from comity.identity.certificate import ExpiredCertificate, ExtraCertificate
from comity.identity.keys import Identity, SmallOrderKey
from comity.transport.tls import Credentials, Pin
from tests.hostile.certificates import LONG_AGO, self_signed, small_order_certificate

KEY = Ed25519PrivateKey.generate()
EXPECTED = Identity(KEY).public.fingerprint
GOOD = self_signed(KEY)
CONNECTION = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))  # the pin looks at the certificate only


def shown(pin: Pin, der: bytes, depth: int = 0) -> bool:
    certificate = crypto.X509.from_cryptography(load_der_x509_certificate(der))
    return pin(CONNECTION, certificate, 18, depth, 0)


def test_the_expected_key_passes_however_often_openssl_asks() -> None:
    pin = Pin(EXPECTED, SystemClock().now())
    assert shown(pin, GOOD)
    assert shown(pin, GOOD)
    assert pin.failure is None


@pytest.mark.parametrize(
    ("der", "depth", "failure"),
    [
        (self_signed(Ed25519PrivateKey.generate()), 0, IdentityMismatch),
        (self_signed(KEY, not_before=LONG_AGO[0], not_after=LONG_AGO[1]), 0, ExpiredCertificate),
        (small_order_certificate()[0], 0, SmallOrderKey),
        (GOOD, 1, ExtraCertificate),
    ],
)
def test_anything_else_fails_and_stays_failed(der: bytes, depth: int, failure: type[ComityError]) -> None:
    pin = Pin(EXPECTED, SystemClock().now())
    assert not shown(pin, der, depth)
    assert not shown(pin, GOOD)
    assert type(pin.failure) is failure


def test_credentials_show_no_secret_and_compare_by_whose_they_are() -> None:
    identity, clock = Identity.generate(), ManualClock()
    ours = Credentials(identity, clock)
    assert ours == Credentials(identity, clock)
    assert "SSL" not in repr(ours)
    assert identity.private_key.private_bytes_raw().hex() not in repr(ours)
