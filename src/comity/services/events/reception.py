"""What comes to port 1002: readers, who are let in or not, and publishers, who leave events for the owner.

One consumer is read by one subscription at a time: a new one takes over, and the old one is told.
"""

from __future__ import annotations

import asyncio

from comity import limits
from comity.errors import (
    BrokerFull,
    ComityError,
    ConsumerReplaced,
    Denied,
    InvalidInput,
    RemoteProtocolError,
    TimedOut,
)
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.events.feed import Admitted, fail_for
from comity.protocol.events.messages import (
    Publish,
    Published,
    Subscribe,
    check_data,
    encode_message,
    parse_message,
)
from comity.protocol.events.topics import Filter
from comity.services.events.audience import Reader
from comity.services.events.broker import Broker
from comity.services.events.serving import Serving
from comity.services.events.surroundings import SERVICE, Frames, Surroundings
from comity.services.events.terms import operations
from comity.storage.events import Consumer
from comity.transport.interface import Stream


class Reception:
    """Answers peers' streams, and ``serve``s the owner's own."""

    def __init__(self, around: Surroundings, broker: Broker) -> None:
        self._around = around
        self._broker = broker
        self._readers: dict[Consumer, Serving] = {}
        self._named: dict[Serving, str | None] = {}

    async def answer(self, stream: Stream) -> None:
        """Serve one stream on port 1002. What ends the link is raised."""
        async with stream:
            first = await _next(stream)
            if first is None:
                return
            if isinstance(parse_message(first), Publish):
                await self._take_in(stream, first)
            else:
                await self.serve(stream, first, stream.hello.charter)

    async def serve(self, stream: Frames, first: bytes, charter: str | None = None) -> None:
        """Be a reader's broker until either side ends it; ``charter`` is the one that it names."""
        serving = Serving(stream, self._broker, self, self._around.clock)
        self._named[serving] = charter
        try:
            await serving.run(first)
        finally:
            del self._named[serving]
            if serving.consumer is not None and self._readers.get(serving.consumer) is serving:
                del self._readers[serving.consumer]

    # ── readers ───────────────────────────────────────────────────────────────────────────────────────

    def admit(self, serving: Serving, wanted: Subscribe) -> tuple[Consumer, Reader, Admitted]:
        """See ``serving.Door``. Denied, InvalidInput, and BrokerFull where there are too many."""
        around, key = self._around, serving.stream.peer
        own = key == around.own
        if not own:
            around.guard.require(
                Operation(
                    kind="subscribe",
                    peer=key,
                    service=SERVICE,
                    charter=self._named.get(serving),
                    name=wanted.pattern,
                    topic=wanted.pattern,
                    units=0,
                    by_peer=True,
                )
            )
            if wanted.sender is not None:
                raise Denied("only a broker's owner may ask for what one peer left there")
        consumer = Consumer(key.hex, wanted.consumer, wanted.pattern, wanted.sender or "")
        before = self._readers.get(consumer)
        theirs = sum(other.reader == key.hex for other in self._readers)
        if before is None and theirs >= (limits.EVENT_SUBSCRIPTIONS if own else limits.EVENT_READERS):
            raise BrokerFull(f"{theirs} subscriptions of yours run already", hint="end one of them")
        admitted = self._start(consumer, wanted)
        if before is not None:
            before.end(ConsumerReplaced("another subscription with this consumer began"))
        self._readers[consumer] = serving
        return consumer, Reader(around, key, Filter(wanted.pattern), wanted.sender), admitted

    def _start(self, consumer: Consumer, wanted: Subscribe) -> Admitted:
        """Where to send from, and what counts as acknowledged; going back counts, and is put on disk."""
        store = self._around.store
        place = store.place(consumer)
        if place is None and store.consumers(consumer.reader) >= limits.EVENT_CONSUMERS:
            raise BrokerFull(
                f"you have {limits.EVENT_CONSUMERS} consumers here already", hint="use a name again"
            )
        start = (place or 0) if wanted.after is None else wanted.after
        if start > store.newest():
            raise InvalidInput("the cursor is beyond the newest event of this broker")
        noted = min(place or 0, start)
        with self._around.db.transaction():
            store.put_places([(consumer, noted)], int(self._around.clock.now()))
        return Admitted(start, noted)

    # ── publishers ────────────────────────────────────────────────────────────────────────────────────

    async def _take_in(self, stream: Stream, first: bytes) -> None:
        around, key = self._around, stream.peer
        body: bytes | None = first
        try:
            if not around.guard.governs(key):  # else the question is about topics
                around.guard.require(Operation(kind="publish", peer=key, service=SERVICE, by_peer=True))
            while body is not None:
                await stream.send(encode_message(await self._store(stream, body)))
                body = await _next(stream)
        except (Denied, BrokerFull) as error:
            await stream.send(encode_message(fail_for(error)))

    async def _store(self, stream: Stream, body: bytes) -> Published:
        key, message = stream.peer, parse_message(body)
        if not isinstance(message, Publish):
            raise RemoteProtocolError("a publisher says nothing but what it publishes")
        if self._around.trust.known(key) is None:
            raise Denied("the agreement is not in force any more")
        for event in message.events:
            try:
                check_data(event.data)
            except ComityError as error:
                raise RemoteProtocolError(f"an event was published that none may be: {error}") from error
        if self._around.guard.governs(key) and not self._known(key, message.batch):
            named = stream.hello.charter
            for operation in operations("publish", key, message.events, charter=named, by_peer=True):
                self._around.guard.require(operation)
        receipt = await self._broker.publish(message.events, sender=key, batch=message.batch)
        return Published(batch=message.batch, position=receipt.position, at=receipt.at)

    def _known(self, key: PublicKey, batch: str) -> bool:
        """Whether this batch was stored and counted before: its answer was lost."""
        return self._around.store.batch(key.hex, batch) is not None


async def _next(stream: Stream) -> bytes | None:
    try:
        async with asyncio.timeout(limits.LINK_IDLE):
            return await stream.receive()
    except TimeoutError:
        raise TimedOut(f"nothing came for {limits.LINK_IDLE:g} seconds") from None
