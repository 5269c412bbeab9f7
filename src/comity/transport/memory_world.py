"""The in-memory world: places, the weather between them, and what a scenario does to both, all from one seed.

It can part and heal two places, unplug one, and cut links; it keeps a trace of what travelled when, which is
the same for the same seed and the same scenario. ``memory_links`` carries the messages.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Protocol

from comity import limits
from comity.errors import PeerUnreachable
from comity.identity.keys import PublicKey
from comity.transport.interface import PathName
from comity.transport.memory_links import End, Link, Route, Weather

_EPHEMERAL = 50_000  # the port from which every place calls


class Resident(Protocol):
    """Who answers at an address."""

    place: str
    key: PublicKey

    def enter(self, end: End, caller: PublicKey, remote: str, path: PathName) -> None:
        """A link has come in; ``caller`` is whose key its TLS would have proved."""


class World:
    """Everything that is between the places. Two worlds of one seed, used alike, do alike."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self.doors: dict[str, Resident] = {}  # by address
        self._fair = weather or Weather()
        self._weather: dict[frozenset[str], Weather] = {}
        self._parted: set[frozenset[str]] = set()
        self._unplugged: set[str] = set()
        self._links: dict[Link, None] = {}
        self._opened: dict[Route, int] = {}
        self._numbers: dict[str, int] = {}
        self._better = asyncio.Event()

    # ── what a scenario does to it ────────────────────────────────────────────────────────────────────

    def set_weather(self, one: str, other: str, weather: Weather) -> None:
        self._weather[frozenset((one, other))] = weather

    def partition(self, one: str, other: str) -> None:
        """From now on nothing passes between two places, and nobody is told."""
        self._parted.add(frozenset((one, other)))
        self.note(f"{one} | {other} parted")

    def heal(self, one: str, other: str) -> None:
        self._parted.discard(frozenset((one, other)))
        self.note(f"{one} | {other} healed")
        self._resume()

    def unplug(self, place: str) -> None:
        """From now on nothing passes to or from a place."""
        self._unplugged.add(place)
        self.note(f"{place} unplugged")

    def plug(self, place: str) -> None:
        self._unplugged.discard(place)
        self.note(f"{place} plugged in")
        self._resume()

    def cut(self, one: str, other: str | None = None) -> int:
        """End every link that touches a place, or both of two, at both sides; how many there were."""
        places = {one} if other is None else {one, other}
        hit = [link for link in self._links if places <= set(link.route)]
        for link in hit:
            link.cut("the connection was reset")
        return len(hit)

    # ── what links ask of it ──────────────────────────────────────────────────────────────────────────

    async def open(self, route: Route) -> tuple[End, End]:
        """A link along a route of places, after one round trip; PeerUnreachable where nothing passes."""
        link = self.link(route)
        try:
            async with asyncio.timeout(limits.CONNECT_TIMEOUT):
                for direction in link.directions:
                    await direction.passage()
        except BaseException as error:
            self.forget(link)
            if isinstance(error, TimeoutError):
                self.note(f"{link.name} no way through")
                raise PeerUnreachable(f"{route[-1]}: no answer in time") from None
            raise
        self.note(f"{link.name} open")
        return link.ends

    def link(self, route: Route) -> Link:
        """A link along a route, there at once."""
        count = self._opened[route] = self._opened.get(route, 0) + 1
        link = Link(self, route, f"{'>'.join(route)}#{count}")
        self._links[link] = None
        return link

    def forget(self, link: Link) -> None:
        self._links.pop(link, None)

    def blocked(self, route: Route) -> bool:
        """Whether anything on the way is parted or unplugged."""
        parted = any(frozenset(leg) in self._parted for leg in pairwise(route))
        return parted or not self._unplugged.isdisjoint(route)

    async def passable(self, route: Route) -> None:
        """Returns once nothing on the way is parted or unplugged."""
        while self.blocked(route):
            self._better.clear()
            await self._better.wait()

    def weather(self, route: Route) -> list[Weather]:
        return [self._weather.get(frozenset(leg), self._fair) for leg in pairwise(route)]

    def address(self, place: str, port: int = _EPHEMERAL) -> str:
        """``[ip]:port`` of a place: of the range that RFC 3849 keeps for examples, in the order of first
        mention."""
        number = self._numbers.setdefault(place, len(self._numbers) + 1)
        return f"[2001:db8::{number:x}]:{port}"

    def note(self, event: str) -> None:
        """A line of the trace, with the time."""
        self.trace.append(f"{asyncio.get_running_loop().time():.6f} {event}")

    def _resume(self) -> None:
        self._better.set()
        for link in list(self._links):
            for direction in link.directions:
                direction.resume()
