"""The file that is sent: read through the descriptor that was handed over.

A file whose size or times change while it is hashed is noticed, and then nothing of it arrives; what is
written to it later, while it is sent, arrives as it was hashed or not at all. (A changed link count explains
a changed ctime: removing or replacing a file doesn't change what the descriptor reads.) The path is never
known here (SECURITY.md rule 15). The caller keeps the descriptor, and closes it.
"""

from __future__ import annotations

import os
import stat

from comity.errors import FileChanged, FileUnusable

_BLOCK = 512  # bytes: what st_blocks counts


class Content:
    """A regular file at ``descriptor``. Methods raise FileUnusable and FileChanged, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = _status(descriptor)
        if not stat.S_ISREG(self._before.st_mode):
            raise FileUnusable(f"{_kind(self._before.st_mode)} cannot be sent, only a file")
        self.size = self._before.st_size

    @property
    def sparse(self) -> bool:
        """Whether it has holes, so that equal chunks are worth finding."""
        return self._before.st_blocks * _BLOCK < self.size - self.size // 8

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
        before, now = self._before, _status(self._descriptor)
        same_content = (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
        touched = before.st_ctime_ns != now.st_ctime_ns and before.st_nlink == now.st_nlink
        if not same_content or touched:
            raise _changed()


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
