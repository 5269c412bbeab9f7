"""Events as the node's API sees them: publish, subscribe, acknowledge.

It owns the subscriptions that run; ``broker`` and ``subscription`` do the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from comity import control, limits
from comity.clock import rfc3339_millis
from comity.errors import (
    ComityError,
    ConsumerReplaced,
    InvalidInput,
    LinkLost,
    LocalProtocolError,
    PeerUnreachable,
    RemoteProtocolError,
    TimedOut,
    TooLarge,
)
from comity.policy.operation import Operation
from comity.protocol.events.messages import (
    Fail,
    NewEvent,
    Publish,
    Published,
    check_data,
    encode_message,
    parse_message,
    portions,
)
from comity.protocol.events.subscriber import error_from
from comity.protocol.events.topics import Filter, check_consumer, check_topic
from comity.protocol.hello import EVENTS_PORT
from comity.services.events.broker import Broker, Receipt
from comity.services.events.reception import Reception
from comity.services.events.source import label_of
from comity.services.events.subscription import ELSEWHERE, Subscription, parse_cursor
from comity.services.events.surroundings import SERVICE, Surroundings
from comity.services.events.terms import operations
from comity.services.trust import KnownPeer

_TOKEN_BYTES = 16
_TRIES = 3  # of a batch whose answer was lost with its link


class EventsService:
    """One node's events. ``start`` before the network serves."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._broker = Broker(around)
        self._reception = Reception(around, self._broker)
        self._running: dict[str, Subscription] = {}

    def start(self) -> None:
        """Forget what is too old, then answer on port 1002. StorageUnusable, DiskFull."""
        self._broker.start()
        self._around.network.serve(EVENTS_PORT, self._reception.answer)

    # ── publish ───────────────────────────────────────────────────────────────────────────────────────

    async def publish(self, request: control.PublishRequest) -> control.PublishResult:
        """Return once the events are durable, here or, with ``to``, at the peer.

        A peer that can't be reached will read them here: they are stored for it alone. Nothing is stored
        after InvalidInput, TooLarge, UnknownPeer, UntrustedPeer, AmbiguousPeer, Denied, DiskFull,
        StorageUnusable; PeerRefused and BrokerFull say that the peer didn't take them, TimedOut and LinkLost
        that it is not known whether it did.
        """
        events = [NewEvent(check_topic(event.topic), event.data) for event in request.events]
        for event in events:
            check_data(event.data)
        if not events:
            raise InvalidInput("there is nothing to publish")
        if len(list(portions(events))) > 1:
            raise TooLarge(
                f"{len(events)} events at once are too many",
                hint=f"publish at most {limits.EVENTS_PER_MESSAGE} small ones at a time",
            )
        if request.to is None:
            receipt = await self._broker.publish(events)
            return _published(len(events), receipt, "here", label_of(self._around.own), None)
        return await self._publish_to(await self._around.trust.resolve(request.to), events)

    async def _publish_to(self, peer: KnownPeer, events: Sequence[NewEvent]) -> control.PublishResult:
        around, digest = self._around, peer.agreement.digest
        charter = None
        for operation in operations("publish", peer.key, events, agreement=digest):
            charter = around.guard.require(operation).charter
        batch = around.entropy.token(_TOKEN_BYTES).hex()
        published = await self._deliver(peer, Publish(batch=batch, events=tuple(events)), charter)
        if published is None:
            receipt = await self._broker.publish(events, only=(peer.key, digest))
            return _published(len(events), receipt, "here", label_of(around.own), peer.hostname)
        around.audit.append(
            "events.sent", peer=peer.key, operation="publish", events=len(events), topic=events[0].topic
        )
        receipt = Receipt(published.position, published.at, 1)
        return _published(len(events), receipt, "peer", label_of(peer.key), peer.hostname)

    async def _deliver(self, peer: KnownPeer, message: Publish, charter: str | None) -> Published | None:
        """The peer's answer; None where it was never asked, for it is not to be reached."""
        asked = False
        for tries_left in reversed(range(_TRIES)):
            try:
                async with asyncio.timeout(limits.EVENTS_PUBLISH_TIMEOUT):
                    stream = await self._around.network.dial(
                        peer.key, EVENTS_PORT, agreement=peer.agreement.digest, charter=charter
                    )
                    async with stream:
                        asked = True
                        await stream.send(encode_message(message))
                        return _answer(message, await stream.receive())
            except TimeoutError:
                raise TimedOut(f"{peer.hostname} did not answer in time") from None
            except LinkLost:
                if not tries_left:
                    raise
            except PeerUnreachable:
                if asked:
                    raise
                return None
        raise LocalProtocolError("a batch was tried without an outcome")

    # ── subscribe ─────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def subscribe(self, request: control.SubscribeRequest) -> AsyncIterator[Subscription]:
        """A subscription that runs for as long as the block. Another one with its consumer, topic and peer
        takes its place.

        InvalidInput, UnknownPeer, UntrustedPeer, AmbiguousPeer, Denied.
        """
        view = control.SubscriptionView(
            id=self._around.entropy.token(_TOKEN_BYTES).hex(),
            topic=Filter.parse(request.topic).text,
            consumer=check_consumer(request.consumer),
        )
        peer = await self._peer(request.from_, view.topic)
        places = self._places(request.since, peer)
        if len(self._running) >= limits.EVENT_SUBSCRIPTIONS:
            raise InvalidInput(f"{len(self._running)} subscriptions run here already", hint="end one of them")
        subscription = Subscription(self._around, self._reception, view, peer, places)
        self._replace(view, peer)
        self._running[view.id] = subscription
        running = asyncio.create_task(subscription.run())
        running.add_done_callback(lambda task: _ended(subscription, task))
        try:
            yield subscription
        finally:
            del self._running[view.id]
            running.cancel()
            await asyncio.wait({running})

    async def acknowledge(self, request: control.AcknowledgeRequest) -> control.AcknowledgeResult:
        """Note how far a running subscription's reader is; InvalidInput where there is none of that id."""
        subscription = self._running.get(request.subscription)
        if subscription is None:
            raise InvalidInput("that subscription has ended", hint="subscribe again")
        return control.AcknowledgeResult(await subscription.acknowledge(request.cursors, request.wait))

    async def _peer(self, text: str | None, topic: str) -> KnownPeer | None:
        if text is None:
            return None
        peer = await self._around.trust.resolve(text)
        self._around.guard.require(
            Operation(
                kind="subscribe",
                peer=peer.key,
                service=SERVICE,
                agreement=peer.agreement.digest,
                topic=topic,
                units=0,
            )
        )
        return peer

    def _places(self, since: str | None, peer: KnownPeer | None) -> dict[str, int]:
        """Where to begin, by broker."""
        if since is None:
            return {}
        if since == "beginning":
            return {ELSEWHERE: 0}
        position, label = parse_cursor(since)
        known = [peer] if peer else self._around.trust.trusted_peers()
        if label not in {label_of(self._around.own), *(label_of(each.key) for each in known)}:
            raise InvalidInput("the cursor is of another broker than those that would be listened to")
        return {label: position}

    def _replace(self, view: control.SubscriptionView, peer: KnownPeer | None) -> None:
        for old in self._running.values():
            if (old.view.topic, old.view.consumer) == (view.topic, view.consumer) and old.same(peer):
                old.fail(ConsumerReplaced("another subscription with this consumer began"))


def _published(
    count: int, receipt: Receipt, stored: str, label: str, to: str | None
) -> control.PublishResult:
    return control.PublishResult(
        published=count,
        cursor=f"{receipt.position}@{label}",
        at=rfc3339_millis(receipt.at),
        stored=stored,
        audience=receipt.audience,
        to=to,
    )


def _answer(message: Publish, body: bytes | None) -> Published:
    if body is None:
        raise RemoteProtocolError("the peer ended the stream without an answer")
    answer = parse_message(body)
    if isinstance(answer, Fail):
        raise error_from(answer)
    if not isinstance(answer, Published) or answer.batch != message.batch:
        raise RemoteProtocolError("the peer answered for something else")
    return answer


def _ended(subscription: Subscription, task: asyncio.Task[None]) -> None:
    """A subscription whose task ended by itself must not leave its reader waiting."""
    if not task.cancelled() and (error := task.exception()) is not None:
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
        subscription.fail(cause if isinstance(cause, ComityError) else LocalProtocolError(repr(cause)))
