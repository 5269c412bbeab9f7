"""One relay lane: two directions between two sockets, and how fast each side may send.

Used on the relay's thread (``wires``), but for ``carried`` and a pace's rate.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass

from comity import limits
from comity.rendezvous.pipes import Carrier

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@dataclass(frozen=True)
class Carried:
    """What a lane has carried when it ended: bytes from the first socket to the second, and back.

    ``kept``: it goes on elsewhere.
    """

    there: int
    back: int
    seconds: float
    kept: bool = False


Ended = Callable[[Carried], None]


class Pace:
    """How fast one node may send, over all its lanes: ``rate`` bytes a second, which may change."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.rests_until = 0.0

    @property
    def most(self) -> int:
        """How many bytes it may send at once."""
        return max(1, min(int(self.rate * limits.RELAY_PACE_SECONDS), limits.RELAY_PIPE_BYTES))

    def took(self, count: int, now: float) -> None:
        self.rests_until = max(now, self.rests_until) + count / self.rate


class Direction:
    """Bytes from one socket to the other."""

    def __init__(
        self, source: socket.socket, target: socket.socket, carrier: Carrier, pace: Pace | None
    ) -> None:
        self.source, self.target, self.carrier, self.pace = source, target, carrier, pace
        self.carried = 0
        self.ended = False

    def rests(self, now: float) -> bool:
        return self.pace is not None and self.pace.rests_until > now

    def pull(self, now: float) -> bool:
        """Take what came and pass it on; whether anything moved."""
        if self.ended or self.carrier.holds or self.rests(now):
            return False
        count = self.carrier.take(self.source, self.pace.most if self.pace else limits.RELAY_PIPE_BYTES)
        if count is None:
            return False
        if self.pace is not None:
            self.pace.took(count, now)
        if count == 0:
            self.ended = True
            self.target.shutdown(socket.SHUT_WR)
            return True
        self.push()
        return True

    def push(self) -> bool:
        if not self.carrier.holds:
            return False
        count = self.carrier.give(self.target)
        self.carried += count
        return count > 0


class Wire:
    """One lane: two directions between two sockets."""

    def __init__(self, there: Direction, back: Direction, ended: Ended, now: float) -> None:
        self.directions = (there, back)
        self.ended = ended
        self.began = self.moved = now
        self.watched: dict[socket.socket, int] = {}
        self.taking = True

    @property
    def lasting(self) -> bool:
        """Whether its sockets mean anything to another process: a WebSocket's inside is bridged here."""
        return all(direction.source.family != socket.AF_UNIX for direction in self.directions)

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes that went through so far, there and back; from any thread."""
        there, back = self.directions
        return there.carried, back.carried

    def rests_until(self, now: float) -> float:
        """When the next of its directions that rest may take something again; 0 where none rests."""
        return min(
            (each.pace.rests_until for each in self.directions if each.pace and each.rests(now)), default=0.0
        )

    @property
    def done(self) -> bool:
        return all(direction.ended for direction in self.directions)

    def wants(self, now: float) -> list[tuple[socket.socket, int]]:
        """For each socket, the selector's events under which something can move."""
        there, back = self.directions
        return [
            (
                out.source,
                (_READ if self.taking and not (out.ended or out.carrier.holds or out.rests(now)) else 0)
                | (_WRITE if home.carrier.holds else 0),
            )
            for out, home in ((there, back), (back, there))
        ]
