"""The file that is sent: read through the descriptor that was handed over, hashed ahead of the network.

A file whose size or times change while it is hashed is noticed, and then nothing of it arrives; what is
written to it later, while it is sent, arrives as it was hashed or not at all. (A changed link count explains
a changed ctime: removing or replacing a file doesn't change what the descriptor reads.) The path is never
known here (SECURITY.md rule 15). The caller keeps the descriptor, and closes it.
"""

from __future__ import annotations

import hashlib
import os
import queue
import stat
import threading

from comity import limits
from comity.errors import ComityError, FileChanged, FileUnusable, TransferFailed
from comity.protocol.exchange.events import ContentHashed, Hashed, Trouble
from comity.protocol.exchange.manifest import Entry, digest_text, fixed_edges

HashEvent = Hashed | ContentHashed | Trouble

_HASHED_AHEAD = 4  # chunks; the machine lets pages run ahead by itself
_POLL = 0.2  # seconds between looks at whether anyone still wants the hashes


class Content:
    """A regular file at ``descriptor``. Methods raise FileUnusable and FileChanged, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = _status(descriptor)
        if not stat.S_ISREG(self._before.st_mode):
            raise FileUnusable(f"{_kind(self._before.st_mode)} cannot be sent, only a file")
        self.size = self._before.st_size

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


class Hasher:
    """Hashes a content's chunks in one thread (``run``) for another (``next``)."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._ready: queue.Queue[HashEvent] = queue.Queue(maxsize=_HASHED_AHEAD)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Every chunk, then the whole, or the first trouble; returns early once ``stop`` was called."""
        try:
            self._hash()
        except ComityError as error:
            self._put(Trouble(error))

    def next(self) -> HashEvent:
        """What was hashed next. TransferFailed where the disk yields nothing for ``limits.LANE_TIMEOUT``."""
        try:
            return self._ready.get(timeout=limits.LANE_TIMEOUT)
        except queue.Empty:
            return Trouble(TransferFailed("the file could not be read in time"))

    def stop(self) -> None:
        """Nobody asks for more."""
        self._stopped.set()

    def _hash(self) -> None:
        buffer = memoryview(bytearray(min(self._content.size, limits.CHUNK_BYTES)))
        whole = hashlib.sha256()
        for offset, length in fixed_edges(self._content.size):
            piece = buffer[:length]
            self._content.read_into(offset, piece)
            self._content.check_unchanged()
            whole.update(piece)
            if not self._put(Hashed((Entry(length, hashlib.sha256(piece).digest()),))):
                return
        self._content.check_unchanged()
        self._put(ContentHashed(digest_text(whole.digest())))

    def _put(self, event: HashEvent) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(event, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False


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
