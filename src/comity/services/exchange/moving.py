"""A transfer's lane that can change to a better path between two frames (docs: protocol, "Exchange", moving).

The sender's thread ends its direction of the old lane where the next frame would go, and sends that frame on
the new one; it reads the old one up to the peer's END, so nothing that was on its way is lost. The receiver's
thread goes on with the new lane once the old one has ended in order. So each direction keeps its order, and
neither side waits for the other to change.

Which paths are tried, and when, is ``seeking``'s business.
"""

from __future__ import annotations

from comity.errors import LinkLost
from comity.services.exchange.carried import CarriedLane
from comity.transport.interface import Buffer, Lane, Pace


class MovingLane(CarriedLane):
    """Implements ``interface.Lane`` for one thread; ``move`` and ``abort`` are for others.

    ``leads``: this side is the sender, which leaves a lane first.
    """

    def __init__(self, lane: Lane, *, leads: bool) -> None:
        super().__init__(leads=leads)
        self._sending = lane
        self._receiving = lane
        self._coming: Lane | None = None
        self._greeting = b""
        self._ahead: memoryview | None = None  # a frame that ``ready`` had to read

    @property
    def _front(self) -> Lane:
        return self._sending

    def _owned(self) -> set[Lane]:
        return {self._sending, self._receiving} | ({self._coming} if self._coming is not None else set())

    def move(self, lane: Lane, greeting: bytes = b"") -> bool:
        """Go on with ``lane``, which is owned from now on; False where this one is over, or is moving.

        ``greeting`` is the first frame on it, sent by the thread: whoever reads it knows that the old lane's
        END will be understood.
        """
        with self._lock:
            if self._over or self._sending is not self._receiving:
                return False
            unused, self._coming, self._greeting = self._coming, lane, greeting
        if unused is not None:
            unused.abort()
        return True

    def send(self, *parts: Buffer, pace: Pace | None = None, more: bool = False) -> None:
        if self._leads and self._take_coming():
            self._receiving.end()
        self._sending.send(*parts, pace=pace, more=more)

    def receive(self) -> memoryview | None:
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        while True:
            self._greet()
            body = self._receiving.receive()
            if body is not None or not self._follow():
                return body

    def ready(self, wait: float = 0.0) -> bool:
        if self._ahead is not None:
            return True
        # An END that leads to the other lane is nothing to be received: look what is behind it.
        while self._receiving.ready(wait):
            if self._coming is None and self._sending is self._receiving:
                return True
            self._ahead = self._receiving.receive()
            if self._ahead is not None or not self._follow():
                return True
        return False

    def end(self) -> None:
        self._sending.end()

    def finish(self) -> None:
        """Finish the lane that the peer still reads; one that has not come into use ends."""
        with self._lock:
            self._over = True
            unused = {self._coming, self._sending} - {self._receiving, None}
            self._coming, self._sending = None, self._receiving
        for lane in unused:
            if lane is not None:
                lane.abort()
        self._receiving.finish()
        self._finished = True

    def _greet(self) -> None:
        with self._lock:
            coming, greeting, self._greeting = self._coming, self._greeting, b""
        if coming is None or not greeting:
            return
        try:
            coming.send(greeting)
        except LinkLost:  # then the transfer stays where it is
            with self._lock:
                if self._coming is coming:
                    self._coming = None

    def _follow(self) -> bool:
        """The lane that is read has ended: go on with the other one. False where there is none."""
        old = self._receiving
        if self._sending is not old:  # we left it, and now the peer has
            old.abort()  # both have said END; the peer's handler of it lasts as long as the transfer
        elif self._take_coming():
            old.finish()
        else:
            return False
        with self._lock:
            self._receiving = self._sending
        return True

    def _take_coming(self) -> bool:
        """Send on the lane that ``move`` gave from now on; False where there is none."""
        with self._lock:
            if self._coming is None or self._over:
                return False
            self._sending, self._coming = self._coming, None
            return True
