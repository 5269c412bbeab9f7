"""How far one transfer's content is hashed: it belongs to the transfer, from its offer to its receipt.

What a charter made it hash for the offer, and what earlier attempts hashed before their link was lost, is not
hashed again. Nothing is known of a file beyond its transfer: a program that writes through a mapping leaves
no trace in a file's times (docs: decisions, "Hashed once").
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from comity.protocol.exchange.manifest import DIGEST_BYTES
from comity.services.exchange.content import Outgoing

if TYPE_CHECKING:
    from hashlib import _Hash


class RunningDigests:
    """Of the first ``len()`` chunks of ``content``, one after another. One thread at a time."""

    def __init__(self, content: Outgoing) -> None:
        self._whole: _Hash = hashlib.sha256(content.listing.encoded if content.listing else b"")
        self._digests = bytearray()

    def __len__(self) -> int:
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
