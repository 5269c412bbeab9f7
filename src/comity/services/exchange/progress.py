"""How far a transfer is: counted by the thread that moves it, shown by the event loop.

Counters are plain integers that one thread writes and others read; a caller who wants to watch is called on
the loop, at most every ``limits.PROGRESS_EVERY`` seconds, and at each change of state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from comity import limits
from comity.clock import Clock
from comity.control.exchange import Progress

MEGABYTE = 1_000_000


def rate(size: int, seconds: float) -> float:
    """10^6 bytes per second, to two places."""
    return round(size / MEGABYTE / max(seconds, 1e-6), 2)


class Meter:
    """One transfer's counters: ``done`` logical bytes that are where they belong, ``sent`` that travelled."""

    def __init__(
        self,
        *,
        transfer: str,
        name: str,
        size: int,
        clock: Clock,
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        self.transfer = transfer
        self.name = name
        self.size = size
        self.done = 0
        self.sent = 0
        self.path: str | None = None  # that the last bytes took
        self.paths: dict[str, int] = {}  # bytes that travelled, the first path first
        self._clock = clock
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._started = clock.monotonic()
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
        if self._watch is None:
            return
        if state == self._shown_state and now - self._shown_at < limits.PROGRESS_EVERY:
            return
        self._shown_state, self._shown_at = state, now
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._watch, self._progress(state))

    def _progress(self, state: str) -> Progress:
        seconds = self.seconds
        return Progress(
            transfer=self.transfer,
            state=state,
            name=self.name,
            bytes=self.size,
            bytes_done=self.done,
            bytes_sent=self.sent,
            seconds=round(seconds, 3),
            mb_per_s=rate(self.done, seconds),
            path=self.path,
        )
