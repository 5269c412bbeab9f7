"""One reader of this node's broker: it carries out what the feed in ``protocol.events`` says.

Events are looked up a page at a time, with a rest for everybody else between two pages, and only when the
reader has room for them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from comity.clock import Clock
from comity.errors import ComityError, Denied
from comity.protocol.events import feed
from comity.protocol.events.feed import Admitted, Ended, Feed, Fetch, Judge, MessageReceived, News, Note
from comity.protocol.events.messages import Subscribe
from comity.services.events.audience import Reader
from comity.services.events.broker import Broker
from comity.services.events.surroundings import Frames
from comity.services.events.talk import Talk
from comity.storage.events import Consumer


class Door(Protocol):
    """Who lets readers in."""

    def admit(self, serving: Serving, wanted: Subscribe) -> tuple[Consumer, Reader, Admitted]:
        """The reader's consumer and view, and where to start; raises ComityError where it may not read."""


class Serving:
    """One subscription over ``stream``."""

    def __init__(self, stream: Frames, broker: Broker, door: Door, clock: Clock) -> None:
        self.stream = stream
        self.consumer: Consumer | None = None
        self._broker = broker
        self._door = door
        self._clock = clock
        self._feed = Feed()
        self._talk = Talk(stream, self, clock)
        self._reader: Reader | None = None
        self._fetch: Fetch | None = None
        self._wanted = asyncio.Event()

    async def run(self, first: bytes) -> None:
        """Serve until either side ends it; ``first`` is the reader's first frame. Raises what broke it."""
        self._broker.news.add(self._news)
        try:
            self.received(first)
            await self._talk.run(self._pump())
        finally:
            self._broker.news.discard(self._news)

    def end(self, error: ComityError) -> None:
        """Tell the reader why, and finish."""
        self._take(Ended(error))

    # ── talk.Side ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def deadline(self) -> float | None:
        return self._feed.deadline

    def received(self, body: bytes) -> None:
        self._take(MessageReceived(body))

    def tick(self) -> None:
        self._take(feed.Tick())

    # ── the feed's outputs ────────────────────────────────────────────────────────────────────────────

    def _take(self, event: feed.Event) -> None:
        for output in self._feed.handle(event, self._clock.monotonic()):
            self._act(output)

    def _act(self, output: feed.Output) -> None:
        match output:
            case feed.Send():
                self._talk.say(output.body)
            case Judge():
                self._judge(output.wanted)
            case Fetch():
                self._fetch = output
                self._wanted.set()
            case Note():
                self._note(output)
            case feed.Over():
                self._talk.end()

    def _judge(self, wanted: Subscribe) -> None:
        try:
            self.consumer, self._reader, admitted = self._door.admit(self, wanted)
        except ComityError as error:
            self._take(Ended(error))
        else:
            self._take(admitted)

    def _note(self, note: Note) -> None:
        def noted(problem: ComityError | None) -> None:
            if problem is None:
                self._take(feed.Noted(note.shown))
            else:
                self._talk.end(problem)

        if self.consumer is not None:
            self._broker.note(self.consumer, note.position, noted)

    def _news(self) -> None:
        if self._feed.state is feed.State.OPEN:
            self._take(News())

    async def _pump(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            fetch, self._fetch = self._fetch, None
            if fetch is None or self._reader is None:
                continue
            if not self._reader.admitted:
                self._take(Ended(Denied("the agreement is not in force any more")))
                return
            self._take(self._broker.page(self._reader, fetch.after))
            await asyncio.sleep(0)
