"""How often something may happen: a token bucket that counts what it turned away.

Pure: the time is an argument. What is done about what is over the rate, its holder decides.
"""

from __future__ import annotations


class Allowance:
    """``burst`` at once, then ``per_second``. Times are monotonic seconds."""

    def __init__(self, burst: int, per_second: float, now: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._at = now
        self._turned_away = 0

    def take(self, now: float) -> bool:
        """Whether it may happen now; if so, it counts."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            self._turned_away += 1
            return False
        self._left -= 1
        return True

    def settle(self) -> int:
        """How many were turned away since the last time; the count begins anew."""
        count, self._turned_away = self._turned_away, 0
        return count
