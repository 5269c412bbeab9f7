"""The secure channel: frames over TLS 1.3 between two pinned keys (docs: protocol, "Secure channel").

``connect`` and ``accept`` end with a peer that was checked (SECURITY.md rule 10) or with an error. A
caller that ``accept`` turns away learns nothing but the uniform refusal, whatever was wrong with it.
Frames move through the event loop, or through one thread after ``to_thread``; both count TLS records,
because a key protects so many and no more (RFC 8446 section 5.5).

It doesn't know what a frame means (``stream`` does) nor which keys are approved (the acceptor does).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from comity import limits
from comity.errors import LinkLost, LocalProtocolError
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.framing import HEADER, Kind, header, parse_header
from comity.transport.bounds import Bounds
from comity.transport.interface import Buffer, Pace
from comity.transport.introduction import answer, call
from comity.transport.landing import Landing, Landings
from comity.transport.tally import size_of
from comity.transport.tcp import remote_of
from comity.transport.tls import RECORD_BYTES, Credentials
from comity.transport.tlssocket import TlsSocket
from comity.transport.window import hold_window, round_trip

DEFAULT_BOUNDS = Bounds()
_STEP = 16 * RECORD_BYTES  # between looks at how long nothing moved


class SecureChannel:
    """One reader task and any number of writer tasks in the loop, or one thread; never both.

    ``remote`` is ``ip:port`` at the other end of the TCP connection; ``via`` what else stands between, as
    ``way`` says; ``tls``, ``cipher`` and ``group``
    are what was negotiated, as OpenSSL names them.
    """

    def __init__(self, tls: TlsSocket, peer: PublicKey, bounds: Bounds) -> None:
        self.peer = peer
        self.remote = remote_of(tls.sock)
        self.via = ""
        self.tls = tls.connection.get_protocol_version_name()
        self.cipher = tls.connection.get_cipher_name() or ""
        self.group = tls.connection.get_group_name() or ""
        self._socket = tls
        self._bounds = bounds
        self._writing = asyncio.Lock()
        self._waited_to_write = True
        self._reading = False
        self._head = bytearray()  # of the frame being read: a cancelled read goes on where it stopped
        self._body = bytearray()
        self._held = b""  # frames of a thread that leave with the next one
        self._sent = 0  # TLS records
        self._received = 0

    @classmethod
    async def connect(
        cls,
        sock: socket.socket,
        credentials: Credentials,
        expected: Fingerprint,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> SecureChannel:
        """TLS client over a connected socket, which it owns from the call on.

        Raises IdentityMismatch, a PeerCertificateError or another RemoteProtocolError by what is wrong
        with the other side, TlsFailure, LinkLost, TimedOut.
        """
        return cls(*await call(sock, credentials, expected, bounds), bounds)

    @classmethod
    async def accept(
        cls,
        sock: socket.socket,
        credentials: Credentials,
        expected: Fingerprint | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> SecureChannel:
        """TLS server over a connected socket, which it owns from the call on, for ``expected`` or any key.

        A caller that isn't what it has to be gets the uniform refusal and is gone when this raises what
        was wrong: IdentityMismatch, a PeerCertificateError or another RemoteProtocolError. Also
        TlsFailure, LinkLost, TimedOut.
        """
        return cls(*await answer(sock, credentials, expected, bounds), bounds)

    # ── in the event loop ─────────────────────────────────────────────────────────────────────────────

    async def write_frame(self, kind: Kind, *parts: Buffer) -> None:
        """One frame, returning once TLS has all of it. LinkLost, also when the peer reads nothing any more.

        Frames of several tasks don't mix. Cancelling a frame that has begun ends the link.
        """
        frame = b"".join((header(kind, sum(map(size_of, parts))), *parts))
        if not self._waited_to_write:
            await asyncio.sleep(0)  # a peer that reads fast must not keep other tasks from running
        async with self._writing:
            waits = self._socket.readiness.waits
            try:
                await self._socket.write(frame, self._bounds.stall)
            except BaseException:  # half a frame cannot be taken back
                self.abort()
                raise
            self._waited_to_write = waits != self._socket.readiness.waits
            self._count_sent(len(frame))

    async def read_frame(self, limit: int) -> tuple[Kind, bytes]:
        """The next frame, its body at most ``limit`` bytes. LinkLost, RemoteProtocolError.

        It waits as long as it takes: the caller holds the deadline. A cancelled read loses nothing.
        """
        if self._reading:
            raise LocalProtocolError("two tasks read from one link")
        self._reading = True
        waits = self._socket.readiness.waits
        try:
            await self._fill(self._head, HEADER.size)
            kind, size = parse_header(self._head, limit)
            await self._fill(self._body, size)
            if waits == self._socket.readiness.waits:
                await asyncio.sleep(0)  # a peer that sends fast must not keep other tasks from running
        finally:
            self._reading = False
        body = bytes(self._body)  # from here on nothing waits: the frame is out of here and returned
        self._head.clear()
        self._body.clear()
        return kind, body

    async def close(self) -> None:
        """Say close_notify and wait, for a bounded time, for the peer to go too: it then read all we said."""
        await self._socket.close(self._bounds.close)

    def dismiss(self) -> None:
        """Say close_notify if that needs no waiting, and end: for a link on which nothing is under way."""
        self._socket.dismiss()

    def watch(self, callback: Callable[[], None]) -> None:
        """Call back, once, when an idle link has something to read: it has ended, or the peer misbehaves."""
        self._socket.readiness.watch(callback)

    def unwatch(self) -> None:
        """Forget the callback: the link is in use again."""
        self._socket.readiness.unwatch()

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────

    def to_thread(self) -> None:
        """From the loop: hand the channel to one thread, between frames."""
        if self._reading or self._writing.locked() or self._head:
            raise LocalProtocolError("a link is handed to a thread in the middle of a frame")
        self._socket.to_thread(self._bounds.stall)

    def to_loop(self) -> None:
        """In the loop: take the channel back, which the thread has left. LinkLost if it has ended."""
        if self._held:
            raise LocalProtocolError("a thread left a link before a frame had gone")
        self._socket.to_loop()

    def write_frame_blocking(
        self, kind: Kind, *parts: Buffer, pace: Pace | None = None, more: bool = False
    ) -> None:
        """One frame from a thread, large parts uncopied, as fast as ``pace`` lets it go. LinkLost.

        A small one waits for the next where ``more`` says that there is one: they share a TLS record.
        """
        size = sum(map(size_of, parts))
        head = self._held + header(kind, size)
        if more and len(head) + size <= RECORD_BYTES // 2:
            self._held = b"".join((head, *parts))
            return
        self._held = b""
        with self._socket.entered():
            for piece in _pieces(head, parts):
                sent = allowed = 0
                while sent < len(piece):
                    if sent == allowed:
                        allowed += self._socket.paced(pace, len(piece) - sent)
                    sent += self._socket.block(self._socket.connection.send, piece[sent:allowed])
                self._count_sent(len(piece))

    def read_frame_blocking(self, landings: Landings, limit: int) -> tuple[Kind, memoryview]:
        """The next frame from a thread, its body in one of ``landings`` until that one's turn comes again.

        LinkLost, RemoteProtocolError.
        """
        with self._socket.entered():
            kind, size = parse_header(self._land(landings.short, HEADER.size), limit)
            if size > limits.FRAME_BYTES:
                hold_window(self._socket.sock)
            return kind, self._land(landings.of(size), size)

    @property
    def round_trip(self) -> float:
        """Seconds to the next machine and back; 0 where the kernel doesn't say."""
        return round_trip(self._socket.sock)

    def readable(self, wait: float = 0.0) -> bool:
        """From a thread: whether the peer sent something that was not read yet, or does within ``wait``
        seconds. LinkLost.
        """
        with self._socket.entered():
            return self._socket.connection.pending() > 0 or self._socket.arrived(wait)

    # ── anywhere ──────────────────────────────────────────────────────────────────────────────────────

    def abort(self) -> None:
        """End at once, without close_notify. From the loop; while a thread has the channel, from any."""
        self._socket.abort()

    @property
    def ended(self) -> bool:
        """Whether this side has ended it."""
        return self._socket.ended

    @property
    def worn(self) -> bool:
        """Whether its keys protected so many records that no further stream should begin on it."""
        return max(self._sent, self._received) >= self._bounds.tls_records

    async def _fill(self, target: bytearray, size: int) -> None:
        while len(target) < size:
            fresh = not self._socket.connection.pending()
            want = min(size - len(target), RECORD_BYTES)
            target += await self._socket.drive(None, self._socket.connection.recv, want)
            self._count_received(fresh)

    def _land(self, landing: Landing, size: int) -> memoryview:
        landing.reserve(size)
        before, until = landing.reads, 0
        while until < size:
            until = min(until + _STEP, size)
            self._socket.block(landing.fill, self._socket.connection, until)
        self._received += landing.reads - before  # a record is one read, or several
        self._check_worn(self._received)
        return landing.view(size)

    def _count_sent(self, size: int) -> None:
        self._sent += -(-size // RECORD_BYTES)
        self._check_worn(self._sent)

    def _count_received(self, fresh: bool) -> None:
        self._received += fresh  # one read returns bytes of one record, or more of the last one
        self._check_worn(self._received)

    def _check_worn(self, records: int) -> None:
        if records >= 2 * self._bounds.tls_records:
            self.abort()
            raise LinkLost("the link carried as many records as one key may protect")


def _pieces(head: bytes, parts: tuple[Buffer, ...]) -> list[memoryview]:
    """The frame in few writes: the header and the small parts after it share a record."""
    pieces: list[memoryview] = []
    for part in parts:
        if len(head) + size_of(part) <= RECORD_BYTES:
            head += bytes(part)
            continue
        if head:
            pieces.append(memoryview(head))
        pieces.append(memoryview(part).cast("B"))
        head = b""
    return [*pieces, memoryview(head)] if head else pieces
