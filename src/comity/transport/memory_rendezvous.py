"""A rendezvous in the in-memory world: its server, and the real client connected to it over in-memory links.

The client is ``rendezvous.RendezvousClient`` itself, with its calls, heartbeats and back-off, so simulations
exercise those; only its connector is another. The server speaks the real messages and runs the real
registration machine over the books of a ``memory_registry``. Relay lanes are links that run through the
server's place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

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
)
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity, PublicKey
from comity.identity.text import printable
from comity.protocol.framing import Kind
from comity.protocol.registration import Admit, Admitted, Denied, Entry, Refuse, Say, Serve
from comity.protocol.registry import (
    MESSAGE_BYTES,
    Failure,
    ServerMessage,
    encode_message,
    parse_node_message,
)
from comity.protocol.statements import Predecessor
from comity.protocol.tickets import Role
from comity.transport.interface import RendezvousListener
from comity.transport.memory_channel import MemoryChannel
from comity.transport.memory_links import End
from comity.transport.memory_registry import MemoryRegistry, Seat
from comity.transport.memory_world import World
from comity.transport.rendezvous import RendezvousClient
from comity.transport.rendezvous_connection import FrameChannel, Registrar
from comity.transport.rendezvous_keeper import Connector
from comity.transport.tls import Credentials

PORT = 7171
_OUTGOING = 2 * limits.MAIL_PER_RECIPIENT  # messages that wait for one node to read them


@dataclass(frozen=True)
class Met:
    """One side of a relay lane: its end, and whose key the other side's TLS would prove."""

    end: End
    other: PublicKey


@dataclass
class _Waiting:
    place: str
    key: PublicKey
    role: Role
    met: asyncio.Future[Met]


class MemoryServer:
    """The server at ``place``, from ``start`` on. ``key`` is what its TLS proves, ``join`` what nodes are
    given."""

    def __init__(
        self, world: World, key: PublicKey, registry: MemoryRegistry, place: str = "rendezvous"
    ) -> None:
        self.world = world
        self.key = key
        self.registry = registry
        self.place = place
        self.join = JoinUrl(place, PORT, registry.network, fingerprint=key.fingerprint)
        self._up = False
        self._visits: set[asyncio.Task[None]] = set()
        self._lanes: dict[int, _Waiting] = {}

    def start(self) -> None:
        self._up = True
        self.world.note(f"{self.place} up")

    async def stop(self) -> None:
        """As by kill -9: every link through it is reset, tickets are forgotten, the books stay."""
        self._up = False
        self.world.note(f"{self.place} down")
        self.world.cut(self.place)
        self.registry.forget_connections()
        visits = list(self._visits)
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)

    def connector(self, place: str, key: PublicKey, join: JoinUrl) -> Connector:
        """Connects a node at ``place``, which holds ``key``, and pins what ``join`` says."""

        async def connect() -> FrameChannel:
            if not self._up:
                await asyncio.sleep(limits.RELAY_HEAD_START)
                raise PeerUnreachable(f"{join.authority}: connection refused")
            near, far = await self.world.open((place, self.place))
            if self.key.fingerprint != join.fingerprint:
                near.close("the peer ended the link")
                raise IdentityMismatch(f"the other side holds the key {self.key.fingerprint.short}")
            visit = _Visit(self.registry, self.join, MemoryChannel(far, key, self.world.address(place)))
            task = asyncio.create_task(visit.run())
            self._visits.add(task)
            task.add_done_callback(self._visits.discard)
            return MemoryChannel(near, self.key, self.world.address(self.place))

        return connect

    async def meet(self, place: str, key: PublicKey, ticket: bytes) -> Met:
        """Redeem a ticket and wait for the other side. PeerUnreachable."""
        refused = PeerUnreachable(f"{self.place}: the relay failed: it does not take the ticket")
        if not self._up:
            raise refused
        near, far = await self.world.open((place, self.place))  # the way that the preface takes
        near.close("the relay spliced it")
        far.close("the relay spliced it")
        seat = self.registry.tickets.redeem(ticket, self.registry.clock.monotonic())
        if seat is None:
            raise refused
        there = self._lanes.pop(seat.lane.number, None)
        if there is not None and not there.met.done():
            link = self.world.link((there.place, self.place, place))
            there.met.set_result(Met(link.ends[0], key))
            return Met(link.ends[1], there.key)
        waiting = _Waiting(place, key, seat.role, asyncio.get_running_loop().create_future())
        self._lanes[seat.lane.number] = waiting
        try:
            async with asyncio.timeout(limits.RELAY_READY_TIMEOUT):
                return await waiting.met
        except TimeoutError:
            raise PeerUnreachable(
                f"{self.join.authority}: the other side did not come to the relay"
            ) from None
        finally:
            self._lanes.pop(seat.lane.number, None)


class _Visit:
    """One node's connection, as the server sees it."""

    def __init__(self, registry: MemoryRegistry, join: JoinUrl, channel: MemoryChannel) -> None:
        self._registry = registry
        self._channel = channel
        nonce = registry.entropy.token(32)
        self._entry = Entry(join.fingerprint, channel.peer, nonce)
        self._outgoing: asyncio.Queue[ServerMessage | None] = asyncio.Queue(_OUTGOING)
        self._seat: Seat | None = None

    async def run(self) -> None:
        """Serve until either side ends it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._speak())
        except* LinkLost:
            pass
        finally:
            if self._seat is not None:
                self._registry.leave(self._seat)
            self._channel.dismiss()

    async def _listen(self) -> None:
        while True:
            try:
                async with asyncio.timeout(limits.RENDEZVOUS_DEAD_AFTER):
                    kind, body = await self._channel.read_frame(MESSAGE_BYTES)
                if kind is not Kind.DATA:
                    raise RemoteProtocolError(f"a node sent a frame of kind {kind.name.lower()}")
                self._hear(body)
            except TimeoutError:
                raise LinkLost("the node fell silent") from None
            except RemoteProtocolError as error:
                self._refuse(0, error)
                return

    async def _speak(self) -> NoReturn:
        while (message := await self._outgoing.get()) is not None:
            await self._channel.write_frame(Kind.DATA, encode_message(message))
        raise LinkLost("all is said")

    def _hear(self, body: bytes) -> None:
        now = self._registry.clock.now()
        for effect in self._entry.handle(parse_node_message(body), now):
            match effect:
                case Say():
                    self._say(effect.message)
                case Refuse():
                    self._refuse(effect.id, effect.error)
                case Admit():
                    self._admit(effect)
                case Serve():
                    self._serve(effect)

    def _admit(self, effect: Admit) -> None:
        claim = effect.claim
        seat = self._seat or Seat(claim.key, claim.instance, self._channel.remote, self._say, self._finish)
        try:
            self._registry.admit(effect.id, seat, claim)
        except ComityError as error:
            self._entry.handle(Denied(), self._registry.clock.now())
            self._refuse(effect.id, error)
        else:
            self._entry.handle(Admitted(), self._registry.clock.now())
            self._seat = seat

    def _serve(self, effect: Serve) -> None:
        if self._seat is None:
            raise LocalProtocolError("a request is served before the registration")
        try:
            answer = self._registry.answer(self._seat, effect.request)
        except ComityError as error:
            self._refuse(effect.request.id, error)
        else:
            if answer is not None:
                self._say(answer)

    def _refuse(self, number: int, error: ComityError) -> None:
        message = printable(error.message, limits.CLAIM_BYTES)
        self._say(Failure(id=number, code=error.code, message=message))
        if number == 0:
            self._finish()

    def _say(self, message: ServerMessage | None) -> None:
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:  # it reads nothing: its connection is of no use
            self._channel.dismiss()

    def _finish(self) -> None:
        self._say(None)


class MemoryRendezvous(RendezvousClient):
    """A node's ``interface.Rendezvous`` in the in-memory world: see ``RendezvousClient``, and ``run`` it."""

    def __init__(
        self,
        server: MemoryServer,
        place: str,
        identity: Identity,
        listener: RendezvousListener,
        *,
        sealing_key: Callable[[], Envelope],
        register: Registrar,
        hostname: str,
        entropy: Entropy,
        instance: str,
        public: bool = False,
        tags: Sequence[str] = (),
        clock: Clock | None = None,
        join: JoinUrl | None = None,
        predecessor: Predecessor | None = None,
    ) -> None:
        own_clock = clock or server.registry.clock
        pinned = join or server.join
        super().__init__(
            pinned,
            Credentials(identity, own_clock),
            listener,
            sealing_key=sealing_key,
            register=register,
            hostname=hostname,
            public=public,
            tags=tags,
            clock=own_clock,
            entropy=entropy,
            instance=instance,
            connect=server.connector(place, identity.public, pinned),
            predecessor=predecessor,
        )
