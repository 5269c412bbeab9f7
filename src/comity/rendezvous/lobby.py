"""The lobby: connections on which nobody has registered yet are few, and old ones give way.

Anybody can open a connection and say nothing. When the lobby is full, a newcomer takes the place of the one
that has been there longest, once that one has had ``limits.RENDEZVOUS_UNREGISTERED_GRACE`` seconds, which is
far more than a handshake takes; until then the newcomer waits outside, in the kernel's queue. So a crowd that
holds its connections open delays others, and a crowd of honest nodes, as after a restart, is let in at the
pace of the work.

It knows no sockets: a guest is a task, and is cancelled to make it leave.
"""

from __future__ import annotations

import asyncio
from typing import Any

from comity import limits
from comity.clock import Clock

#: The task that serves a connection.
Guest = asyncio.Task[Any]


class Lobby:
    """Use it from one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guests: dict[Guest, float] = {}  # since when; oldest first
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._guests)

    async def room(self) -> bool:
        """Return once one more may come in; whether somebody had to leave for it."""
        while len(self._guests) >= limits.RENDEZVOUS_UNREGISTERED:
            oldest, since = next(iter(self._guests.items()))
            left = since + limits.RENDEZVOUS_UNREGISTERED_GRACE - self._clock.monotonic()
            if left <= 0:
                del self._guests[oldest]
                oldest.cancel()
                return True
            self._left.clear()
            try:
                async with asyncio.timeout(left):
                    await self._left.wait()
            except TimeoutError:
                continue
        return False

    def enter(self, guest: Guest) -> None:
        """Count a guest, from the moment it is accepted."""
        self._guests[guest] = self._clock.monotonic()

    def leave(self, guest: Guest | None) -> None:
        """It registered, holds a ticket, or is gone."""
        if guest is not None and self._guests.pop(guest, None) is not None:
            self._left.set()
