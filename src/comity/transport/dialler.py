"""Dialling: a pooled link or the race for a new one, then hello and welcome (docs: protocol, "Hello").

It returns a stream or says why there is none. Whoever dials is the TLS client, on every path. It does not
decide whether a peer may be dialled: the service that asks has done so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from comity import limits
from comity.errors import LinkLost, PeerUnreachable, RemoteProtocolError, TimedOut
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.framing import Kind
from comity.protocol.hello import (
    OLDEST_VERSION,
    VERSION,
    Hello,
    Refused,
    Welcome,
    encode_message,
    parse_refused,
    parse_welcome,
    refusal_error,
)
from comity.protocol.paths import RANKS, path_rank
from comity.transport.bounds import Bounds
from comity.transport.links import Link, Links
from comity.transport.paths import Attempt, PathFinder
from comity.transport.pool import Pool
from comity.transport.race import Race
from comity.transport.stream import LinkStream
from comity.transport.tls import Credentials


class Dialler:
    """``finders`` in the order in which their paths are preferred."""

    def __init__(
        self,
        credentials: Credentials,
        instance: str,
        links: Links,
        finders: Sequence[PathFinder],
        bounds: Bounds,
    ) -> None:
        self._credentials = credentials
        self._instance = instance
        self._links = links
        self._finders = finders
        self._bounds = bounds
        self._pool = Pool(links, bounds)
        self._races: dict[PublicKey, dict[Race, int]] = {}  # each with the port that is dialled
        self._relayed: dict[PublicKey, float] = {}  # until when its links by the relay are good enough
        self._closed = False

    async def dial(
        self,
        peer: PublicKey,
        port: int,
        *,
        agreement: str | None = None,
        charter: str | None = None,
        purpose: str = "",
        better_than: str | None = None,
    ) -> LinkStream:
        """A welcomed stream; the errors of ``interface.Network.dial``."""
        if self._closed:
            raise PeerUnreachable("this node is stopping")
        hello = Hello(
            oldest=OLDEST_VERSION,
            newest=VERSION,
            port=port,
            instance=self._instance,
            agreement=agreement,
            charter=charter,
            purpose=purpose,
        )
        worst = RANKS if better_than is None else path_rank(better_than) - 1
        tiers = [_within(finder.attempts(peer), worst) for finder in self._finders]
        better = self._better(peer, tiers)
        if better:
            worst = min(worst, path_rank("punched"))  # a pooled link by the relay would forestall it
        race = Race(self._credentials, peer, self._links, self._bounds)
        self._races.setdefault(peer, {})[race] = port
        try:
            async with race:
                while (pooled := self._pool.take(peer, worst)) is not None:
                    try:
                        return await self._open(pooled, hello)
                    except LinkLost:
                        pass  # it had ended, and nobody knew yet
                    except TimedOut:
                        self._pool.clear(peer)  # the others took the same way
                race.start(tiers)
                while (link := await race.next()) is not None:
                    try:
                        stream = await self._open(link, hello)
                        self._judge(peer, link, better=better)
                        return stream
                    except (LinkLost, TimedOut) as error:
                        race.failed(link, error)
                raise race.error()
        finally:
            del self._races[peer][race]
            if not self._races[peer]:
                del self._races[peer]

    def news(self, peer: PublicKey) -> None:
        """This peer told other addresses than before: its links by the relay are not good enough any more."""
        self._relayed.pop(peer, None)

    def drop(self, peer: PublicKey, spare: int | None = None) -> None:
        """The links with this peer have been ended: those that are being dialled shall not follow."""
        self._pool.forget(peer)
        for race, port in self._races.get(peer, {}).items():
            if spare is None or port != spare:
                race.abandon()

    def close(self) -> None:
        """Let the idle links go, and no dial succeed any more."""
        self._closed = True
        self._pool.close()
        for peer in list(self._races):
            self.drop(peer)

    def _better(self, peer: PublicKey, tiers: Sequence[Sequence[Attempt]]) -> bool:
        """Whether a better path than the relay may be found by a race now."""
        paths = {attempt.path for tier in tiers for attempt in tier}
        outdone = asyncio.get_running_loop().time() < self._relayed.get(peer, 0.0)
        return "punched" in paths or ("direct" in paths and not outdone)

    def _judge(self, peer: PublicKey, link: Link, *, better: bool) -> None:
        """Addresses that the relay outran are not waited for again at once; a punch has its own rest."""
        if link.info.path != "relay":
            self._relayed.pop(peer, None)
        elif better:
            self._relayed[peer] = asyncio.get_running_loop().time() + limits.RELAY_GOOD_SECONDS

    async def _open(self, link: Link, hello: Hello) -> LinkStream:
        link.port = hello.port
        try:
            welcome = await self._greet(link, hello)
        except BaseException:
            self._links.discard(link)
            link.channel.dismiss()
            raise

        def released(reusable: bool) -> None:
            link.port = None
            if reusable:
                self._pool.put(link)
            else:
                self._links.discard(link)

        return LinkStream(link, hello, welcome.instance, self._bounds, released)

    async def _greet(self, link: Link, hello: Hello) -> Welcome:
        try:
            async with asyncio.timeout(self._bounds.hello):
                await link.channel.write_frame(Kind.HELLO, encode_message(hello))
                kind, body = await link.channel.read_frame(limits.HELLO_BYTES)
        except TimeoutError:
            raise TimedOut(f"no answer to the hello within {self._bounds.hello:g} seconds") from None
        if kind is Kind.REFUSED:
            refused = parse_refused(body)
            raise refusal_error(Refused(code=refused.code, reason=printable(refused.reason)))
        if kind is not Kind.WELCOME:
            raise RemoteProtocolError(f"the peer answered the hello with a {kind.name.lower()} frame")
        return parse_welcome(body)


def _within(attempts: Sequence[Attempt], worst: int) -> list[Attempt]:
    return [attempt for attempt in attempts if path_rank(attempt.path) <= worst]
