"""The network of peers in memory: ``interface.Network`` over a simulated world, for tests from a seed.

Dialling races the addresses that a peer told against the relay, as the real one does; hello, gate, streams
and lanes behave alike, and one contract suite holds both. Streams and lanes are the real ones, over
``memory_channel``. There is no TLS: a link knows the keys that a handshake would have proved.

``memory_world`` is where delay, loss and partition come from, ``memory_rendezvous`` the rendezvous beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    ComityError,
    IdentityMismatch,
    LinkLost,
    LocalProtocolError,
    PeerUnreachable,
    RemoteProtocolError,
    TimedOut,
)
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
from comity.protocol.registry import RelayOffer
from comity.transport.channel import DEFAULT_BOUNDS
from comity.transport.interface import Gate, StreamHandler, TicketOffice
from comity.transport.links import Link, Links
from comity.transport.memory_door import Door
from comity.transport.memory_paths import Paths
from comity.transport.memory_rendezvous import MemoryServer
from comity.transport.stream import LinkStream

log = logging.getLogger("comity.transport")


class MemoryNetwork:
    """Between ``start`` and ``close``. ``listen`` is a port at this place; None: this node only dials.

    Without ``rendezvous`` there is no relay; ``server`` is where it is, and whose world all of this is in.
    ``server_of`` tells at which one a peer is met, where there are several.
    """

    def __init__(
        self,
        server: MemoryServer,
        place: str,
        key: PublicKey,
        rendezvous: TicketOffice | None,
        gate: Gate,
        clock: Clock,
        entropy: Entropy,
        instance: str,
        listen: int | None = None,
        server_of: Callable[[PublicKey], MemoryServer] | None = None,
    ) -> None:
        self._server_of = server_of or (lambda _: server)
        self._world = server.world
        self._place = place
        self._key = key
        self._rendezvous = rendezvous
        self._gate = gate
        self._instance = instance
        self._listen = listen
        self._handlers: dict[int, StreamHandler] = {}
        self._links = Links()
        self._door = Door(place, key, gate, instance, self._handlers, self._links)
        self._paths = Paths(server, place, key, rendezvous, clock, entropy, server_of)
        self._dialling: dict[asyncio.Task[LinkStream], tuple[PublicKey, int]] = {}
        self._following: set[asyncio.Task[None]] = set()
        self._up = False

    async def start(self) -> None:
        """Listen, where asked to, and follow relay offers."""
        self._up = True
        for address in self.candidates():
            self._world.doors[address] = self._door

    async def close(self) -> None:
        """End every link at once, and every task."""
        for address in self.candidates():
            self._world.doors.pop(address, None)
        self._up = False
        for task in (*self._dialling, *self._following):
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        self._links.drop_all()
        await self._door.close()

    def serve(self, port: int, handler: StreamHandler) -> None:
        if port in self._handlers:
            raise LocalProtocolError(f"port {port} is served twice")
        self._handlers[port] = handler

    def learn(self, peer: PublicKey, candidates: Sequence[str], expires: float) -> None:
        self._paths.learn(peer, candidates, expires)

    def candidates(self) -> tuple[str, ...]:
        return () if self._listen is None else (self._world.address(self._place, self._listen),)

    def drop(self, peer: PublicKey, *, spare: int | None = None) -> int:
        for task, (dialled, port) in self._dialling.items():
            if dialled == peer and (spare is None or port != spare):
                task.cancel()
        return self._links.drop(peer, spare)

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
        if not self._up:
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
        task = asyncio.create_task(self._race(peer, hello, better_than))
        self._dialling[task] = peer, port
        try:
            return await task
        except asyncio.CancelledError:
            ours = asyncio.current_task()
            if ours is not None and ours.cancelling():
                raise
            raise PeerUnreachable("links with this peer were ended while it was being dialled") from None
        finally:
            del self._dialling[task]

    async def relay_offered(self, offer: RelayOffer) -> None:
        """Follow a peer to the relay, if it is approved; returns at once."""
        if self._rendezvous is None or not self._up:
            return
        try:
            peer = PublicKey.from_hex(offer.peer)
        except RemoteProtocolError as error:
            self._gate.refused(None, "relay", error.code, error.message)
            return
        if not self._gate.approved(peer):
            where = self._server_of(peer).join.authority
            self._gate.refused(peer, where, "relay_not_approved", "this key is not approved here")
            return
        task = asyncio.create_task(self._follow(peer, bytes.fromhex(offer.ticket)))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    # ── dialling ──────────────────────────────────────────────────────────────────────────────────────

    async def _race(self, peer: PublicKey, hello: Hello, better_than: str | None) -> LinkStream:
        failures: list[str] = []
        mismatch = False
        attempts = self._paths.attempts(peer, better_than)
        tasks = [task for _, task in attempts]
        try:
            while attempts:
                await asyncio.wait([task for _, task in attempts], return_when=asyncio.FIRST_COMPLETED)
                path, task = next(attempt for attempt in attempts if attempt[1].done())
                attempts.remove((path, task))
                try:
                    link = Link(await task, path)
                except ComityError as error:
                    mismatch = mismatch or isinstance(error, IdentityMismatch)
                    failures.append(f"{path} {error.message}")
                    continue
                try:
                    return await self._open(link, hello)
                except (LinkLost, TimedOut) as error:
                    failures.append(f"{path} {link.info.remote}: {error.message}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for _, task in attempts:
                if not task.cancelled() and task.exception() is None:
                    task.result().dismiss()
        short = peer.fingerprint.short
        if not failures:
            raise PeerUnreachable(f"no way to {short}: it has told no address, and there is no relay")
        kind = IdentityMismatch if mismatch else PeerUnreachable
        raise kind(f"no way to {short}: {'; '.join(failures)}")

    async def _open(self, link: Link, hello: Hello) -> LinkStream:
        self._links.add(link)
        link.port = hello.port
        try:
            welcome = await self._greet(link, hello)
        except BaseException:
            self._links.discard(link)
            link.channel.dismiss()
            raise

        def released(_: bool) -> None:
            self._links.discard(link)
            link.channel.dismiss()

        return LinkStream(link, hello, welcome.instance, DEFAULT_BOUNDS, released)

    async def _greet(self, link: Link, hello: Hello) -> Welcome:
        try:
            async with asyncio.timeout(limits.HELLO_TIMEOUT):
                await link.channel.write_frame(Kind.HELLO, encode_message(hello))
                kind, body = await link.channel.read_frame(limits.HELLO_BYTES)
        except TimeoutError:
            raise TimedOut("no answer to the hello in time") from None
        if kind is Kind.REFUSED:
            refused = parse_refused(body)
            raise refusal_error(Refused(code=refused.code, reason=printable(refused.reason)))
        if kind is not Kind.WELCOME:
            raise RemoteProtocolError(f"the peer answered the hello with a {kind.name.lower()} frame")
        return parse_welcome(body)

    async def _follow(self, peer: PublicKey, ticket: bytes) -> None:
        try:
            server = self._server_of(peer)
            met = await server.meet(self._place, self._key, ticket)
        except ComityError as error:
            log.info("could not follow %s to the relay: %s", peer.fingerprint.short, error)
            return
        remote = self._world.address(server.place)
        if met.other != peer:
            met.end.close("the peer ended the link")
            self._gate.refused(peer, remote, "identity_mismatch", "another key waited at the relay")
        else:
            self._door.enter(met.end, peer, remote, "relay")
