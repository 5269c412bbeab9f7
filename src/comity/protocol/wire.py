"""Strict JSON for everything that crosses a trust boundary: parsed once, at the edge, length checked first.

Statements are RFC 8785 canonical JSON, and a parser that re-encodes what it read and compares refuses every
second spelling at once: duplicate keys, white space, other escapes, reordered members. Messages inside an
authenticated channel need no canonical form and are only parsed strictly.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
import rfc8785

from comity.errors import RemoteProtocolError
from comity.identity.text import printable

T = TypeVar("T")

#: 32 bytes (an Ed25519 public key, a nonce) in lower-case hexadecimal.
Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
#: 16 bytes in lower-case hexadecimal: message and transfer identifiers.
Hex16 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
#: ``sha256:`` and 64 hexadecimal digits.
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
#: Whole seconds since 1970 UTC, before the year 2500.
Seconds = Annotated[int, msgspec.Meta(ge=0, le=16_725_225_600)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Network = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


def encode_canonical(value: msgspec.Struct) -> bytes:
    """The RFC 8785 encoding of a struct."""
    return rfc8785.dumps(msgspec.to_builtins(value))


def decode_canonical(data: bytes, kind: type[T], limit: int) -> T:
    """Parse ``data`` as ``kind``; RemoteProtocolError unless it is that struct's one canonical encoding."""
    value = decode(data, kind, limit)
    try:
        canonical = rfc8785.dumps(msgspec.to_builtins(value))
    except rfc8785.CanonicalizationError as error:
        raise RemoteProtocolError(f"statement cannot be written canonically: {error}") from error
    if canonical != data:
        raise RemoteProtocolError("statement is not in RFC 8785 canonical form")
    return value


def encode(value: object) -> bytes:
    """JSON of a message inside an authenticated channel."""
    return msgspec.json.encode(value)


def decode(data: bytes | bytearray | memoryview, kind: type[T], limit: int) -> T:
    """Parse ``data`` as ``kind``; RemoteProtocolError when it is longer than ``limit`` or anything else."""
    if len(data) > limit:
        raise RemoteProtocolError(f"message of {len(data)} bytes exceeds the limit of {limit}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The parser quotes what it was given: a field's name may be as long as the message, and anything.
        raise RemoteProtocolError(f"malformed message: {printable(str(error), 200)}") from error
