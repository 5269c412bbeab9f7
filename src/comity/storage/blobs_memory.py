"""Received files in memory: the twin of ``blobs.FileBlobStore`` for simulations, under the same contract.

``capacity`` bytes is what the imagined disk holds; writing more raises DiskFull. Nothing outlives the
process.
"""

from __future__ import annotations

from comity.errors import DiskFull, LocalProtocolError
from comity.protocol.exchange.listing import Listing
from comity.protocol.exchange.names import check_name
from comity.storage.blobs import Occupied, numbered, too_many
from comity.storage.parts import Buffer, Part, Source


class MemoryBlobStore:
    """Implements ``blobs.BlobStore``."""

    def __init__(self, capacity: int = 2**40) -> None:
        self.capacity = capacity
        self._parts: dict[str, bytearray] = {}
        self._files: dict[tuple[str, str], bytearray] = {}
        self._listings: dict[str, Listing | None] = {}
        self._trees: dict[tuple[str, str], Listing | None] = {}
        self._used = 0

    def free_bytes(self) -> int:
        return self.capacity - self._used

    def create(self, part: str, size: int, listing: Listing | None = None) -> Part:
        check_name(part)
        if part in self._parts:
            raise LocalProtocolError(f"part {part} exists already")
        self._parts[part] = bytearray(size)
        self._listings[part] = listing
        return _MemoryPart(self, self._parts[part], listing)

    def reopen(self, part: str, size: int, listing: Listing | None = None) -> Part | None:
        check_name(part)
        content = self._parts.get(part)
        if content is None or len(content) != size or self._listings[part] != listing:
            return None
        return _MemoryPart(self, content, listing)

    def parts(self) -> tuple[str, ...]:
        return tuple(sorted(self._parts))

    def discard(self, part: str) -> None:
        self._parts.pop(part, None)

    def vacant(self, folder: str, name: str) -> str:
        check_name(folder)
        check_name(name)
        for candidate in numbered(name):
            if (folder, candidate) not in self._files:
                return candidate
        raise too_many(name)

    def publish(self, part: str, folder: str, name: str) -> None:
        check_name(folder)
        check_name(name)
        if (folder, name) in self._files:
            raise Occupied(name)
        self._files[folder, name] = self._parts[part]
        self._trees[folder, name] = self._listings[part]

    def published(self, part: str, folder: str, name: str) -> bool:
        here = self._files.get((folder, name))
        return here is not None and self._parts.get(part, here) is here

    def present(self, folder: str, name: str) -> bool:
        check_name(folder)
        check_name(name)
        return (folder, name) in self._files

    def source(self, folder: str, name: str) -> Source | None:
        content = self._files.get((folder, name))
        return None if content is None else _MemoryPart(self, content, self._trees[folder, name])

    def path(self, folder: str, name: str) -> str:
        return f"memory:{folder}/{name}"

    def content(self, folder: str, name: str) -> bytes:
        """What a received file holds."""
        return bytes(self._files[folder, name])

    def remove(self, folder: str, name: str) -> None:
        """As a person does who moves a received file away."""
        del self._files[folder, name]

    def take(self, size: int) -> None:
        """Account for ``size`` more bytes on the imagined disk."""
        if size > self.free_bytes():
            raise DiskFull("no space left in memory")
        self._used += size


class _MemoryPart:
    def __init__(self, store: MemoryBlobStore, content: bytearray, listing: Listing | None) -> None:
        self._store = store
        self._content = content
        self.listing = listing
        self.size = len(content)

    def write(self, offset: int, data: Buffer) -> None:
        self._store.take(len(data))
        self._content[offset : offset + len(data)] = data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self._content[offset : offset + len(buffer)]

    def hole(self, offset: int, length: int) -> bool:
        return False

    def sync(self) -> None:
        """Memory is as durable as it gets."""

    def close(self) -> None:
        """Nothing is held."""
