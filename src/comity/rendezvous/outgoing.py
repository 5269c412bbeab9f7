"""What waits to be said to one node: in order, bounded in bytes, written by one task.

Answers wait for room, and while one waits nothing more is read from that node: back-pressure. Pushes that
find no room are dropped and their sender is told so. Where as much waits for all nodes together as may, each
has room for one message at a time. A node that takes longer than
``limits.RENDEZVOUS_FRAME_TIMEOUT`` for one message loses its connection.
"""

from __future__ import annotations

import asyncio
from collections import deque

from comity import limits
from comity.errors import TimedOut
from comity.protocol.framing import Kind
from comity.protocol.registry import ServerMessage, encode_message
from comity.transport.channel import SecureChannel


class Backlog:
    """What waits for all nodes together, in ``bytes``."""

    def __init__(self) -> None:
        self.bytes = 0

    @property
    def full(self) -> bool:
        return self.bytes >= limits.RENDEZVOUS_QUEUES_BYTES


class Outgoing:
    """One connection's queue. Everything but ``run`` is for the tasks that have something to say."""

    def __init__(self, channel: SecureChannel, backlog: Backlog) -> None:
        self._channel = channel
        self._backlog = backlog
        self._frames: deque[bytes] = deque()
        self._queued = 0
        self._last = False
        self._more = asyncio.Event()
        self._less = asyncio.Event()

    @property
    def finishing(self) -> bool:
        """Whether the last message is queued."""
        return self._last

    def push(self, message: ServerMessage) -> bool:
        """Queue a message unless there is no room; whether it will be said."""
        if self._last or self._is_full(limits.RENDEZVOUS_QUEUE_BYTES):
            return False
        self._add(message)
        return True

    async def say(self, message: ServerMessage, most: int = limits.RENDEZVOUS_QUEUE_BYTES) -> None:
        """Queue a message as soon as less than ``most`` bytes wait."""
        while self._is_full(most) and not self._last:
            self._less.clear()
            await self._less.wait()
        if not self._last:
            self._add(message)

    def finish(self, message: ServerMessage) -> None:
        """Queue the last message: ``run`` returns when it is written."""
        if not self._last:
            self._add(message)
            self._last = True
            self._less.set()

    async def run(self) -> None:
        """Write until ``finish``. LinkLost; TimedOut where the node does not read."""
        while True:
            while not self._frames:
                if self._last:
                    return
                self._more.clear()
                await self._more.wait()
            frame = self._frames.popleft()
            try:
                async with asyncio.timeout(limits.RENDEZVOUS_FRAME_TIMEOUT):
                    await self._channel.write_frame(Kind.DATA, frame)
            except TimeoutError:
                raise TimedOut("the node does not read what it is told") from None
            self._count(-len(frame))
            self._less.set()

    def forget(self) -> None:
        """The connection is over: nothing waits any more."""
        self._last = True
        self._frames.clear()
        self._count(-self._queued)

    def _is_full(self, most: int) -> bool:
        return self._queued >= most or (self._queued > 0 and self._backlog.full)

    def _count(self, more: int) -> None:
        self._queued += more
        self._backlog.bytes += more

    def _add(self, message: ServerMessage) -> None:
        frame = encode_message(message)
        self._frames.append(frame)
        self._count(len(frame))
        self._more.set()
