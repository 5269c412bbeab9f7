"""Where a lane's frames land: a few pieces of memory, used again and again.

TLS decrypts straight into it. pyOpenSSL's ``recv_into`` allocates and copies on each call, because cffi
once could not pass a buffer; measured on loopback, SSL_read into the memory itself carries a quarter more
bytes a second. This module is the one place that reaches under pyOpenSSL's public face, and it falls back
to ``recv_into``.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

from comity import limits
from comity.transport.tls import RECORD_BYTES

_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)
_BENEATH = _lib is not None and _ffi is not None and hasattr(SSL.Connection, "_raise_ssl_error")


class Landing:
    """Memory for a frame's body; it grows with the largest frame that came. ``reads`` counts SSL_read's."""

    def __init__(self, *, beneath: bool = _BENEATH) -> None:
        self.reads = 0
        self._beneath = beneath
        self._landed = 0
        self._allocate(limits.FRAME_BYTES)

    def reserve(self, size: int) -> None:
        """Begin anew with room for ``size`` bytes, at most ``limits.LANE_FRAME_BYTES``."""
        self._landed = 0
        if size > len(self._memory):
            self._allocate(min(max(size, 2 * len(self._memory)), limits.LANE_FRAME_BYTES))

    def view(self, size: int) -> memoryview:
        """The first ``size`` bytes."""
        return self._view[:size]

    def fill(self, connection: SSL.Connection, size: int) -> None:
        """Read on until ``size`` bytes have landed since ``reserve``. Raises as ``recv_into`` does, and then
        loses nothing: call it again.

        One SSL_read is at most one record, so this loop runs tens of thousands of times a gigabyte, and holds
        the interpreter only between two reads.
        """
        if not self._beneath:
            while (at := self._landed) < size:
                self._landed += connection.recv_into(self._view[at:size], min(size - at, RECORD_BYTES))
                self.reads += 1
            return
        read, ssl, pointer = _lib.SSL_read, connection._ssl, self._pointer
        at, reads = self._landed, self.reads
        try:
            while at < size:
                count: int = read(ssl, pointer + at, size - at)
                if count <= 0:
                    connection._raise_ssl_error(ssl, count)
                at += count
                reads += 1
        finally:
            self._landed, self.reads = at, reads

    def _allocate(self, size: int) -> None:
        self._memory = bytearray(size)
        self._view = memoryview(self._memory)
        self._pointer: Any = _ffi.from_buffer("char[]", self._memory) if self._beneath else None


class Landings:
    """A lane's: long frames in turn, so that one is filled while those before it are worked on."""

    def __init__(self, *, beneath: bool = _BENEATH) -> None:
        self.short = Landing(beneath=beneath)
        self._long = tuple(Landing(beneath=beneath) for _ in range(1 + limits.LANE_FRAMES_KEPT))
        self._turn = 0

    def of(self, size: int) -> Landing:
        """For a frame of ``size`` bytes: ``short`` up to ``limits.FRAME_BYTES``, else the next one."""
        if size <= limits.FRAME_BYTES:
            return self.short
        self._turn = (self._turn + 1) % len(self._long)
        return self._long[self._turn]
