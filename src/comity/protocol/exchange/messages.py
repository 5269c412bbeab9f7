"""The exchange's messages: one DATA frame each, its first byte the type (docs: protocol, "Exchange", bytes).

    sender → receiver   OFFER  PAGE…  CHUNK…  CLOSE            receiver → sender   ACCEPT or REFUSE  WANT…
    either              FAIL                                                       WORKING…  RECEIPT
    or JOIN, on a further stream

    either, on a stream of its own                CANCEL  →  ACCEPT

Texts and decisions are JSON; pages, wants and chunks are fixed-width integers, big endian, and digests. Each
binary message has one encoding only. JSON members that a later minor version adds are ignored here: whatever
counts is covered by the manifest's digest, which the receipt signs. Every length is checked before anything
is built.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Literal

import msgspec

from comity import limits
from comity.errors import RemoteProtocolError, VersionMismatch
from comity.protocol.exchange.described import Described
from comity.protocol.exchange.manifest import CONTENT, ENTRY_BYTES, RUNNING, Entry, Manifest, unpack_entries
from comity.protocol.wire import Count, Digest, Hex16, Hex32, decode, encode

Buffer = bytes | bytearray | memoryview

_INDEX = struct.Struct("!Q")
_RANGE = struct.Struct("!QI")
FILE = "file"
FOLDER = "folder"


class Type(IntEnum):
    OFFER = 1
    ACCEPT = 2
    REFUSE = 3
    PAGE = 4
    WANT = 5
    CHUNK = 6
    CLOSE = 7
    RECEIPT = 8
    WORKING = 9
    FAIL = 10
    JOIN = 11
    CANCEL = 12
    LISTING = 13
    LANES = 14


Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender would send. ``bytes`` is the logical size, ``nonce`` comes back in the receipt.

    ``transfer`` and ``nonce`` stay the same when an interrupted transfer is taken up again. ``digests`` says
    what the manifest's digests cover (``manifest.Digests``). ``basis`` is the manifest's digest of something
    that arrived before, under this agreement: chunks that are in it need not travel. A folder has a
    ``listing``, by its digest, of so many ``items``.
    """

    transfer: Hex16
    nonce: Hex32
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
    name: Annotated[str, msgspec.Meta(max_length=limits.FILE_NAME_BYTES)]
    bytes: Count
    chunks: Count
    agreement: Digest
    charter: Digest | None
    digests: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")] = CONTENT
    basis: Digest | None = None
    listing: Digest | None = None
    items: Count = 0
    content: Described | None = None


class Accept(msgspec.Struct, frozen=True, kw_only=True):
    """The answer yes. ``all``: the receiver has nothing of it, so every chunk follows its page unasked.

    ``listing``: a folder's listing comes first. ``lanes``: on so many the sender's frames may come.
    """

    transfer: Hex16
    all: bool = False
    listing: bool = False
    lanes: Count = 1


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer no, before any manifest. ``code`` is one of comity.errors' codes."""

    code: Code
    message: Text
    hint: Text = ""


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """All has been sent: ``digest`` is the SHA-256 of the whole content, ``manifest`` the manifest's."""

    digest: Digest
    manifest: Digest


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """The transfer is over, and why. Its sender reads on to the peer's END and says nothing more."""

    code: Code
    message: Text
    hint: Text = ""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """The first message of a further stream: a transfer that runs goes on here, or, with a ``number``, here
    too, once LANES says so. Answered like an offer.
    """

    transfer: Hex16
    number: Count = 0


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """The transfer is over for good, says its sender or receiver. ACCEPT answers, whatever is known of it."""

    transfer: Hex16
    by: Literal["sender", "receiver"]


@dataclass(frozen=True)
class Page:
    """Entries ``first``, ``first + 1``, … of the manifest."""

    first: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Range:
    first: int
    count: int


@dataclass(frozen=True)
class Want:
    """Entries below ``judged`` were looked at; the chunks in ``ranges`` are to be sent.

    Ranges ascend and don't touch. A chunk may be asked for later than in its page's answer, but once only.
    """

    judged: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class SignedReceipt:
    """The JSON of a DSSE envelope over ``statements.Receipt``."""

    envelope: bytes


@dataclass(frozen=True)
class Working:
    """The receiver is alive and has checked this many bytes."""

    done: int


def manifest_of(offer: Offer) -> Manifest:
    """The empty manifest that ``offer`` announces; VersionMismatch, TooLarge, RemoteProtocolError."""
    for known in (CONTENT, RUNNING):
        if offer.digests == known:
            return Manifest(
                kind=offer.kind, name=offer.name, size=offer.bytes, chunks=offer.chunks, digests=known
            )
    raise VersionMismatch(f"this node does not know {offer.digests} digests")


Message = Offer | Accept | Refuse | Page | Want | Close | SignedReceipt | Working | Fail | Join | Cancel


def is_a(kind: Type, body: Buffer) -> bool:
    """Whether a frame's body is a message of this type, as far as its first byte says."""
    return len(body) > 0 and body[0] == kind


def chunk_header(index: int) -> bytes:
    """What precedes a chunk's bytes in its frame."""
    return bytes([Type.CHUNK]) + _INDEX.pack(index)


CHUNK_HEADER_BYTES = len(chunk_header(0))


def parse_chunk(body: memoryview) -> tuple[int, memoryview]:
    """Index and content (a view into ``body``) of a CHUNK; RemoteProtocolError where it is malformed."""
    if not is_a(Type.CHUNK, body) or len(body) <= CHUNK_HEADER_BYTES:
        raise RemoteProtocolError("malformed chunk")
    if len(body) - CHUNK_HEADER_BYTES > limits.CHUNK_BYTES:
        raise RemoteProtocolError(f"a chunk of more than {limits.CHUNK_BYTES} bytes")
    index: int = _INDEX.unpack_from(body, 1)[0]
    return index, body[CHUNK_HEADER_BYTES:]


def encode_message(message: Message) -> bytes:
    """The body of the frame that carries ``message``."""
    match message:
        case Page():
            packed = b"".join(entry.pack() for entry in message.entries)
            return bytes([Type.PAGE]) + _INDEX.pack(message.first) + packed
        case Want():
            packed = b"".join(_RANGE.pack(part.first, part.count) for part in message.ranges)
            return bytes([Type.WANT]) + _INDEX.pack(message.judged) + packed
        case SignedReceipt():
            return bytes([Type.RECEIPT]) + message.envelope
        case Working():
            return bytes([Type.WORKING]) + _INDEX.pack(message.done)
        case _:
            return bytes([_JSON_TYPES[type(message)]]) + encode(message)


def parse_message(body: Buffer) -> Message:
    """The message in a frame's body; RemoteProtocolError for a chunk and for anything malformed."""
    view = memoryview(body)
    if not view:
        raise RemoteProtocolError("empty exchange message")
    kind, rest = view[0], view[1:]
    match kind:
        case Type.OFFER | Type.ACCEPT | Type.REFUSE | Type.CLOSE | Type.FAIL | Type.JOIN | Type.CANCEL:
            return decode(rest, _JSON_STRUCTS[Type(kind)], limits.EXCHANGE_MESSAGE_BYTES)
        case Type.PAGE:
            return _parse_page(rest)
        case Type.WANT:
            return _parse_want(rest)
        case Type.RECEIPT:
            if len(rest) > limits.STATEMENT_BYTES:
                raise RemoteProtocolError(f"a receipt of {len(rest)} bytes is too long")
            return SignedReceipt(bytes(rest))
        case Type.WORKING:
            if len(rest) != _INDEX.size:
                raise RemoteProtocolError("malformed working message")
            return Working(_INDEX.unpack(rest)[0])
        case Type.CHUNK:
            raise RemoteProtocolError("a chunk where none may come")
        case _:
            raise RemoteProtocolError(f"unknown exchange message {kind}")


_JSON_STRUCTS: dict[Type, type[Offer | Accept | Refuse | Close | Fail | Join | Cancel]] = {
    Type.OFFER: Offer,
    Type.ACCEPT: Accept,
    Type.REFUSE: Refuse,
    Type.CLOSE: Close,
    Type.FAIL: Fail,
    Type.JOIN: Join,
    Type.CANCEL: Cancel,
}
_JSON_TYPES: dict[type[Message], Type] = {struct_type: kind for kind, struct_type in _JSON_STRUCTS.items()}


def _parse_page(rest: memoryview) -> Page:
    count, extra = divmod(len(rest) - _INDEX.size, ENTRY_BYTES)
    if extra or not 1 <= count <= limits.MANIFEST_PAGE_CHUNKS:
        raise RemoteProtocolError(f"a manifest page holds 1 to {limits.MANIFEST_PAGE_CHUNKS} whole entries")
    return Page(_INDEX.unpack_from(rest)[0], unpack_entries(rest[_INDEX.size :]))


def _parse_want(rest: memoryview) -> Want:
    count, extra = divmod(len(rest) - _INDEX.size, _RANGE.size)
    if extra or not 0 <= count <= limits.MANIFEST_PAGE_CHUNKS:
        raise RemoteProtocolError(f"a want holds at most {limits.MANIFEST_PAGE_CHUNKS} whole ranges")
    judged: int = _INDEX.unpack_from(rest)[0]
    ranges = tuple(Range(*pair) for pair in _RANGE.iter_unpack(rest[_INDEX.size :]))
    end = -1
    for part in ranges:
        if part.first <= end or part.count < 1 or part.first + part.count > judged:
            raise RemoteProtocolError("a want's ranges must ascend, not touch, and lie in what was judged")
        end = part.first + part.count
    return Want(judged, ranges)


def ranges_of(indices: list[int]) -> tuple[Range, ...]:
    """Ascending distinct indices as ranges that don't touch."""
    found: list[Range] = []
    for index in indices:
        if found and found[-1].first + found[-1].count == index:
            found[-1] = Range(found[-1].first, found[-1].count + 1)
        else:
            found.append(Range(index, 1))
    return tuple(found)
