"""Signed notes and log checkpoints: C2SP signed-note and tlog-checkpoint, with Ed25519 keys.

A note is a text and signatures over it; a checkpoint is a note whose text is a log's origin, size and
root. Stricter than the specifications where they leave room: signatures are canonical base64, a key signs
a note once (as tlog-checkpoint demands), and checkpoints carry no extension lines. It knows one signature
type; those of other keys are checked for form and otherwise ignored, as signed-note demands.

Notes are bytes, as stored and sent; texts are str. The key that signs notes signs nothing else, and public
keys are vetted where they are accepted (SECURITY.md rules 1 and 3).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from comity import limits
from comity.audit.merkle import HASH_BYTES
from comity.errors import AuditInvalid

ED25519 = 0x01
"""The signature type of a note signed with Ed25519, which key ids cover."""

_DASH = "\N{EM DASH} "
_KEY_ID_BYTES = 4
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head. ``origin`` names the log as a key name does; ``root`` is 32 bytes over ``size`` leaves.

    Raises AuditInvalid for values that no checkpoint can hold.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        check_name(self.origin)
        if not 0 <= self.size <= limits.AUDIT_TREE_SIZE:
            raise AuditInvalid(f"no log has {self.size} entries")
        if len(self.root) != HASH_BYTES:
            raise AuditInvalid(f"a log's root is {HASH_BYTES} bytes, not {len(self.root)}")

    def text(self) -> str:
        """The note text: three lines, each ended."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint whose text this is, to the byte; AuditInvalid for anything else."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise AuditInvalid("a checkpoint is three lines: origin, size and root")
    origin, size, root, _ = lines
    if not _SIZE.fullmatch(size):
        raise AuditInvalid("a checkpoint's size is a decimal number without leading zeroes")
    return Checkpoint(origin, int(size), decode_base64(root))


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """The signed note of a log's head; the log's key goes by the name of its origin."""
    return sign_note(checkpoint.text(), checkpoint.origin, key)


def open_checkpoint(note: bytes, origin: str, public_key: bytes) -> Checkpoint:
    """The head that the log ``origin`` signed with its key; AuditInvalid if it is not that log's."""
    checkpoint = parse_checkpoint(verify_note(note, origin, public_key))
    if checkpoint.origin != origin:
        raise AuditInvalid("the checkpoint is of another log")
    return checkpoint


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> bytes:
    """``text``, which ends in a newline, and its signature by ``key`` under ``name``.

    AuditInvalid for a text or a name that no note can carry.
    """
    message = _text_bytes(text)
    line = signature_line(name, ED25519, key.public_key().public_bytes_raw(), key.sign(message))
    return message + b"\n" + line


def verify_note(note: bytes, name: str, public_key: bytes) -> str:
    """The text that the key (32 bytes, Ed25519) signed under ``name``; AuditInvalid if it did not."""
    text, signature = split_note(note, name, ED25519, public_key)
    check_signature(public_key, signature, text.encode())
    return text


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """The 4 bytes by which a signature line names its key: short, so never proof of anything."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:_KEY_ID_BYTES]


def signature_line(name: str, kind: int, public_key: bytes, signature: bytes) -> bytes:
    """One line to add to the end of a note."""
    check_name(name)
    return f"{_DASH}{name} {encode_base64(key_id(name, kind, public_key) + signature)}\n".encode()


def split_note(note: bytes, name: str, kind: int, public_key: bytes) -> tuple[str, bytes]:
    """A note's text, *not yet verified*, and the one signature in it of the named key."""
    check_name(name)
    text, lines = _parse(note)
    wanted = key_id(name, kind, public_key)
    found = [blob for signer, blob in lines if signer == name and blob.startswith(wanted)]
    if len(found) != 1:
        raise AuditInvalid(f"the note carries {len(found)} signatures of the key, not one")
    return text, found[0][_KEY_ID_BYTES:]


def check_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """AuditInvalid unless ``signature`` over ``message`` is by the Ed25519 key of 32 bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise AuditInvalid("the note's signature does not verify") from error


def check_name(name: str) -> None:
    """AuditInvalid unless ``name`` can name a key: no spaces, no plus, no control characters, bounded."""
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise AuditInvalid("a key name has neither spaces nor plus nor control characters, and is not empty")
    try:
        long = len(name.encode()) > limits.NOTE_NAME_BYTES
    except UnicodeEncodeError as error:
        raise AuditInvalid("a key name is valid UTF-8") from error
    if long:
        raise AuditInvalid(f"a key name is at most {limits.NOTE_NAME_BYTES} bytes")


def encode_base64(data: bytes) -> str:
    """Standard, padded base64 (RFC 4648 §4)."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Standard, padded base64 in its one form (RFC 4648 §3.5); AuditInvalid otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuditInvalid("base64 is malformed") from error
    if encode_base64(data) != text:
        raise AuditInvalid("base64 is not in canonical form")
    return data


def _parse(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """A note's text and its signature lines: key name, and key id with signature."""
    if len(note) > limits.NOTE_BYTES:
        raise AuditInvalid(f"a note is at most {limits.NOTE_BYTES} bytes")
    try:
        content = note.decode()
    except UnicodeDecodeError as error:
        raise AuditInvalid("a note is valid UTF-8") from error
    text, blank, rest = content.rpartition("\n\n")
    *lines, after = rest.split("\n")
    if not blank or not lines or after:
        raise AuditInvalid("a note is a text, an empty line and signature lines")
    if len(lines) > limits.NOTE_SIGNATURES:
        raise AuditInvalid(f"a note has at most {limits.NOTE_SIGNATURES} signatures")
    text += "\n"
    _text_bytes(text)
    return text, [_parse_line(line) for line in lines]


def _parse_line(line: str) -> tuple[str, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise AuditInvalid("a signature line is a dash, a key name and a signature")
    check_name(name)
    blob = decode_base64(encoded)
    if len(blob) <= _KEY_ID_BYTES:
        raise AuditInvalid("a signature line holds no signature")
    return name, blob


def _text_bytes(text: str) -> bytes:
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise AuditInvalid("a note's text ends in a newline and has no other control characters")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise AuditInvalid("a note is valid UTF-8") from error
