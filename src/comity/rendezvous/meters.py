"""What the server counts since its start, for those who watch it: numbers, never names of nodes or secrets.

Labels come from small sets that this program knows: kinds of connections, codes of refusals, networks. Used
from the event loop's thread alone.
"""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable

#: Seconds; the last bucket is everything above.
RESOLVE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
#: The codes of refusals are constants of this program; a bug must not make them many all the same.
_CODES = 64

Door = Callable[[socket.socket, str], Awaitable[None]]


class Meters:
    """``connections`` are open now, by kind; everything else only grows."""

    def __init__(self) -> None:
        self.connections: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.relayed: Counter[int] = Counter()  # bytes of lanes that have ended, by network
        self.resolve_counts = [0] * (len(RESOLVE_BUCKETS) + 1)
        self.resolve_seconds = 0.0

    def refused(self, code: str) -> None:
        """Somebody was told no, or was turned away."""
        known = code in self.refusals or len(self.refusals) < _CODES
        self.refusals[code if known else "other"] += 1

    def resolved(self, seconds: float) -> None:
        """A look-up was answered, from the books, after so long."""
        self.resolve_counts[bisect_left(RESOLVE_BUCKETS, seconds)] += 1
        self.resolve_seconds += seconds

    def counted(self, kind: str, door: Door) -> Door:
        """The same door, with whoever is behind it counted."""

        async def serve(sock: socket.socket, remote: str) -> None:
            self.accepted[kind] += 1
            self.connections[kind] += 1
            try:
                await door(sock, remote)
            finally:
                self.connections[kind] -= 1

        return serve
