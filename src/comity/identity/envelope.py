"""DSSE v1.0 envelopes: the only shape in which an identity signs application bytes.

The signature covers the pre-authentication encoding, which names the payload type, so that a signature over
one type of statement never passes for another; digests cover the same bytes, never the JSON around them
(SECURITY.md rules 1 and 2). Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md
v1.0. Stricter than it: exactly one signature, base64 of the standard alphabet with its padding, no unknown
fields. ``keyid`` is read over and ignored: who must have signed is the reader's knowledge.

It does not know what the payloads say; ``protocol.statements`` does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.text import printable


class VerifyingKey(Protocol):
    """What a key must do here (``keys.PublicKey`` does)."""

    def verify(self, signature: bytes, message: bytes) -> None:
        """BadSignature unless it holds."""


SIGNATURE_BYTES = 64
#: The payload types that an identity signs.
PAYLOAD_TYPE = re.compile(r"application/vnd\.comity\.[a-z][a-z0-9]*(-[a-z0-9]+)*\.v[1-9][0-9]{0,3}\+json\Z")


class _Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sig: Annotated[str, msgspec.Meta(max_length=88)]  # 64 bytes in base64
    keyid: str = ""


class _EnvelopeJson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: str
    payload_type: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,255}\Z")] = msgspec.field(name="payloadType")
    signatures: Annotated[tuple[_Signature, ...], msgspec.Meta(min_length=1, max_length=1)]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed and what a statement's digest covers."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def statement_digest(payload_type: str, payload: bytes) -> str:
    """``sha256:`` and the SHA-256 of the pre-authentication encoding in hexadecimal."""
    return "sha256:" + hashlib.sha256(pae(payload_type, payload)).hexdigest()


@dataclass(frozen=True)
class Envelope:
    """A payload and one signature of 64 bytes, not verified: read the payload that ``verify`` returns."""

    payload_type: str
    payload: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        """The statement's digest: the same whatever signature or JSON comes with it."""
        return statement_digest(self.payload_type, self.payload)

    def to_json(self) -> bytes:
        """The envelope's JSON, without a keyid."""
        signature = _Signature(sig=base64.b64encode(self.signature).decode())
        body = _EnvelopeJson(
            payload=base64.b64encode(self.payload).decode(),
            payload_type=self.payload_type,
            signatures=(signature,),
        )
        return msgspec.json.encode(body)

    @classmethod
    def from_json(cls, data: bytes) -> Envelope:
        """The envelope in at most ``limits.STATEMENT_BYTES`` of JSON; else RemoteProtocolError."""
        if len(data) > limits.STATEMENT_BYTES:
            raise RemoteProtocolError(f"envelope of {len(data)} bytes; {limits.STATEMENT_BYTES} is the most")
        try:
            body = msgspec.json.decode(data, type=_EnvelopeJson)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"malformed envelope: {printable(str(error), 200)}") from error
        signature = _decode(body.signatures[0].sig, "signature")
        if len(signature) != SIGNATURE_BYTES:
            raise RemoteProtocolError(f"signature has {len(signature)} bytes instead of {SIGNATURE_BYTES}")
        return cls(body.payload_type, _decode(body.payload, "payload"), signature)


def verify(envelope: Envelope, key: VerifyingKey, expected_type: str) -> bytes:
    """The payload, if ``key`` signed it as exactly ``expected_type``; else RemoteProtocolError."""
    if envelope.payload_type != expected_type:
        found = printable(envelope.payload_type, 80)
        raise RemoteProtocolError(f"expected a payload of type {expected_type}, got {found}")
    key.verify(envelope.signature, pae(envelope.payload_type, envelope.payload))
    return envelope.payload


def _decode(text: str, what: str) -> bytes:
    """Strict base64: re-encoding gives the same text, so neither white space nor stray bits pass."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError(f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise RemoteProtocolError(f"{what} is not canonical base64")
    return data
