"""What one reader on this machine listens to: one peer's broker or all of them, and what was left with ours.

It merges its sources in the order of arrival; within one broker the order is the broker's. How much waits
here is bounded by what each broker sends without an acknowledgement.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from comity import control, limits
from comity.clock import rfc3339_millis
from comity.errors import ComityError, ConsumerReplaced, InvalidInput, UntrustedPeer
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.events.messages import StoredEvent, Subscribe, size_of
from comity.services.events.reception import Reception
from comity.services.events.source import Source, Told, label_of, to_own, to_peer
from comity.services.events.surroundings import SERVICE, Surroundings
from comity.services.events.terms import operations
from comity.services.trust import KnownPeer

Batch = tuple[control.Event, ...]

#: Stands for every broker that is not named, in the places to begin at.
ELSEWHERE = ""


class Subscription:
    """``peer``: the one that is listened to; None for all. ``places``: cursors to go on after, by label."""

    def __init__(
        self,
        around: Surroundings,
        reception: Reception,
        view: control.SubscriptionView,
        peer: KnownPeer | None,
        places: dict[str, int],
    ) -> None:
        self.view = view
        self._around = around
        self._reception = reception
        self._peer = peer
        self._places = places
        self._told = Told(self._arrived, self._noticed)
        self._sources: dict[str, tuple[Source, asyncio.Task[None]]] = {}
        self._refused: set[tuple[str, tuple[str, ...]]] = set()
        self._queue: deque[tuple[Source, StoredEvent]] = deque()
        self._notices: deque[control.Notice] = deque(maxlen=limits.EVENT_SUBSCRIPTIONS)
        self._news = asyncio.Event()
        self._error: ComityError | None = None

    @property
    def waiting(self) -> int:
        """How many events have arrived and were not taken."""
        return len(self._queue)

    async def run(self) -> None:
        """Keep the sources until cancelled, or ``fail``."""
        async with asyncio.TaskGroup() as tasks:
            self._follow(tasks, self._around.own)
            while self._error is None:
                self._look_around(tasks)
                await asyncio.sleep(limits.EVENTS_RESCAN_SECONDS)
            for _, task in self._sources.values():
                task.cancel()

    def fail(self, error: ComityError) -> None:
        """End the subscription: the reader is told once it has what arrived before."""
        self._error = self._error or error
        self._news.set()

    def same(self, peer: KnownPeer | None) -> bool:
        """Whether it listens to this peer, or to all as well."""
        return (self._peer and self._peer.key) == (peer and peer.key)

    async def batches(self) -> AsyncGenerator[Batch | control.Notice, None]:
        """What arrives, as many events at a time as there are; raises what ended the subscription."""
        while True:
            self._news.clear()
            while self._notices:
                yield self._notices.popleft()
            if self._queue:
                yield self._next()
            elif self._error is not None:
                raise self._error
            else:
                await self._news.wait()

    async def acknowledge(self, cursors: tuple[str, ...], wait: float) -> bool:
        """Note that everything up to ``cursors`` is done with; whether the brokers have that on disk."""
        places = [parse_cursor(cursor) for cursor in cursors]
        named = [(position, self._sources[label][0]) for position, label in places if label in self._sources]
        for position, source in named:
            source.acknowledge(position)
        try:
            async with asyncio.timeout(min(wait, limits.EVENTS_ACKNOWLEDGE_TIMEOUT)):
                for _, source in named:
                    await source.durable()
        except TimeoutError:
            return False
        return len(named) == len(places)

    # ── sources ───────────────────────────────────────────────────────────────────────────────────────

    def _look_around(self, tasks: asyncio.TaskGroup) -> None:
        """Follow who is trusted now, and nobody else."""
        trusted = self._trusted()
        for label, (source, task) in list(self._sources.items()):
            if source.broker != self._around.own and label not in trusted:
                task.cancel()
                del self._sources[label]
        for label, known in trusted.items():
            if label not in self._sources and self._allowed(known):
                self._follow(tasks, known.key)

    def _trusted(self) -> dict[str, KnownPeer]:
        trust, peer = self._around.trust, self._peer
        if peer is None:
            return {label_of(known.key): known for known in trust.trusted_peers()}
        now = trust.known(peer.key)
        if now is None:
            self.fail(UntrustedPeer(f"the agreement with {peer.hostname} is over"))
            return {}
        return {label_of(peer.key): now}

    def _allowed(self, known: KnownPeer) -> bool:
        """Whether agreement and charter open these events; asked, and put on record, once for both."""
        guard, digest = self._around.guard, known.agreement.digest
        asked = (digest, guard.in_force(known.key))
        if asked in self._refused:
            return False
        operation = Operation(
            kind="subscribe",
            peer=known.key,
            service=SERVICE,
            agreement=digest,
            topic=self.view.topic,
            units=0,
        )
        allowed = guard.check(operation).allowed
        if not allowed:
            self._refused.add(asked)
        return allowed

    def _follow(self, tasks: asyncio.TaskGroup, broker: PublicKey) -> None:
        own = broker == self._around.own
        wanted = Subscribe(
            pattern=self.view.topic,
            consumer=self.view.consumer,
            after=self._places.get(label_of(broker), self._places.get(ELSEWHERE)),
            sender=self._peer.key.hex if own and self._peer else None,
        )
        connect = (
            to_own(self._around, self._reception) if own else to_peer(self._around, broker, self.view.topic)
        )
        source = Source(self._around, broker, wanted, connect, self._told)

        async def follow() -> None:
            try:
                await source.run()
            except ConsumerReplaced as error:
                self.fail(error)

        self._sources[source.label] = source, tasks.create_task(follow())

    # ── what they tell ────────────────────────────────────────────────────────────────────────────────

    def _arrived(self, source: Source, events: tuple[StoredEvent, ...]) -> None:
        try:
            self._count(source.broker, events)
        except ComityError as error:
            self.fail(error)
            return
        self._queue.extend((source, event) for event in events)
        self._news.set()

    def _count(self, broker: PublicKey, events: tuple[StoredEvent, ...]) -> None:
        """Denied where a charter's limit says that no more of them pass. An event that comes again, or to
        another consumer, is counted once.
        """
        counted, guard = self._around.counted, self._around.guard
        new = [event for event in events if event.position > counted.get(broker, 0)]
        if not new or broker == self._around.own or not guard.governs(broker):
            return
        for operation in operations("subscribe", broker, new):
            guard.require(operation)
        counted[broker] = new[-1].position

    def _noticed(self, source: Source, state: str, problem: str) -> None:
        if source.broker != self._around.own:
            peer = self._around.trust.hostname(source.broker)
            self._notices.append(control.Notice(peer, state, problem))
            self._news.set()

    def _next(self) -> Batch:
        batch: list[control.Event] = []
        size = 0
        while self._queue and len(batch) < limits.EVENTS_PER_MESSAGE and size < limits.EVENTS_MESSAGE_BYTES:
            source, event = self._queue.popleft()
            size += size_of(event)
            batch.append(self._shown(source, event))
        return tuple(batch)

    def _shown(self, source: Source, event: StoredEvent) -> control.Event:
        sender = source.broker if event.sender is None else PublicKey.from_hex(event.sender)
        return control.Event(
            topic=event.topic,
            data=event.data,
            from_=self._around.trust.hostname(sender),
            fingerprint=str(sender.fingerprint),
            cursor=f"{event.position}@{source.label}",
            at=rfc3339_millis(event.at),
        )


def parse_cursor(text: str) -> tuple[int, str]:
    """Position and broker in a cursor; InvalidInput."""
    position, _, label = text.partition("@")
    if not (position.isascii() and position.isdigit() and len(position) <= 15 and len(label) == 32):
        raise InvalidInput(
            "that is not a cursor", hint="copy the cursor of an event: comity subscribe --json"
        )
    return int(position), label
