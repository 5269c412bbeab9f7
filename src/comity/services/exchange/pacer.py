"""Lanes' threads wait here for their turn to write: ``protocol.exchange.sharing`` decides, this waits.

A thread asks before each piece that it writes. It never waits for longer than ``_GLANCE`` at once, so that a
lane that was ended meanwhile is noticed (``transport.interface.Pace``).
"""

from __future__ import annotations

import itertools
import threading

from comity.clock import Clock
from comity.protocol.exchange.sharing import Sharing

_GLANCE = 0.25  # seconds


class Pacer:
    """All lanes of one node that send. ``rate`` bounds them together: bytes a second, None for no bound."""

    def __init__(self, rate: int | None, clock: Clock) -> None:
        self._sharing = Sharing(rate)
        self._clock = clock
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._granted: set[int] = set()

    def join(self, peer: str, rate: int | None) -> Place:
        """A place for one transfer to ``peer``, with a bound of its own if ``rate`` says one."""
        number = next(self._numbers)
        with self._changed:
            self._sharing.join(number, peer, rate)
        return Place(self, number)

    def wait(self, number: int, left: int, asked: int) -> tuple[int, int]:
        """How much of ``left`` may be written now, and how much is still asked for; both may be 0."""
        with self._changed:
            if self._sharing.free(number):
                self._sharing.pause(number)
                self._granted.discard(number)
                return left, 0
            if not asked:
                asked = min(left, self._sharing.slice(number))
                self._sharing.ask(number, asked)
            until = self._clock.monotonic() + _GLANCE
            while True:
                now = self._clock.monotonic()
                self._hand_out(now)
                if number in self._granted:
                    self._granted.discard(number)
                    return asked, 0
                following = self._sharing.next_at(now)
                if now >= until:
                    return 0, asked
                self._changed.wait(min(until, following if following is not None else until) - now)

    def pause(self, number: int) -> None:
        """It writes nothing for now."""
        with self._changed:
            self._sharing.pause(number)
            self._hand_out(self._clock.monotonic())

    def leave(self, number: int) -> None:
        """It is over."""
        with self._changed:
            self._sharing.leave(number)
            self._granted.discard(number)
            self._hand_out(self._clock.monotonic())

    def _hand_out(self, now: float) -> None:
        granted = self._sharing.grant(now)
        if granted:
            self._granted.update(granted)
            self._changed.notify_all()


class Place:
    """One transfer's, for the thread that moves it; ``leave`` for whoever ends it, from any."""

    def __init__(self, pacer: Pacer, number: int) -> None:
        self._pacer = pacer
        self._number = number
        self._asked = 0

    def __call__(self, left: int) -> int:
        """Implements ``transport.interface.Pace``."""
        granted, self._asked = self._pacer.wait(self._number, left, self._asked)
        return granted

    def pause(self) -> None:
        """What was let in is written."""
        self._asked = 0
        self._pacer.pause(self._number)

    def leave(self) -> None:
        self._pacer.leave(self._number)
