"""Events from peers for asyncio: ``events.Subscription``, awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from comity import limits
from comity.control import Event, Notice, SubscriptionView
from comity.control.codec import from_plain
from comity.errors import ComityError, TimedOut
from comity.sdk import asks
from comity.sdk.client_async import AsyncClient, AsyncLines
from comity.sdk.reading import Reading, no_event


class AsyncSubscription:
    """An asynchronous iterator of events, in order for each broker. ``begin`` comes first."""

    def __init__(
        self,
        client: AsyncClient,
        lines: AsyncLines,
        timeout: float | None,
        notice: Callable[[Notice], None] | None,
    ) -> None:
        self._client = client
        self._lines = lines
        self._notice = notice
        self._reading = Reading(time.monotonic(), timeout)
        self._id = ""

    async def begin(self) -> None:
        """Wait for the daemon to say that it listens."""
        self._id = from_plain((await self._line()).get("subscription"), SubscriptionView).id

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> Event:
        """The next event; TimedOut, ConsumerReplaced, UntrustedPeer, NotRunning."""
        self._reading.handled()
        if self._reading.due(time.monotonic()):
            await self._save(0.0)
        while self._reading.empty:
            line = await self._line()
            if "notice" in line and self._notice is not None:
                self._notice(from_plain(line["notice"], Notice))
            self._reading.take(line)
        return self._reading.give()

    async def finish(self) -> None:
        """What was given out is done with, and its brokers have that on disk."""
        self._reading.handled()
        await self._save(limits.EVENTS_ACKNOWLEDGE_TIMEOUT)

    async def leave(self) -> None:
        """What was given out last failed: say, if the daemon still listens, how far things went before."""
        with suppress(ComityError):
            await self._save(0.0)

    async def _save(self, wait: float) -> None:
        request = self._reading.acknowledgement(self._id, wait)
        if request is not None:
            await self._client.ask(asks.acknowledge(request))
            self._reading.saved(time.monotonic())

    async def _line(self) -> dict[str, object]:
        left = self._reading.left(time.monotonic())
        try:
            return await self._lines.line(left)
        except TimedOut as error:
            raise no_event() from error
