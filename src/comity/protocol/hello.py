"""Hello and welcome: what opens each stream on an authenticated link (docs: protocol, "Hello").

The dialler says which versions it speaks, which virtual port it wants and why; the acceptor answers WELCOME,
or REFUSED with a reason. To a key that is not approved every refusal is the same (SECURITY.md rule 10).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity import limits
from comity.errors import ComityError, PeerRefused, RemoteProtocolError, VersionMismatch
from comity.protocol.versions import Speaks, choose
from comity.protocol.wire import Digest, Hex16, Port, decode, encode

VERSION = 1
OLDEST_VERSION = 1

ECHO_PORT = 7
SESSION_PORT = 444
WITNESS_PORT = 445
EXCHANGE_PORT = 1001
EVENTS_PORT = 1002
FORWARD_PORT = 1003


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """``instance`` is drawn once per daemon start, so a rebooted peer is told from a second connection.

    Unknown fields are ignored here, so that a later minor version can add some; signed statements refuse
    them.
    """

    oldest: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    newest: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    port: Port
    instance: Hex16
    agreement: Digest | None = None
    charter: Digest | None = None
    purpose: Annotated[str, msgspec.Meta(max_length=limits.PURPOSE_BYTES)] = ""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    instance: Hex16


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` is stable; ``reason`` is for a person and is escaped before it is printed."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,31}\Z")]
    reason: Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]


#: The one answer to whoever is not approved, whatever was wrong.
UNIFORM_REFUSAL = Refused(code="not_approved", reason="this key is not approved here")


def encode_message(message: Hello | Welcome | Refused) -> bytes:
    """The body of the frame that carries ``message``."""
    return encode(message)


def parse_hello(body: bytes | bytearray | memoryview) -> Hello:
    """A HELLO's body; RemoteProtocolError where it is not one."""
    hello = decode(body, Hello, limits.HELLO_BYTES)
    if hello.oldest > hello.newest:
        raise RemoteProtocolError("hello carries an empty version range")
    return hello


def parse_welcome(body: bytes | bytearray | memoryview) -> Welcome:
    """A WELCOME's body; VersionMismatch where it chooses what was not offered."""
    welcome = decode(body, Welcome, limits.HELLO_BYTES)
    if not OLDEST_VERSION <= welcome.version <= VERSION:
        raise VersionMismatch(f"the peer chose protocol version {welcome.version}, which was not offered")
    return welcome


def parse_refused(body: bytes | bytearray | memoryview) -> Refused:
    """A REFUSED's body; RemoteProtocolError where it is not one."""
    return decode(body, Refused, limits.HELLO_BYTES)


def choose_version(hello: Hello) -> int:
    """The newest version that both speak; VersionMismatch where there is none, in words for both sides."""
    calling = Speaks("the calling node", hello.oldest, hello.newest)
    return choose(calling, Speaks("the called node", OLDEST_VERSION, VERSION))


def refusal_error(refused: Refused) -> ComityError:
    """What the dialler raises for a REFUSED frame."""
    if refused.code == "version":
        return VersionMismatch(refused.reason)
    return PeerRefused(f"the peer refused: {refused.reason} ({refused.code})")
