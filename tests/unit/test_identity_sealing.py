"""Sealed messages open in exactly the context for which they were sealed, and show their size roughly."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from comity import limits
from comity.errors import InvalidInput, LocalProtocolError, TooLarge
from comity.identity.keys import Identity, InvalidKey
from comity.identity.sealing import (
    PLAINTEXT_BYTES,
    PRIVATE_BYTES,
    PUBLIC_BYTES,
    SealContext,
    SealingPrivateKey,
    UnsealError,
    open_sealed,
    seal,
)

KEYS = [Identity(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)).public for n in range(4)]
CONTEXT = SealContext("handshake-request", KEYS[0].fingerprint, 1, KEYS[1], KEYS[2], bytes(16))
PRIVATE = SealingPrivateKey.from_bytes(bytes(range(PRIVATE_BYTES)))


@pytest.mark.parametrize("size", [0, 1, 4091, 4092, 4093, PLAINTEXT_BYTES])
def test_round_trip(size: int) -> None:
    blob = seal(b"x" * size, PRIVATE.public, CONTEXT)
    assert open_sealed(blob, PRIVATE, CONTEXT) == b"x" * size
    assert len(blob) <= limits.MAIL_BYTES


def test_length_shows_multiples_of_the_padding_only() -> None:
    lengths = {len(seal(b"x" * size, PRIVATE.public, CONTEXT)) for size in (0, 1, 2000, 4092)}
    assert len(lengths) == 1
    assert len(seal(b"x" * 4093, PRIVATE.public, CONTEXT)) == lengths.pop() + limits.SEAL_PADDING


def test_sealing_twice_gives_different_bytes() -> None:
    assert seal(b"x", PRIVATE.public, CONTEXT) != seal(b"x", PRIVATE.public, CONTEXT)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "approval"},
        {"rendezvous": KEYS[3].fingerprint},
        {"network": 2},
        {"sender": KEYS[3]},
        {"recipient": KEYS[3]},
        {"sender": KEYS[2], "recipient": KEYS[1]},
        {"message_id": bytes(15) + b"\1"},
    ],
)
def test_any_other_context_is_refused(change: dict[str, Any]) -> None:
    other = dataclasses.replace(CONTEXT, **change)
    assert other.info() != CONTEXT.info()
    with pytest.raises(UnsealError):
        open_sealed(seal(b"x", PRIVATE.public, CONTEXT), PRIVATE, other)


def test_another_key_cannot_open() -> None:
    with pytest.raises(UnsealError):
        open_sealed(seal(b"x", PRIVATE.public, CONTEXT), SealingPrivateKey.generate(), CONTEXT)


@pytest.mark.parametrize("at", [0, 1087, 1088, 1119, 1120, 3000, -1])
def test_damage_is_found(at: int) -> None:
    blob = bytearray(seal(b"x", PRIVATE.public, CONTEXT))
    blob[at] ^= 1
    with pytest.raises(UnsealError):
        open_sealed(bytes(blob), PRIVATE, CONTEXT)


@pytest.mark.parametrize("blob", [b"", b"x", bytes(1120), bytes(1136), bytes(limits.MAIL_BYTES + 1)])
def test_other_bytes_are_refused(blob: bytes) -> None:
    with pytest.raises(UnsealError):
        open_sealed(blob, PRIVATE, CONTEXT)


def test_too_large() -> None:
    with pytest.raises(TooLarge):
        seal(bytes(PLAINTEXT_BYTES + 1), PRIVATE.public, CONTEXT)


def seal_without_padding(padded: bytes) -> bytes:
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    public = MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(PRIVATE.public[:1184]),
        X25519PublicKey.from_public_bytes(PRIVATE.public[1184:]),
    )
    return suite.encrypt(padded, public, info=CONTEXT.info())


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\0\0\0",
        struct.pack("!I", 1) + b"x",  # not a multiple
        (struct.pack("!I", 4093) + b"x").ljust(4096, b"\0"),  # longer than what is there
        struct.pack("!I", 2**32 - 1).ljust(4096, b"\0"),
        (struct.pack("!I", 1) + b"x").ljust(4096, b"\1"),  # hidden bytes
        (struct.pack("!I", 1) + b"x").ljust(8192, b"\0"),  # more padding than is needed
    ],
)
def test_malformed_padding_of_a_sender_is_refused(padded: bytes) -> None:
    with pytest.raises(UnsealError):
        open_sealed(seal_without_padding(padded), PRIVATE, CONTEXT)


def test_what_this_file_seals_by_hand_opens() -> None:
    padded = (struct.pack("!I", 1) + b"x").ljust(4096, b"\0")
    assert open_sealed(seal_without_padding(padded), PRIVATE, CONTEXT) == b"x"


@pytest.mark.parametrize(
    "public",
    [
        b"",
        PRIVATE.public[:-1],
        PRIVATE.public + b"\0",
        b"\xff" * 1184 + PRIVATE.public[1184:],  # coefficients not below q: FIPS 203 section 7.2
        PRIVATE.public[:1184] + bytes(32),  # a small-order X25519 point
    ],
)
def test_malformed_recipient_key(public: bytes) -> None:
    with pytest.raises(InvalidKey):
        seal(b"x", public, CONTEXT)


def test_private_key_round_trips_and_shows_nothing() -> None:
    first = SealingPrivateKey.generate()
    again = SealingPrivateKey.from_bytes(first.to_bytes())
    assert again.public == first.public
    assert len(first.public) == PUBLIC_BYTES == 1216
    assert repr(first) == "SealingPrivateKey(...)"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            take(first)


@pytest.mark.parametrize("size", [0, 95, 97])
def test_private_key_length(size: int) -> None:
    with pytest.raises(InvalidInput):
        SealingPrivateKey.from_bytes(bytes(size))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_message_id_length(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        dataclasses.replace(CONTEXT, message_id=bytes(size))
