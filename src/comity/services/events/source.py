"""One broker that a subscription listens to: connected again whenever the link or the peer went away.

It goes on after the last event that arrived, so nothing comes twice while this process lives; after that, the
broker goes on after what was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from comity import limits
from comity.errors import ComityError, ConsumerReplaced, Denied, PeerRefused
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.events import subscriber
from comity.protocol.events.messages import StoredEvent, Subscribe
from comity.protocol.events.subscriber import AcknowledgeRequested, MessageReceived, Opened, Subscriber
from comity.protocol.hello import EVENTS_PORT
from comity.services.events.inside import inside_pair
from comity.services.events.reception import Reception
from comity.services.events.surroundings import SERVICE, Frames, Surroundings
from comity.services.events.talk import Talk

_DOUBLINGS = 16  # the longest pause is reached long before

Connect = Callable[[], AbstractAsyncContextManager[Frames]]


@dataclass(frozen=True)
class Told:
    """What a source tells its subscription."""

    arrived: Callable[[Source, tuple[StoredEvent, ...]], None]
    noticed: Callable[[Source, str, str], None]


class Source:
    """``label`` stands for the broker in cursors."""

    def __init__(
        self, around: Surroundings, broker: PublicKey, wanted: Subscribe, connect: Connect, told: Told
    ) -> None:
        self.broker = broker
        self.label = label_of(broker)
        self._around = around
        self._wanted = wanted
        self._connect = connect
        self._told = told
        self._arrived: int | None = None
        self._open: deque[int] = deque()  # arrived and not acknowledged
        self._acknowledged = 0
        self._durable = 0
        self._changed = asyncio.Event()
        self._machine: Subscriber | None = None
        self._talk: Talk | None = None
        self._failures = 0
        self._problem = ""

    async def run(self) -> None:
        """Listen until cancelled. ConsumerReplaced where another subscription took over."""
        while True:
            while len(self._open) >= limits.EVENTS_UNACKNOWLEDGED:  # a reader that is slower than its links
                await self._change()
            try:
                async with self._connect() as stream:
                    await self._listen(stream)
                self._failed("the broker ended the subscription")
            except ConsumerReplaced:
                raise
            except ComityError as error:
                if isinstance(error, PeerRefused):
                    self._arrived = None  # a broker that was set back does not know where we are
                self._failed(error.message)
            finally:
                self._machine = self._talk = None
            await self._rest()

    def acknowledge(self, position: int) -> None:
        """Everything up to there is done with; told now, or at the next connection."""
        self._acknowledged = max(self._acknowledged, position)
        while self._open and self._open[0] <= position:
            self._open.popleft()
        self._changed.set()
        self._tell_acknowledged()

    async def durable(self) -> None:
        """Until the broker has all that was acknowledged on disk."""
        while self._durable < self._acknowledged:
            await self._change()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    # ── talk.Side ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def deadline(self) -> float | None:
        return self._machine.deadline if self._machine else None

    def received(self, body: bytes) -> None:
        self._take(MessageReceived(body))

    def tick(self) -> None:
        self._take(subscriber.Tick())

    # ── one connection ────────────────────────────────────────────────────────────────────────────────

    async def _listen(self, stream: Frames) -> None:
        wanted = self._wanted if self._arrived is None else _from(self._wanted, self._arrived)
        self._machine = Subscriber(wanted, own=self.broker == self._around.own)
        self._talk = Talk(stream, self, self._around.clock)
        self._take(Opened())
        await self._talk.run()

    def _take(self, event: subscriber.Event) -> None:
        if self._machine is None or self._talk is None:
            return
        for output in self._machine.handle(event, self._around.clock.monotonic()):
            match output:
                case subscriber.Send():
                    self._talk.say(output.body)
                case subscriber.Standing():
                    self._standing(output.position)
                case subscriber.Arrived():
                    self._arrived = output.events[-1].position
                    self._open.extend(event.position for event in output.events)
                    self._told.arrived(self, output.events)
                case subscriber.Taken():
                    self._durable = max(self._durable, output.position)
                    self._changed.set()

    def _standing(self, position: int) -> None:
        self._failures, self._problem = 0, ""
        self._wanted = _from(self._wanted, None)  # a cursor is gone back to only once
        self._arrived = position
        self._told.noticed(self, "connected", "")
        self._tell_acknowledged()

    def _tell_acknowledged(self) -> None:
        machine = self._machine
        if machine is None or machine.state is not subscriber.State.OPEN or self._arrived is None:
            return
        position = min(self._acknowledged, self._arrived)
        if position > self._durable:
            self._take(AcknowledgeRequested(position))

    def _failed(self, problem: str) -> None:
        self._failures += 1
        if problem != self._problem:
            self._problem = problem
            self._told.noticed(self, "waiting", problem)

    async def _rest(self) -> None:
        """A pause that grows and is never the same twice; a session that comes up ends it."""
        longest = limits.RECONNECT_FIRST * 2.0 ** min(self._failures - 1, _DOUBLINGS)
        pause = min(longest, limits.RECONNECT_MOST) * (1 + self._around.entropy.jitter()) / 2
        first = min(pause, limits.RECONNECT_FIRST)
        await asyncio.sleep(first)
        if self.broker == self._around.own or await self._around.sessions.wait_up(self.broker, 0):
            await asyncio.sleep(pause - first)
        else:
            await self._around.sessions.wait_up(self.broker, pause - first)


def label_of(broker: PublicKey) -> str:
    """A broker in a cursor: the first 128 bits of its fingerprint."""
    return str(broker.fingerprint)[:32]


def _from(wanted: Subscribe, after: int | None) -> Subscribe:
    """The same subscription from another place."""
    return Subscribe(pattern=wanted.pattern, consumer=wanted.consumer, sender=wanted.sender, after=after)


def to_peer(around: Surroundings, peer: PublicKey, topic: str) -> Connect:
    """Streams to a peer's broker, under the charter that governs reading there, if one does: it may be
    another one each time.
    """

    @asynccontextmanager
    async def connect() -> AsyncIterator[Frames]:
        known = around.trust.known(peer)
        agreement = known.agreement.digest if known else None
        charter = None
        if around.guard.governs(peer):
            wanted = Operation(
                kind="subscribe", peer=peer, service=SERVICE, agreement=agreement, topic=topic, units=0
            )
            decision = around.guard.consider(wanted)
            if not decision.allowed:
                raise Denied("; ".join(decision.reasons))
            charter = decision.charter
        async with await around.network.dial(
            peer, EVENTS_PORT, agreement=agreement, charter=charter
        ) as stream:
            yield stream

    return connect


def to_own(around: Surroundings, reception: Reception) -> Connect:
    """Streams to this node's own broker."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Frames]:
        ours, theirs = inside_pair(around.own)

        async def serve() -> None:
            try:
                first = await theirs.receive()
                if first is not None:
                    await reception.serve(theirs, first)
            except ComityError:
                pass  # the reader is told by the end of the stream
            finally:
                theirs.close()

        serving = asyncio.create_task(serve())
        try:
            yield ours
        finally:
            ours.close()
            serving.cancel()
            await asyncio.wait({serving})

    return connect
