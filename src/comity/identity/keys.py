"""Identity keys: Ed25519 public keys that were checked before use, and the one private key of a node.

A PublicKey that exists is canonical, on the curve and not of small order (SECURITY.md rule 3): the library
underneath checks none of these on load, and for a small-order key one constant signature verifies for every
message. The encoding is RFC 8032 section 5.1.2, its decoding rules section 5.1.3; SubjectPublicKeyInfo is
RFC 8410 section 4. An Identity signs X.509 certificates (through ``private_key``) and DSSE statements, and
nothing else (SECURITY.md rule 1).

It does not store keys (``storage.keystore`` does) and decides nothing about trust.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from comity import limits
from comity.errors import InvalidInput, LocalProtocolError, RemoteProtocolError, TooLarge
from comity.identity.envelope import PAYLOAD_TYPE, Envelope, pae
from comity.identity.fingerprint import Fingerprint

KEY_BYTES = 32
_KEYS_KNOWN = 4096  # that were found good, and are not computed again

_HEX = re.compile(r"[0-9a-f]{64}\Z")
#: DER of SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }, up to the bits.
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
#: y of two points of order 8: a root of d·y⁴ + 2·y² - 1, which says that twice the point has y = 0.
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
#: The eight points of small order are those with one of these y: order 1, 2, 4, 4, and 8 four times.
_SMALL_ORDER_Y = frozenset((1, _P - 1, 0, _Y8, _P - _Y8))


class InvalidKey(RemoteProtocolError):
    """Bytes that are no usable public key: of the wrong length, or not a point of the curve."""

    code = "invalid_key"
    default_hint = "ask the other side for its key again: comity card prints the fingerprint to compare"


class NonCanonicalKey(InvalidKey):
    """A second spelling of a point: it would give one key two fingerprints."""

    code = "non_canonical_key"


class SmallOrderKey(InvalidKey):
    """One of the points for which anybody can sign anything."""

    code = "small_order_key"


class BadSignature(RemoteProtocolError):
    """The signature is not this key's over this message."""

    code = "bad_signature"
    default_hint = "compare fingerprints with your partner by phone (comity card)"


@lru_cache(_KEYS_KNOWN)
def _check_point(raw: bytes) -> None:
    """InvalidKey unless ``raw`` is the canonical encoding of a curve point that is not of small order.

    RFC 8032 section 5.1.3. Its step 4, x = 0 with the sign bit set, needs no test of its own: only y = 1 and
    y = -1 have x = 0, and both are of small order. The last test is Euler's criterion for step 2: x² = u / v
    has a root exactly where u·v has one, and v is never 0.
    """
    if len(raw) != KEY_BYTES:
        raise InvalidKey(f"public key has {len(raw)} bytes instead of {KEY_BYTES}")
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    if y % _P in _SMALL_ORDER_Y:
        raise SmallOrderKey("public key is a point of small order, with which anybody can sign")
    if y >= _P:
        raise NonCanonicalKey("public key is not in its canonical encoding")
    u, v = y * y - 1, _D * y * y + 1
    if pow(u * v, (_P - 1) // 2, _P) != 1:
        raise InvalidKey("public key is not a point of the curve")


@dataclass(frozen=True, order=True)
class PublicKey:
    """An Ed25519 public key, ``raw`` its 32 bytes; making one checks it and raises InvalidKey."""

    raw: bytes

    def __post_init__(self) -> None:
        _check_point(self.raw)

    @classmethod
    def parse(cls, raw: bytes) -> PublicKey:
        """The key in 32 bytes; InvalidKey, NonCanonicalKey or SmallOrderKey."""
        return cls(bytes(raw))

    @classmethod
    def from_hex(cls, text: str) -> PublicKey:
        """The key in 64 lower-case hexadecimal digits; InvalidKey or one of its kinds."""
        if not _HEX.match(text):
            raise InvalidKey("public key is not 64 lower-case hexadecimal digits")
        return cls(bytes.fromhex(text))

    @property
    def hex(self) -> str:
        """64 lower-case hexadecimal digits: how statements and messages write a key."""
        return self.raw.hex()

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo, 44 bytes: what the fingerprint covers (RFC 8410 section 4)."""
        return _SPKI_PREFIX + self.raw

    @property
    def fingerprint(self) -> Fingerprint:
        """SHA-256 of ``spki``: what people compare out of band."""
        return Fingerprint.of(self.spki)

    def verify(self, signature: bytes, message: bytes) -> None:
        """BadSignature unless ``signature`` (64 bytes) is this key's over ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            raise BadSignature("the signature does not verify") from None


class Identity:
    """The private key of one node. It shows nothing of itself in ``repr`` and can't be pickled or copied."""

    __slots__ = ("_private", "_public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self._public = PublicKey(private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Identity:
        """A new identity from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Identity:
        """The identity in an unencrypted PKCS #8 PEM (RFC 5958); InvalidInput where it is anything else."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # The library's message may quote the input; nothing of a key belongs in an error.
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidInput(
                "this is not an unencrypted Ed25519 private key in PEM",
                hint="restore the key: comity identity restore FILE",
            )
        return cls(private)

    def to_pem(self) -> bytes:
        """Unencrypted PKCS #8 PEM (RFC 5958), for a file of mode 0600."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> PublicKey:
        """The key that others pin."""
        return self._public

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """For TLS certificates and contexts only: nothing else may sign with it (SECURITY.md rule 1)."""
        return self._private

    def sign_statement(self, payload_type: str, payload: bytes) -> Envelope:
        """A DSSE envelope over ``payload``: the only way in which application bytes are signed.

        ``payload_type`` is ``application/vnd.comity.<type>.v<n>+json``, else LocalProtocolError; TooLarge
        where the envelope's JSON would exceed ``limits.STATEMENT_BYTES``, as no peer would read it.
        """
        if not PAYLOAD_TYPE.match(payload_type):
            raise LocalProtocolError(f"not a payload type that an identity signs: {payload_type!r}")
        envelope = Envelope(payload_type, payload, self._private.sign(pae(payload_type, payload)))
        size = len(envelope.to_json())
        if size > limits.STATEMENT_BYTES:
            raise TooLarge(f"a signed statement of {size} bytes; {limits.STATEMENT_BYTES} is the most")
        return envelope

    def __repr__(self) -> str:
        return f"Identity({self._public.fingerprint.short})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity's private key is not pickled or copied")
