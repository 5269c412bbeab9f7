"""How far a transfer is: counted by the thread that moves it, shown by the event loop.

Counters are plain integers that one thread writes and others read; how fast it goes is worked out whenever
somebody looks. A caller who wants to watch is called on the loop, at most every
``limits.PROGRESS_EVERY`` seconds, and at each change of state.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from comity import limits
from comity.clock import Clock
from comity.control.exchange import Progress
from comity.protocol.exchange.speed import Speed

MEGABYTE = 1_000_000


def rate(size: float, seconds: float) -> float:
    """10^6 bytes per second, to two places."""
    return round(size / MEGABYTE / max(seconds, 1e-6), 2)


class Meter:
    """One transfer's counters: ``done`` logical bytes that are where they belong, ``sent`` that travelled,
    ``skipped`` that did not have to, because the other side had them.
    """

    def __init__(
        self,
        *,
        transfer: str,
        name: str,
        size: int,
        clock: Clock,
        watch: Callable[[Progress], None] | None = None,
        direction: str = "out",
        peer: str = "",
    ) -> None:
        self.transfer = transfer
        self.name = name
        self.size = size
        self.done = 0
        self.sent = 0
        self.partly = 0  # of the chunk that is on its way
        self.skipped = 0
        self.path: str | None = None  # that the last bytes took
        self.paths: dict[str, int] = {}  # bytes that travelled, the first path first
        self._clock = clock
        self._watch = watch
        self._direction = direction
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._started = clock.monotonic()
        self._speed = Speed()
        self._lock = threading.Lock()  # around the speed
        self._state = "sending" if direction == "out" else "receiving"
        self._shown_state = ""
        self._shown_at = 0.0

    @property
    def seconds(self) -> float:
        """Since the transfer was asked for."""
        return self._clock.monotonic() - self._started

    def travelled(self, size: int, path: str) -> None:
        """So many bytes more were sent or came, on this path."""
        self.sent += size
        self.path = path
        self.paths[path] = self.paths.get(path, 0) + size

    def show(self, state: str) -> None:
        """Tell who watches, if it is time to. From any thread, one at a time."""
        now = self._clock.monotonic()
        self._state = state
        if self._watch is None:
            return
        if state == self._shown_state and now - self._shown_at < limits.PROGRESS_EVERY:
            return
        self._shown_state, self._shown_at = state, now
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._watch, self.look(state))

    def look(self, state: str | None = None) -> Progress:
        """How it is now. From any thread."""
        seconds, done = self.seconds, min(self.done + self.partly, self.size)
        with self._lock:
            self._speed.note(done, self._clock.monotonic())
            pace, remaining = self._speed.rate(), self._speed.remaining(self.size - done)
        return Progress(
            transfer=self.transfer,
            state=state or self._state,
            name=self.name,
            bytes=self.size,
            bytes_done=done,
            bytes_sent=self.sent + self.partly,
            seconds=round(seconds, 3),
            mb_per_s=rate(done, seconds) if pace is None else rate(pace, 1.0),
            path=self.path,
            bytes_skipped=self.skipped,
            remaining=None if remaining is None else round(remaining, 1),
            direction=self._direction,
            peer=self._peer,
        )
