"""Who is online: the one connection of each registered key, and whose departure is still to be written down.

A newer connection takes the place of an older one of the same key. Memory only: after a restart nobody is
online until they connect again, which nodes do by themselves.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Protocol

from comity import limits
from comity.errors import ComityError
from comity.protocol.registry import ServerMessage

NodeKey = tuple[int, bytes]  # network, raw key


class Present(Protocol):
    """A connected node, as others see it."""

    @property
    def node(self) -> NodeKey: ...

    def push(self, message: ServerMessage) -> bool:
        """Tell it something now; False where its queue is full."""

    def mail_came(self) -> None:
        """Have it look into its mailbox."""

    def expel(self, error: ComityError) -> None:
        """End it: an administrator decided so."""

    def supersede(self, instance: str) -> None:
        """End it: ``instance`` took its place."""

    def go_away(self, within: int) -> None:
        """End it: the server stops, and another will be there within so many seconds."""


class Presence:
    def __init__(self) -> None:
        self._here: dict[NodeKey, Present] = {}
        self._online: Counter[int] = Counter()
        self._left: dict[NodeKey, int] = {}
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        return len(self._here)

    def here(self) -> list[NodeKey]:
        """Everybody who is online."""
        return list(self._here)

    def count(self, network: int) -> int:
        """How many nodes of a network are online."""
        return self._online[network]

    def get(self, network: int, key: bytes) -> Present | None:
        """The node's connection, None where it is away."""
        return self._here.get((network, key))

    def enter(self, visitor: Present) -> Present | None:
        """Note that a node is here; its older connection, if another had been here."""
        older = self._here.get(visitor.node)
        if older is None:
            self._online[visitor.node[0]] += 1
        self._here[visitor.node] = visitor
        self._left.pop(visitor.node, None)
        return None if older is visitor else older

    def leave(self, visitor: Present, now: float) -> None:
        """Note that a connection ended; nothing changes where a newer one took its place."""
        if self._here.get(visitor.node) is visitor:
            del self._here[visitor.node]
            self._online[visitor.node[0]] -= 1
            if not self._here:
                self._emptied.set()
            self._left[visitor.node] = int(now)

    async def dismiss(self) -> None:
        """Tell everybody that the server stops, and wait a moment until they have gone."""
        within = min(1 + len(self._here) // limits.COME_BACK_PER_SECOND, limits.COME_BACK_MOST)
        self._emptied.clear()
        for visitor in list(self._here.values()):
            visitor.go_away(within)
        if self._here:
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.RENDEZVOUS_GOODBYE):
                    await self._emptied.wait()

    def departures(self) -> dict[NodeKey, int]:
        """Who left since the last call, and when."""
        left, self._left = self._left, {}
        return left
