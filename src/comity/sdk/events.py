"""Events to and from peers. Errors: those of ``Client``, and those of the operation.

    with events.subscribe(client, SubscribeRequest("training/*", consumer="aggregator")) as subscription:
        for event in subscription:
            ...

An event counts as done with when the next one is asked for, or the block is left without an error: it never
comes again then. What was on its way when a program died does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from comity import limits
from comity.control import Event, Notice, PublishRequest, PublishResult, SubscribeRequest, SubscriptionView
from comity.control.codec import from_plain
from comity.errors import ComityError, TimedOut
from comity.sdk import asks
from comity.sdk.client import Client, Lines
from comity.sdk.reading import Reading, no_event


def publish(client: Client, request: PublishRequest) -> PublishResult:
    """Publish events, and return once they are on disk. InvalidInput, TooLarge, UntrustedPeer, BrokerFull."""
    return client.ask(asks.publish(request))


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
        try:
            yield subscription
        except Exception:
            subscription.leave()
            raise
        subscription.finish()


class Subscription:
    """An iterator of events, in order for each broker."""

    def __init__(
        self, client: Client, lines: Lines, timeout: float | None, notice: Callable[[Notice], None] | None
    ) -> None:
        self._client = client
        self._lines = lines
        self._notice = notice
        self._reading = Reading(time.monotonic(), timeout)
        self._view = from_plain(self._line().get("subscription"), SubscriptionView)

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        """The next event; TimedOut, ConsumerReplaced, UntrustedPeer, NotRunning."""
        self._reading.handled()
        if self._reading.due(time.monotonic()):
            self._save(0.0)
        while self._reading.empty:
            line = self._line()
            if "notice" in line and self._notice is not None:
                self._notice(from_plain(line["notice"], Notice))
            self._reading.take(line)
        return self._reading.give()

    def finish(self) -> None:
        """What was given out is done with, and its brokers have that on disk."""
        self._reading.handled()
        self._save(limits.EVENTS_ACKNOWLEDGE_TIMEOUT)

    def leave(self) -> None:
        """What was given out last failed: say, if the daemon still listens, how far things went before."""
        with suppress(ComityError):
            self._save(0.0)

    def _save(self, wait: float) -> None:
        request = self._reading.acknowledgement(self._view.id, wait)
        if request is not None:
            self._client.ask(asks.acknowledge(request))
            self._reading.saved(time.monotonic())

    def _line(self) -> dict[str, object]:
        left = self._reading.left(time.monotonic())
        try:
            return self._lines.next(left)
        except TimedOut as error:
            raise no_event() from error
