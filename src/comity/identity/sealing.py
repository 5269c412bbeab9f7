"""Sealed messages: HPKE base mode to a node's sealing key, so that a mailbox carries bytes it can't read.

The suite is MLKEM768-X25519 (X-Wing), HKDF-SHA256, AES-256-GCM: RFC 9180 with the post-quantum KEM of
draft-ietf-hpke-pq. ``info`` binds what the message is and between whom (SECURITY.md rule 4); plaintext is
padded to multiples of 4 KiB, so that a length tells little. HPKE's base mode authenticates nobody: what is
sealed is a signed envelope.

It does not sign, renew or publish sealing keys: ``protocol.statements.SealingKey`` and the trust service do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NoReturn

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from comity import limits
from comity.errors import InvalidInput, LocalProtocolError, RemoteProtocolError, TooLarge
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import InvalidKey, PublicKey

MLKEM_PUBLIC_BYTES = 1184
PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + 32
SEED_BYTES = 64
PRIVATE_BYTES = SEED_BYTES + 32
MESSAGE_ID_BYTES = 16

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_OVERHEAD = KEM.MLKEM768_X25519.enc_length() + 16  # encapsulated key and AES-GCM's tag
_LENGTH = struct.Struct("!I")
#: The longest plaintext: what fits a mail after padding.
PLAINTEXT_BYTES = (limits.MAIL_BYTES - _OVERHEAD) // limits.SEAL_PADDING * limits.SEAL_PADDING - _LENGTH.size


class UnsealError(RemoteProtocolError):
    """Not sealed to this key, for this purpose, between these two; or damaged on the way."""

    code = "unseal_failed"
    default_hint = "ask your partner to send it again"


@dataclass(frozen=True)
class SealContext:
    """What a sealed message is bound to: its statement ``type``, where, from whom, to whom, and which one.

    The rendezvous is named by its fingerprint, which is all that a node knows of it before it connects.
    """

    type: str
    rendezvous: Fingerprint
    network: int
    sender: PublicKey
    recipient: PublicKey
    message_id: bytes

    def __post_init__(self) -> None:
        if len(self.message_id) != MESSAGE_ID_BYTES:
            raise LocalProtocolError(f"a message id has {MESSAGE_ID_BYTES} bytes, not {len(self.message_id)}")

    def info(self) -> bytes:
        """HPKE's ``info``: RFC 8785 JSON, which has one reading, with a domain label."""
        return rfc8785.dumps(
            {
                "domain": "comity sealed message v1",
                "type": self.type,
                "rendezvous": str(self.rendezvous),
                "network": self.network,
                "sender": self.sender.hex,
                "recipient": self.recipient.hex,
                "message_id": self.message_id.hex(),
            }
        )


class SealingPrivateKey:
    """The private half of a sealing key. It shows nothing in ``repr`` and can't be pickled or copied."""

    __slots__ = ("_mlkem", "_x25519")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._mlkem = mlkem
        self._x25519 = x25519

    @classmethod
    def generate(cls) -> SealingPrivateKey:
        """A new key from the operating system's generator."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> SealingPrivateKey:
        """The key that ``to_bytes`` wrote; InvalidInput where it has another length."""
        if len(data) != PRIVATE_BYTES:
            raise InvalidInput(f"a sealing key has {PRIVATE_BYTES} bytes, not {len(data)}")
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(data[:SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(data[SEED_BYTES:]),
        )

    def to_bytes(self) -> bytes:
        """96 secret bytes: ML-KEM's 64-byte seed (FIPS 203), then X25519's 32."""
        return self._mlkem.private_bytes_raw() + self._x25519.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """1216 bytes: ML-KEM-768's 1184, then X25519's 32."""
        return self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()

    def _hpke(self) -> MLKEM768X25519PrivateKey:
        return MLKEM768X25519PrivateKey(self._mlkem, self._x25519)

    def __repr__(self) -> str:
        return "SealingPrivateKey(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealing key is not pickled or copied")


def seal(plaintext: bytes, recipient_public: bytes, context: SealContext) -> bytes:
    """``plaintext`` for the holder of ``recipient_public`` (1216 bytes), at most ``limits.MAIL_BYTES`` long.

    TooLarge for more than PLAINTEXT_BYTES; InvalidKey where the recipient's key is malformed.
    """
    if len(plaintext) > PLAINTEXT_BYTES:
        raise TooLarge(f"a message of {len(plaintext)} bytes cannot be sealed; {PLAINTEXT_BYTES} is the most")
    if len(recipient_public) != PUBLIC_BYTES:
        raise InvalidKey(f"sealing key has {len(recipient_public)} bytes instead of {PUBLIC_BYTES}")
    padded = _LENGTH.pack(len(plaintext)) + plaintext
    padded += bytes(-len(padded) % limits.SEAL_PADDING)
    try:
        public = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(recipient_public[:MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(recipient_public[MLKEM_PUBLIC_BYTES:]),
        )
        return _SUITE.encrypt(padded, public, info=context.info())
    except ValueError as error:  # coefficients out of range, or an X25519 point of small order
        raise InvalidKey("the recipient's sealing key is malformed") from error


def open_sealed(blob: bytes, private: SealingPrivateKey, context: SealContext) -> bytes:
    """The plaintext that was sealed to ``private`` in exactly this ``context``; else UnsealError."""
    if len(blob) > limits.MAIL_BYTES:
        raise UnsealError(f"sealed message of {len(blob)} bytes exceeds the limit of {limits.MAIL_BYTES}")
    try:
        padded = _SUITE.decrypt(blob, private._hpke(), info=context.info())
    except (InvalidTag, ValueError):
        raise UnsealError("the message was not sealed to this key in this context, or was damaged") from None
    if len(padded) < _LENGTH.size or len(padded) % limits.SEAL_PADDING:
        raise UnsealError("sealed message is not padded to a multiple of 4 KiB")
    (size,) = _LENGTH.unpack_from(padded)
    end = _LENGTH.size + size
    if end > len(padded) or len(padded) - end >= limits.SEAL_PADDING or any(padded[end:]):
        raise UnsealError("sealed message has malformed padding")
    return padded[_LENGTH.size : end]
