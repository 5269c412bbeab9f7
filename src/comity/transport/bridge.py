"""A plain socket in the place of one whose bytes are wrapped: one thread carries between them, for all.

Links want a descriptor to hand to OpenSSL, to a thread, or to splice (docs: decisions, 1). So whatever wraps
bytes on the way (``layers``) is undone here, behind one end of a socket pair. A side that does not read stops
the other from being read; a half that has ended ends at the far side, once what it sent is through.

It knows neither what it carries nor why it is wrapped.
"""

from __future__ import annotations

import queue
import selectors
import socket
import threading
import time
from contextlib import suppress

from comity import limits
from comity.errors import LinkLost, RateLimited
from comity.transport.layers import Stack
from comity.transport.tcp import Bridged, remote_of

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_CHUNK = 256 * limits.KIB
_LOOK_EVERY = 2.0


class Bridges:
    """Every bridge of a process. The thread begins with the first; ``close`` ends all."""

    def __init__(self, most: int = limits.BRIDGES) -> None:
        self._most = most
        self._new: queue.SimpleQueue[_Bridge | None] = queue.SimpleQueue()
        self._bridges: set[_Bridge] = set()
        self._count = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def join(self, outer: socket.socket, stack: Stack) -> socket.socket:
        """A socket that reads and writes inside of ``stack`` on ``outer``, which belongs to the bridge from
        the call on; non-blocking. RateLimited where there are too many, OSError where the system gives none.
        """
        remote = remote_of(outer)
        try:
            with self._lock:
                if self._count >= self._most or self._closed:
                    raise RateLimited("as many wrapped connections as can be carried")
                near, inner = socket.socketpair()
                self._count += 1
                self._begin()
        except BaseException:
            outer.close()
            raise
        for sock in (near, inner, outer):
            sock.setblocking(False)
        self._new.put(_Bridge(outer, inner, stack))
        self._ring()
        return Bridged(near, remote)

    def close(self) -> None:
        """End every bridge and the thread."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._new.put(None)
            self._ring()
            thread.join()
            self._bell.close()
            self._ear.close()
            self._selector.close()

    def _begin(self) -> None:
        if self._thread is not None:
            return
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._selector.register(self._ear, _READ)
        self._thread = threading.Thread(target=self._main, name="bridges", daemon=True)
        self._thread.start()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # it rings already
            self._bell.send(b"!")

    def _main(self) -> None:
        look = time.monotonic() + _LOOK_EVERY
        while self._serve():
            now = time.monotonic()
            if now >= look:
                look = now + _LOOK_EVERY
                self._end_overdue(now)

    def _serve(self) -> bool:
        """What can move now; False once all is closed. Its names end with it, and no bridge outlives them."""
        for key, ready in self._selector.select(_LOOK_EVERY):
            if key.data is None:
                if not self._admit():
                    for bridge in list(self._bridges):
                        self._end(bridge)
                    return False
            elif key.data in self._bridges:
                self._turn(key.data, key.fileobj, ready)
        return True

    def _end_overdue(self, now: float) -> None:
        for bridge in [each for each in self._bridges if each.overdue(now)]:
            self._end(bridge)

    def _admit(self) -> bool:
        """Take in what was joined; False once all is closed."""
        with suppress(BlockingIOError):
            self._ear.recv(4096)
        while True:
            try:
                bridge = self._new.get_nowait()
            except queue.Empty:
                return True
            if bridge is None:
                return False
            self._bridges.add(bridge)
            try:
                self._watch(bridge)
            except OSError:  # the selector has no room
                self._end(bridge)

    def _turn(self, bridge: _Bridge, sock: object, ready: int) -> None:
        try:
            if ready & _WRITE:
                bridge.write(sock)
            if ready & _READ:
                bridge.read(sock)
            if bridge.done:
                self._end(bridge)
            else:
                self._watch(bridge)
        except (OSError, LinkLost):  # the TLS inside tells a cut from an end
            self._end(bridge)

    def _watch(self, bridge: _Bridge) -> None:
        """Ask the selector for what can move now, and for nothing else."""
        for sock, wanted in bridge.wants():
            watched = bridge.watched.get(sock, 0)
            if wanted == watched:
                continue
            if not watched:
                self._selector.register(sock, wanted, bridge)
            elif not wanted:
                self._selector.unregister(sock)
            else:
                self._selector.modify(sock, wanted, bridge)
            bridge.watched[sock] = wanted

    def _end(self, bridge: _Bridge) -> None:
        self._bridges.discard(bridge)
        for sock, watched in bridge.watched.items():
            if watched:
                self._selector.unregister(sock)
        bridge.close()
        with self._lock:
            self._count -= 1


class _Bridge:
    """``outer``: wrapped; ``inner``: the far end of the pair, plain."""

    def __init__(self, outer: socket.socket, inner: socket.socket, stack: Stack) -> None:
        self.outer, self.inner = outer, inner
        self.watched: dict[socket.socket, int] = {}
        self._stack = stack
        self._to_outer = bytearray()
        self._to_inner = bytearray()
        self._outer_ended = False  # nothing more comes from there
        self._inner_ended = False
        self._told = False  # the near end knows that nothing more comes
        self._gone = False  # the near end is closed
        self._since: float | None = None  # when it closed

    @property
    def done(self) -> bool:
        return self._inner_ended and not self._to_outer and (self._gone or self._told)

    def close(self) -> None:
        self.outer.close()
        self.inner.close()
        self._stack.drop()

    def overdue(self, now: float) -> bool:
        """Whether nobody is there any more to send what is left."""
        return self._since is not None and now - self._since > limits.BRIDGE_LINGER

    def wants(self) -> list[tuple[socket.socket, int]]:
        """For each socket, the selector's events under which something can move."""
        outer = 0 if self._outer_ended or self._to_inner or self._gone else _READ
        inner = 0 if self._inner_ended or self._to_outer else _READ
        return [
            (self.outer, outer | (_WRITE if self._to_outer else 0)),
            (self.inner, inner | (_WRITE if self._to_inner else 0)),
        ]

    def read(self, sock: object) -> None:
        """Take what came at one side, and pass it on."""
        if sock is self.outer and not self._to_inner and not self._outer_ended:
            self._read_outer()
        elif sock is self.inner and not self._to_outer and not self._inner_ended:
            self._read_inner()

    def write(self, sock: object) -> None:
        """Pass on what waits for one side."""
        if sock is self.outer and self._to_outer:
            _flush(self.outer, self._to_outer)
        elif sock is self.inner and self._to_inner:
            _flush(self.inner, self._to_inner)
        self._tell()

    def _read_outer(self) -> None:
        try:
            data = self.outer.recv(_CHUNK)
        except BlockingIOError:
            return
        if data:
            self._to_inner += self._stack.inward(data)
            self._to_outer += self._stack.answer()
        self._outer_ended = not data or self._stack.ended
        _flush(self.inner, self._to_inner)
        _flush(self.outer, self._to_outer)
        self._tell()

    def _read_inner(self) -> None:
        try:
            data = self.inner.recv(_CHUNK)
        except BlockingIOError:
            return
        if data:
            self._to_outer += self._stack.outward(data)
        else:
            self._inner_ended = True
            self._to_outer += self._stack.end()
            self._look_for_near()
        _flush(self.outer, self._to_outer)

    def _tell(self) -> None:
        """Let the near end know, once it has all, that nothing more comes."""
        if self._outer_ended and not self._to_inner and not self._told:
            self._told = True
            with suppress(OSError):  # it is gone
                self.inner.shutdown(socket.SHUT_WR)

    def _look_for_near(self) -> None:
        """Whether the near end is closed for both directions: nobody reads what may still come."""
        try:
            self.inner.send(b"")
        except BlockingIOError:
            return
        except OSError:
            self._gone = True
            self._since = time.monotonic()


def _flush(sock: socket.socket, waiting: bytearray) -> None:
    while waiting:
        try:
            sent = sock.send(waiting)
        except BlockingIOError:
            return
        del waiting[:sent]
