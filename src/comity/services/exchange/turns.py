"""Whose transfer begins next: few at once, because each holds memory, and no peer's many before another's.

Beside the ``most`` that run at once, a peer that has none running may always have
one, up to ``most_peers`` in all: a hundred sends to one partner never keep another partner waiting.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """For the event loop's thread. ``most_peers`` is at least ``most``."""

    def __init__(self, most: int, most_peers: int) -> None:
        self._most = most
        self._most_peers = most_peers
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it as long as the block lasts."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((peer, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had just been given
                self._give_back(peer)
            else:
                self._waiting.remove((peer, turn))
            raise
        try:
            yield
        finally:
            self._give_back(peer)

    def admits(self, peer: str) -> bool:
        """Whether one more of this peer's could begin now."""
        total = self._running.total()
        return total < self._most or (not self._running[peer] and total < self._most_peers)

    def _give_back(self, peer: str) -> None:
        self._running[peer] -= 1
        if not self._running[peer]:
            del self._running[peer]
        self._hand_out()

    def _hand_out(self) -> None:
        """To whom has fewest running, and of those to whom has waited longest."""
        while ready := [
            waiter for waiter in self._waiting if self.admits(waiter[0]) and not waiter[1].cancelled()
        ]:
            chosen = min(ready, key=lambda waiter: self._running[waiter[0]])
            self._waiting.remove(chosen)
            self._running[chosen[0]] += 1
            chosen[1].set_result(None)
