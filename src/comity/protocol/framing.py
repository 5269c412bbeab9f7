"""Frames: how one TLS byte stream carries hello, data and an authenticated end (docs: protocol, "Frames").

    frame := length (4 bytes, big endian, of kind and body) ‖ kind (1 byte) ‖ body

An END carries the number of DATA frames and bytes that its side sent, so a cut stream can never pass for a
finished one, whatever TLS was told (SECURITY.md rule 11). No IO here: lanes and streams use the same header.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from comity.errors import RemoteProtocolError

HEADER = struct.Struct("!IB")
_END = struct.Struct("!QQ")


class Kind(IntEnum):
    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    DATA = 4
    END = 5


def header(kind: Kind, size: int) -> bytes:
    """The five bytes that precede a body of ``size`` bytes."""
    return HEADER.pack(size + 1, kind)


def parse_header(data: bytes | bytearray | memoryview, limit: int) -> tuple[Kind, int]:
    """Kind and body length; RemoteProtocolError for an unknown kind or a body over ``limit`` bytes."""
    length, kind = HEADER.unpack(data)
    if length < 1:
        raise RemoteProtocolError("frame without a kind")
    if length - 1 > limit:
        raise RemoteProtocolError(f"frame of {length - 1} bytes exceeds the limit of {limit}")
    try:
        return Kind(kind), length - 1
    except ValueError:
        raise RemoteProtocolError(f"unknown frame kind {kind}") from None


def end_body(frames: int, size: int) -> bytes:
    """The body of an END after ``frames`` DATA frames with ``size`` bytes of body in all."""
    return _END.pack(frames, size)


def check_end(body: bytes | bytearray | memoryview, frames: int, size: int) -> None:
    """RemoteProtocolError unless the END counts what arrived."""
    if len(body) != _END.size:
        raise RemoteProtocolError("malformed end frame")
    if _END.unpack(body) != (frames, size):
        raise RemoteProtocolError("the stream's end does not match what arrived")
