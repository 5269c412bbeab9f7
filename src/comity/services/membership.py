"""The networks that this node is a member of: for each a connection, a mailbox, and the words that go there.

A membership stands by itself: its client connects and backs off alone, and one that is down stops no other.
What is meant for a peer goes through the network where that peer is met, and nowhere else (docs: decision
17). Whom a name means, and whether a peer may be talked to, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from comity.errors import InvalidInput, RendezvousUnreachable
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.place import Place
from comity.protocol.realm import Realm
from comity.protocol.statements import Predecessor, Statement
from comity.services.courier import Courier, Handler
from comity.services.presence import Presence
from comity.services.reserving import Reserving
from comity.services.sealing import SealingCertificate
from comity.storage.trust import TrustStore
from comity.transport.interface import LinkInfo, Rendezvous


class RunningRendezvous(Rendezvous, Protocol):
    """A rendezvous client that has to be run."""

    @property
    def link(self) -> LinkInfo | None:
        """How the connection runs, while there is one."""

    async def run(self) -> None:
        """Stay connected until cancelled, or until trying again cannot help."""


#: As ``courier.Handler``, told also where the statement came.
PlacedHandler = Callable[[PublicKey, Envelope, Realm], Awaitable[None]]


@dataclass(frozen=True, eq=False)
class Membership:
    """One. ``hostname`` is this node's there; ``predecessor`` its old key, with a rotation that counts
    there.
    """

    place: Place
    realm: Realm
    hostname: str
    presence: Presence
    rendezvous: RunningRendezvous
    courier: Courier
    certificate: SealingCertificate
    reserving: Reserving
    predecessor: Predecessor | None = None

    @property
    def name(self) -> str:
        return self.place.name


class Memberships:
    """``store`` knows where each peer is met."""

    def __init__(self, store: TrustStore) -> None:
        self._store = store
        self._members: dict[Realm, Membership] = {}
        self._handlers: list[tuple[type[Statement], PlacedHandler]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[Realm, tuple[asyncio.Task[None], ...]] = {}
        #: Told of each whose client has given up.
        self.gave_up: Callable[[Membership], None] = lambda _: None

    def __iter__(self) -> Iterator[Membership]:
        """In the order of the configuration."""
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    @property
    def first(self) -> Membership:
        """The one that a node with a single network has."""
        return next(iter(self))

    def realms(self) -> Sequence[Realm]:
        """Where this node is a member."""
        return list(self._members)

    def at(self, realm: Realm | str) -> Membership | None:
        """The membership of a realm, if there is one."""
        return next((each for each in self if str(each.realm) == str(realm)), None)

    def named(self, name: str) -> Membership:
        """The network that this node calls so; InvalidInput."""
        for each in self:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self)
        raise InvalidInput(
            f"this node is in no network called {name}; its networks: {known}", hint="run comity network list"
        )

    def name_of(self, realm: str) -> str:
        """What a realm is called here; empty where this node has left it."""
        found = self.at(realm)
        return found.name if found else ""

    def hostname(self, realm: str) -> str:
        """What this node is called in a realm of its own; RendezvousUnreachable where it has left that."""
        return self._at(realm).hostname

    def own_address(self, realm: str) -> str:
        """This node's address there; RendezvousUnreachable where it has not been registered yet."""
        return self._at(realm).presence.own_address()

    def _at(self, realm: str) -> Membership:
        found = self.at(realm)
        if found is None:
            raise left_network("that network")
        return found

    def of(self, peer: PublicKey) -> Membership:
        """Where a peer is met; RendezvousUnreachable where this node has left that network."""
        realm = self._store.realm_of(peer)
        found = self.first if realm is None else self.at(realm)
        if found is None:
            raise left_network("the network where this peer is met")
        return found

    # ── what goes out ─────────────────────────────────────────────────────────────────────────────────

    async def send(
        self,
        peer: PublicKey,
        envelope: Envelope,
        *,
        keep: bool,
        message_id: bytes | None = None,
        realm: str | None = None,
    ) -> bool:
        """``Courier.send`` in the network where the peer is met, or in ``realm``."""
        member = self.of(peer) if realm is None else self.at(realm)
        if member is None:
            raise left_network("the network where this was signed")
        return await member.courier.send(peer, envelope, keep=keep, message_id=message_id)

    async def ask_relay(self, peer: PublicKey, call: bytes) -> bytes:
        """``Rendezvous.ask_relay`` where the peer is met."""
        return await self.of(peer).rendezvous.ask_relay(peer, call)

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────────

    def on(self, kind: type[Statement], handler: PlacedHandler) -> None:
        """``Courier.on`` in every network, those to come too."""
        self._handlers.append((kind, handler))
        for each in self:
            each.courier.on(kind, _placed(handler, each.realm))

    # ── their life ────────────────────────────────────────────────────────────────────────────────────

    def add(self, member: Membership) -> None:
        """One more; it connects at once where the others do."""
        self._members[member.realm] = member
        for kind, handler in self._handlers:
            member.courier.on(kind, _placed(handler, member.realm))
        if self._tasks is not None:
            self._start(self._tasks, member)

    async def remove(self, member: Membership) -> None:
        """End it; returns once its connection is gone. The others don't notice."""
        del self._members[member.realm]
        tasks = self._running.pop(member.realm, ())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if str(member.realm) == self._store.realm:
            self._store.realm = str(self.first.realm)

    async def run(self) -> None:
        """Stay connected everywhere, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for each in self:
                    self._start(tasks, each)
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def _start(self, tasks: asyncio.TaskGroup, member: Membership) -> None:
        self._running[member.realm] = (
            tasks.create_task(member.presence.run()),
            tasks.create_task(self._stay(member)),
        )

    async def _stay(self, member: Membership) -> None:
        await member.rendezvous.run()
        self.gave_up(member)


def left_network(what: str) -> RendezvousUnreachable:
    """What is answered to whoever wants something through a network that this node has left."""
    return RendezvousUnreachable(f"this node has left {what}", hint="run comity network join with its URL")


def _placed(handler: PlacedHandler, realm: Realm) -> Handler:
    async def handle(sender: PublicKey, envelope: Envelope) -> None:
        await handler(sender, envelope, realm)

    return handle
