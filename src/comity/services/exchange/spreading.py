"""A transfer's frames on several lanes in turn, where one can't fill a long line (docs: protocol, "Exchange",
several lanes).

A kernel gives one connection so much memory, and over a long round trip that much is all that can be on its
way. The sender's frames go to the lanes in turn from a LANES frame on, up to the first long one on each, and
the receiver takes them in the same turn: so their order is what it was, and neither side's machine knows.
What the receiver says stays on the first lane. A lane that is lost loses the transfer's link, as ever.

Whether there are to be more is ``widening``'s business.
"""

from __future__ import annotations

import time

from comity import limits
from comity.errors import LinkLost, RemoteProtocolError
from comity.protocol.exchange.lanes import lanes_frame, parse_lanes
from comity.protocol.exchange.messages import Type, is_a
from comity.services.exchange.carried import CarriedLane
from comity.services.exchange.moving import MovingLane
from comity.transport.interface import Buffer, Lane, Pace
from comity.transport.tally import size_of


class SpreadLane(CarriedLane):
    """Implements ``interface.Lane`` for one thread; ``move``, ``add``, ``spread``, ``abort`` are for others.

    ``leads``: this side is the sender.
    """

    def __init__(self, first: MovingLane, *, leads: bool) -> None:
        super().__init__(leads=leads)
        self.first = first
        self._extra: dict[int, Lane] = {}  # by number
        self._turns: tuple[Lane, ...] = ()  # once frames go in turn
        self._turn = 0
        self._due = False

    @property
    def _front(self) -> Lane:
        return self.first

    def _owned(self) -> set[Lane]:
        return {self.first, *self._extra.values()}

    @property
    def lanes(self) -> int:
        """How many carry the sender's frames."""
        return len(self._turns) or 1

    def move(self, lane: Lane, greeting: bytes = b"") -> bool:
        """As ``MovingLane``; a transfer on several lanes stays where it is."""
        with self._lock:
            if self._extra:
                return False
        return self.first.move(lane, greeting)

    def add(self, lane: Lane, number: int) -> bool:
        """Own one more lane, which carries nothing yet; False where there is no place for it."""
        with self._lock:
            if self._over or self._turns or number in self._extra or not 0 < number < limits.LANES_MOST:
                return False
            self._extra[number] = lane
            return True

    def spread(self) -> None:
        """The sender: from the next frame on, use the lanes that were added."""
        with self._lock:
            self._due = bool(self._extra)

    def send(self, *parts: Buffer, pace: Pace | None = None, more: bool = False) -> None:
        if not self._leads:
            self.first.send(*parts, pace=pace, more=more)
            return
        if self._due and not self._turns:
            numbers = tuple(sorted(self._extra))
            self.first.send(lanes_frame(numbers))
            self._begin(numbers)
        self._here().send(*parts, pace=pace, more=more)
        self._pass_on(sum(map(size_of, parts)))

    def receive(self) -> memoryview | None:
        if self._leads:
            return self.first.receive()
        body = self._here().receive()
        if body is not None and not self._turns and is_a(Type.LANES, body):
            self._begin(parse_lanes(body))
            body = self._here().receive()
        self._pass_on(0 if body is None else len(body))
        return body

    def ready(self, wait: float = 0.0) -> bool:
        return (self.first if self._leads else self._here()).ready(wait)

    def end(self) -> None:
        for lane in self._turns or (self.first,):
            lane.end()

    def finish(self) -> None:
        """Finish every lane in use; one that has not come into use ends."""
        with self._lock:
            self._over = True
            unused = [lane for lane in self._extra.values() if lane not in self._turns]
        for lane in unused:
            lane.abort()
        if self._turns:
            self.end()
            self._drain()
        for lane in self._turns or (self.first,):
            lane.finish()
        self._finished = True

    def _drain(self) -> None:
        """Read in turn up to the END, for a sender that hears late that it is over."""
        deadline = time.monotonic() + limits.LANE_TIMEOUT
        while not self._leads and self.receive() is not None:
            if time.monotonic() > deadline:
                raise LinkLost(f"the peer did not end the stream within {limits.LANE_TIMEOUT:g} seconds")

    def _begin(self, numbers: tuple[int, ...]) -> None:
        with self._lock:
            if not self._extra.keys() >= set(numbers):
                raise RemoteProtocolError("the peer uses lanes that are not known")
            self._turns = (self.first, *(self._extra[number] for number in numbers))

    def _here(self) -> Lane:
        """The lane whose turn it is."""
        return self._turns[self._turn] if self._turns else self.first

    def _pass_on(self, size: int) -> None:
        """A frame of so many bytes went or came on it."""
        if self._turns and size > limits.FRAME_BYTES:
            self._turn = (self._turn + 1) % len(self._turns)
