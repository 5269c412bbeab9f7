"""Identity against published vectors, OpenSSL's own fingerprint, and what earlier versions wrote."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from comity.identity.envelope import Envelope, pae, statement_digest, verify
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, NonCanonicalKey, PublicKey, SmallOrderKey
from comity.identity.sealing import SealContext, SealingPrivateKey, open_sealed

HERE = Path(__file__).parent
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def load(name: str) -> Any:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def identity(seed: str) -> Identity:
    return Identity(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))


@pytest.mark.parametrize("vector", load("rfc8032.json")["vectors"], ids=lambda vector: vector["name"])
def test_rfc8032(vector: dict[str, str]) -> None:
    key = PublicKey.from_hex(vector["public"])
    assert identity(vector["seed"]).public == key
    key.verify(bytes.fromhex(vector["signature"]), bytes.fromhex(vector["message"]))


@pytest.mark.parametrize(
    "vector", load("fingerprints.json")["vectors"], ids=lambda vector: vector["seed"][:8]
)
def test_fingerprint_is_what_openssl_computes(vector: dict[str, str]) -> None:
    public = identity(vector["seed"]).public
    assert public.hex == vector["public"]
    assert public.spki.hex() == vector["spki"]
    assert str(public.fingerprint) == vector["fingerprint"]


@pytest.mark.parametrize("vector", load("dsse_pae.json")["vectors"], ids=lambda vector: vector["note"])
def test_dsse_pre_authentication_encoding(vector: dict[str, str]) -> None:
    payload = vector["payload"].encode()
    assert pae(vector["payload_type"], payload) == vector["pae"].encode()
    assert statement_digest(vector["payload_type"], payload) == vector["digest"]


def test_envelope_of_an_earlier_version() -> None:
    vector = load("envelope.json")
    envelope = Envelope.from_json(vector["envelope"].encode())
    key = PublicKey.from_hex(vector["public"])
    assert verify(envelope, key, vector["payload_type"]) == vector["payload"].encode()
    assert envelope.digest == vector["digest"]
    assert envelope.to_json() == vector["envelope"].encode()


def test_sealed_message_of_an_earlier_version() -> None:
    vector = load("sealed.json")
    context = SealContext(
        type=vector["type"],
        rendezvous=Fingerprint.parse(vector["rendezvous"]),
        network=vector["network"],
        sender=PublicKey.from_hex(vector["sender"]),
        recipient=PublicKey.from_hex(vector["recipient"]),
        message_id=bytes.fromhex(vector["message_id"]),
    )
    assert context.info() == vector["info"].encode()
    private = SealingPrivateKey.from_bytes(bytes.fromhex(vector["private"]))
    assert open_sealed(base64.b64decode(vector["blob"]), private, context) == vector["plaintext"].encode()


# ── small-order points: the recorded list, checked by arithmetic that the code under test does not use ──


def add(first: Point, second: Point) -> Point:
    """RFC 8032 section 5.1.4's complete addition, in affine coordinates."""
    (x1, y1), (x2, y2) = first, second
    t = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P)
    return x % P, y % P


def decode(encoding: bytes) -> Point:
    """RFC 8032 section 5.1.3, without its two canonicity checks."""
    value = int.from_bytes(encoding, "little")
    sign, y = value >> 255, value % 2**255 % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return (P - x) % P if x % 2 != sign else x, y


def order(point: Point) -> int:
    total, count = point, 1
    while total != (0, 1):
        total, count = add(total, point), count + 1
        assert count <= 8
    return count


@pytest.mark.parametrize(
    "vector", load("small_order_points.json")["canonical"], ids=lambda v: v["encoding"][:8]
)
def test_point_of_small_order_is_refused(vector: dict[str, Any]) -> None:
    encoding = bytes.fromhex(vector["encoding"])
    assert order(decode(encoding)) == vector["order"]
    with pytest.raises(SmallOrderKey):
        PublicKey.parse(encoding)


def test_the_list_of_small_order_points_is_whole() -> None:
    points = [
        decode(bytes.fromhex(vector["encoding"])) for vector in load("small_order_points.json")["canonical"]
    ]
    assert len(set(points)) == 8, "the group has exactly one subgroup of order 8"
    assert {add(first, second) for first in points for second in points} == set(points)


@pytest.mark.parametrize("encoding", load("small_order_points.json")["non_canonical"])
def test_other_spelling_of_a_point_of_small_order_is_refused(encoding: str) -> None:
    assert order(decode(bytes.fromhex(encoding))) in (1, 2, 4)
    with pytest.raises(SmallOrderKey):
        PublicKey.parse(bytes.fromhex(encoding))


@pytest.mark.parametrize("excess", range(2, 19))
@pytest.mark.parametrize("sign", [0, 1])
def test_every_other_non_canonical_encoding_is_refused(excess: int, sign: int) -> None:
    """y = p + 2 to p + 18 = 2^255 - 1; y = p and p + 1 are of small order, above."""
    with pytest.raises(NonCanonicalKey):
        PublicKey.parse((P + excess | sign << 255).to_bytes(32, "little"))


def test_why_small_order_matters() -> None:
    """The library underneath takes the identity point, and one signature verifies for any message."""
    identity_point = bytes([1]) + bytes(31)
    library = Ed25519PublicKey.from_public_bytes(identity_point)
    for message in (b"transfer nothing", b"transfer everything"):
        library.verify(identity_point + bytes(32), message)
    with pytest.raises(SmallOrderKey):
        PublicKey.parse(identity_point)
