"""Ways to a peer: who knows one offers an attempt, and the race (``race``) runs them.

A path finder turns what it knows of a peer into attempts, each of which ends with a connected socket; TLS and
the pin come after and are the same on every path. A further path is one more finder in the list.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from comity.clock import Clock
from comity.identity.authority import parse_authority
from comity.identity.keys import PublicKey
from comity.transport.bounds import Bounds
from comity.transport.interface import PathName
from comity.transport.tcp import connect_tcp


@dataclass(frozen=True)
class Attempt:
    """One way, not yet tried. ``open`` raises a ComityError that names where it went and how it failed."""

    path: PathName
    open: Callable[[], Awaitable[Connected]]


@dataclass(frozen=True)
class Connected:
    """A connected socket before any TLS, and the path that it turned out to be."""

    sock: socket.socket
    path: PathName


class PathFinder(Protocol):
    """One kind of path. ``path`` names what it looks for; what it finds may turn out to be a better one."""

    path: PathName

    def attempts(self, peer: PublicKey) -> Sequence[Attempt]:
        """What can be tried now, all at once; empty where this finder knows no way."""


class DirectPaths:
    """TCP to the addresses that a peer told in a fresh statement, until they expire."""

    path: PathName = "direct"

    def __init__(self, clock: Clock, bounds: Bounds) -> None:
        self._clock = clock
        self._bounds = bounds
        self._learned: dict[PublicKey, tuple[tuple[tuple[str, int], ...], float]] = {}

    def learn(self, peer: PublicKey, candidates: Sequence[str], expires: float) -> bool:
        """Replace what is known of this peer; ``expires`` in seconds UTC. Whether its addresses are others
        now. InvalidInput: not ``HOST:PORT``.
        """
        before, _ = self._learned.pop(peer, ((), 0.0))
        places = tuple(map(parse_authority, candidates))
        if places:
            self._learned[peer] = places, expires
        return set(places) != set(before)

    def attempts(self, peer: PublicKey) -> Sequence[Attempt]:
        candidates, expires = self._learned.get(peer, ((), 0.0))
        if self._clock.now() >= expires:
            self._learned.pop(peer, None)
            return ()
        return [
            Attempt("direct", partial(_connect, host, port, self._bounds.connect))
            for host, port in candidates
        ]


async def _connect(host: str, port: int, timeout: float) -> Connected:
    return Connected(await connect_tcp(host, port, timeout), "direct")
