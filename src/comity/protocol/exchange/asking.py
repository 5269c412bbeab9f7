"""Which chunks of a manifest were asked for, which come by copying, and whose turn it is.

Of equal chunks (content digests) one is asked for and the others are copied once it is there. Running digests
cover everything before a chunk, so that equal ones can't be told, and chunks have to come in order. No bytes
and no messages: ``receiver`` says what follows.
"""

from __future__ import annotations

from comity import limits
from comity.errors import RemoteProtocolError, VerificationFailed
from comity.protocol.exchange.events import CopyChunk
from comity.protocol.exchange.manifest import RUNNING, Manifest

_AHEAD = limits.MANIFEST_AHEAD_PAGES * limits.MANIFEST_PAGE_CHUNKS


class Asking:
    """About the chunks of ``manifest``, which grows."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._running = manifest.digests == RUNNING
        self._first: dict[bytes, int] = {}  # digest → the chunk that has it and was asked for
        self._wanted: set[int] = set()
        self._waiting: dict[int, list[int]] = {}  # wanted chunk → its copies
        self._waiters = 0
        self._next = 0  # the chunk whose turn it is to arrive, where digests are running ones
        self._due = 0  # and the one that may be placed: chunks are placed before they have arrived

    @property
    def missing(self) -> int:
        """How many were asked for and have not come."""
        return len(self._wanted)

    def check_room(self) -> None:
        """RemoteProtocolError where a further page would run too far ahead."""
        if len(self._wanted) + self._waiters > _AHEAD:
            raise RemoteProtocolError("manifest pages run too far ahead of their chunks")

    def judge(self, first: int, count: int, found: frozenset[int]) -> tuple[list[int], list[CopyChunk]]:
        """Of new entries, without those that were ``found`` here: which to ask for, which to copy at once.

        RemoteProtocolError where the entries contradict each other.
        """
        asked: list[int] = []
        copies: list[CopyChunk] = []
        for index in range(first, first + count):
            digest, length = self._manifest.digest(index), self._manifest.length(index)
            equal = index if self._running else self._first.setdefault(digest, index)
            if self._manifest.length(equal) != length:
                raise RemoteProtocolError("one chunk digest stands for two lengths")
            if index in found:
                self._next = self._due = index + 1
            elif equal == index:
                asked.append(index)
                self._wanted.add(index)
            elif equal in self._wanted:
                self._waiting.setdefault(equal, []).append(index)
                self._waiters += 1
            else:
                copies.append(self._copy(equal, index))
        return asked, copies

    def place(self, index: int) -> tuple[int, bytes] | None:
        """Offset and digest of a chunk that may come now; it will be told of by ``arrived``."""
        if index not in self._wanted or (self._running and index != self._due):
            return None
        self._due = index + 1
        return self._manifest.offset(index), self._manifest.digest(index)

    def arrived(self, index: int, length: int, digest: bytes) -> list[CopyChunk]:
        """A chunk came; the copies that were waiting for it. RemoteProtocolError, VerificationFailed."""
        if index not in self._wanted:
            raise RemoteProtocolError(f"chunk {index} came, which was not asked for")
        if self._running and index != self._next:
            raise RemoteProtocolError(f"chunk {index} came before chunk {self._next}")
        self._next = index + 1
        if length != self._manifest.length(index) or digest != self._manifest.digest(index):
            raise VerificationFailed(f"chunk {index} is not what the manifest promised")
        self._wanted.discard(index)
        copies = self._waiting.pop(index, [])
        self._waiters -= len(copies)
        return [self._copy(index, copy) for copy in copies]

    def _copy(self, source: int, index: int) -> CopyChunk:
        manifest = self._manifest
        return CopyChunk(manifest.offset(source), manifest.offset(index), manifest.length(index))
