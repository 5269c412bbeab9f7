"""Time as an argument: the wall clock that never goes back, and one that tests turn by hand.

Pure code receives ``now`` as a number; only the edges hold a Clock (SECURITY.md rule 2: time never goes
back below the last persisted).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the edges read the time."""

    def now(self) -> float:
        """Seconds since 1970 UTC; never less than an earlier answer."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; for deadlines and rates only."""
        ...


class SystemClock:
    """The machine's clock, held at a floor when it is set back."""

    def __init__(self, floor: float = 0.0) -> None:
        self._floor = floor

    def now(self) -> float:
        self._floor = max(self._floor, time.time())
        return self._floor

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 UTC as ``2026-11-21T05:18:00Z``."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_rfc3339(text: str) -> int:
    """Seconds since 1970 UTC of a time in the form that ``rfc3339`` gives; ValueError for any other."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    seconds = int(moment.timestamp())
    if rfc3339(seconds) != text:
        raise ValueError(f"{text!r} is not written as {rfc3339(seconds)}")
    return seconds


def rfc3339_millis(milliseconds: int) -> str:
    """Milliseconds since 1970 UTC as ``2026-11-21T05:18:00.042Z``."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{rfc3339(seconds)[:-1]}.{rest:03d}Z"
