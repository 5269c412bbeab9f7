"""Many small events in few requests: what waits to be published, and when a request is full.

A request to the daemon is one message of the protocol, so both have the same bounds. No IO.
"""

from __future__ import annotations

from comity import limits
from comity.control import EventData, PublishRequest
from comity.protocol.events.messages import NewEvent, check_data, size_of
from comity.protocol.events.topics import check_topic


class Batch:
    """Events for one publisher, in order. ``to``: the peer that they are for alone."""

    def __init__(self, to: str | None) -> None:
        self._to = to
        self._events: list[EventData] = []
        self._bytes = 0

    def add(self, topic: str, data: str) -> bool:
        """Put one in, unless the request is full. InvalidInput, TooLarge: it goes into no request."""
        check_data(data)
        size = size_of(NewEvent(check_topic(topic), data))
        full = len(self._events) == limits.EVENTS_PER_MESSAGE
        if self._events and (full or self._bytes + size > limits.EVENTS_MESSAGE_BYTES):
            return False
        self._bytes += size
        self._events.append(EventData(topic, data))
        return True

    def take(self) -> PublishRequest | None:
        """All that waits, as one request, and wait for nothing; None where there is nothing."""
        if not self._events:
            return None
        request = PublishRequest(tuple(self._events), self._to)
        self._events, self._bytes = [], 0
        return request
