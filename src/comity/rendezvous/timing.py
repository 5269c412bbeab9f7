"""The server's time: it does not go back below what an earlier run wrote down (SECURITY.md rule 2)."""

from __future__ import annotations

from comity import limits
from comity.clock import Clock, rfc3339
from comity.rendezvous.journal import Journal
from comity.rendezvous.stores import Books


class FlooredClock:
    """A clock that stands still at ``floor`` until the machine's has caught up."""

    def __init__(self, clock: Clock, floor: float) -> None:
        self._clock = clock
        self.floor = floor

    def now(self) -> float:
        return max(self.floor, self._clock.now())

    def monotonic(self) -> float:
        return self._clock.monotonic()

    @property
    def held(self) -> float:
        """By how many seconds the server is ahead of the machine's clock."""
        return max(0.0, self.floor - self._clock.now())


def floored(clock: Clock, latest: float, journal: Journal) -> FlooredClock:
    """``clock`` with ``latest`` as its floor; the log says where that matters."""
    now = clock.now()
    if latest > now + limits.CLOCK_SKEW:
        journal.warning(
            "the clock is behind an earlier run's: the server's time stands still until it has caught up",
            now=rfc3339(now),
            until=rfc3339(latest),
        )
    return FlooredClock(clock, latest)


def latest(books: Books) -> float:
    """The latest time that the books know."""
    return float(max(books.nodes.latest(), books.letters.latest()))
