"""How an artifact is cut and hashed: decided once, by the sender, before it is offered.

Where nothing like it was sent before, running digests: one pass of hashing, chunks in order. Where the peer
has an earlier version (the basis), digests of content at edges that follow tensors, so that equal chunks are
found; that takes a second pass, and saves the bytes. Where there are holes, digests of content too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from comity.protocol.exchange.layout import PREFIX_BYTES, Edges, equal_edges, header_bytes, tensor_edges
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Digests


class Readable(Protocol):
    """Bytes that can be read anywhere. Errors are those of who implements it."""

    size: int

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
    prefix = bytearray(min(PREFIX_BYTES, content.size))
    content.read_into(0, memoryview(prefix))
    length = header_bytes(bytes(prefix), content.size)
    if length is None:
        return equal_edges(content.size)
    header = bytearray(length)
    content.read_into(PREFIX_BYTES, memoryview(header))
    return tensor_edges(content.size, bytes(header))
