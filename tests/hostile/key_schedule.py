"""The TLS 1.3 key exchange, key schedule and record protection, for the one suite that Comity accepts.

TEST CODE ONLY: nothing here is constant-time, wipes a key or limits its use. `TLS_AES_256_GCM_SHA384`
without pre-shared keys: RFC 8446 section 4.2.8 (key shares), 5.2 and 5.3 (records), 7.1 (schedule);
X25519MLKEM768 as in draft-ietf-tls-ecdhe-mlkem section 4.
"""

import hashlib
import hmac
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

Group = Literal["x25519mlkem768", "x25519"]

HASH_BYTES = 48
MLKEM768_CIPHERTEXT_BYTES = 1088
TAG_BYTES = 16
APPLICATION_DATA = 23


class Classical:
    """x25519 (0x001D): RFC 8446 sections 4.2.8.2 and 7.4.2."""

    code = 0x001D

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def shared(self, answer: bytes) -> bytes:
        return self._private.exchange(X25519PublicKey.from_public_bytes(answer))


class Hybrid:
    """X25519MLKEM768 (0x11EC): in share, answer and secret alike, the ML-KEM part comes first."""

    code = 0x11EC

    def __init__(self) -> None:
        self._kem, self._classical = MLKEM768PrivateKey.generate(), Classical()
        self.public = self._kem.public_key().public_bytes_raw() + self._classical.public

    def shared(self, answer: bytes) -> bytes:
        ciphertext, classical = answer[:MLKEM768_CIPHERTEXT_BYTES], answer[MLKEM768_CIPHERTEXT_BYTES:]
        return self._kem.decapsulate(ciphertext) + self._classical.shared(classical)


KeyShare = Classical | Hybrid
GROUPS: dict[Group, type[KeyShare]] = {"x25519mlkem768": Hybrid, "x25519": Classical}


def expand_label(secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label, RFC 8446 section 7.1."""
    full = b"tls13 " + label.encode()
    info = length.to_bytes(2) + bytes([len(full)]) + full + bytes([len(context)]) + context
    return HKDFExpand(SHA384(), length, info).derive(secret)


def derive_secret(secret: bytes, label: str, transcript: bytes) -> bytes:
    """Derive-Secret, RFC 8446 section 7.1; `transcript` is the hash, 48 bytes."""
    return expand_label(secret, label, transcript, HASH_BYTES)


def handshake_secret(shared: bytes) -> bytes:
    """Early Secret without a pre-shared key, then Handshake Secret (RFC 8446 section 7.1)."""
    zeros = bytes(HASH_BYTES)
    return _extract(_derived(_extract(zeros, zeros)), shared)


def master_secret(handshake: bytes) -> bytes:
    """From the Handshake Secret (RFC 8446 section 7.1)."""
    return _extract(_derived(handshake), bytes(HASH_BYTES))


def finished_mac(base: bytes, transcript: bytes) -> bytes:
    """The `verify_data` of Finished, RFC 8446 section 4.4.4."""
    return hmac.digest(expand_label(base, "finished", b"", HASH_BYTES), transcript, "sha384")


def _extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt, material, "sha384")


def _derived(secret: bytes) -> bytes:
    return derive_secret(secret, "derived", hashlib.sha384().digest())


class Protection:
    """One direction's AES-256-GCM keys and sequence number (RFC 8446 sections 5.2, 5.3 and 7.3)."""

    def __init__(self, secret: bytes) -> None:
        self._aead = AESGCM(expand_label(secret, "key", b"", 32))
        self._iv = int.from_bytes(expand_label(secret, "iv", b"", 12))
        self._sequence = 0

    def seal(self, content_type: int, content: bytes) -> bytes:
        """A whole record, header included."""
        inner = content + bytes([content_type])
        header = bytes([APPLICATION_DATA, 3, 3]) + (len(inner) + TAG_BYTES).to_bytes(2)
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """The true content type and content; `InvalidTag` if the record was not sealed with these keys."""
        inner = self._aead.decrypt(self._nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def _nonce(self) -> bytes:
        nonce = self._iv ^ self._sequence
        self._sequence += 1
        return nonce.to_bytes(12)
