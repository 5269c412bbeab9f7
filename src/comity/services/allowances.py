"""How much of one kind each peer may cause: every partner for itself, all others together.

Keys cost nothing to make, so strangers share one allowance: however many they are, what they cause is
bounded, and what they use up is theirs alone. A partner is a key that a person here has dealt with, so there
are as many allowances as people made partners. What one is for, and what happens beyond it, its holder says.
"""

from __future__ import annotations

from collections.abc import Callable

from comity.clock import Clock
from comity.identity.keys import PublicKey
from comity.policy.allowance import Allowance


class Allowances:
    """``burst`` at once, then ``per_second``. ``partner`` is asked anew each time."""

    def __init__(
        self, partner: Callable[[PublicKey], bool], burst: int, per_second: float, clock: Clock
    ) -> None:
        self._partner = partner
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._strangers = self._fresh()
        self._partners: dict[PublicKey, Allowance] = {}

    def take(self, peer: PublicKey) -> bool:
        """Whether there is one more for this peer; if so it is gone, else that it was wanted is counted."""
        return self._of(peer).take(self._clock.monotonic())

    def settle(self, peer: PublicKey) -> int:
        """How many were turned away since the last time, of this partner or of all strangers."""
        return self._of(peer).settle()

    def _of(self, peer: PublicKey) -> Allowance:
        if not self._partner(peer):
            return self._strangers
        if peer not in self._partners:
            self._partners[peer] = self._fresh()
        return self._partners[peer]

    def _fresh(self) -> Allowance:
        return Allowance(self._burst, self._per_second, self._clock.monotonic())
