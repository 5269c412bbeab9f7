"""How far a reader of events is: what was given out, what it is done with, and when to say so.

Blocking and asynchronous subscriptions keep this alike. An event counts as done with when the next one is
asked for, or the subscription is left without an error. No IO.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from comity.control import AcknowledgeRequest, Event
from comity.control.codec import from_plain
from comity.errors import TimedOut

SAVE_EVERY = 0.2  # seconds between two acknowledgements in the middle of a batch


class Reading:
    """``now`` is a monotonic clock's seconds everywhere; ``ends`` is when the reader's patience does."""

    def __init__(self, now: float, timeout: float | None) -> None:
        self._ends = None if timeout is None else now + timeout
        self._batch: deque[Event] = deque()
        self._done: dict[str, str] = {}  # the newest cursor of each broker that is not acknowledged
        self._given: Event | None = None
        self._saved = now

    @property
    def empty(self) -> bool:
        """Whether a line has to be read before there is a next event."""
        return not self._batch

    def take(self, line: dict[str, Any]) -> None:
        """The events in a line of the daemon's."""
        self._batch.extend(from_plain(event, Event) for event in line.get("events", ()))

    def give(self) -> Event:
        """The next event."""
        self._given = self._batch.popleft()
        return self._given

    def handled(self) -> None:
        """What was given out last is done with."""
        if self._given is not None:
            self._done[self._given.cursor.partition("@")[2]] = self._given.cursor
            self._given = None

    def due(self, now: float) -> bool:
        """Whether to acknowledge before the next event."""
        return bool(self._done) and (self.empty or now - self._saved >= SAVE_EVERY)

    def acknowledgement(self, subscription: str, wait: float) -> AcknowledgeRequest | None:
        """What to tell the daemon; None where it knows."""
        if not self._done:
            return None
        return AcknowledgeRequest(subscription, tuple(self._done.values()), wait)

    def saved(self, now: float) -> None:
        """The daemon was told."""
        self._done.clear()
        self._saved = now

    def left(self, now: float) -> float | None:
        """Seconds of patience; TimedOut where none are left."""
        if self._ends is None:
            return None
        if now >= self._ends:
            raise no_event()
        return self._ends - now


def no_event() -> TimedOut:
    """The reader's patience is over."""
    return TimedOut("no event arrived in time", hint="see who is connected: comity peers")
