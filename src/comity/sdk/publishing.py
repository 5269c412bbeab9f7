"""Publishing many small events, hundreds in a request: what ``Node.publisher`` gives.

``batches`` says when a request is full.
"""

from __future__ import annotations

from comity.sdk import asks
from comity.sdk.batches import Batch
from comity.sdk.client import Client


class Publisher:
    """What ``Node.publisher`` gives."""

    def __init__(self, client: Client, to: str | None) -> None:
        self._client = client
        self._batch = Batch(to)
        #: How many events are on disk.
        self.published = 0

    def publish(self, topic: str, data: str = "") -> None:
        """Put one in the line; when the line is long, it leaves first. Errors as ``Node.publish``."""
        while not self._batch.add(topic, data):
            self.flush()

    def flush(self) -> None:
        """Return once everything is on disk."""
        if (request := self._batch.take()) is not None:
            self.published += self._client.ask(asks.publish(request)).published
