"""How an artifact is cut and hashed: decided once, by the sender, before it is offered.

Where nothing like it was sent before, running digests: one pass of hashing, chunks in order. Where the peer
has an earlier version (the basis), digests of content at edges that follow tensors, so that equal chunks are
found; that takes a second pass, and saves the bytes. Where there are holes, digests of content too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from comity import limits
from comity.protocol.exchange.layout import PREFIX_BYTES, Cuts, Edges, equal_edges, header_bytes, tensor_edges
from comity.protocol.exchange.listing import Listing
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Digests


class Readable(Protocol):
    """Bytes that can be read anywhere; a folder's have a listing. Errors are those of who implements it."""

    size: int
    listing: Listing | None

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``."""


@dataclass(frozen=True)
class Plan:
    """``basis``: the digest of the manifest of what the peer has already, and may take chunks from."""

    digests: Digests
    edges: Edges
    basis: str | None = None


def plan(content: Readable, *, sparse: bool, basis: str | None) -> Plan:
    """Raises what reading ``content`` raises."""
    if basis is not None:
        return Plan(CONTENT, inner_edges(content), basis)
    return Plan(CONTENT if sparse else RUNNING, equal_edges(content.size))


def inner_edges(content: Readable) -> Edges:
    """Edges that follow what is inside. Raises what reading ``content`` raises."""
    if content.listing is not None:
        return _folder_edges(content, content.listing)
    prefix = bytearray(min(PREFIX_BYTES, content.size))
    content.read_into(0, memoryview(prefix))
    length = header_bytes(bytes(prefix), content.size)
    if length is None:
        return equal_edges(content.size)
    header = bytearray(length)
    content.read_into(PREFIX_BYTES, memoryview(header))
    return tensor_edges(content.size, bytes(header))


def _folder_edges(content: Readable, listing: Listing) -> Edges:
    """Small files share a chunk, large ones are cut as they would be by themselves."""
    cuts = Cuts(content.size)
    for (_, length), begin in zip(listing.items, listing.begins, strict=True):
        if length > limits.TENSOR_GROUP_BYTES:
            cuts.at(begin)
            for offset, piece in inner_edges(_Inside(content, begin, length)):
                cuts.at(begin + offset + piece)
        elif length > 0:
            cuts.share(begin, begin + length)
    return cuts.edges()


class _Inside:
    """One file of a folder."""

    listing: Listing | None = None

    def __init__(self, content: Readable, begin: int, size: int) -> None:
        self._content = content
        self._begin = begin
        self.size = size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._content.read_into(self._begin + offset, buffer)
