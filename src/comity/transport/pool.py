"""Links that wait for their next stream: opened by this node, welcomed once, ended by both sides in order.

An idle link has nothing to say, so one that becomes readable has ended and is let go. It is also let go
when it was idle for so long that the peer is about to close it, or when its keys are worn.
"""

from __future__ import annotations

import asyncio

from comity.identity.keys import PublicKey
from comity.protocol.paths import path_rank
from comity.transport.bounds import Bounds
from comity.transport.links import Link, Links

#: Of the peer's patience with an idle link. It counts from a little later, and our hello takes its time.
_SHARE_OF_IDLE = 0.75


class Pool:
    """For the event loop's thread. Every link in it is also in ``links``."""

    def __init__(self, links: Links, bounds: Bounds) -> None:
        self._links = links
        self._bounds = bounds
        self._idle: dict[PublicKey, dict[Link, asyncio.TimerHandle]] = {}

    def put(self, link: Link) -> None:
        """Keep a link for its peer's next stream, or end it where it can't be used again."""
        idle = self._idle.setdefault(link.peer, {})
        if link.channel.ended or link.channel.worn or len(idle) >= self._bounds.pooled_links:
            self._links.discard(link)
            link.channel.dismiss()
            self._tidy(link.peer)
            return
        link.channel.watch(lambda: self._evict(link))
        loop = asyncio.get_running_loop()
        idle[link] = loop.call_later(self._bounds.link_idle * _SHARE_OF_IDLE, self._evict, link)

    def take(self, peer: PublicKey, worst: int) -> Link | None:
        """A link to this peer on a path of at most this rank, the best path's and the latest used first."""
        while idle := [link for link in self._idle.get(peer, ()) if path_rank(link.info.path) <= worst]:
            link = min(reversed(idle), key=lambda link: path_rank(link.info.path))
            if self._remove(link):
                link.channel.unwatch()
                return link
        return None

    def forget(self, peer: PublicKey) -> None:
        """This peer's links have been ended by ``Links.drop``."""
        for timer in self._idle.pop(peer, {}).values():
            timer.cancel()

    def clear(self, peer: PublicKey) -> None:
        """Let this peer's links go, with a word of farewell."""
        for link in list(self._idle.get(peer, ())):
            self._evict(link)

    def close(self) -> None:
        """Let all links go."""
        for peer in list(self._idle):
            self.clear(peer)

    def _evict(self, link: Link) -> None:
        if self._remove(link):
            self._links.discard(link)
            link.channel.dismiss()

    def _remove(self, link: Link) -> bool:
        """Whether it was there and is still up."""
        timer = self._idle.get(link.peer, {}).pop(link, None)
        self._tidy(link.peer)
        if timer is None:
            return False
        timer.cancel()
        return not link.channel.ended

    def _tidy(self, peer: PublicKey) -> None:
        if not self._idle.get(peer, True):
            del self._idle[peer]
