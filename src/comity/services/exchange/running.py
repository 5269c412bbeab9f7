"""A transfer that runs now: how far it is, and the way to end it from outside.

Both sides keep theirs by row, so that listing, cancelling and recovery see the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from comity.errors import TransferCancelled
from comity.services.exchange.progress import Meter


@dataclass
class Running:
    """``end`` interrupts whatever it waits for; ``over`` is set once how it ended is on record."""

    meter: Meter
    end: Callable[[], object]
    cancelled: TransferCancelled | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def cancel(self, error: TransferCancelled) -> None:
        """End it for good; the first who does so says why."""
        if self.cancelled is None:
            self.cancelled = error
            self.end()


Live = dict[int, Running]


def not_the_task() -> None:
    """What was cancelled is the transfer: the task that carries it goes on and says so."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
