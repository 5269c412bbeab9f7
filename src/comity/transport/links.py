"""Every link that is up, by peer, so that a revocation can end all of a peer's at once.

A link is a secure channel and the path that it took. Whoever opens one adds it here and whoever ends one
takes it out; in between it may lie in the pool, carry a stream, or have a thread in it.
"""

from __future__ import annotations

from comity.identity.keys import PublicKey
from comity.transport.channel import SecureChannel
from comity.transport.interface import LinkInfo, PathName


class Link:
    """One channel to ``peer``, and how it came about."""

    def __init__(self, channel: SecureChannel, path: PathName) -> None:
        self.channel = channel
        self.peer: PublicKey = channel.peer
        self.info = LinkInfo(
            path=path, remote=channel.remote, tls=channel.tls, cipher=channel.cipher, group=channel.group
        )
        self.port: int | None = None  # the virtual port of the stream on it


class Links:
    """The links of one node, in both directions. For the event loop's thread."""

    def __init__(self) -> None:
        self._links: dict[PublicKey, set[Link]] = {}

    def add(self, link: Link) -> None:
        self._links.setdefault(link.peer, set()).add(link)

    def discard(self, link: Link) -> None:
        """Forget a link that has ended or is about to; nothing where it is forgotten already."""
        links = self._links.get(link.peer)
        if links is not None:
            links.discard(link)
            if not links:
                del self._links[link.peer]

    def drop(self, peer: PublicKey, spare: int | None = None) -> int:
        """End this peer's links at once, but those whose stream is on the port to spare; how many ended."""
        links = [link for link in self._links.get(peer, ()) if spare is None or link.port != spare]
        for link in links:
            self.discard(link)
            link.channel.abort()
        return len(links)

    def drop_all(self) -> None:
        """End every link with everybody."""
        for peer in list(self._links):
            self.drop(peer)

    def __len__(self) -> int:
        return sum(map(len, self._links.values()))
