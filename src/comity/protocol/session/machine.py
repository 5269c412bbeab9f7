"""One side of a session: heartbeats, statements with their acknowledgement, a goodbye (docs: protocol,
"Session").

    handle(event, now) -> [outputs]        now: seconds of a monotonic clock, never decreasing

``TRANSITIONS`` is the whole state chart; the diagram in the docs is generated from it. A peer that stays
silent for ``limits.PEER_DEAD_AFTER`` is dead. Both sides run this same machine; nothing depends on who
dialled. It never reads a statement: it carries envelopes, and says ``Told`` once the peer has answered for
one. Who dials, and when, is decided in ``services.session``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from comity import limits
from comity.errors import LocalProtocolError, RemoteProtocolError
from comity.protocol.session.messages import (
    Goodbye,
    Message,
    Ping,
    Pong,
    Statement,
    StatementTaken,
    encode_message,
    parse_message,
)

# ── events in ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Opened:
    """The stream was welcomed."""


@dataclass(frozen=True)
class MessageReceived:
    """One DATA frame's body arrived."""

    body: bytes


@dataclass(frozen=True)
class Tick:
    """``deadline`` has come (an early tick does no harm)."""


@dataclass(frozen=True)
class TellRequested:
    """Send this envelope (JSON). ``id`` is the caller's count: each greater than the one before."""

    id: int
    envelope: str


@dataclass(frozen=True)
class StatementHandled:
    """What ``Deliver`` handed out is committed: the peer may know."""

    id: int


@dataclass(frozen=True)
class CloseRequested:
    reason: str


Event = Opened | MessageReceived | Tick | TellRequested | StatementHandled | CloseRequested


# ── events out ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Send:
    """One DATA frame to write, in order."""

    body: bytes


@dataclass(frozen=True)
class Deliver:
    """A statement for this node; answer with StatementHandled once it is committed."""

    id: int
    envelope: str


@dataclass(frozen=True)
class Told:
    """The peer acknowledged what TellRequested sent under ``id``."""

    id: int


@dataclass(frozen=True)
class Rtt:
    ms: float


@dataclass(frozen=True)
class Dead:
    """The peer is gone or broke the protocol: abort the link."""

    reason: str


@dataclass(frozen=True)
class Closed:
    """A side said goodbye; ``by_peer`` tells which. Finish the stream after what is still to be sent."""

    reason: str
    by_peer: bool


Output = Send | Deliver | Told | Rtt | Dead | Closed


# ── the state chart ───────────────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"
    DEAD = "dead"


#: (state, event) → the states it may lead to. What is not here is a bug of the caller. An ended session
#: swallows what was already on its way to it.
TRANSITIONS: Mapping[tuple[State, type[Event]], frozenset[State]] = {
    (State.NEW, Opened): frozenset({State.OPEN}),
    (State.NEW, CloseRequested): frozenset({State.CLOSED}),
    (State.OPEN, MessageReceived): frozenset({State.OPEN, State.CLOSED, State.DEAD}),
    (State.OPEN, Tick): frozenset({State.OPEN, State.DEAD}),
    (State.OPEN, TellRequested): frozenset({State.OPEN, State.DEAD}),
    (State.OPEN, StatementHandled): frozenset({State.OPEN}),
    (State.OPEN, CloseRequested): frozenset({State.CLOSED}),
    **{
        (ended, event): frozenset({ended})
        for ended in (State.CLOSED, State.DEAD)
        for event in (MessageReceived, Tick, TellRequested, StatementHandled, CloseRequested)
    },
}


class Session:
    """One side of one session."""

    def __init__(self) -> None:
        self.state = State.NEW
        self._dead_at = 0.0
        self._next_ping = 0.0
        self._pings = 0
        self._unanswered: dict[int, float] = {}
        self._last_told = 0
        self._untold: set[int] = set()
        self._last_delivered = 0
        self._unhandled: set[int] = set()

    @property
    def deadline(self) -> float | None:
        """When the next Tick is due (on the clock that ``now`` comes from), or None where none will be."""
        if self.state is not State.OPEN:
            return None
        return min(self._next_ping, self._dead_at)

    def handle(self, event: Event, now: float) -> list[Output]:
        """Advance by one event. RemoteProtocolError never leaves: a peer that breaks the protocol is Dead."""
        allowed = TRANSITIONS.get((self.state, type(event)))
        if allowed is None:
            raise LocalProtocolError(f"{type(event).__name__} in session state {self.state}")
        outputs = [] if self.state in (State.CLOSED, State.DEAD) else self._dispatch(event, now)
        if self.state not in allowed:
            raise LocalProtocolError(f"{type(event).__name__} led to session state {self.state}")
        return outputs

    def _dispatch(self, event: Event, now: float) -> list[Output]:
        match event:
            case Opened():
                self.state, self._dead_at = State.OPEN, now + limits.PEER_DEAD_AFTER
                return self._ping(now)
            case MessageReceived():
                return self._received(event.body, now)
            case Tick():
                return self._tick(now)
            case TellRequested():
                return self._tell(event)
            case StatementHandled():
                return self._handled(event.id)
            case CloseRequested():
                self.state = State.CLOSED
                goodbye = encode_message(Goodbye(reason=event.reason))
                return [Send(goodbye), Closed(event.reason, by_peer=False)]

    def _received(self, body: bytes, now: float) -> list[Output]:
        self._dead_at = now + limits.PEER_DEAD_AFTER
        try:
            return self._message(parse_message(body), now)
        except RemoteProtocolError as error:
            return self._die(error.message)

    def _message(self, message: Message, now: float) -> list[Output]:
        match message:
            case Ping():
                return [Send(encode_message(Pong(n=message.n)))]
            case Pong():
                sent = self._unanswered.pop(message.n, None)
                if sent is None:
                    raise RemoteProtocolError("the peer answered a ping that was not sent")
                return [Rtt((now - sent) * 1000)]
            case Statement():
                return self._statement(message)
            case StatementTaken():
                if message.id not in self._untold:
                    raise RemoteProtocolError("the peer acknowledged a statement that was not sent")
                self._untold.discard(message.id)
                return [Told(message.id)]
            case Goodbye():
                self.state = State.CLOSED
                return [Closed(message.reason, by_peer=True)]

    def _statement(self, message: Statement) -> list[Output]:
        if message.id <= self._last_delivered:
            raise RemoteProtocolError("the peer sent a statement out of order")
        if len(self._unhandled) >= limits.SESSION_STATEMENTS:
            raise RemoteProtocolError("the peer sends statements faster than they can be handled")
        self._last_delivered = message.id
        self._unhandled.add(message.id)
        return [Deliver(message.id, message.envelope)]

    def _handled(self, number: int) -> list[Output]:
        if number not in self._unhandled:
            raise LocalProtocolError(f"statement {number} was not delivered")
        self._unhandled.discard(number)
        return [Send(encode_message(StatementTaken(id=number)))]

    def _tell(self, event: TellRequested) -> list[Output]:
        if event.id <= self._last_told:
            raise LocalProtocolError(f"statement {event.id} after {self._last_told}")
        if len(self._untold) >= limits.SESSION_STATEMENTS:
            return self._die("the peer acknowledges nothing")
        self._last_told = event.id
        self._untold.add(event.id)
        return [Send(encode_message(Statement(id=event.id, envelope=event.envelope)))]

    def _tick(self, now: float) -> list[Output]:
        if now >= self._dead_at:
            return self._die(f"nothing was heard for {limits.PEER_DEAD_AFTER:g} seconds")
        return self._ping(now) if now >= self._next_ping else []

    def _ping(self, now: float) -> list[Output]:
        if len(self._unanswered) >= limits.SESSION_PINGS:
            return self._die("the peer answers no pings")
        self._pings += 1
        self._unanswered[self._pings] = now
        self._next_ping = now + limits.HEARTBEAT_EVERY
        return [Send(encode_message(Ping(n=self._pings)))]

    def _die(self, reason: str) -> list[Output]:
        self.state = State.DEAD
        return [Dead(reason)]
