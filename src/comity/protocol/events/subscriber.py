"""The reader's side of one subscription (docs: protocol, "Events", states).

    handle(event, now) -> (outputs)        now: seconds of a monotonic clock, never decreasing

It believes the broker nothing that it can check: positions only grow, topics are among those that were asked
for, no more arrives than may wait for an acknowledgement, and nobody but this node's own broker names a
sender. Reconnecting, and where to go on then, is the service's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from comity import limits
from comity.errors import (
    BrokerFull,
    ComityError,
    ConsumerReplaced,
    Denied,
    LocalProtocolError,
    PeerRefused,
    RemoteProtocolError,
    TimedOut,
    TooLarge,
)
from comity.identity.text import printable
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
    size_of,
)
from comity.protocol.events.topics import Filter

# ── events in ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Opened:
    """The stream was welcomed."""


@dataclass(frozen=True)
class MessageReceived:
    """One DATA frame's body arrived."""

    body: bytes


@dataclass(frozen=True)
class AcknowledgeRequested:
    """Everything up to ``position``, which has arrived, is done with."""

    position: int


@dataclass(frozen=True)
class Tick:
    """``deadline`` has come (an early tick does no harm)."""


Event = Opened | MessageReceived | AcknowledgeRequested | Tick


# ── events out ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Send:
    """One DATA frame to write, in order."""

    body: bytes


@dataclass(frozen=True)
class Standing:
    """The broker sends what comes after ``position``."""

    position: int


@dataclass(frozen=True)
class Arrived:
    """Events, in order."""

    events: tuple[StoredEvent, ...]


@dataclass(frozen=True)
class Taken:
    """The broker has the acknowledgement up to ``position`` on disk."""

    position: int


Output = Send | Standing | Arrived | Taken


# ── the state chart ───────────────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    NEW = "new"
    ASKED = "asked"
    OPEN = "open"


#: (state, event) → the states it may lead to. What is not here is a bug of the caller.
TRANSITIONS: Mapping[tuple[State, type[Event]], frozenset[State]] = {
    (State.NEW, Opened): frozenset({State.ASKED}),
    (State.ASKED, MessageReceived): frozenset({State.OPEN}),
    (State.ASKED, Tick): frozenset({State.ASKED}),
    (State.OPEN, MessageReceived): frozenset({State.OPEN}),
    (State.OPEN, AcknowledgeRequested): frozenset({State.OPEN}),
    (State.OPEN, Tick): frozenset({State.OPEN}),
}

#: What may wait for an acknowledgement: the broker looks only before a page whether there is room for it.
_WINDOW_BYTES = limits.EVENTS_UNACKNOWLEDGED_BYTES + limits.EVENTS_PER_MESSAGE * (
    limits.EVENT_BYTES + limits.TOPIC_CHARS + limits.EVENT_OVERHEAD_BYTES
)

#: Codes that mean the same on both sides.
_SHARED: dict[str, type[ComityError]] = {
    error.code: error for error in (BrokerFull, ConsumerReplaced, Denied, TooLarge)
}


class Subscriber:
    """One subscription. ``own``: the broker is this node's, which tells what peers left with it.

    ``handle`` raises RemoteProtocolError where the broker breaks the protocol, the broker's own error where
    it ends the subscription, and TimedOut where it is silent for ``limits.EVENTS_DEAD_AFTER``: the stream is
    to be aborted then.
    """

    def __init__(self, wanted: Subscribe, *, own: bool = False) -> None:
        self.state = State.NEW
        self._wanted = wanted
        self._filter = Filter(wanted.pattern)
        self._own = own
        self._last = 0
        self._waiting: deque[tuple[int, int]] = deque()  # position and size
        self._waiting_bytes = 0
        self._acknowledged = 0
        self._heard = 0.0
        self._spoke = 0.0

    @property
    def deadline(self) -> float | None:
        """When to send Tick, in ``now``'s seconds; None while nothing is due."""
        if self.state is State.NEW:
            return None
        silence = self._heard + limits.EVENTS_DEAD_AFTER
        return silence if self.state is State.ASKED else min(silence, self._spoke + limits.EVENTS_BEAT_EVERY)

    def handle(self, event: Event, now: float) -> tuple[Output, ...]:
        """Take one event; what is to be done about it, in order."""
        if (self.state, type(event)) not in TRANSITIONS:
            raise LocalProtocolError(f"{type(event).__name__} came to a subscription that is {self.state}")
        match event:
            case Opened():
                self.state, self._heard = State.ASKED, now
                return (self._say(self._wanted, now),)
            case MessageReceived():
                self._heard = now
                return self._received(parse_message(event.body))
            case AcknowledgeRequested():
                return self._acknowledge(event.position, now)
            case Tick():
                return self._tick(now)

    def _received(self, message: Message) -> tuple[Output, ...]:
        if isinstance(message, Fail):
            raise error_from(message)
        if self.state is State.ASKED and isinstance(message, Subscribed):
            if self._wanted.after is not None and message.position != self._wanted.after:
                raise RemoteProtocolError("the broker starts elsewhere than it was asked to")
            self.state = State.OPEN
            self._last = message.position
            return (Standing(message.position),)
        if self.state is State.OPEN:
            match message:
                case Deliver():
                    return self._delivered(message.events)
                case Acknowledged():
                    if message.position > self._acknowledged:
                        raise RemoteProtocolError("the broker notes an acknowledgement that was not given")
                    return (Taken(message.position),)
                case Beat():
                    return ()
        name = type(message).__name__.lower()
        raise RemoteProtocolError(f"a {name} message has no place in a subscription that is {self.state}")

    def _delivered(self, events: tuple[StoredEvent, ...]) -> tuple[Output, ...]:
        for event in events:
            if event.position <= self._last:
                raise RemoteProtocolError(f"event {event.position} came after event {self._last}")
            if not self._filter.matches(event.topic):
                raise RemoteProtocolError("the broker sent a topic that was not asked for")
            if (event.sender is not None) != self._own:
                raise RemoteProtocolError("a broker may not say who sent an event")
            if self._wanted.sender not in (None, event.sender):
                raise RemoteProtocolError("an event of another sender than was asked for")
            self._last = event.position
            size = size_of(event)
            self._waiting.append((event.position, size))
            self._waiting_bytes += size
        if len(self._waiting) > limits.EVENTS_UNACKNOWLEDGED or self._waiting_bytes > _WINDOW_BYTES:
            raise RemoteProtocolError("the broker sends more than may wait for an acknowledgement")
        return (Arrived(events),)

    def _acknowledge(self, position: int, now: float) -> tuple[Output, ...]:
        """``position`` may be of an earlier stream: the broker may not know yet that it is done with."""
        if position > self._last:
            raise LocalProtocolError(f"{position} is acknowledged, and {self._last} was the last to arrive")
        if position <= self._acknowledged:
            return ()
        self._acknowledged = position
        while self._waiting and self._waiting[0][0] <= position:
            self._waiting_bytes -= self._waiting.popleft()[1]
        return (self._say(Acknowledge(position=position), now),)

    def _tick(self, now: float) -> tuple[Output, ...]:
        if now >= self._heard + limits.EVENTS_DEAD_AFTER:
            raise TimedOut(f"the broker said nothing for {limits.EVENTS_DEAD_AFTER:g} seconds")
        if self.state is State.OPEN and now >= self._spoke + limits.EVENTS_BEAT_EVERY:
            return (self._say(Beat(), now),)
        return ()

    def _say(self, message: Message, now: float) -> Send:
        self._spoke = now
        return Send(encode_message(message))


def error_from(message: Fail) -> ComityError:
    """What the side that receives a FAIL raises."""
    error = _SHARED.get(message.code, PeerRefused)
    return error(
        f"the broker refused: {printable(message.message, limits.CLAIM_BYTES)}",
        hint=printable(message.hint, limits.CLAIM_BYTES) or None,
    )
