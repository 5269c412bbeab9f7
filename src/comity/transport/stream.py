"""A stream: one conversation on a link, from welcome to both sides' END (docs: protocol, "Streams").

Both sides count what they send, and an END that counts otherwise than what arrived is an error, so a stream
that was cut, by whomever, never looks finished (SECURITY.md rule 11). After both ENDs the link is given
back, by ``released``; after anything else it has ended. ``lane`` hands the same conversation to a thread
(``lane.py``).

It opens and pools no links (``dialler`` and ``acceptor`` do) and does not look into DATA.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from comity import limits
from comity.errors import ComityError, LinkLost, LocalProtocolError
from comity.protocol.framing import Kind
from comity.protocol.hello import Hello
from comity.transport.bounds import Bounds
from comity.transport.interface import Buffer
from comity.transport.lane import LinkLane
from comity.transport.links import Link
from comity.transport.tally import Tally, size_of
from comity.transport.tlssocket import ENDED_HERE


class _State(Enum):
    OPEN = auto()
    LANE = auto()  # a thread has it
    FINISHED = auto()  # both ENDs are said; the link is given back
    ABORTED = auto()


class LinkStream:
    """The real ``interface.Stream``. ``released`` is called once, in the loop: may the link be used again?"""

    def __init__(
        self,
        link: Link,
        hello: Hello,
        instance: str,
        bounds: Bounds,
        released: Callable[[bool], None],
    ) -> None:
        self.peer = link.peer
        self.hello = hello
        self.info = link.info
        self.instance = instance
        self._link = link
        self._channel = link.channel
        self._bounds = bounds
        self._released = released
        self._tally = Tally()
        self._state = _State.OPEN
        self._lane: LinkLane | None = None

    @property
    def finished(self) -> bool:
        """Whether both sides said END here."""
        return self._state is _State.FINISHED

    async def send(self, body: Buffer) -> None:
        self._require_open()
        size = size_of(body)
        if size > limits.FRAME_BYTES:
            raise LocalProtocolError(f"a frame of {size} bytes for a stream: hand bulk to a lane")
        self._tally.check_sending()
        try:
            await self._channel.write_frame(Kind.DATA, body)
        except ComityError:
            self.abort()
            raise
        self._tally.count_sent(size)

    async def receive(self) -> bytes | None:
        self._require_open()
        try:
            return await self._next()
        except ComityError:
            self.abort()
            raise

    async def finish(self) -> None:
        if self._state is _State.FINISHED:
            return
        self._require_open()
        try:
            async with asyncio.timeout(self._bounds.stall):
                if not self._tally.end_sent:
                    await self._channel.write_frame(Kind.END, self._tally.end())
                while await self._next() is not None:
                    pass  # what the peer sent before it heard of our END, and nobody waits for
        except TimeoutError:
            self.abort()
            raise LinkLost(f"the peer did not end the stream within {self._bounds.stall:g} seconds") from None
        except BaseException:
            self.abort()
            raise
        self._end(_State.FINISHED)

    def abort(self) -> None:
        if self._state in (_State.OPEN, _State.LANE):
            self._channel.abort()
            self._end(_State.ABORTED)

    def lane(self) -> LinkLane:
        self._require_open()
        self._channel.to_thread()
        self._state = _State.LANE
        loop = asyncio.get_running_loop()

        def over() -> None:
            try:
                loop.call_soon_threadsafe(self.settle)
            except RuntimeError:  # the loop is closed, and with it everything that could use the link
                self._channel.abort()

        self._lane = LinkLane(self._link, self._tally, self._bounds, over)
        return self._lane

    async def __aenter__(self) -> LinkStream:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self.settle()
        if kind is not None:
            self.abort()
        elif self._state is _State.LANE:
            self.abort()
            raise LocalProtocolError("a stream was left while its lane had not finished")
        elif self._state is _State.OPEN:
            await self.finish()

    async def _next(self) -> bytes | None:
        if self._tally.end_received:
            return None
        kind, body = await self._channel.read_frame(limits.FRAME_BYTES)
        return body if self._tally.take(kind, body) else None

    def _require_open(self) -> None:
        if self._state is _State.ABORTED:
            raise LinkLost(ENDED_HERE)
        if self._state is not _State.OPEN:
            raise LocalProtocolError(f"a stream is used although it is {self._state.name.lower()}")

    def settle(self) -> None:
        """Take the link back from the lane if its thread is done; soon after, it is called by itself."""
        lane = self._lane
        if self._state is not _State.LANE or lane is None or not lane.over:
            return
        self._lane = None  # it knows this stream; its memory, megabytes, is not to wait for the collector
        if lane.finished:
            try:
                self._channel.to_loop()
            except LinkLost:  # dropped in the meantime
                self.abort()
            else:
                self._end(_State.FINISHED)
        else:
            self.abort()

    def _end(self, state: _State) -> None:
        self._state = state
        self._released(state is _State.FINISHED)
