"""What a DATA frame of a forward holds (docs: protocol, "Forwarding"): a byte that says what, then the rest.

The port that is wanted stands in the hello's purpose. The acceptor answers OPENED or FAIL; then both sides
send PAYLOAD for which they have CREDIT, END after the last of it, and DONE once the program at their side was
given all of it and its end.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from typing import Annotated

import msgspec

from comity import limits
from comity.errors import (
    ComityError,
    Denied,
    ForwardsBusy,
    NotExposed,
    PeerRefused,
    RemoteProtocolError,
    TargetUnreachable,
)
from comity.identity.text import printable
from comity.protocol.wire import decode, encode

#: The most payload in one frame: its first byte says what it is.
PAYLOAD_BYTES = limits.FRAME_BYTES - 1

_PURPOSE = re.compile(r"tcp ([1-9][0-9]{0,4})")
_CREDIT = struct.Struct(">I")


class Tag(IntEnum):
    """The first byte of a frame."""

    PAYLOAD = 0
    CREDIT = 1
    END = 2
    DONE = 3
    BEAT = 4
    OPENED = 5
    FAIL = 6


#: Those that are their tag and nothing else.
_BARE = frozenset({Tag.END, Tag.DONE, Tag.BEAT, Tag.OPENED})


class _Fail(msgspec.Struct, frozen=True, kw_only=True):
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,31}\Z")]
    message: Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]


#: What both sides call by one name; any other code is a refusal.
_SHARED: dict[str, type[ComityError]] = {
    kind.code: kind for kind in (Denied, ForwardsBusy, NotExposed, TargetUnreachable)
}


def purpose_of(port: int) -> str:
    """What the hello says of a stream to this TCP port."""
    return f"tcp {port}"


def port_of(purpose: str) -> int:
    """The TCP port that a hello's purpose names; RemoteProtocolError where it names none."""
    match = _PURPOSE.fullmatch(purpose)
    port = int(match[1]) if match else 0
    if not 1 <= port <= 65535:
        raise RemoteProtocolError("a stream was opened to forward and names no port")
    return port


def bare(tag: Tag) -> bytes:
    """A frame that is only its tag."""
    return bytes((tag,))


def credit(count: int) -> bytes:
    """The frame that lets the other side send ``count`` bytes more."""
    return bare(Tag.CREDIT) + _CREDIT.pack(count)


def fail(error: ComityError) -> bytes:
    """The frame that tells why nothing was opened."""
    said = _Fail(code=error.code, message=error.message[: limits.CLAIM_BYTES])
    return bare(Tag.FAIL) + encode(said)


def parse(body: bytes) -> tuple[Tag, memoryview]:
    """A frame's tag and what follows it; RemoteProtocolError where it is none of them."""
    if not body:
        raise RemoteProtocolError("an empty frame in a forward")
    try:
        tag = Tag(body[0])
    except ValueError:
        raise RemoteProtocolError(f"a frame of unknown kind {body[0]} in a forward") from None
    rest = memoryview(body)[1:]
    if tag in _BARE and rest:
        raise RemoteProtocolError(f"{len(rest)} bytes after a frame that holds none")
    if tag is Tag.PAYLOAD and not rest:
        raise RemoteProtocolError("a frame of payload without any")
    return tag, rest


def credit_of(rest: memoryview) -> int:
    """How many bytes more a CREDIT allows; RemoteProtocolError."""
    if len(rest) != _CREDIT.size:
        raise RemoteProtocolError(f"a credit of {len(rest)} bytes")
    return int(_CREDIT.unpack(rest)[0])


def error_of(rest: memoryview) -> ComityError:
    """What a FAIL means to the side that asked; RemoteProtocolError."""
    said = decode(rest, _Fail, limits.HELLO_BYTES)
    kind = _SHARED.get(said.code, PeerRefused)
    return kind(f"the peer refused: {printable(said.message, limits.CLAIM_BYTES)}")
