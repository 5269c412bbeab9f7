"""What a transfer's lane is that stands on others: it moves between them, or takes them in turn.

One thread uses it as the lane that it is; others may end it. How it looks from outside is how the lane looks
on which the next frame leaves.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from comity.identity.keys import PublicKey
from comity.transport.interface import Lane, LinkInfo


class CarriedLane(ABC):
    """The part of ``interface.Lane`` that is the same whatever it does with its lanes."""

    def __init__(self, *, leads: bool) -> None:
        """``leads``: this side is the sender."""
        self._leads = leads
        self._over = False
        self._finished = False
        self._lock = threading.Lock()  # around what others than the thread change

    @property
    @abstractmethod
    def _front(self) -> Lane:
        """Whose properties are shown."""

    @abstractmethod
    def _owned(self) -> set[Lane]:
        """All that end with it. Called under the lock."""

    @property
    def info(self) -> LinkInfo:
        return self._front.info

    @property
    def peer(self) -> PublicKey:
        return self._front.peer

    @property
    def round_trip(self) -> float:
        return self._front.round_trip

    def close(self) -> None:
        """The thread is done: end what is not finished. In the loop."""
        if not self._finished:
            self.abort()

    def abort(self) -> None:
        with self._lock:
            self._over = True
            lanes = self._owned()
        for lane in lanes:
            lane.abort()
