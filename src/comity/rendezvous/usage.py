"""How much each node has sent through the relay today (UTC): for its quota, its network's, and the operator.

A byte counts for who sent it, so nobody uses up another's share. In memory, and written down every second
while something moves: a kill forgets a second of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from comity import limits
from comity.clock import Clock
from comity.rendezvous.presence import NodeKey
from comity.rendezvous.tenancy import Relayed


class Usage:
    """Use it from the event loop's thread."""

    def __init__(self, clock: Clock, rows: Iterable[Relayed] = ()) -> None:
        self._clock = clock
        self._day = self.today
        self._nodes: Counter[NodeKey] = Counter()
        self._networks: Counter[int] = Counter()
        self._changed: set[NodeKey] = set()
        for row in rows:
            self._nodes[row.network, row.key] = row.bytes
            self._networks[row.network] += row.bytes

    @property
    def today(self) -> int:
        """Days since 1970 UTC."""
        return day(self._clock.now())

    def add(self, node: NodeKey, count: int) -> None:
        """Count what a node has sent."""
        self._turn()
        if count:
            self._nodes[node] += count
            self._networks[node[0]] += count
            self._changed.add(node)

    def of(self, node: NodeKey) -> int:
        self._turn()
        return self._nodes[node]

    def of_network(self, network: int) -> int:
        self._turn()
        return self._networks[network]

    def changes(self) -> list[Relayed]:
        """What is to be written down since the last call."""
        changed, self._changed = self._changed, set()
        return [Relayed(*node, self._day, self._nodes[node]) for node in changed]

    def _turn(self) -> None:
        if self._day != self.today:
            self._day = self.today
            self._nodes.clear()
            self._networks.clear()
            self._changed.clear()


def day(now: float) -> int:
    """The day of a time, counted from 1970 UTC."""
    return int(now // limits.DAY)
