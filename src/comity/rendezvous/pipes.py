"""How the relay carries bytes from one socket to another without looking at them: splice, or copy.

``os.splice`` moves pages through a kernel pipe and never brings them into this process; where it is missing
(macOS) bytes are copied. A carrier holds at most ``limits.RELAY_PIPE_BYTES``, and takes no more until it is
empty: that is the back-pressure. Sockets are non-blocking.
"""

from __future__ import annotations

import fcntl
import os
import socket
from typing import Protocol

from comity import limits

_IDLE_PIPES = 64  # kept for the next carriers


class Carrier(Protocol):
    """Bytes on their way in one direction. Both methods raise OSError for a broken socket."""

    @property
    def holds(self) -> int:
        """Bytes that were taken and not given yet."""

    def take(self, source: socket.socket, most: int = limits.RELAY_PIPE_BYTES) -> int | None:
        """How many bytes came, ``most`` at most: 0 at the end of the stream, None where there are none now.

        Only for an empty carrier.
        """

    def give(self, target: socket.socket) -> int:
        """How many of the held bytes went."""

    def drop(self) -> None:
        """Forget what is held and free everything."""


class Carriers:
    """Makes carriers of the best kind that this system has; splicing ones share a pool of pipes."""

    def __init__(self, *, splice: bool = hasattr(os, "splice")) -> None:
        self._splice = splice
        self._pipes: list[tuple[int, int]] = []
        self._buffer = bytearray(256 * limits.KIB)

    def make(self) -> Carrier:
        return SpliceCarrier(self) if self._splice else CopyCarrier(memoryview(self._buffer))

    def pipe(self) -> tuple[int, int]:
        """An empty pipe, its read end first."""
        if self._pipes:
            return self._pipes.pop()
        reader, writer = os.pipe()
        try:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, limits.RELAY_PIPE_BYTES)
        except OSError:  # over this user's share of pipe memory (pipe(7)): a small one works as well
            return reader, writer
        return reader, writer

    def give_back(self, pipe: tuple[int, int]) -> None:
        """For an empty pipe."""
        if len(self._pipes) < _IDLE_PIPES:
            self._pipes.append(pipe)
        else:
            _close(pipe)

    def close(self) -> None:
        while self._pipes:
            _close(self._pipes.pop())


class SpliceCarrier:
    """Holds a pipe only while bytes are in it, so that an idle lane costs none."""

    def __init__(self, pool: Carriers) -> None:
        self._pool = pool
        self._pipe: tuple[int, int] | None = None
        self.holds = 0

    def take(self, source: socket.socket, most: int = limits.RELAY_PIPE_BYTES) -> int | None:
        pipe = self._pool.pipe()
        try:
            count = os.splice(source.fileno(), pipe[1], most, flags=_SPLICE_FLAGS)
        except BlockingIOError:
            self._pool.give_back(pipe)
            return None
        except BaseException:
            _close(pipe)
            raise
        if count:
            self._pipe, self.holds = pipe, count
        else:
            self._pool.give_back(pipe)
        return count

    def give(self, target: socket.socket) -> int:
        if self._pipe is None:
            return 0
        try:
            count = os.splice(self._pipe[0], target.fileno(), self.holds, flags=_SPLICE_FLAGS)
        except BlockingIOError:
            return 0
        self.holds -= count
        if not self.holds:
            self._pool.give_back(self._pipe)
            self._pipe = None
        return count

    def drop(self) -> None:
        if self._pipe is not None:
            _close(self._pipe)  # not back to the pool: another lane's bytes are in it
        self._pipe, self.holds = None, 0


class CopyCarrier:
    """Copies through one buffer that all carriers share.

    It keeps only what the target would not take at once.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._held = b""

    @property
    def holds(self) -> int:
        return len(self._held)

    def take(self, source: socket.socket, most: int = limits.RELAY_PIPE_BYTES) -> int | None:
        try:
            count = source.recv_into(self._buffer, min(most, len(self._buffer)))
        except BlockingIOError:
            return None
        self._held = bytes(self._buffer[:count])
        return count

    def give(self, target: socket.socket) -> int:
        try:
            count = target.send(self._held)
        except BlockingIOError:
            return 0
        self._held = self._held[count:]
        return count

    def drop(self) -> None:
        self._held = b""


_SPLICE_FLAGS = 0x1 | 0x2  # SPLICE_F_MOVE, SPLICE_F_NONBLOCK: splice(2)


def _close(pipe: tuple[int, int]) -> None:
    for descriptor in pipe:
        os.close(descriptor)
