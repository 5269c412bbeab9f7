"""The artifact on its way in: chunks are hashed, go to their places, and the whole is hashed as far as it is
contiguous.

One thread at a time. Where digests are running ones, a chunk's and the whole's are the same computation.
Otherwise bytes that arrive in order are hashed for the whole from memory; what came earlier than its turn is
read back, a little at each step, so that no step takes long. Copies of zeros stay holes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from comity import limits
from comity.errors import LocalProtocolError
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Digests, digest_text
from comity.storage.parts import Part

_READ_BACK = 2  # pieces a step
_ZEROS = bytes(limits.CHUNK_BYTES)


class Assembly:
    """Over a ``part`` of ``size`` bytes, new ones being zero. Raises what the part raises.

    ``before`` is hashed ahead of everything: a folder's listing.
    """

    def __init__(self, part: Part, size: int, digests: Digests = CONTENT, before: bytes = b"") -> None:
        self._running = digests == RUNNING
        self._part = part
        self._size = size
        self._buffer = bytearray()  # for copies and what is read back: most artifacts need neither
        self._whole = hashlib.sha256(before)
        self._hashed = 0
        self._beyond: dict[int, int] = {}  # offset → length of what is in place and not hashed

    def digest(self, piece: memoryview) -> bytes:
        """What the manifest has to say of the chunk that came next; running ones have to come in order."""
        if not self._running:
            return hashlib.sha256(piece).digest()
        self._whole.update(piece)
        self._hashed += len(piece)
        return self._whole.copy().digest()

    def recall(self, offset: int, length: int, digest: bytes) -> bool:
        """Whether this chunk is in its place from before; then it counts as if it had just come."""
        if self._part.hole(offset, length):
            return False
        piece = self._read(offset, length)
        if not self._running:
            same = hashlib.sha256(piece).digest() == digest
            if same:
                self._placed(offset, piece)
            return same
        trial = self._whole.copy()
        trial.update(piece)
        if offset != self._hashed or trial.digest() != digest:
            return False
        self._whole = trial
        self._hashed += length
        return True

    def take(self, offset: int, piece: memoryview, promised: bytes) -> bytes:
        """Put a chunk in its place if it is what was promised; its digest, whatever it is."""
        digest = self.digest(piece)
        if digest == promised:
            self._part.write(offset, piece)
            if not self._running:
                self._placed(offset, piece)
        return digest

    def copy(self, source: int, offset: int, length: int) -> None:
        """Put what lies at ``source`` at ``offset`` as well."""
        piece = self._read(source, length)
        if not self._buffer.startswith(memoryview(_ZEROS)[:length]):
            self._part.write(offset, piece)
        self._placed(offset, piece)

    def content_digest(self, tick: Callable[[int], None]) -> str:
        """``sha256:…`` of all of it; ``tick`` is told how far it got. LocalProtocolError where bytes lack."""
        while self._hashed < self._size:
            self._read_back()
            tick(self._hashed)
        return digest_text(self._whole.digest())

    def sync(self) -> None:
        """Return when all of it is on disk."""
        self._part.sync()

    def close(self) -> None:
        self._part.close()

    def _placed(self, offset: int, piece: memoryview) -> None:
        if offset == self._hashed:
            self._whole.update(piece)
            self._hashed += len(piece)
        else:
            self._beyond[offset] = len(piece)
        for _ in range(_READ_BACK):
            if self._hashed in self._beyond:
                self._read_back()

    def _read_back(self) -> None:
        length = self._beyond.pop(self._hashed, None)
        if length is None:
            raise LocalProtocolError(f"nothing was put at {self._hashed}")
        self._whole.update(self._read(self._hashed, length))
        self._hashed += length

    def _read(self, offset: int, length: int) -> memoryview:
        """Valid until the next call."""
        if not self._buffer:
            self._buffer = bytearray(min(self._size, limits.CHUNK_BYTES))
        piece = memoryview(self._buffer)[:length]
        self._part.read_into(offset, piece)
        return piece
