"""The network of peers on real sockets: the adapter behind ``interface.Network``.

It puts the parts together: a listener where one is asked for, the acceptor behind it and behind relay
offers, the dialler with its path finders, and the register of links by which a peer can be dropped. It
decides nothing itself: its gate says who may come in, and its callers whom to dial.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec

from comity.clock import Clock
from comity.diagnosis.facts import PathTrial
from comity.entropy import Entropy
from comity.errors import ComityError, LocalProtocolError, RemoteProtocolError, RendezvousUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.registry import RelayOffer
from comity.transport.acceptor import Acceptor
from comity.transport.bounds import Bounds
from comity.transport.channel import DEFAULT_BOUNDS
from comity.transport.dialler import Dialler
from comity.transport.interface import Gate, PathName, PunchPost, StreamHandler, TicketOffice
from comity.transport.links import Links
from comity.transport.listener import Listener
from comity.transport.paths import DirectPaths, PathFinder
from comity.transport.punch import PunchPaths
from comity.transport.relay import RelayPath, redeem
from comity.transport.stream import LinkStream
from comity.transport.survey import survey
from comity.transport.tls import Credentials
from comity.transport.way import Way

P = ParamSpec("P")

logger = logging.getLogger(__name__)


class PeerNetwork:
    """Between ``start`` and ``close``, on one event loop. ``instance`` is 32 hex digits, drawn per process.

    ``listen`` is ``HOST:PORT`` or None for a node that only dials; without ``rendezvous`` there is no relay,
    and without ``punches`` no simultaneous open. ``way`` leads to the rendezvous where a peer is met; it
    raises RendezvousUnreachable where there is none any more.
    """

    def __init__(
        self,
        credentials: Credentials,
        rendezvous: TicketOffice | None,
        gate: Gate,
        clock: Clock,
        entropy: Entropy,
        instance: str,
        listen: str | None,
        bounds: Bounds = DEFAULT_BOUNDS,
        punches: PunchPost | None = None,
        way: Callable[[PublicKey], Way] | None = None,
    ) -> None:
        self._gate = gate
        self._listen = listen
        self._bounds = bounds
        self._handlers: dict[int, StreamHandler] = {}
        self._links = Links()
        self._direct = DirectPaths(clock, bounds)
        finders: list[PathFinder] = [self._direct]
        self._punches = None
        if punches is not None:
            self._punches = PunchPaths(punches, self._met, clock, entropy, bounds)
            finders.append(self._punches)
        self._way = way
        if rendezvous is not None and way is not None:
            finders.append(RelayPath(rendezvous, way, entropy, bounds))
        self._credentials = credentials
        self._finders = finders
        self._dialler = Dialler(credentials, instance, self._links, finders, bounds)
        self._acceptor = Acceptor(credentials, gate, instance, self._handlers, self._links, bounds)
        self._listener: Listener | None = None
        self._running: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._following: dict[bytes, PublicKey] = {}  # by ticket

    async def start(self) -> None:
        """Listen, where asked to, and accept. InvalidInput where the address can't be listened on."""
        if self._running is not None:
            raise LocalProtocolError("the network is started twice")
        if self._listen is not None:
            self._listener = Listener(self._listen)
        ready = asyncio.Event()
        self._running = asyncio.create_task(self._run(ready))
        await ready.wait()
        if self._punches is not None:
            self._punches.start()

    async def close(self) -> None:
        """End every link at once, unblocking the threads in them, and every task."""
        self._group = None
        if self._punches is not None:
            await self._punches.close()
        if self._listener is not None:
            self._listener.close()
        self._dialler.close()
        self._links.drop_all()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._acceptor.close()

    def serve(self, port: int, handler: StreamHandler) -> None:
        if port in self._handlers:
            raise LocalProtocolError(f"port {port} is served twice")
        self._handlers[port] = handler

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
        return await self._dialler.dial(
            peer, port, agreement=agreement, charter=charter, purpose=purpose, better_than=better_than
        )

    async def survey(self, peer: PublicKey) -> tuple[PathTrial, ...]:
        """Every path to a peer, tried at once and closed again."""
        return await survey(self._finders, self._credentials, peer, self._bounds)

    def learn(self, peer: PublicKey, candidates: Sequence[str], expires: float) -> None:
        if self._direct.learn(peer, candidates, expires):
            self._dialler.news(peer)

    def candidates(self) -> tuple[str, ...]:
        return self._listener.candidates() if self._listener is not None else ()

    def drop(self, peer: PublicKey, *, spare: int | None = None) -> int:
        ended = self._links.drop(peer, spare)
        self._dialler.drop(peer, spare)
        if self._punches is not None:
            self._punches.forget(peer)
        return ended

    async def relay_offered(self, offer: RelayOffer) -> None:
        """Follow a peer to the relay, if it is approved; returns at once."""
        if self._way is None or self._group is None:
            return  # not up, or not any more
        try:
            peer = PublicKey.from_hex(offer.peer)
            way = self._way(peer)
        except (RemoteProtocolError, RendezvousUnreachable) as error:
            self._gate.refused(None, "relay", error.code, error.message)
            return
        authority = way.authority
        if not self._gate.approved(peer):
            self._gate.refused(peer, authority, "relay_not_approved", "this key is not approved here")
        elif self._acceptor.full or not self._may_follow(peer):
            self._gate.refused(peer, authority, "too_many_links", "too many callers are being served")
        else:
            ticket = bytes.fromhex(offer.ticket)
            self._following[ticket] = peer
            following = self._group.create_task(_contained(self._follow, way, peer, ticket))
            following.add_done_callback(lambda _: self._following.pop(ticket, None))

    def _may_follow(self, peer: PublicKey) -> bool:
        """Whether one more offer is followed: a peer that offers and doesn't come keeps no other out."""
        most, same = self._bounds.inbound_unapproved, list(self._following.values()).count(peer)
        return len(self._following) < most and same < max(1, most // 4)

    async def _follow(self, way: Way, peer: PublicKey, ticket: bytes) -> None:
        try:
            sock = await redeem(way, ticket, self._bounds)
        except ComityError as error:
            logger.info("could not follow %s to the relay: %s", peer.fingerprint.short, error)
            return
        self._following.pop(ticket, None)  # from here on the acceptor counts it
        if self._acceptor.take(sock, peer):
            await self._acceptor.serve(sock, "relay", peer)

    def _accepted(self, sock: socket.socket) -> None:
        if self._group is None:
            sock.close()
        elif self._acceptor.take(sock):
            self._group.create_task(_contained(self._acceptor.serve, sock, "direct"))

    def _met(self, sock: socket.socket, path: PathName, peer: PublicKey) -> None:
        """A peer's simultaneous open, which it asked for, connected."""
        if self._group is None or not self._gate.approved(peer):
            sock.close()
        elif self._acceptor.take(sock, peer):
            self._group.create_task(_contained(self._acceptor.serve, sock, path, peer))

    async def _run(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as self._group:
            if self._listener is not None:
                self._listener.start(self._accepted)
            ready.set()
            await asyncio.Event().wait()  # until it is cancelled


async def _contained(work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
    """A bug in serving one link must not end the others, as it would in a task group."""
    try:
        await work(*args, **kwargs)
    except Exception:  # whatever it is, it is logged with its trace and ends here
        logger.exception("serving a link failed by a bug")
