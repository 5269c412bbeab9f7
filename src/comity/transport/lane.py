"""A lane: a stream in the hands of one thread, for bytes in bulk (docs: protocol, "Streams").

Frames of up to a chunk leave from the caller's memory and land in memory that is used again. Only ``abort``
may be called by another thread: it shuts the socket down under the one that works, which then raises
LinkLost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from comity import limits
from comity.errors import ComityError, LinkLost, LocalProtocolError
from comity.protocol.framing import Kind
from comity.transport.bounds import Bounds
from comity.transport.interface import Buffer, Pace
from comity.transport.landing import Landings
from comity.transport.links import Link
from comity.transport.tally import Tally, size_of
from comity.transport.tlssocket import ENDED_HERE


class LinkLane:
    """The real ``interface.Lane``. ``settle`` is called once, by the thread, when the lane is over."""

    def __init__(self, link: Link, tally: Tally, bounds: Bounds, settle: Callable[[], None]) -> None:
        self.peer = link.peer
        self.info = link.info
        self.over = False
        self.finished = False
        self._channel = link.channel
        self._tally = tally
        self._bounds = bounds
        self._settle = settle
        self._landings = Landings()
        self._lock = threading.Lock()  # around ``over``: an abort must not hit the link's next stream

    @property
    def round_trip(self) -> float:
        return self._channel.round_trip

    def send(self, *parts: Buffer, pace: Pace | None = None, more: bool = False) -> None:
        self._require()
        self._tally.check_sending()
        size = sum(map(size_of, parts))
        if size > limits.LANE_FRAME_BYTES:
            raise LocalProtocolError(f"a frame of {size} bytes for a lane")
        try:
            self._channel.write_frame_blocking(Kind.DATA, *parts, pace=pace, more=more)
        except ComityError:
            self.abort()
            raise
        self._tally.count_sent(size)

    def receive(self) -> memoryview | None:
        self._require()
        try:
            return self._next()
        except ComityError:
            self.abort()
            raise

    def ready(self, wait: float = 0.0) -> bool:
        self._require()
        return self._tally.end_received or self._channel.readable(wait)

    def end(self) -> None:
        self._require()
        try:
            self._channel.write_frame_blocking(Kind.END, self._tally.end())
        except ComityError:
            self.abort()
            raise

    def finish(self) -> None:
        if self.finished:
            return
        self._require()
        deadline = time.monotonic() + self._bounds.stall
        try:
            if not self._tally.end_sent:
                self._channel.write_frame_blocking(Kind.END, self._tally.end())
            while self._next() is not None:  # what the peer sent before it heard of our END
                if time.monotonic() > deadline:
                    raise LinkLost(f"the peer did not end the stream within {self._bounds.stall:g} seconds")
        except ComityError:
            self.abort()
            raise
        self._leave(finished=True)

    def abort(self) -> None:
        self._leave(finished=False)

    def _next(self) -> memoryview | None:
        if self._tally.end_received:
            return None
        kind, body = self._channel.read_frame_blocking(self._landings, limits.LANE_FRAME_BYTES)
        return body if self._tally.take(kind, body) else None

    def _leave(self, *, finished: bool) -> None:
        with self._lock:
            if self.over:
                return
            self.over, self.finished = True, finished
            if not finished:
                self._channel.abort()
        self._settle()

    def _require(self) -> None:
        if self.finished:
            raise LocalProtocolError("a lane is used although it is finished")
        if self.over:
            raise LinkLost(ENDED_HERE)
