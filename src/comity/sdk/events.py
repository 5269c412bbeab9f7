"""Events to and from peers. Errors: those of ``Client``, and those of the operation.

    with events.subscribe(client, SubscribeRequest("training/*", consumer="aggregator")) as subscription:
        for event in subscription:
            ...

An event counts as done with when the next one is asked for, or the block is left without an error: it never
comes again then. What was on its way when a program died does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from comity import limits
from comity.control import (
    AcknowledgeRequest,
    AcknowledgeResult,
    Event,
    Notice,
    PublishRequest,
    PublishResult,
    SubscribeRequest,
    SubscriptionView,
)
from comity.control.codec import from_plain
from comity.errors import TimedOut
from comity.sdk.client import Client, Lines

_SAVE_EVERY = 0.2  # seconds between two acknowledgements in the middle of a batch


def publish(client: Client, request: PublishRequest) -> PublishResult:
    """Publish events, and return once they are on disk. InvalidInput, TooLarge, UntrustedPeer, BrokerFull."""
    return client.call("publish", request, PublishResult, wait=limits.EVENTS_PUBLISH_TIMEOUT)


@contextmanager
def subscribe(
    client: Client,
    request: SubscribeRequest,
    *,
    timeout: float | None = None,
    notice: Callable[[Notice], None] | None = None,
) -> Iterator[Subscription]:
    """Listen for as long as the block lasts; ``timeout`` seconds at most, then TimedOut.

    ``notice`` is told which brokers are connected, and which are waited for.
    """
    with client.listen("subscribe", request) as lines:
        subscription = Subscription(client, lines, timeout, notice)
        yield subscription
        subscription.finish()


class Subscription:
    """An iterator of events, in order for each broker."""

    def __init__(
        self, client: Client, lines: Lines, timeout: float | None, notice: Callable[[Notice], None] | None
    ) -> None:
        self._client = client
        self._lines = lines
        self._ends = None if timeout is None else time.monotonic() + timeout
        self._notice = notice
        self._batch: deque[Event] = deque()
        self._done: dict[str, str] = {}  # the newest cursor of each broker that is not acknowledged
        self._given: Event | None = None
        self._saved = time.monotonic()
        self._view = from_plain(lines.next(self._left()).get("subscription"), SubscriptionView)

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        """The next event; TimedOut, ConsumerReplaced, UntrustedPeer, NotRunning."""
        self._note()
        if self._done and (not self._batch or time.monotonic() - self._saved >= _SAVE_EVERY):
            self._save(0.0)
        while not self._batch:
            self._read()
        self._given = self._batch.popleft()
        return self._given

    def finish(self) -> None:
        """What was given out is done with, and its brokers have that on disk."""
        self._note()
        if self._done:
            self._save(limits.EVENTS_ACKNOWLEDGE_TIMEOUT)

    def _note(self) -> None:
        if self._given is not None:
            self._done[self._given.cursor.partition("@")[2]] = self._given.cursor
            self._given = None

    def _save(self, wait: float) -> None:
        request = AcknowledgeRequest(self._view.id, tuple(self._done.values()), wait)
        self._client.call("acknowledge", request, AcknowledgeResult, wait=wait)
        self._done.clear()
        self._saved = time.monotonic()

    def _read(self) -> None:
        line = self._lines.next(self._left())
        if "notice" in line and self._notice is not None:
            self._notice(from_plain(line["notice"], Notice))
        self._batch.extend(from_plain(event, Event) for event in line.get("events", ()))

    def _left(self) -> float | None:
        if self._ends is None:
            return None
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimedOut("no event arrived in time")
        return left
