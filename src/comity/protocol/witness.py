"""What is said on port 445, where a log asks to be countersigned (docs: protocol, "Audit").

One question, one answer, each a DATA frame of JSON tagged by ``type``. The submission is the body of C2SP
tlog-witness's add-checkpoint; the answers are those of that specification, with notes that show them true.
Parsed strictly; what may be signed is ``audit.witnessing``'s to say.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comity import limits
from comity.protocol.wire import Count, decode, encode

Certificate = Annotated[str, msgspec.Meta(max_length=limits.STATEMENT_BYTES)]
Note = Annotated[str, msgspec.Meta(max_length=limits.WITNESS_SUBMISSION_BYTES)]
Reason = Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class AddCheckpoint(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="add-checkpoint"):
    """``certificate``: the LogKey envelope of the log's key; ``submission``: the body, as text."""

    certificate: Certificate
    submission: Note


class Cosigned(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cosigned"):
    """``line`` is the cosignature, to be put at the note's end; ``certificate`` is that of the key."""

    certificate: Certificate
    line: Note


class Outdated(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="outdated"):
    """``size`` was signed last; ``note`` is that head as the log itself signed it, empty for size 0."""

    size: Count
    note: Note


class Contradicted(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="contradicted"):
    """The head doesn't extend the last one that was signed, ``note``. Both are kept."""

    kind: Literal["equivocation", "rollback", "unproven"]
    reason: Reason
    note: Note


class Refused(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="refused"):
    """Nothing was signed; the submission was not one, or not now."""

    reason: Reason


Answer = Cosigned | Outdated | Contradicted | Refused


def encode_message(message: AddCheckpoint | Answer) -> bytes:
    """One DATA frame's body."""
    return encode(message)


def parse_request(body: bytes | bytearray | memoryview) -> AddCheckpoint:
    """The question; RemoteProtocolError unless it is exactly one."""
    return decode(body, AddCheckpoint, limits.FRAME_BYTES)


def parse_answer(body: bytes | bytearray | memoryview) -> Answer:
    """The answer; RemoteProtocolError unless it is exactly one."""
    return decode(body, Answer, limits.FRAME_BYTES)  # type: ignore[arg-type]  # a union is a decodable type
