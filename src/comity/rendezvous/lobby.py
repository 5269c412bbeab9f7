"""The lobby: connections on which nobody has registered yet are few, and old ones give way.

Anybody can open a connection and say nothing. When the lobby is full, a newcomer takes the place of the one
that has been there longest, once that one has had ``limits.RENDEZVOUS_UNREGISTERED_GRACE`` seconds, which is
far more than a handshake takes; until then the newcomer waits outside, in the kernel's queue. So a crowd that
holds its connections open delays others, and a crowd of honest nodes, as after a restart, is let in at the
pace of the work.

No address has more than its share of the lobby: whoever comes from one that has takes the place of its own
oldest, or is turned away, and delays nobody else. This machine's own address has no share: a reverse proxy
on it speaks for many.

It knows no sockets: a guest is a task, and is cancelled to make it leave.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from comity import limits
from comity.clock import Clock

#: The task that serves a connection.
Guest = asyncio.Task[Any]

_HERE = ("127.0.0.1", "::1")
_IPV6_PREFIX = 64  # bits: what one customer has of IPv6, at least


class Lobby:
    """Use it from one event loop. A place is what ``place_of`` says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guests: dict[Guest, float] = {}  # since when; oldest first
        self._places: dict[str, dict[Guest, None]] = {}  # likewise
        self._from: dict[Guest, str] = {}
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._guests)

    async def room(self) -> bool:
        """Return once one more may come in; whether somebody had to leave for it."""
        while len(self._guests) >= limits.RENDEZVOUS_UNREGISTERED:
            oldest = next(iter(self._guests))
            left = self._grace_left(oldest)
            if left <= 0:
                self._displace(oldest)
                return True
            self._left.clear()
            try:
                async with asyncio.timeout(left):
                    await self._left.wait()
            except TimeoutError:
                continue
        return False

    def welcomes(self, place: str) -> bool:
        """Whether one more may come in from ``place``; its oldest may have had to leave for it."""
        theirs = self._places.get(place, {})
        if not place or len(theirs) < limits.RENDEZVOUS_UNREGISTERED_PER_ADDRESS:
            return True
        oldest = next(iter(theirs))
        if self._grace_left(oldest) > 0:
            return False
        self._displace(oldest)
        return True

    def enter(self, guest: Guest, place: str = "") -> None:
        """Count a guest, from the moment it is accepted."""
        self._guests[guest] = self._clock.monotonic()
        self._from[guest] = place
        self._places.setdefault(place, {})[guest] = None

    def leave(self, guest: Guest | None) -> None:
        """It registered, holds a ticket, or is gone."""
        if guest is not None and self._guests.pop(guest, None) is not None:
            place = self._from.pop(guest)
            del self._places[place][guest]
            if not self._places[place]:
                del self._places[place]
            self._left.set()

    def _grace_left(self, guest: Guest) -> float:
        since = self._guests[guest]
        return since + limits.RENDEZVOUS_UNREGISTERED_GRACE - self._clock.monotonic()

    def _displace(self, guest: Guest) -> None:
        self.leave(guest)
        guest.cancel()


def place_of(remote: str) -> str:
    """Whose share a connection from ``remote`` (``ip:port``) counts against; empty for nobody's."""
    host = remote.rpartition(":")[0].strip("[]")
    if not host or host in _HERE:
        return ""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))
    return host
