"""A secure channel's stand-in for one end of an in-memory link: same frames, same faces, same errors, no TLS.

Whose key is at the other end is given, as the handshake would have proved it. The thread's face is a bridge:
the thread asks the loop to send or to receive, and waits; under virtual time it counts as waiting
(``simulation``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from comity import limits
from comity.errors import LinkLost, LocalProtocolError, RemoteProtocolError
from comity.identity.keys import PublicKey
from comity.protocol.framing import Kind
from comity.transport.channel import SecureChannel
from comity.transport.interface import Buffer, Pace
from comity.transport.landing import Landings
from comity.transport.memory_links import End, Message
from comity.transport.simulation import VirtualTimeLoop
from comity.transport.tally import size_of
from comity.transport.tls import CIPHER, GROUP, VERSION

T = TypeVar("T")


class MemoryChannel(SecureChannel):
    """A SecureChannel in name and behaviour, so that streams, lanes and links take it for one."""

    def __init__(self, end: End, peer: PublicKey, remote: str) -> None:
        # The base's constructor wants a TLS socket, and every method that would use one is replaced here.
        self.peer = peer
        self.remote = remote
        self.via = ""
        self.tls = VERSION
        self.cipher = CIPHER
        self.group = GROUP
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._in_thread = False
        self._over = False
        self._calls: set[asyncio.Task[Any]] = set()

    # ── in the event loop ─────────────────────────────────────────────────────────────────────────────

    async def write_frame(self, kind: Kind, *parts: Buffer) -> None:
        self._require(thread=False)
        await self._send(kind, parts)

    async def read_frame(self, limit: int) -> tuple[Kind, bytes]:
        self._require(thread=False)
        return _checked(await self._end.receive(), limit)

    async def close(self) -> None:
        self.dismiss()

    def dismiss(self) -> None:
        self._finish("the peer ended the link")

    def watch(self, callback: Callable[[], None]) -> None:
        """Never calls: links in memory are not pooled."""

    def unwatch(self) -> None:
        """Nothing to forget."""

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────

    def to_thread(self) -> None:
        self._require(thread=False)
        self._in_thread = True

    def to_loop(self) -> None:
        self._in_thread = False
        if self._over:
            raise LinkLost("the link was ended on this side")

    def write_frame_blocking(
        self, kind: Kind, *parts: Buffer, pace: Pace | None = None, more: bool = False
    ) -> None:
        left = sum(map(size_of, parts))
        while pace is not None and left:
            left -= pace(left)
            self._require(thread=True)
        self._require(thread=True)
        self._call(self._send(kind, parts))

    def read_frame_blocking(self, landings: Landings, limit: int) -> tuple[Kind, memoryview]:
        self._require(thread=True)
        kind, body = _checked(self._call(self._receive_in_time()), limit)
        return kind, memoryview(body)

    @property
    def round_trip(self) -> float:
        return 0.0

    def readable(self, wait: float = 0.0) -> bool:
        # What a thread finds depends on the machine's pace; saying no is always right, and repeats.
        self._require(thread=True)
        return False

    # ── anywhere ──────────────────────────────────────────────────────────────────────────────────────

    def abort(self) -> None:
        self._finish("the connection was reset by the peer")

    @property
    def ended(self) -> bool:
        return self._over

    @property
    def worn(self) -> bool:
        return False

    def _finish(self, reason: str) -> None:
        if self._over:
            return
        self._over = True
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # another thread
            here = False
        if here:
            self._end.close(reason)
        else:
            self._loop.call_soon_threadsafe(self._end.close, reason)

    def _require(self, *, thread: bool) -> None:
        if self._over:
            raise LinkLost("the link was ended on this side")
        if self._in_thread is not thread:
            raise LocalProtocolError("a link is used by the event loop and a thread at once")

    async def _send(self, kind: Kind, parts: tuple[Buffer, ...]) -> None:
        body = b"".join(parts)
        await self._end.send(Message((kind, body), len(body)))

    async def _receive_in_time(self) -> Message:
        try:
            async with asyncio.timeout(limits.LANE_TIMEOUT):
                return await self._end.receive()
        except TimeoutError:
            raise LinkLost(f"nothing moved for {limits.LANE_TIMEOUT:g} seconds") from None

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """In a thread: what ``work`` returns or raises, run by the loop."""
        result: Future[T] = Future()
        try:
            self._loop.call_soon_threadsafe(self._begin, work, result)
        except RuntimeError as error:
            work.close()
            raise LinkLost("the event loop is closed") from error
        return result.result()

    def _begin(self, work: Coroutine[Any, Any, T], result: Future[T]) -> None:
        if isinstance(self._loop, VirtualTimeLoop):
            self._loop.parked()
        task = self._loop.create_task(work)
        self._calls.add(task)

        def done(task: asyncio.Task[T]) -> None:
            self._calls.discard(task)
            if isinstance(self._loop, VirtualTimeLoop):
                self._loop.unparked()
            if task.cancelled():
                result.set_exception(LinkLost("the event loop is closing"))
            elif (error := task.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(task.result())

        task.add_done_callback(done)


def _checked(message: Message, limit: int) -> tuple[Kind, bytes]:
    match message.content:
        case (Kind() as kind, bytes() as body):
            if len(body) > limit:
                raise RemoteProtocolError(f"frame of {len(body)} bytes exceeds the limit of {limit}")
            return kind, body
        case _:
            raise LocalProtocolError("something else than a frame travelled over a link")
