"""Public keys are checked when they are made; an identity shows and signs only what it should."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from comity import limits
from comity.errors import InvalidInput, LocalProtocolError, RemoteProtocolError, TooLarge
from comity.identity.envelope import pae, verify
from comity.identity.keys import BadSignature, Identity, InvalidKey, NonCanonicalKey, PublicKey, SmallOrderKey

TYPE = "application/vnd.comity.approval.v1+json"


def identity(number: int = 1) -> Identity:
    return Identity(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


def test_key_round_trips() -> None:
    key = Identity.generate().public
    assert PublicKey.parse(key.raw) == key
    assert PublicKey.from_hex(key.hex) == key
    assert len(key.spki) == 44
    assert key.spki.endswith(key.raw)


def test_keys_are_ordered_and_usable_in_sets() -> None:
    keys = {identity(1).public, identity(2).public, identity(1).public}
    assert [key.raw for key in sorted(keys)] == sorted(key.raw for key in keys)
    assert len(keys) == 2


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_length_is_checked(size: int) -> None:
    with pytest.raises(InvalidKey, match=f"{size} bytes"):
        PublicKey.parse(bytes(size))


def test_point_off_the_curve_is_refused() -> None:
    with pytest.raises(InvalidKey, match="not a point") as caught:
        PublicKey.parse((2).to_bytes(32, "little"))
    assert type(caught.value) is InvalidKey


def test_no_constructor_skips_the_check() -> None:
    with pytest.raises(SmallOrderKey):
        PublicKey(bytes(32))


@pytest.mark.parametrize("text", ["", "ab", "A" * 64, "g" * 64, "0" * 63 + "\n", " " + "1" * 63, "٣" * 64])
def test_hexadecimal_is_strict(text: str) -> None:
    with pytest.raises(InvalidKey):
        PublicKey.from_hex(text)


def test_errors_have_codes_of_their_own() -> None:
    kinds = (InvalidKey, NonCanonicalKey, SmallOrderKey, BadSignature)
    assert len({kind.code for kind in kinds} | {RemoteProtocolError.code}) == 5


@pytest.mark.parametrize("damage", ["message", "signature", "short", "long", "key"])
def test_bad_signature(damage: str) -> None:
    envelope = identity().sign_statement(TYPE, b"{}")
    message, signature, key = pae(TYPE, b"{}"), envelope.signature, identity().public
    key.verify(signature, message)
    if damage == "message":
        message += b" "
    elif damage == "signature":
        signature = bytes([signature[0] ^ 1]) + signature[1:]
    elif damage == "short":
        signature = signature[:-1]
    elif damage == "long":
        signature += b"\0"
    else:
        key = identity(2).public
    with pytest.raises(BadSignature):
        key.verify(signature, message)


def test_malleable_signature_is_refused() -> None:
    """S + L is the same scalar; RFC 8032 section 5.1.7 wants S below L, so that there is one signature."""
    signature = identity().sign_statement(TYPE, b"{}").signature
    group_order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + group_order
    with pytest.raises(BadSignature):
        identity().public.verify(signature[:32] + scalar.to_bytes(32, "little"), pae(TYPE, b"{}"))


# ── the private key ───────────────────────────────────────────────────────────────────────────────────


def test_pem_round_trips() -> None:
    first = Identity.generate()
    again = Identity.from_pem(first.to_pem())
    assert again.public == first.public
    assert first.to_pem().startswith(b"-----BEGIN PRIVATE KEY-----\n")


def test_generated_identities_differ() -> None:
    assert Identity.generate().public != Identity.generate().public


def foreign_pems() -> dict[str, bytes]:
    ours = identity().private_key
    return {
        "empty": b"",
        "text": b"not a key",
        "public": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "cut": identity().to_pem()[:60],
        "encrypted": ours.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
        "other": generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    }


@pytest.mark.parametrize("name", ["empty", "text", "public", "cut", "encrypted", "other"])
def test_other_pem_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="not an unencrypted Ed25519 private key"):
        Identity.from_pem(foreign_pems()[name])


def test_identity_shows_and_leaks_nothing() -> None:
    secret = identity()
    seed = bytes([1]) * 32
    for shown in (repr(secret), str(secret), f"{secret}"):
        assert seed.hex() not in shown
        assert secret.public.fingerprint.short in shown
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            take(secret)
    assert not hasattr(secret, "__dict__")


def test_signs_statements() -> None:
    envelope = identity().sign_statement(TYPE, b'{"a":1}')
    assert verify(envelope, identity().public, TYPE) == b'{"a":1}'


@pytest.mark.parametrize(
    "payload_type",
    [
        "",
        "text/plain",
        "application/vnd.comity.approval.v1+json\n",
        "application/vnd.comity.Approval.v1+json",
        "application/vnd.comity.approval.v0+json",
        "application/vnd.comity.approval.v1+cbor",
        "application/vnd.comity..v1+json",
        "application/vnd.comity.-approval.v1+json",
        "application/vnd.other.approval.v1+json",
        "x application/vnd.comity.approval.v1+json",
    ],
)
def test_signs_no_other_type(payload_type: str) -> None:
    with pytest.raises(LocalProtocolError):
        identity().sign_statement(payload_type, b"{}")


def test_signs_nothing_that_no_peer_would_read() -> None:
    with pytest.raises(TooLarge):
        identity().sign_statement(TYPE, bytes(limits.STATEMENT_BYTES))
