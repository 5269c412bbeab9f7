"""Who is online: the one connection of each registered key, and whose departure is still to be written down.

A newer connection takes the place of an older one of the same key. Memory only: after a restart nobody is
online until they connect again, which nodes do by themselves.
"""

from __future__ import annotations

from typing import Protocol

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


class Presence:
    def __init__(self) -> None:
        self._here: dict[NodeKey, Present] = {}
        self._left: dict[NodeKey, int] = {}

    def __len__(self) -> int:
        return len(self._here)

    def here(self) -> list[NodeKey]:
        """Everybody who is online."""
        return list(self._here)

    def get(self, network: int, key: bytes) -> Present | None:
        """The node's connection, None where it is away."""
        return self._here.get((network, key))

    def enter(self, visitor: Present) -> Present | None:
        """Note that a node is here; its older connection, if another had been here."""
        older = self._here.get(visitor.node)
        self._here[visitor.node] = visitor
        self._left.pop(visitor.node, None)
        return None if older is visitor else older

    def leave(self, visitor: Present, now: float) -> None:
        """Note that a connection ended; nothing changes where a newer one took its place."""
        if self._here.get(visitor.node) is visitor:
            del self._here[visitor.node]
            self._left[visitor.node] = int(now)

    def departures(self) -> dict[NodeKey, int]:
        """Who left since the last call, and when."""
        left, self._left = self._left, {}
        return left
