"""How fast it goes now, and how long it will take: over the last seconds, not since the beginning.

Pure: bytes that are done and monotonic seconds are arguments.
"""

from __future__ import annotations

from collections import deque

#: Seconds that are looked back, and, below, between two samples that are kept.
WINDOW = 5.0
_EVERY = 0.25


class Speed:
    """One transfer's. What goes backwards (a transfer that begins anew) begins the window anew."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, done: int, now: float) -> None:
        """So many bytes are done by now."""
        samples = self._samples
        if samples and (done < samples[-1][1] or now < samples[-1][0]):
            samples.clear()
        if len(samples) > 1 and samples[-1][0] - samples[-2][0] < _EVERY:
            samples.pop()
        samples.append((now, done))
        while len(samples) > 2 and samples[1][0] <= now - WINDOW:
            samples.popleft()

    def rate(self) -> float | None:
        """Bytes a second; None before there is anything to compare."""
        if len(self._samples) < 2:
            return None
        (begun, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) / (ended - begun) if ended > begun else None

    def remaining(self, left: int) -> float | None:
        """Seconds until ``left`` more bytes are done, at this rate; None where nothing moves."""
        rate = self.rate()
        if left <= 0:
            return 0.0
        return left / rate if rate else None
