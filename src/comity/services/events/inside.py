"""A stream that leaves nothing: between this node's broker and its own user's subscriptions.

Both ends are in this process, so what holds for peers holds for the owner, by the same code: the window, the
acknowledgements, the order.
"""

from __future__ import annotations

import asyncio
from collections import deque

from comity import limits
from comity.errors import LinkLost
from comity.identity.keys import PublicKey
from comity.transport.interface import Buffer


class _Pipe:
    """One direction; holds at most ``limits.STREAM_QUEUE_FRAMES`` frames."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.closed = False
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Wake who waits, on either end."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


class InsideStream:
    """One end. ``peer`` is this node's own key, at both ends."""

    def __init__(self, own: PublicKey, incoming: _Pipe, outgoing: _Pipe) -> None:
        self.peer = own
        self._incoming = incoming
        self._outgoing = outgoing

    async def send(self, body: Buffer) -> None:
        """One frame; waits while the other end reads nothing. LinkLost once either end is closed."""
        pipe = self._outgoing
        while len(pipe.frames) >= limits.STREAM_QUEUE_FRAMES and not pipe.closed:
            await pipe.wait()
        if pipe.closed:
            raise LinkLost("the subscription has ended")
        pipe.frames.append(bytes(body))
        pipe.change()

    async def receive(self) -> bytes | None:
        """The next frame, or None after the last."""
        pipe = self._incoming
        while not pipe.frames and not pipe.closed:
            await pipe.wait()
        if not pipe.frames:
            return None
        body = pipe.frames.popleft()
        pipe.change()
        return body

    def close(self) -> None:
        """Nothing more is sent in either direction; what was sent can still be read."""
        for pipe in (self._incoming, self._outgoing):
            pipe.closed = True
            pipe.change()


def inside_pair(own: PublicKey) -> tuple[InsideStream, InsideStream]:
    """Two ends of one stream."""
    there, back = _Pipe(), _Pipe()
    return InsideStream(own, back, there), InsideStream(own, there, back)
