"""One artifact's bytes as a file: a part while they arrive, a source once they have.

Reads and writes are at offsets, so that nothing depends on the order in which chunks come. Where these files
lie, and what they are called, is ``blobs``'s business.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from comity.errors import StorageUnusable
from comity.protocol.exchange.listing import Listing
from comity.storage.failures import FilesReported

Buffer = bytes | bytearray | memoryview

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync leaves data in the drive's cache


class Part(Protocol):
    """The bytes of one artifact on their way in. One thread at a time. Raises DiskFull, StorageUnusable."""

    def write(self, offset: int, data: Buffer) -> None:
        """Put all of ``data`` at ``offset``."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``; what was never written reads as zeros."""

    def hole(self, offset: int, length: int) -> bool:
        """Whether it is known, without reading, that nothing was ever written there."""

    def sync(self) -> None:
        """Return when everything written is on disk."""

    def close(self) -> None:
        """Give up the descriptor; the part stays until it is discarded."""


class Source(Protocol):
    """The bytes of a received artifact. One thread at a time. Raises StorageUnusable."""

    size: int
    listing: Listing | None

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``."""

    def close(self) -> None:
        """Give up the descriptor."""


class FileSource:
    """Over a descriptor, which it owns; ``where`` is named in errors."""

    def __init__(self, descriptor: int, where: Path) -> None:
        self._descriptor = descriptor
        self._where = where
        self.size = os.fstat(descriptor).st_size
        self.listing: Listing | None = None

    def read_into(self, offset: int, buffer: memoryview) -> None:
        with FilesReported(self._where):
            while buffer:
                count = os.preadv(self._descriptor, [buffer], offset)
                if count == 0:
                    raise StorageUnusable(f"a file in {self._where.parent} is shorter than it was")
                offset += count
                buffer = buffer[count:]

    def close(self) -> None:
        os.close(self._descriptor)


class FilePart(FileSource):
    """Over a descriptor that can be written, too."""

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        with FilesReported(self._where):
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                offset += written
                view = view[written:]

    def hole(self, offset: int, length: int) -> bool:
        if not hasattr(os, "SEEK_DATA"):
            return False
        try:
            return os.lseek(self._descriptor, offset, os.SEEK_DATA) >= offset + length
        except OSError as error:
            return error.errno == errno.ENXIO  # no data from there to the end

    def sync(self) -> None:
        with FilesReported(self._where):
            sync_descriptor(self._descriptor)


def sync_descriptor(descriptor: int) -> None:
    """Return when a file's content is on disk, and not only in the drive's cache; OSError."""
    os.fsync(descriptor)
    if _FULL_SYNC is not None:
        fcntl.fcntl(descriptor, _FULL_SYNC)
