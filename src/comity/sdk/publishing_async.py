"""Publishing many small events for asyncio: ``publishing.Publisher``, awaited."""

from __future__ import annotations

from comity.sdk import asks
from comity.sdk.batches import Batch
from comity.sdk.client_async import AsyncClient


class AsyncPublisher:
    """What ``AsyncNode.publisher`` gives."""

    def __init__(self, client: AsyncClient, to: str | None) -> None:
        self._client = client
        self._batch = Batch(to)
        #: How many events are on disk.
        self.published = 0

    async def publish(self, topic: str, data: str = "") -> None:
        """Put one in the line; when the line is long, it leaves first. Errors as ``Node.publish``."""
        while not self._batch.add(topic, data):
            await self.flush()

    async def flush(self) -> None:
        """Return once everything is on disk."""
        if (request := self._batch.take()) is not None:
            self.published += (await self._client.ask(asks.publish(request))).published
