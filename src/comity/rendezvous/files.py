"""How many open files the system allows this server, and what they are for.

    1    a connection
    2    more for one that comes inside a WebSocket: the pair behind which it is unwrapped
    6    a relay lane: its two sides, and two pipes where both wait for a side that does not read

A quarter of them, at most, is kept for lanes, so that no crowd at the doors ends a transfer; the others are
counted here. So the system has a file for everybody who was let in.
"""

from __future__ import annotations

import resource
from collections.abc import Sized
from dataclasses import dataclass

from comity import limits
from comity.rendezvous.journal import Journal

_BRIDGE = 2
_LANE = 6
_SPARE = 64  # database, log, listeners, idle pipes


@dataclass
class Files:
    """``most`` are for connections and for ``bridges``; ``lanes`` is how many there may be."""

    most: int
    lanes: int
    bridges: Sized
    connections: int = 0

    def room(self, more: int = 1) -> bool:
        """Whether so many files more can be opened for connections."""
        return self.connections + _BRIDGE * len(self.bridges) + more <= self.most

    def room_for_bridge(self) -> bool:
        """Whether one connection more can be unwrapped."""
        return self.room(_BRIDGE)


def allowed(bridges: Sized, journal: Journal) -> Files:
    """As many as the system gives, up to the bounds of ``limits``."""
    connections = limits.RENDEZVOUS_CONNECTIONS + _BRIDGE * limits.BRIDGES
    wanted = connections + _LANE * limits.RELAY_LANES + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lanes = min(limits.RELAY_LANES, (soft - _SPARE) // 4 // _LANE)
    files = Files(min(connections, soft - _SPARE - _LANE * lanes), lanes, bridges)
    if files.most < connections:
        journal.info(
            "the system's limit of open files bounds the connections",
            connections=min(files.most, limits.RENDEZVOUS_CONNECTIONS),
            lanes=lanes,
            files=soft,
        )
    return files
