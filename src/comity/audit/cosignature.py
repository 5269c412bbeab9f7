"""Cosignatures: a partner's dated statement that it saw a log's head. C2SP tlog-cosignature, Ed25519.

Bytes only. Whoever cosigns first checks consistency with the last head of that origin that it signed and
persists the new one (SECURITY.md rule 19); that order is the service's to keep. Only checkpoints can be
cosigned, so the message can't be anything that another protocol signs.
"""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity.audit.note import (
    Checkpoint,
    check_signature,
    parse_checkpoint,
    signature_line,
    split_note,
)
from comity.errors import AuditInvalid

COSIGNATURE_V1 = 0x04
"""The signature type that key ids of cosigners cover."""

_STAMP = struct.Struct(">Q")
_LATEST = 2**63 - 1


def cosign(checkpoint: Checkpoint, name: str, key: Ed25519PrivateKey, at: int) -> bytes:
    """The line that adds this cosigner to the checkpoint's note; ``at`` is Unix time in seconds.

    AuditInvalid for a name or a time that no cosignature can carry.
    """
    signature = key.sign(_message(checkpoint.text(), at))
    public_key = key.public_key().public_bytes_raw()
    return signature_line(name, COSIGNATURE_V1, public_key, _STAMP.pack(at) + signature)


def verify_cosignature(note: bytes, name: str, public_key: bytes) -> tuple[Checkpoint, int]:
    """The head that the named cosigner signed, and when (Unix seconds); AuditInvalid if it did not.

    The log's own signature is another question: ``open_checkpoint``.
    """
    text, blob = split_note(note, name, COSIGNATURE_V1, public_key)
    stamp, signature = blob[: _STAMP.size], blob[_STAMP.size :]
    if len(stamp) != _STAMP.size:
        raise AuditInvalid("a cosignature is a time and a signature")
    (at,) = _STAMP.unpack(stamp)
    check_signature(public_key, signature, _message(text, at))
    return parse_checkpoint(text), at


def _message(text: str, at: int) -> bytes:
    if not 0 <= at <= _LATEST:
        raise AuditInvalid(f"no cosignature is from the time {at}")
    return f"cosignature/v1\ntime {at}\n{text}".encode()
