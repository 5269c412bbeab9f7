"""A countersigned checkpoint as a file: what a partner keeps, to hold a log against later.

    {"format": "comity-checkpoint/1", "note": NOTE, "log_key": ENVELOPE, "witness_key": ENVELOPE}

``note`` is a C2SP checkpoint with the log's signature and the partner's cosignature. The envelopes certify
both keys; they are opened elsewhere (``protocol.logkeys``). The file is worth something to whoever got it
from the partner, not from the log's operator (SECURITY.md rule 19).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec

from comity import limits
from comity.audit.cosignature import verify_cosignature
from comity.audit.note import open_checkpoint
from comity.errors import AuditInvalid
from comity.identity.text import printable

FORMAT = "comity-checkpoint/1"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    note: str
    log_key: msgspec.Raw
    witness_key: msgspec.Raw


@dataclass(frozen=True)
class AnchorFile:
    """What is in the file, not yet verified. The keys are JSON envelopes."""

    note: bytes
    log_key: bytes
    witness_key: bytes


@dataclass(frozen=True)
class Anchor:
    """A verified head: ``at`` is when the witness signed, in seconds UTC."""

    size: int
    root: bytes
    at: int


def write_anchor(note: bytes, log_key: bytes, witness_key: bytes) -> str:
    """The file's text."""
    content = {
        "format": FORMAT,
        "note": note.decode(),
        "log_key": json.loads(log_key),
        "witness_key": json.loads(witness_key),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_anchor(data: bytes) -> AnchorFile:
    """The file's parts; AuditInvalid where it is not one."""
    if len(data) > limits.CHECKPOINT_FILE_BYTES:
        raise AuditInvalid("the checkpoint file is longer than one can be", hint=_HINT)
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AuditInvalid(
            f"the checkpoint file is not one: {printable(str(error), 200)}", hint=_HINT
        ) from error
    if file.format != FORMAT:
        raise AuditInvalid(f"the checkpoint file is not a {FORMAT}", hint="upgrade comity, or check the file")
    return AnchorFile(file.note.encode(), bytes(file.log_key), bytes(file.witness_key))


def open_anchor(note: bytes, *, origin: str, log_key: bytes, witness_name: str, witness_key: bytes) -> Anchor:
    """The head that both keys signed; AuditInvalid where one of them did not."""
    head = open_checkpoint(note, origin, log_key)
    seen, at = verify_cosignature(note, witness_name, witness_key)
    if seen != head:
        raise AuditInvalid("the cosignature is of another head")
    return Anchor(head.size, head.root, at)


_HINT = "the partner makes it with comity audit checkpoint PEER --out FILE"
