"""One audit entry: what happened, in bytes that can be written in one way only.

The body is RFC 8785 JSON of all fields, bounded and typed. The log's leaf is not the body but a salted
commitment to it, so that a body and its salt can be erased while the tree stays whole (SECURITY.md
rule 20). It does not decide what is logged, nor show it: texts are stored as they came, and whoever prints
them escapes them.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
import rfc8785
from msgspec import Meta

from comity import limits
from comity.errors import AuditInvalid, LocalProtocolError

SALT_BYTES = 32
COMMITMENT_BYTES = 32
_SAFE_INTEGER = 2**53 - 1  # RFC 8785 §3.2.2.3: beyond it, JSON numbers lose digits

Word = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_.-]*\Z", max_length=limits.AUDIT_WORD_CHARS)]
Text = Annotated[str, Meta(max_length=limits.AUDIT_TEXT_CHARS)]
Number = Annotated[int, Meta(ge=-_SAFE_INTEGER, le=_SAFE_INTEGER)]
Milliseconds = Annotated[int, Meta(ge=0, le=_SAFE_INTEGER)]
Fingerprint = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Digest = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
Reasons = Annotated[tuple[Text, ...], Meta(max_length=limits.AUDIT_REASONS)]
Detail = Annotated[dict[Word, Text | Number | bool | None], Meta(max_length=limits.AUDIT_DETAILS)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happened.

    ``at`` is Unix time in milliseconds; ``peer`` is a fingerprint, 64 lower-case hex digits; ``decision``
    and ``reasons`` are the guard's where it was asked; ``digest`` ("sha256:…") names what it was about: an
    agreement, a charter, a manifest. ``detail`` holds at most ``limits.AUDIT_DETAILS`` named values and is
    not to be changed once the entry is made.

    These fields are final: one more would give every older entry another encoding. What later versions
    have to say goes into ``detail``.
    """

    at: Milliseconds
    kind: Word
    peer: Fingerprint | None = None
    operation: Word | None = None
    decision: Literal["allow", "deny"] | None = None
    reasons: Reasons = ()
    digest: Digest | None = None
    detail: Detail = msgspec.field(default_factory=dict)


_DECODER = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """The one encoding of an entry; LocalProtocolError if it breaks a bound, which is our own bug."""
    try:
        body = rfc8785.dumps(msgspec.structs.asdict(entry))
        _DECODER.decode(body)  # the constructor checks no types and no bounds
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise LocalProtocolError(f"audit entry cannot be written: {error}") from error
    if len(body) > limits.AUDIT_ENTRY_BYTES:
        raise LocalProtocolError(f"audit entry is {len(body)} bytes, more than {limits.AUDIT_ENTRY_BYTES}")
    return body


def parse_entry(body: bytes) -> Entry:
    """The entry whose encoding is exactly ``body``; AuditInvalid for anything else.

    Comparing with the canonical encoding refuses duplicate keys, white space, missing fields and every
    other second way to write the same.
    """
    if len(body) > limits.AUDIT_ENTRY_BYTES:
        raise AuditInvalid(f"audit entry is {len(body)} bytes, more than {limits.AUDIT_ENTRY_BYTES}")
    try:
        entry = _DECODER.decode(body)
        canonical = rfc8785.dumps(msgspec.structs.asdict(entry))
    except (ValueError, msgspec.MsgspecError) as error:
        raise AuditInvalid("audit entry is malformed") from error
    if canonical != body:
        raise AuditInvalid("audit entry is not in canonical form")
    return entry


def commitment(salt: bytes, body: bytes) -> bytes:
    """SHA-256(salt ‖ body): the 32 bytes that the log's leaf holds (SECURITY.md rule 20).

    ``salt`` is 32 random bytes, fresh for each entry: without it, an erased body could be guessed.
    """
    if len(salt) != SALT_BYTES:
        raise AuditInvalid(f"an audit salt is {SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(salt + body).digest()
