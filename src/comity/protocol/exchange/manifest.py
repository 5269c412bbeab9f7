"""The manifest: an artifact's chunks in order, each with its length and SHA-256, and one digest over all.

It grows as pages arrive (or as the sender hashes) and never holds more than was announced. Chunks may have
any length up to ``limits.CHUNK_BYTES``, so that edges can follow what is inside a file. It holds no content.

An entry's digest is one of two kinds, the same for all of a manifest. ``content``: of the chunk's own bytes,
so that it is known wherever it turns up. ``running``: of everything from the artifact's beginning to the
chunk's end, which falls out of hashing the whole, so that each side hashes every byte only once; the last
one is the whole's digest. Either commits to every byte.

The manifest's digest is SHA-256 over, in this order (integers big endian): the label ``comity manifest v1``
(for running digests ``comity running manifest v1``) and a zero byte; kind and name, each as UTF-8 after its
length in 2 bytes; logical bytes, 8; number of chunks, 8; then per chunk its length, 4, and its digest, 32.
Every field's length is fixed or announced, so no two manifests share an encoding.
Implements docs: protocol, "Exchange", manifest.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from dataclasses import dataclass
from typing import Literal

from comity import limits
from comity.errors import LocalProtocolError, RemoteProtocolError, TooLarge

DIGEST_BYTES = 32
#: What the entries' digests cover.
Digests = Literal["content", "running"]
CONTENT: Digests = "content"
RUNNING: Digests = "running"
_LABELS = {CONTENT: b"comity manifest v1\0", RUNNING: b"comity running manifest v1\0"}
_COUNTS = struct.Struct("!QQ")
_TEXT = struct.Struct("!H")
_ENTRY = struct.Struct("!I32s")
ENTRY_BYTES = _ENTRY.size


@dataclass(frozen=True)
class Entry:
    """One chunk: ``length`` in bytes, ``digest`` the raw SHA-256 of its content, or of all up to its end."""

    length: int
    digest: bytes

    def pack(self) -> bytes:
        """The 36 bytes that pages and the manifest's digest hold."""
        return _ENTRY.pack(self.length, self.digest)


def unpack_entries(data: memoryview) -> tuple[Entry, ...]:
    """The entries in a whole number of packed ones."""
    return tuple(Entry(length, digest) for length, digest in _ENTRY.iter_unpack(data))


def digest_text(raw: bytes) -> str:
    """``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{raw.hex()}"


def check_announced(size: int, chunks: int) -> None:
    """TooLarge, or RemoteProtocolError where no chunks could add up: before anything is allocated."""
    if size > limits.ARTIFACT_BYTES:
        raise TooLarge(f"an artifact of {size} bytes is more than the limit of {limits.ARTIFACT_BYTES}")
    if chunks > limits.MANIFEST_CHUNKS:
        raise TooLarge(f"a manifest of {chunks} chunks is more than the limit of {limits.MANIFEST_CHUNKS}")
    if not chunks <= size <= chunks * limits.CHUNK_BYTES:
        raise RemoteProtocolError(f"{chunks} chunks cannot hold {size} bytes")


class Manifest:
    """``size`` logical bytes in ``chunks`` chunks, both as announced; ``len()`` counts the entries so far."""

    def __init__(self, *, kind: str, name: str, size: int, chunks: int, digests: Digests = CONTENT) -> None:
        check_announced(size, chunks)
        self.digests = digests
        self.size = size
        self.chunks = chunks
        self._offsets = array("Q", [0])  # one more than there are entries: the last is where the next begins
        self._digests = bytearray()
        self._hash = hashlib.sha256(_LABELS[digests])
        for text in (kind.encode(), name.encode()):
            self._hash.update(_TEXT.pack(len(text)) + text)
        self._hash.update(_COUNTS.pack(size, chunks))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def complete(self) -> bool:
        """Whether every announced chunk has its entry."""
        return len(self) == self.chunks

    def add(self, entry: Entry) -> int:
        """The new entry's index; RemoteProtocolError where it contradicts what was announced."""
        if self.complete:
            raise RemoteProtocolError(f"the manifest holds more than the announced {self.chunks} chunks")
        if not 1 <= entry.length <= limits.CHUNK_BYTES:
            raise RemoteProtocolError(f"a chunk of {entry.length} bytes is not in 1 to {limits.CHUNK_BYTES}")
        left, chunks_left = self.size - self._offsets[-1] - entry.length, self.chunks - len(self) - 1
        if not chunks_left <= left <= chunks_left * limits.CHUNK_BYTES:
            raise RemoteProtocolError(f"the chunks' lengths do not sum to the announced {self.size} bytes")
        self._offsets.append(self._offsets[-1] + entry.length)
        self._digests += entry.digest
        self._hash.update(entry.pack())
        return len(self) - 1

    def offset(self, index: int) -> int:
        """Where chunk ``index`` begins; for ``index == len()``, where the next one will."""
        return self._offsets[index]

    def length(self, index: int) -> int:
        return self._offsets[index + 1] - self._offsets[index]

    def digest(self, index: int) -> bytes:
        """The raw SHA-256 of chunk ``index``."""
        return bytes(self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    @property
    def total_digest(self) -> str:
        """The digest that receipts name; LocalProtocolError while entries are missing."""
        if not self.complete:
            raise LocalProtocolError("the manifest is not complete")
        return digest_text(self._hash.digest())
