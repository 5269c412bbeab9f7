"""What is said on a session's stream: one JSON message a DATA frame, tagged by ``type`` (docs: protocol,
"Session").

Parsed strictly: an unknown message or field ends the session. It decides nothing; ``machine`` does.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity import limits
from comity.protocol.wire import decode, encode

Number = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
Reason = Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]

#: Why a side said goodbye; later versions may have more words.
DUPLICATE = "duplicate"
SHUTDOWN = "shutdown"
ENDED = "agreement ended"


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class Ping(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ping"):
    n: Number


class Pong(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="pong"):
    n: Number


class Statement(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="statement"):
    """``envelope``: a DSSE envelope's JSON; ``id`` counts what this side sent in this session."""

    id: Number
    envelope: Annotated[str, msgspec.Meta(max_length=limits.STATEMENT_BYTES)]


class StatementTaken(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="statement-taken"):
    """The peer has handled and committed the statement with this ``id``."""

    id: Number


class Goodbye(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="goodbye"):
    reason: Reason


Message = Ping | Pong | Statement | StatementTaken | Goodbye


def encode_message(message: Message) -> bytes:
    """One DATA frame's body."""
    return encode(message)


def parse_message(body: bytes | bytearray | memoryview) -> Message:
    """The message in a DATA frame; RemoteProtocolError unless it is exactly one."""
    return decode(body, Message, limits.FRAME_BYTES)  # type: ignore[arg-type]  # a union is a decodable type
