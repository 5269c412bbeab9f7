"""Fingerprints: what people compare out of band, all 64 digits of it.

A fingerprint is the SHA-256 of a key's DER SubjectPublicKeyInfo, so that a cautious partner can recompute it
with OpenSSL alone: ``openssl pkey -in identity.key -pubout -outform DER | sha256sum``. Prefixes are refused:
a comparison uses all 256 bits (SECURITY.md rule 5).

It does not know keys; ``PublicKey.fingerprint`` makes one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from comity.errors import InvalidInput

DIGEST_BYTES = 32
_DIGITS = re.compile(r"[0-9a-fA-F]*\Z")
_SEPARATORS = re.compile(r"[\s:\-]+")
#: 64 digits with two separators after each: nobody types more, and the rest need not be read.
_TEXT_CHARS = 192


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """``digest``: 32 bytes, SHA-256 of a SubjectPublicKeyInfo. Equality takes constant time."""

    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != DIGEST_BYTES:
            raise InvalidInput(f"a fingerprint has {DIGEST_BYTES} bytes, not {len(self.digest)}")

    @classmethod
    def of(cls, spki: bytes) -> Fingerprint:
        """The fingerprint of a DER SubjectPublicKeyInfo."""
        return cls(hashlib.sha256(spki).digest())

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """All 64 hexadecimal digits, in any case, spaces, colons or dashes between; else InvalidInput."""
        hint = "read all 64 digits, as comity card prints them"
        if len(text) > _TEXT_CHARS:
            raise InvalidInput("too long for a fingerprint", hint=hint)
        digits = _SEPARATORS.sub("", text)
        if not _DIGITS.match(digits):
            raise InvalidInput("a fingerprint is made of the hexadecimal digits 0-9 and a-f", hint=hint)
        if len(digits) != 2 * DIGEST_BYTES:
            raise InvalidInput(
                f"a fingerprint has 64 digits and this has {len(digits)}: a part of one proves nothing",
                hint=hint,
            )
        return cls(bytes.fromhex(digits))

    @property
    def grouped(self) -> str:
        """16 groups of 4 digits with spaces between, to be read out over the phone."""
        text = str(self)
        return " ".join(text[at : at + 4] for at in range(0, len(text), 4))

    @property
    def short(self) -> str:
        """First and last 4 digits, to tell two apart on a screen; never compared, never accepted."""
        text = str(self)
        return f"{text[:4]}...{text[-4:]}"

    def __str__(self) -> str:
        return self.digest.hex()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fingerprint):
            return NotImplemented
        return hmac.compare_digest(self.digest, other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)
