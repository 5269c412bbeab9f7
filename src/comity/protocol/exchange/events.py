"""The events of both machines: what they are told and what they answer (docs: protocol, "Exchange", states).

Frozen values without behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.errors import ComityError
from comity.identity.envelope import Envelope
from comity.protocol.exchange.manifest import Entry
from comity.protocol.exchange.messages import Offer
from comity.protocol.statements import Receipt

# ── both ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MessageReceived:
    """In: one DATA frame's body arrived that is no chunk."""

    body: bytes


@dataclass(frozen=True)
class Trouble:
    """In: this side cannot go on. The peer is told what the error says."""

    error: ComityError


@dataclass(frozen=True)
class Send:
    """Out: one DATA frame to write, in order."""

    body: bytes


@dataclass(frozen=True)
class Failed:
    """Out: it is over. Discard what was written, and finish the stream after what is still to be sent.

    ``refused``: nothing had been accepted. ``by_peer``: the peer refused or gave up.
    """

    error: ComityError
    refused: bool = False
    by_peer: bool = False


# ── the sender's ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Started:
    """In: the stream is open."""


@dataclass(frozen=True)
class Hashed:
    """In: the next chunks of the content, in order; at most ``limits.MANIFEST_PAGE_CHUNKS``."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class ContentHashed:
    """In, after the last chunk: the SHA-256 of the whole content, ``sha256:…``; the file did not change."""

    digest: str


@dataclass(frozen=True)
class SendChunk:
    """Out: one DATA frame to write, in order: ``messages.chunk_header(index)`` and these bytes."""

    index: int
    offset: int
    length: int


@dataclass(frozen=True)
class Delivered:
    """Out: the peer's verified receipt. Finish the stream."""

    receipt: Receipt
    envelope: Envelope


SenderEvent = Started | MessageReceived | Hashed | ContentHashed | Trouble
SenderOutput = Send | SendChunk | Delivered | Failed


# ── the receiver's ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ChunkArrived:
    """In: a chunk is in memory; ``digest`` is the raw SHA-256 of its bytes."""

    index: int
    length: int
    digest: bytes


@dataclass(frozen=True)
class Admitted:
    """In, the answer to Judge: yes, and there is room. ``held``: some of it may be here from before."""

    held: bool = False


@dataclass(frozen=True)
class Complete:
    """In, the answer to Judge: all of it came before; ``receipt`` is the envelope that was signed then."""

    manifest: str
    digest: str
    receipt: bytes


@dataclass(frozen=True)
class Looked:
    """In, the answer to Look: the chunks that are in place and whose digests are the manifest's.

    Where digests are running ones, only chunks before which everything is in place, found or arrived.
    """

    found: frozenset[int]


@dataclass(frozen=True)
class Declined:
    """In, the answer to Judge: no. The peer is told what the error says."""

    error: ComityError


@dataclass(frozen=True)
class ContentDigest:
    """In, the answer to VerifyContent: the SHA-256 of all that was written, ``sha256:…``."""

    digest: str


@dataclass(frozen=True)
class Committed:
    """In, the answer to Commit: the artifact is durable and visible; ``receipt`` is the envelope's JSON."""

    receipt: bytes


@dataclass(frozen=True)
class Judge:
    """Out: is this offer allowed, and is there room for all of it? Answer with Admitted or Declined."""

    offer: Offer


@dataclass(frozen=True)
class Look:
    """Out: which of these entries' chunks are in place from before? Answer with Looked."""

    first: int
    count: int


@dataclass(frozen=True)
class KeepChunk:
    """Out: the chunk that just arrived is the one that was promised, and counts."""

    offset: int
    length: int


@dataclass(frozen=True)
class CopyChunk:
    """Out: write again what lies at ``source`` already."""

    source: int
    offset: int
    length: int


@dataclass(frozen=True)
class VerifyContent:
    """Out: every chunk is in place. Hash the whole, answer with ContentDigest."""


@dataclass(frozen=True)
class Commit:
    """Out: all agrees. Make it durable and visible, sign, answer with Committed."""

    manifest: str
    digest: str


@dataclass(frozen=True)
class Received:
    """Out: once the receipt is sent, finish the stream."""


ReceiverEvent = (
    MessageReceived
    | ChunkArrived
    | Admitted
    | Complete
    | Declined
    | Looked
    | ContentDigest
    | Committed
    | Trouble
)
ReceiverOutput = Send | Judge | Look | KeepChunk | CopyChunk | VerifyContent | Commit | Received | Failed
