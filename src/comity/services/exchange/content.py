"""The file that is sent: read through the descriptor that was handed over.

A file whose size or times change while it is hashed is noticed, and then nothing of it arrives; what is
written to it later, while it is sent, arrives as it was hashed or not at all. (A changed link count explains
a changed ctime: removing or replacing a file doesn't change what the descriptor reads.) The path is never
known here (SECURITY.md rule 15). The caller keeps the descriptor, and closes it.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

from comity.errors import FileChanged, FileUnusable
from comity.protocol.exchange.listing import Listing
from comity.services.exchange.finding import identity_of

_BLOCK = 512  # bytes: what st_blocks counts


class Outgoing(Protocol):
    """What is sent: a file, or a folder with its ``listing``. Methods raise FileUnusable and FileChanged.

    ``identity``: which one, and in which state, as ``finding`` says.
    """

    identity: str
    size: int
    sparse: bool
    listing: Listing | None

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``."""

    def check_unchanged(self) -> None:
        """FileChanged if anything was written to it since it was opened here."""

    def close(self) -> None:
        """Give up what it opened itself."""


class Content:
    """A regular file at ``descriptor``. Methods raise FileUnusable and FileChanged, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = _status(descriptor)
        if not stat.S_ISREG(self._before.st_mode):
            raise FileUnusable(f"{_kind(self._before.st_mode)} cannot be sent, only a file")
        self.identity = identity_of(self._before)
        self.size = self._before.st_size
        self.listing: Listing | None = None
        #: Whether it has holes, so that equal chunks are worth finding.
        self.sparse = self._before.st_blocks * _BLOCK < self.size - self.size // 8

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``; holes read as zeros."""
        while buffer:
            try:
                count = os.preadv(self._descriptor, [buffer], offset)
            except OSError as error:
                reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
                raise FileUnusable(f"the file cannot be read: {reason}") from error
            if count == 0:
                raise _changed()
            offset += count
            buffer = buffer[count:]

    def check_unchanged(self) -> None:
        """FileChanged if anything was written to it since it was opened here."""
        if not same_file(self._before, _status(self._descriptor)):
            raise _changed()

    def close(self) -> None:
        """Nothing: the descriptor is the caller's."""


def same_file(before: os.stat_result, now: os.stat_result) -> bool:
    """Whether nothing was written to a file between two looks at it."""
    same_content = (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
    touched = before.st_ctime_ns != now.st_ctime_ns and before.st_nlink == now.st_nlink
    return same_content and not touched


def _status(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        raise FileUnusable("the file is not open any more") from error


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _changed() -> FileChanged:
    return FileChanged("the file changed while it was sent")
