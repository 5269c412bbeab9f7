"""What was hashed of a file stays known while the file stays as it is: the next partner who gets the same
model, the next attempt after a lost link, and a transfer whose charter asked for the digest, hash nothing
twice.

In memory, bounded, and only for what nobody has written to in the last moments: within a tick of the
filesystem's clock a write can leave both times as they were. Nothing depends on it: the receiver verifies
every byte, so what would be remembered wrongly fails a transfer, and is forgotten then.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from comity import limits
from comity.protocol.exchange.manifest import DIGEST_BYTES
from comity.services.exchange.content import Outgoing

if TYPE_CHECKING:
    from hashlib import _Hash


class Begun:
    """The running digests of a content's first chunks, and the hash that goes on after them."""

    def __init__(self, whole: _Hash, digests: bytes = b"") -> None:
        self._whole = whole
        self._digests = bytearray(digests)

    @classmethod
    def of(cls, content: Outgoing) -> Begun:
        """Nothing yet but its listing, where it has one."""
        return cls(hashlib.sha256(content.listing.encoded if content.listing else b""))

    def __len__(self) -> int:
        """How many chunks."""
        return len(self._digests) // DIGEST_BYTES

    def digest(self, index: int) -> bytes:
        """Over everything up to the end of chunk ``index``."""
        return bytes(self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    def add(self, piece: memoryview) -> bytes:
        """The same of the next chunk."""
        self._whole.update(piece)
        digest = self.whole()
        self._digests += digest
        return digest

    def whole(self) -> bytes:
        """Over everything so far."""
        return self._whole.copy().digest()

    def copy(self) -> Begun:
        """One that goes on by itself."""
        return Begun(self._whole.copy(), bytes(self._digests))


class Hashes:
    """A node's, for all its threads. ``most``: chunks of all contents together."""

    def __init__(self, most: int = limits.HASHES_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[str, Begun] = OrderedDict()  # by identity, the latest used last
        self._chunks = 0
        self._lock = threading.Lock()

    def begin(self, content: Outgoing) -> Begun:
        """What is known of ``content``, to go on from."""
        with self._lock:
            known = self._kept.get(content.identity)
            if known is None:
                return Begun.of(content)
            self._kept.move_to_end(content.identity)
            return known.copy()

    def keep(self, content: Outgoing, begun: Begun, now: float) -> None:
        """Remember ``begun``, of a content that was still the same at ``now``, in seconds UTC; or don't."""
        if content.changed > now - limits.HASHES_SETTLED or not 0 < len(begun) <= self._most:
            return
        with self._lock:
            known = self._kept.get(content.identity)
            if known is not None and len(known) >= len(begun):
                return
            self._drop(content.identity)
            self._kept[content.identity] = begun.copy()
            self._chunks += len(begun)
            while self._chunks > self._most:
                self._drop(next(iter(self._kept)))

    def forget(self, content: Outgoing) -> None:
        """What was remembered may be wrong."""
        with self._lock:
            self._drop(content.identity)

    def _drop(self, identity: str) -> None:
        dropped = self._kept.pop(identity, None)
        if dropped is not None:
            self._chunks -= len(dropped)
