"""The broker's side of one subscription (docs: protocol, "Events", states).

    handle(event, now) -> (outputs)        now: seconds of a monotonic clock, never decreasing

It sends what the reader has room for and no more: at most ``limits.EVENTS_UNACKNOWLEDGED`` events, or that
many bytes, wait for their acknowledgement. A reader that is slow leaves its events on the broker's disk and
takes nothing from anybody else. Which events a reader may see is not decided here: ``Fetch`` asks for those
it may, in ascending positions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from comity import limits
from comity.errors import ComityError, LocalProtocolError, RemoteProtocolError, TimedOut
from comity.protocol.events.messages import (
    Acknowledge,
    Acknowledged,
    Beat,
    Deliver,
    Fail,
    Message,
    StoredEvent,
    Subscribe,
    Subscribed,
    encode_message,
    parse_message,
    portions,
    size_of,
)

# ── events in ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MessageReceived:
    """One DATA frame's body arrived."""

    body: bytes


@dataclass(frozen=True)
class Admitted:
    """The reader may subscribe: what comes after ``position`` is to be sent, ``noted`` is durable."""

    position: int
    noted: int


@dataclass(frozen=True)
class Ended:
    """The subscription is over, for this reason: refused, superseded, or its agreement is no more."""

    error: ComityError


@dataclass(frozen=True)
class News:
    """There may be more than when a page last ended the search."""


@dataclass(frozen=True)
class Page:
    """The answer to Fetch: what the reader may see, out of everything up to ``scanned``.

    ``more``: the search ended before the newest event.
    """

    events: tuple[StoredEvent, ...]
    scanned: int
    more: bool


@dataclass(frozen=True)
class Noted:
    """The acknowledgement that Note asked for is durable."""

    position: int


@dataclass(frozen=True)
class Tick:
    """``deadline`` has come (an early tick does no harm)."""


Event = MessageReceived | Admitted | Ended | News | Page | Noted | Tick


# ── events out ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Send:
    """One DATA frame to write, in order."""

    body: bytes


@dataclass(frozen=True)
class Judge:
    """Somebody wants to subscribe; answer with Admitted or Ended."""

    wanted: Subscribe


@dataclass(frozen=True)
class Fetch:
    """Look for events after ``after``; answer with Page."""

    after: int


@dataclass(frozen=True)
class Note:
    """Make durable that the consumer is done with all up to ``position``; answer with Noted(``shown``)."""

    position: int
    shown: int


@dataclass(frozen=True)
class Over:
    """Nothing more will be said: finish the stream."""


Output = Send | Judge | Fetch | Note | Over


# ── the state chart ───────────────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    NEW = "new"
    JUDGING = "judging"
    OPEN = "open"
    ENDED = "ended"


#: (state, event) → the states it may lead to. What is not here is a bug of the caller. An ended feed
#: swallows what was already on its way to it.
TRANSITIONS: Mapping[tuple[State, type[Event]], frozenset[State]] = {
    (State.NEW, MessageReceived): frozenset({State.JUDGING}),
    (State.JUDGING, Admitted): frozenset({State.OPEN}),
    (State.JUDGING, Ended): frozenset({State.ENDED}),
    (State.OPEN, MessageReceived): frozenset({State.OPEN}),
    (State.OPEN, News): frozenset({State.OPEN}),
    (State.OPEN, Page): frozenset({State.OPEN}),
    (State.OPEN, Noted): frozenset({State.OPEN}),
    (State.OPEN, Ended): frozenset({State.ENDED}),
    (State.OPEN, Tick): frozenset({State.OPEN}),
    **{
        (State.ENDED, event): frozenset({State.ENDED})
        for event in (MessageReceived, News, Page, Noted, Ended, Tick)
    },
}


class Feed:
    """One subscription. ``handle`` raises RemoteProtocolError where the reader breaks the protocol, and
    TimedOut where it is silent for ``limits.EVENTS_DEAD_AFTER``: abort the stream then.
    """

    def __init__(self) -> None:
        self.state = State.NEW
        self._acknowledged = 0
        self._scanned = 0
        self._sent = 0
        self._waiting: deque[tuple[int, int]] = deque()  # position and size of what is not acknowledged
        self._waiting_bytes = 0
        self._fetching = False
        self._more = True
        self._heard = 0.0
        self._spoke = 0.0

    @property
    def deadline(self) -> float | None:
        """When to send Tick, in ``now``'s seconds; None while nothing is due."""
        if self.state is not State.OPEN:
            return None
        return min(self._heard + limits.EVENTS_DEAD_AFTER, self._spoke + limits.EVENTS_BEAT_EVERY)

    def handle(self, event: Event, now: float) -> tuple[Output, ...]:
        """Take one event; what is to be done about it, in order."""
        if (self.state, type(event)) not in TRANSITIONS:
            raise LocalProtocolError(f"{type(event).__name__} came to a feed that is {self.state}")
        if self.state is State.ENDED:
            return ()
        match event:
            case MessageReceived():
                self._heard = now
                return self._received(parse_message(event.body), now)
            case Admitted():
                return self._admitted(event, now)
            case Ended():
                return self._ended(event.error, now)
            case News():
                self._more = True
                return self._fetch()
            case Page():
                return self._page(event, now)
            case Noted():
                return (self._say(Acknowledged(position=event.position), now),)
            case Tick():
                return self._tick(now)

    def _received(self, message: Message, now: float) -> tuple[Output, ...]:
        if self.state is State.NEW and isinstance(message, Subscribe):
            self.state = State.JUDGING
            return (Judge(message),)
        if self.state is State.OPEN and isinstance(message, Acknowledge):
            return self._acknowledge(message.position, now)
        if self.state is State.OPEN and isinstance(message, Beat):
            return ()
        name = type(message).__name__.lower()
        raise RemoteProtocolError(f"a {name} message has no place in a subscription that is {self.state}")

    def _admitted(self, admitted: Admitted, now: float) -> tuple[Output, ...]:
        self.state = State.OPEN
        self._heard = now
        self._scanned = self._sent = admitted.position
        self._acknowledged = admitted.noted
        return (self._say(Subscribed(position=admitted.position), now), *self._fetch())

    def _ended(self, error: ComityError, now: float) -> tuple[Output, ...]:
        self.state = State.ENDED
        return (self._say(fail_for(error), now), Over())

    def _acknowledge(self, position: int, now: float) -> tuple[Output, ...]:
        if position > self._sent:
            raise RemoteProtocolError(f"{position} was acknowledged, and {self._sent} was the last one sent")
        if position <= self._acknowledged:
            return (self._say(Acknowledged(position=position), now),)
        self._acknowledged = position
        while self._waiting and self._waiting[0][0] <= position:
            self._waiting_bytes -= self._waiting.popleft()[1]
        # After the last one that was sent, what was passed over for not being the reader's is done with too.
        noted = position if position < self._sent else self._scanned
        return (Note(noted, position), *self._fetch())

    def _page(self, page: Page, now: float) -> tuple[Output, ...]:
        positions = [event.position for event in page.events]
        bounds = [self._scanned, *positions]
        if not self._fetching or bounds != sorted(set(bounds)) or page.scanned < bounds[-1]:
            raise LocalProtocolError("a page came that was not asked for, or is out of order")
        self._fetching = False
        self._scanned = page.scanned
        self._more = self._more or page.more
        for event in page.events:
            size = size_of(event)
            self._waiting.append((event.position, size))
            self._waiting_bytes += size
            self._sent = event.position
        sending = [self._say(Deliver(events=portion), now) for portion in portions(page.events)]
        return (*sending, *self._fetch())

    def _tick(self, now: float) -> tuple[Output, ...]:
        if now >= self._heard + limits.EVENTS_DEAD_AFTER:
            raise TimedOut(f"the reader said nothing for {limits.EVENTS_DEAD_AFTER:g} seconds")
        if now >= self._spoke + limits.EVENTS_BEAT_EVERY:
            return (self._say(Beat(), now),)
        return ()

    def _fetch(self) -> tuple[Output, ...]:
        """Look for more, if there may be some and there is room for a page of it."""
        room = (
            len(self._waiting) + limits.EVENTS_PER_MESSAGE <= limits.EVENTS_UNACKNOWLEDGED
            and self._waiting_bytes < limits.EVENTS_UNACKNOWLEDGED_BYTES
        )
        if self._fetching or not self._more or not room:
            return ()
        self._fetching, self._more = True, False
        return (Fetch(self._scanned),)

    def _say(self, message: Message, now: float) -> Send:
        self._spoke = now
        return Send(encode_message(message))


def fail_for(error: ComityError) -> Fail:
    """The FAIL that tells a peer of ``error``."""
    cut = limits.CLAIM_BYTES
    return Fail(code=error.code, message=error.message[:cut], hint=error.hint[:cut])
