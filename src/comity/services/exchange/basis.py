"""An artifact that came from this peer before, from which unchanged chunks are taken instead of the wire.

Only what this very peer sent, whole, under the agreement in force is looked into, and only if it names it: so
what a receiver leaves unasked tells a peer nothing that it didn't send itself (SECURITY.md rule 12). The file
may have been changed or removed since, so nothing is remembered of it: its chunks are hashed when the first
page comes, and again when they are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from comity.errors import ComityError
from comity.protocol.exchange.manifest import CONTENT
from comity.protocol.exchange.messages import Offer
from comity.services.exchange.planning import inner_edges
from comity.services.exchange.surroundings import Surroundings
from comity.services.trust import KnownPeer
from comity.storage.parts import Source


def basis_of(around: Surroundings, peer: KnownPeer, offer: Offer) -> Basis | None:
    """What ``offer`` names as its basis, if that came from this peer under this agreement, and is here."""
    if offer.basis is None or offer.digests != CONTENT:
        return None
    row = around.store.arrived_before(peer.key, offer.agreement, offer.basis)
    if row is None or row.folder is None or row.stored is None:
        return None
    return Basis(partial(around.blobs.source, row.folder, row.stored))


class Basis:
    """Chunks in what ``find`` opens when it is needed. One thread. What can't be read has no chunks."""

    def __init__(self, open_source: Callable[[], Source | None]) -> None:
        self._open_source = open_source
        self._source: Source | None = None
        self._where: dict[bytes, tuple[int, int]] | None = None
        self._buffer = memoryview(b"")

    def find(self, digest: bytes, length: int, tick: Callable[[], None]) -> memoryview | None:
        """The chunk with this digest, valid until the next call; ``tick`` is called while it takes long."""
        if self._where is None:
            self._where = self._index(tick)
        offset, there = self._where.get(digest, (0, -1))
        if there != length:
            return None
        if self._source is None:
            return None
        try:
            piece = self._read(self._source, offset, length)
        except ComityError:
            return None
        return piece if hashlib.sha256(piece).digest() == digest else None

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def _index(self, tick: Callable[[], None]) -> dict[bytes, tuple[int, int]]:
        where: dict[bytes, tuple[int, int]] = {}
        try:
            self._source = source = self._open_source()
            if source is None:
                return where
            for offset, length in inner_edges(source):
                where[hashlib.sha256(self._read(source, offset, length)).digest()] = offset, length
                tick()
        except ComityError:
            where.clear()  # shorter than it was, or gone: the wire has it all
        return where

    def _read(self, source: Source, offset: int, length: int) -> memoryview:
        if len(self._buffer) < length:
            self._buffer = memoryview(bytearray(length))
        piece = self._buffer[:length]
        source.read_into(offset, piece)
        return piece
