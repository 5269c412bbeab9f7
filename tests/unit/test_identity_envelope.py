"""DSSE envelopes: strict JSON in, and a payload out only when it was signed as what is expected."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope, pae, statement_digest, verify
from comity.identity.keys import BadSignature, Identity

TYPE = "application/vnd.comity.approval.v1+json"
SIGNER = Identity(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
ENVELOPE = SIGNER.sign_statement(TYPE, b'{"a":1}')


def body(**changes: Any) -> dict[str, Any]:
    return {**json.loads(ENVELOPE.to_json()), **changes}


def parse(value: object) -> Envelope:
    return Envelope.from_json(json.dumps(value).encode())


def signature(**changes: Any) -> dict[str, Any]:
    return {"sig": base64.b64encode(ENVELOPE.signature).decode(), **changes}


def test_round_trip() -> None:
    assert Envelope.from_json(ENVELOPE.to_json()) == ENVELOPE
    assert json.loads(ENVELOPE.to_json()).keys() == {"payload", "payloadType", "signatures"}


def test_keyid_is_ignored() -> None:
    envelope = parse(body(signatures=[signature(keyid="whatever the sender likes")]))
    assert envelope == ENVELOPE
    assert verify(envelope, SIGNER.public, TYPE) == b'{"a":1}'


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        "text",
        {},
        body(payload=None),
        body(payload="!!!!"),
        body(payload="e30"),  # no padding
        body(payload="e31="),  # stray bits under the padding
        body(payload="e30=\n"),
        body(payload="-_-_"),  # the other alphabet
        body(payload="é"),
        body(payloadType=1),
        body(payloadType=""),
        body(payloadType="a b"),
        body(payloadType="é"),
        body(payloadType="x" * 256),
        body(payloadType=TYPE + "\n"),
        body(signatures=None),
        body(signatures=[]),
        body(signatures=[signature(), signature()]),
        body(signatures=[{}]),
        body(signatures=[signature(sig="")]),
        body(signatures=[signature(sig=base64.b64encode(bytes(63)).decode())]),
        body(signatures=[signature(sig=base64.b64encode(bytes(65)).decode())]),
        body(signatures=[signature(sig="A" * 1000)]),
        body(signatures=[signature(keyid=7)]),
        body(signatures=[signature(cert="x")]),
        body(extra=1),
    ],
)
def test_malformed(value: object) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'"\\ud800"',
        b"[" * 30_000,
        ENVELOPE.to_json() + b"x",
        b" " * (limits.STATEMENT_BYTES + 1),
    ],
)
def test_not_json(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Envelope.from_json(data)


def test_limit_is_inclusive() -> None:
    padded = ENVELOPE.to_json().ljust(limits.STATEMENT_BYTES)
    assert Envelope.from_json(padded) == ENVELOPE
    with pytest.raises(RemoteProtocolError, match="is the most"):
        Envelope.from_json(padded + b" ")


def test_digest_covers_type_and_payload_only() -> None:
    assert ENVELOPE.digest == statement_digest(TYPE, b'{"a":1}')
    assert Envelope(TYPE, b'{"a":1}', bytes(64)).digest == ENVELOPE.digest
    assert Envelope(TYPE, b'{"a":2}', bytes(64)).digest != ENVELOPE.digest
    assert Envelope(TYPE + "x", b'{"a":1}', bytes(64)).digest != ENVELOPE.digest


def test_encoding_tells_type_from_payload() -> None:
    assert pae("a", b"b c") != pae("a b", b"c")
    assert pae("a 1 b", b"") != pae("a", b"b 0 ")


def test_another_type_is_refused_before_the_signature() -> None:
    with pytest.raises(RemoteProtocolError, match="expected a payload of type") as caught:
        verify(ENVELOPE, SIGNER.public, TYPE.replace("approval", "revocation"))
    assert not isinstance(caught.value, BadSignature)


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope(TYPE, b'{"a":2}', ENVELOPE.signature),
        Envelope(TYPE, b'{"a":1}', bytes(64)),
        Envelope(TYPE.replace("v1", "v2"), b'{"a":1}', ENVELOPE.signature),
    ],
)
def test_forgery(envelope: Envelope) -> None:
    with pytest.raises(BadSignature):
        verify(envelope, SIGNER.public, envelope.payload_type)


def test_another_signer() -> None:
    with pytest.raises(BadSignature):
        verify(ENVELOPE, Identity.generate().public, TYPE)
