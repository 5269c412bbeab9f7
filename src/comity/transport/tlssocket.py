"""A TLS connection on a socket's descriptor, driven by the event loop or by one thread, never by both.

The same OpenSSL object serves both faces: in the loop it runs non-blocking and ``Readiness`` waits; a lane's
thread switches the descriptor to blocking, with the kernel's own timeouts. OpenSSL's objects are not made for
two threads, so ``entered`` marks the calls of a thread, and whoever leaves last closes the descriptor:
closing it under a thread would hand its number to the next connection.

It knows no frames and no peers (``channel`` does). Every end of a connection becomes LinkLost here, with
what was seen of it: only close_notify is an end that the peer meant (SECURITY.md rule 11).
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import ParamSpec, TypeVar

from OpenSSL import SSL

from comity import limits
from comity.errors import LinkLost
from comity.transport.interface import Pace
from comity.transport.readiness import Readiness
from comity.transport.silence import silent
from comity.transport.tls import RECORD_BYTES
from comity.transport.window import hold_unsent

P = ParamSpec("P")
T = TypeVar("T")

ENDED_HERE = "this side ended the link"
_AT_ONCE = struct.pack("@ii", 1, 0)  # struct linger: closing resets


class TlsSocket(AbstractContextManager[None]):
    """Owns ``sock``. Methods are for the loop's thread unless they say otherwise."""

    def __init__(self, sock: socket.socket, make: Callable[[socket.socket], SSL.Connection]) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.connection = make(sock)
        self.readiness = Readiness(sock)
        self._lock = threading.Lock()
        self._threads = 0
        self._ended = False
        self._blocking = False
        self._poll: select.poll | None = None  # a thread's; most sockets never have one

    @property
    def ended(self) -> bool:
        """Whether this side ended it."""
        return self._ended

    async def drive(
        self, stall: float | None, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Repeat one OpenSSL call until it goes through; LinkLost, also after ``stall`` idle seconds."""
        while True:
            self._check()
            try:
                return operation(*args, **kwargs)
            except SSL.WantReadError:
                write = False
            except SSL.WantWriteError:
                write = True
            except SSL.Error as error:
                raise LinkLost(cause(error)) from error
            # Out here: an idle link would keep the exception, its traceback and their frames all the while.
            await self.readiness.wait(write=write, timeout=stall)

    async def write(self, data: bytes, stall: float | None) -> None:
        """All of ``data``; a failure in between leaves the connection unusable."""
        view = memoryview(data)
        while view:
            view = view[await self.drive(stall, self.connection.send, view[:RECORD_BYTES]) :]

    async def close(self, timeout: float) -> None:
        """Send close_notify, wait up to ``timeout`` seconds for the peer to go too, end. Never raises."""
        try:
            if self._blocking:
                return  # a thread has it: there is no farewell
            async with asyncio.timeout(timeout):
                await self.drive(None, self.connection.shutdown)
                self.sock.shutdown(socket.SHUT_WR)
                # Closing over unread bytes would reset the connection, and what we said would be lost
                # with it.
                left = limits.CLOSE_DRAIN_BYTES
                while left > 0 and (thrown := len(await self._receive_raw())):
                    left -= thrown
        except (TimeoutError, LinkLost, OSError):
            pass  # whichever way it ends, it ends here
        finally:
            self.abort()

    def block(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same in a thread that has ``entered``: LinkLost after the timeout, or once the other machine
        is silent.
        """
        started = time.monotonic()
        while True:
            try:
                return operation(*args, **kwargs)
            except (SSL.WantReadError, SSL.WantWriteError):
                self._check()
                # A wait ends early to look around, and by a signal that this thread caught.
                waited = time.monotonic() - started
                if waited > self._timeout * 0.9:
                    raise LinkLost(f"nothing moved for {self._timeout:g} seconds") from None
                if waited > limits.PEER_DEAD_AFTER and silent(self.sock, limits.PEER_DEAD_AFTER):
                    why = f"the other side has not answered for {limits.PEER_DEAD_AFTER:g} seconds"
                    raise LinkLost(why) from None
            except SSL.Error as error:
                raise LinkLost(ENDED_HERE if self._ended else cause(error)) from error

    def paced(self, pace: Pace | None, size: int) -> int:
        """How many of ``size`` bytes a thread that has ``entered`` may write now; LinkLost once it ended."""
        if pace is None:
            return size
        while not (allowed := pace(size)):
            self._check()
        return allowed

    def to_thread(self, timeout: float) -> None:
        """Make the descriptor blocking; nothing moves for ``timeout`` seconds at most."""
        self._check()
        self._timeout = timeout
        self._blocking = True
        self.sock.setblocking(True)
        wait = min(timeout, limits.LANE_LOOK_SECONDS)
        span = struct.pack("@ll", int(wait), int(wait % 1 * 1_000_000))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)
        hold_unsent(self.sock)

    def to_loop(self) -> None:
        """Back to the event loop; the thread has left for good."""
        self._check()
        self.sock.setblocking(False)
        self._blocking = False

    def arrived(self, wait: float) -> bool:
        """A thread that has ``entered``: whether the socket has something to read, or has ended, or will
        within ``wait`` seconds.
        """
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.sock, select.POLLIN)
        return bool(self._poll.poll(wait * 1000))

    def entered(self) -> AbstractContextManager[None]:
        """Any thread: around its OpenSSL calls. LinkLost where the link has ended."""
        return self  # an object of its own for each chunk's entries would cost

    def __enter__(self) -> None:
        """Implements ``entered``."""
        with self._lock:
            self._check()
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        """Implements ``entered``."""
        with self._lock:
            self._threads -= 1
            if self._ended and not self._threads:
                self.sock.close()

    def abort(self) -> None:
        """End at once, without close_notify. Any thread while blocking, else the loop's; idempotent."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            if not self._blocking:
                self.readiness.fail(ENDED_HERE)
            with suppress(OSError):  # not connected any more: the peer was faster
                if self._blocking:
                    # A peer that writes into a full window hears of an end only by a reset.
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                self.sock.shutdown(socket.SHUT_RDWR)
            if not self._threads:
                self.sock.close()

    def dismiss(self) -> None:
        """End an idle link in the loop: close_notify if it can leave at once, then ``abort``."""
        if not self._ended and not self._blocking:
            with suppress(SSL.Error):  # the peer went first, or its buffers are full
                self.connection.shutdown()
        self.abort()

    async def _receive_raw(self) -> bytes:
        while True:
            try:
                return self.sock.recv(RECORD_BYTES)
            except BlockingIOError:
                await self.readiness.wait(write=False, timeout=None)

    def _check(self) -> None:
        if self._ended:
            raise LinkLost(ENDED_HERE)


def cause(error: SSL.Error) -> str:
    """What a failure of OpenSSL's says about the connection, for a message."""
    if isinstance(error, SSL.ZeroReturnError):
        return "the other side closed the link"
    if isinstance(error, SSL.SysCallError):
        number, name = (*error.args, None, None)[:2]
        if number == -1:
            return "the connection was cut: it ended without the other side's close"
        return f"the connection failed: {errno.errorcode.get(number, name) if number else name}"
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return f"tls: {', '.join(str(reason) for *_, reason in entries) or 'failed'}"
