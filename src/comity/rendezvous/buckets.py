"""Token buckets: so many at once, then so many a second, for each key. Pure: time is an argument.

A bucket that is full again is forgotten, so memory is bounded by who was active lately.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """``burst`` at once, then ``per_second`` (both above 0)."""

    burst: float
    per_second: float


class Buckets:
    """One bucket a key, all of one rate. ``now`` is in seconds and never goes back."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at: dict[Hashable, float] = {}  # when the bucket will be full again

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float) -> bool:
        """Whether a token was there; if so, it is gone."""
        full_at = max(self._full_at.get(key, now), now) + 1 / self._rate.per_second
        # A tolerance, as times are floats: a bucket that is exactly empty must not give one more token.
        if full_at - now > self._rate.burst / self._rate.per_second + 1e-6:
            return False
        self._full_at[key] = full_at
        return True

    def sweep(self, now: float) -> None:
        """Forget the buckets that are full."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
